from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
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


LOG = """2026-11-01 20:00:00 INFO pump running
2026-11-01 22:40:10 ERROR pump tripped on motor overload E-1034
"""
NOTE = {
    "asset": "P-101",
    "time": "2026-11-01T22:55:00Z",
    "text": "pump stops after start",
    "action": "suction strainer cleaned",
}


def asked(data: Path, capsys, *arguments: str) -> tuple[str, str]:
    capsys.readouterr()
    command = ["precedents", "--data", str(data), "--timezone", "UTC", "motor overload"]
    assert main([*command, *arguments]) == 0
    out, err = capsys.readouterr()
    return out, err


def test_a_plain_log_with_an_asset_leads_to_the_note_that_followed(tmp_path: Path, capsys) -> None:
    log, notes = tmp_path / "pump101.log", tmp_path / "notes.jsonl"
    log.write_text(LOG)
    notes.write_text(json.dumps(NOTE) + "\n")
    without, data = tmp_path / "without", tmp_path / "data"
    assert main(["index", "--data", str(without), str(log), str(notes)]) == 0
    out, err = asked(without, capsys)
    assert "pump tripped on motor overload" in out
    assert "suction strainer cleaned" not in out
    assert "give it with 'dejalog index PATH --label asset=NAME' (docs/INGEST.md)" in err
    labels = ["--label", "asset=P-101", "--label", "site=north"]
    assert main(["index", "--data", str(data), str(log), *labels]) == 0
    assert main(["index", "--data", str(data), str(notes)]) == 0
    out, err = asked(data, capsys, "site=north")
    assert "asset=P-101" in out
    assert "then, 15 min later: 2026-11-01 22:55" in out
    assert "action taken: suction strainer cleaned" in out
    assert "--label" not in err


def test_an_event_that_names_its_own_asset_is_right(tmp_path: Path, capsys) -> None:
    data, log = tmp_path / "data", tmp_path / "a.jsonl"
    log.write_text('{"msg": "fan on", "machine": "F-7"}\n{"msg": "fan off"}\n')
    assert main(["index", "--data", str(data), str(log), "--label", "asset=P-101"]) == 0
    assert main(["search", "--data", str(data), "fan", "-o", "json"]) == 0
    hits = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = {each["text"]: each for hit in hits for each in hit["occurrences"]}
    assert events["fan on"]["labels"]["asset"] == "F-7"
    assert events["fan on"]["attributes"]["record.asset"] == "P-101"
    assert events["fan off"]["labels"]["asset"] == "P-101"


def test_standard_input_and_followed_files_have_the_label(tmp_path: Path, capsys) -> None:
    data, log = tmp_path / "data", tmp_path / "a.log"
    log.write_text("pump on\n")
    command = [sys.executable, "-m", "dejalog.daemon", "index", "--data", str(data)]
    label = ["--label", "asset=P-101"]
    subprocess.run([*command, "-", *label], input=b"fan on\n", check=True, capture_output=True)
    follow = subprocess.Popen([*command, str(log), "--follow", *label], stderr=subprocess.PIPE)
    try:
        wait_for_events(data, 2, capsys)
    finally:
        follow.send_signal(signal.SIGTERM)
        follow.communicate(timeout=60)
    assert follow.returncode == 0
    for word in ("fan", "pump"):
        query = ["search", "--data", str(data), f"{word} asset=P-101", "-o", "json", "-n", "1"]
        assert main(query) == 0
        assert f'"{word} on"' in capsys.readouterr().out


def wait_for_events(data: Path, count: int, capsys) -> None:
    deadline = time.monotonic() + 60
    while counts(data, capsys)[0] != count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_label_that_is_none_is_a_wrong_call_before_anything_is_read(tmp_path, capsys) -> None:
    data, log = tmp_path / "data", tmp_path / "a.log"
    log.write_text("pump on\n")
    assert main(["index", "--data", str(data), str(log), "--label", "P-101"]) == 2
    assert "--label: P-101: is not NAME=VALUE" in capsys.readouterr().err
    assert not data.exists()
