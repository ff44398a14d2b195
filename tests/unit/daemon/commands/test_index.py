from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dejalog.daemon.cli import main


def counts(data: Path, capsys) -> tuple[int, int]:
    capsys.readouterr()
    assert main(["status", "--data", str(data), "-o", "json"]) == 0
    status = json.loads(capsys.readouterr().out)
    return int(status["events"]), int(status["dead_letters"])


def test_a_second_run_adds_only_what_is_new(tmp_path: Path, capsys) -> None:
    log, data = tmp_path / "a.log", tmp_path / "data"
    log.write_text("pump on\npump off\n")
    for expected in (2, 2, 3):
        if expected == 3:
            with log.open("a") as file:
                file.write("pump on fire\n")
        assert main(["index", "--data", str(data), str(log)]) == 0
        assert counts(data, capsys) == (expected, 0)
    assert main(["verify", "--data", str(data)]) == 0


def test_standard_input_is_read_to_its_end(tmp_path: Path, capsys) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "dejalog.daemon", "index", "--data", str(data), "-"]
    subprocess.run(command, input=b"fan on\nfan off\n", check=True, capture_output=True)
    assert counts(data, capsys) == (2, 0)


def test_hostile_files_are_accounted_for_to_the_last_record(tmp_path: Path, capsys) -> None:
    """Random bytes, one huge line, broken UTF-8, a cut gzip, deep JSON, impossible times.

    DEJALOG_HOSTILE_MIB sets the size of the random file (2 here; 64 in the long run).
    """
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    folder, data = tmp_path / "in", tmp_path / "data"
    folder.mkdir()
    mebibytes = int(os.environ.get("DEJALOG_HOSTILE_MIB", "2"))
    (folder / "random.log").write_bytes(rng.randbytes(mebibytes << 20))
    (folder / "huge.log").write_bytes(b"before\n" + b"x" * (50 << 20) + b"\nafter\n")
    (folder / "utf8.log").write_bytes(b"good\n\xc3\x28 bad\n\xed\xa0\x80 surrogate\ngood again\n")
    packed = gzip.compress(b"".join(b"line %d\n" % n for n in range(5000)))
    (folder / "cut.log.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "deep.jsonl").write_bytes(b"[" * 10_000 + b"]" * 10_000 + b"\n" + b'{"a":' * 10_000)
    times = ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1969-07-20T20:17:00Z"]
    (folder / "times.log").write_text("".join(f"{t} event\n" for t in times))
    assert main(["index", "--data", str(data), str(folder)]) == 0
    said = capsys.readouterr().err
    events, dead_letters = counts(data, capsys)
    numbers = [int(n.replace(" ", "")) for n in numbers_in(said.splitlines()[-1])]
    assert numbers[:3] == [events, dead_letters, events + dead_letters]
    assert dead_letters >= 5
    assert main(["verify", "--data", str(data)]) == 0
    assert main(["index", "--data", str(data), str(folder)]) == 0
    assert counts(data, capsys) == (events, dead_letters)


def numbers_in(sentence: str) -> list[str]:
    return re.findall(r"\d[\d ]*\d|\d", sentence)


def test_a_real_log_is_indexed_whole(shared_data: Path, tmp_path: Path, capsys) -> None:
    log = shared_data / "logs" / "loghub" / "Zookeeper_2k.log"
    data = tmp_path / "data"
    assert main(["index", "--data", str(data), str(log)]) == 0
    assert counts(data, capsys) == (2000, 0)
    search = ["search", "--data", str(data), "connection broken", "-o", "json", "-n", "1"]
    assert main(search) == 0
    assert "Connection broken" in capsys.readouterr().out


def test_files_that_cannot_be_read_are_named(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.log").write_text("one\n")
    (folder / "b.zip").write_bytes(b"PK\x03\x04rest")
    assert main(["index", "--data", str(tmp_path / "data"), str(folder)]) == 0
    assert "b.zip" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["-", "a.log"]])
def test_stdin_and_files_do_not_mix(arguments: list[str], tmp_path: Path, capsys) -> None:
    assert main(["index", "--data", str(tmp_path), *arguments]) == 2
    assert "standard input" in capsys.readouterr().err
