from __future__ import annotations

import json
from pathlib import Path

import pytest

from dejalog.daemon.cli import main
from dejalog.daemon.commands import compact
from dejalog.indexer.compaction.pace import StoppedError
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import read_manifest


@pytest.fixture
def maker(make_index):
    """Two indexed fresh shards and the one that is appended to, closed."""
    made = make_index()
    for _ in range(2):
        made.add("pump on", "pump off")
        made.appender.seal()
    made.add("valve on", is_indexed=False)
    made.directory.close()
    return made


def tiers(path: Path) -> list[str]:
    manifest = read_manifest(path)
    assert manifest is not None
    return [entry.tier.value for entry in manifest.shards]


def test_what_would_be_done_is_told_and_then_done(maker, capsys) -> None:
    data = str(maker.path)
    assert main(["compact", "--data", data, "--dry-run"]) == 0
    assert capsys.readouterr().out == "shards 1, 2 would become one compacted shard\n"
    assert tiers(maker.path) == ["fresh", "fresh", "fresh"]
    assert main(["compact", "--data", data]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("shards 1, 2 became shard 4: 4 events, 2 patterns, ")
    assert "compacting: patterns 2 of 2\n" in err
    assert tiers(maker.path) == ["compacted", "fresh"]
    assert main(["compact", "--data", data]) == 0
    assert capsys.readouterr().out == "nothing to compact\n"


def test_sealing_compacts_what_is_appended_to_as_well(maker, capsys) -> None:
    arguments = ["compact", "--data", str(maker.path), "--seal", "--bits", "1", "-o", "json"]
    assert main(arguments) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["action"], line["sources"], line["made"]) == ("compact", [1, 2, 3], 5)
    assert (line["events"], line["patterns"], line["bits"]) == (5, 3, 1)
    assert line["bytes_before"] > 0
    assert tiers(maker.path) == ["compacted", "fresh"]


def test_sealing_waits_for_nobody_who_ingests(maker, capsys) -> None:
    with DataDirectory.open(maker.path, is_writable=True):
        assert main(["compact", "--data", str(maker.path), "--seal"]) == 3
    assert "being written by process" in capsys.readouterr().err


def test_sealing_does_not_make_an_index_of_nothing(tmp_path: Path, capsys) -> None:
    assert main(["compact", "--data", str(tmp_path / "none"), "--seal"]) == 3
    assert "there is no index" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_retention_is_part_of_it(maker, capsys) -> None:
    data = ["--data", str(maker.path), "--set", "retain.bytes_max=1"]
    assert main(["compact", *data, "--dry-run"]) == 0
    assert capsys.readouterr().out == "retention would drop shards 1, 2\n"
    assert main(["compact", *data, "-o", "json"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line == {"action": "drop", "sources": [1, 2]}
    assert tiers(maker.path) == ["fresh"]


def test_a_shard_without_its_words_is_left_out_and_named(make_index, capsys) -> None:
    maker = make_index()
    maker.add("pump on", is_indexed=False)
    maker.appender.seal()
    maker.directory.close()
    assert main(["compact", "--data", str(maker.path)]) == 0
    out, err = capsys.readouterr()
    assert out == "nothing to compact\n"
    assert "shard 1 waits for its word index" in err


def test_a_stop_is_a_partial_result(maker, capsys, monkeypatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise StoppedError("stopped before it was done; the index is as it was before")

    monkeypatch.setattr(compact, "compact_directory", stopped)
    assert main(["compact", "--data", str(maker.path)]) == 4
    assert "as it was before" in capsys.readouterr().err
