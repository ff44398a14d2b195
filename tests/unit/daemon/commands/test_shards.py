from __future__ import annotations

import json

import pytest

from dejalog.daemon.cli import main
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.filter import Condition
from dejalog.indexer.retain import delete_events


@pytest.fixture
def maker(make_index, encoder):
    """A compacted shard with a deleted event, and a fresh one of which half is deleted."""
    made = make_index()
    labels = (("host", "gw1"),)
    made.add("pump on", made.event("pump off", labels=labels), "pump on")
    made.appender.seal()
    delete_events(made.directory, [Condition("host", "=", "gw1")])
    compact_directory(made.directory, lambda: encoder, CompactRules(bits=2, write_bytes_per_s=0))
    made.add("pump on", made.event("valve on", labels=labels), is_indexed=False)
    delete_events(made.directory, [Condition("host", "=", "gw1")])
    made.directory.close()
    return made


def test_a_row_for_each_shard(maker, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "--data", str(maker.path), "--timezone", "UTC"]) == 0
    headings, compacted, fresh = capsys.readouterr().out.splitlines()
    assert headings.split()[:3] == ["shard", "oldest", "event"]
    words = compacted.split()
    assert (words[0], words[5:8]) == ("3", ["compacted", "2", "1"])
    assert "1970-01-01 00:00:02" in compacted
    assert " x 2 bits" in compacted
    assert fresh.split()[0] == "2"
    assert fresh.endswith("appended to, 1 deleted events to take out")


def test_json_has_a_line_for_each_shard(maker, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "--data", str(maker.path), "-o", "json"]) == 0
    compacted, fresh = map(json.loads, capsys.readouterr().out.splitlines())
    assert (compacted["shard"], compacted["tier"], compacted["state"]) == (
        3,
        "compacted",
        "at rest",
    )
    assert (compacted["events"], compacted["deleted_events"], compacted["bits"]) == (2, 1, 2)
    assert compacted["oldest"] == "1970-01-01T00:00:02.000000000Z"
    assert compacted["bytes_per_token"] == pytest.approx(
        compacted["bytes"] / compacted["tokens"], abs=0.01
    )
    assert (compacted["codebook_version"], compacted["pending_deletions"]) == (1, 1)
    assert (fresh["state"], fresh["bits"], fresh["drift"]) == ("active", None, None)
    assert (fresh["first_event"], fresh["pending_deleted_events"]) == ("3", 1)


def test_a_damaged_shard_is_told_and_the_others_are_shown(
    maker, capsys: pytest.CaptureFixture[str]
) -> None:
    (maker.path / "shards" / "000003" / "data.mdb").unlink()
    assert main(["shards", "--data", str(maker.path)]) == 0
    _, damaged, fresh = capsys.readouterr().out.splitlines()
    assert damaged.endswith("damaged: its data.mdb is missing")
    assert "appended to" in fresh
    assert main(["shards", "--data", str(maker.path), "-o", "json"]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (line["state"], line["damage"]) == ("damaged", "its data.mdb is missing")
    assert line["oldest"] is None
