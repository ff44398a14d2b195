"""Kafka's own programs, copied once from a Maven repository to build/ and then kept."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_POM = Path(__file__).with_name("pom.xml")
_BUILD = Path(__file__).parents[2] / "build"
#: What a download of 43 MB takes over a slow line; a Maven that waits longer is stuck.
_FETCH_S = 600
_JAVA_MIN = 17


class KafkaUnavailableError(Exception):
    """Why no broker can be started on this machine."""


def java() -> str:
    """Returns the path of a Java that Kafka runs on; raises KafkaUnavailableError."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if path is None:
        raise KafkaUnavailableError(f"there is no Java; install Java {_JAVA_MIN} or newer")
    asked = subprocess.run(
        [path, "-version"], check=False, capture_output=True, text=True, timeout=60
    )
    # Java 8 called itself 1.8; every later one begins with its number.
    found = re.search(r'version "(\d+)', asked.stderr)
    if found is None or int(found[1]) < _JAVA_MIN:
        said = asked.stderr.partition("\n")[0]
        raise KafkaUnavailableError(f"{path} is {said}; install Java {_JAVA_MIN} or newer")
    return path


def class_path() -> str:
    """Returns the class path of the broker, fetched where it is not there yet.

    A folder counts only with the pom that it was made from beside its jars, and it appears in one
    step, so that a killed fetch leaves nothing that looks complete. Raises KafkaUnavailableError.
    """
    version = re.search(r"kafka_2\.13</artifactId>\s*<version>([^<]+)<", _POM.read_text())
    assert version is not None
    folder = _BUILD / f"kafka-{version[1]}"
    _BUILD.mkdir(exist_ok=True)
    with (_BUILD / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(folder):
            _fetch(folder)
    return f"{folder}/*"


def _is_complete(folder: Path) -> bool:
    made_from = folder / _POM.name
    return made_from.is_file() and made_from.read_bytes() == _POM.read_bytes()


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError("there is no Maven (mvn) to fetch Kafka with; install Maven")
    with tempfile.TemporaryDirectory(dir=_BUILD, prefix="kafka-") as name:
        jars = Path(name) / "jars"
        # The pom is copied first, since Maven may write beside the one that it is given.
        pom = shutil.copy(_POM, name)
        command = [maven, "-q", "-B", "-f", pom, "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_FETCH_S)
        if ran.returncode:
            said = (ran.stdout + ran.stderr)[-2000:]
            raise KafkaUnavailableError(f"Maven could not fetch Kafka: {said}")
        shutil.copy(_POM, jars)
        shutil.rmtree(folder, ignore_errors=True)
        jars.rename(folder)
