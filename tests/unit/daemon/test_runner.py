from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dejalog.client import Client, Pushed
from dejalog.indexer.request import SearchRequest


@contextmanager
def running(tmp_path: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A daemon on a free port, as a person would start it."""
    command = [sys.executable, "-m", "dejalog.daemon", "run", "--data", str(tmp_path / "data")]
    for flag in ("server.listen=127.0.0.1:0", "server.otlp_listen=", *flags):
        command += ["--set", flag]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    address = re.search(r"gRPC on (\S+),", line)
    assert address, line + process.stderr.read()
    try:
        yield process, address[1]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def wait_for(client: Client, text: str, count: int) -> None:
    deadline = time.monotonic() + 30
    found = 0
    while time.monotonic() < deadline:
        hits = client.search(SearchRequest(text)).result.hits
        found = hits[0].count if hits else 0
        if found == count:
            return
        time.sleep(0.1)
    raise AssertionError(f"{found} instead of {count}")


def test_what_is_appended_is_found_and_survives_a_restart(tmp_path: Path) -> None:
    records = [Pushed(f"compressor C-{n} surge".encode()) for n in range(3)]
    with running(tmp_path) as (process, address), Client(address) as client:
        receipt = client.append("plc7", records)
        assert receipt.accepted == 3
        wait_for(client, '"C-1 surge"', 1)
        assert client.status().events == 3
        process.send_signal(signal.SIGKILL)
    with running(tmp_path) as (process, address), Client(address) as client:
        assert client.status().events == 3
        wait_for(client, '"C-2 surge"', 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_a_file_is_followed_as_it_grows(tmp_path: Path) -> None:
    log = tmp_path / "plant.log"
    log.write_text("boiler B-1 low water\n")
    with running(tmp_path, f"sources.files={log}") as (_, address), Client(address) as client:
        wait_for(client, '"low water"', 1)
        with log.open("a") as file:
            file.write("boiler B-1 low water\nboiler B-1 low water\n")
        wait_for(client, '"low water"', 3)


def test_files_of_a_group_have_its_labels(tmp_path: Path) -> None:
    folder = tmp_path / "p101"
    folder.mkdir()
    (folder / "plant.log").write_text("boiler B-1 low water\n")
    other = tmp_path / "other.log"
    other.write_text("boiler B-2 low water\n")
    groups = json.dumps([{"files": [str(folder)], "labels": {"asset": "B-1"}}])
    flags = (f"sources.files={other}", f"sources.groups={groups}")
    with running(tmp_path, *flags) as (_, address), Client(address) as client:
        wait_for(client, '"low water" -asset=B-1', 1)
        wait_for(client, '"low water" asset=B-1', 1)
        (hit,) = client.search(SearchRequest('"low water" asset=B-1')).result.hits
        assert hit.occurrences[0].event.text == "boiler B-1 low water"


def test_a_second_daemon_on_the_same_data_is_refused_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as (process, _):
        command = [sys.executable, "-m", "dejalog.daemon", "run"]
        second = subprocess.run(
            [*command, "--data", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert second.returncode == 3
        assert f"being written by process {process.pid}" in second.stderr
        assert "Traceback" not in second.stderr


def test_a_taken_port_ends_the_start_with_its_name(tmp_path: Path) -> None:
    with running(tmp_path) as (_, address):
        command = [sys.executable, "-m", "dejalog.daemon", "run", "--data", str(tmp_path / "b")]
        second = subprocess.run(
            [*command, "--set", f"server.listen={address}", "--set", "server.otlp_listen="],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "GRPC_VERBOSITY": "NONE"},
        )
        assert second.returncode == 2
        assert address in second.stderr


def test_shards_are_compacted_beside_ingest_and_search(tmp_path: Path) -> None:
    flags = ("shard.events_max=50", "compact.interval_s=1", "compact.bits=2")
    texts = [f"compressor C-{n} surge" for n in range(200)]
    with running(tmp_path, *flags) as (process, address), Client(address) as client:
        for start in range(0, 200, 50):
            client.append("plc7", [Pushed(text.encode()) for text in texts[start : start + 50]])
        deadline = time.monotonic() + 60
        while "compacted" not in (tmp_path / "data" / "manifest.json").read_text():
            assert time.monotonic() < deadline
            assert client.status().events == 200
            wait_for(client, '"C-7 surge"', 1)
        assert client.status().events == 200
        for number in (0, 99, 199):
            wait_for(client, f'"C-{number} surge"', 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
