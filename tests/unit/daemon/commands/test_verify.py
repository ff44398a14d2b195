from __future__ import annotations

import os
import subprocess
import sys

from dejalog.daemon.cli import main


def test_a_good_index_is_clean(make_index, capsys) -> None:
    maker = make_index()
    maker.add("pump on", "pump off")
    maker.directory.close()
    assert main(["verify", "--data", str(maker.path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "clean: 1 shards, 2 events, 2 patterns, 0 dead letters\n"


def test_a_damaged_index_is_named_and_fails(make_index, capsys) -> None:
    maker = make_index()
    maker.add(maker.event("pump on", labels=(("site", "unmistakable-label"),)))
    maker.directory.close()
    path = maker.path / "shards" / "000001" / "data.mdb"
    path.write_bytes(path.read_bytes().replace(b"unmistakable-label", b"unmistakable-lapel"))
    assert main(["verify", "--data", str(maker.path)]) == 3
    out = capsys.readouterr().out
    assert "shard 000001" in out
    assert "checksum" in out


def test_while_it_is_written_the_values_are_walked_all_the_same(make_index, capsys) -> None:
    maker = make_index()
    maker.add("pump on")
    command = [sys.executable, "-m", "dejalog.daemon", "verify", "--data", str(maker.path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "being written" in result.stderr
    assert result.stdout.startswith("clean: 1 shards, 1 events")


def test_a_repair_says_what_it_did_and_leaves_a_clean_index(make_index, capsys) -> None:
    maker = make_index()
    maker.add("pump on")
    maker.appender.seal()
    maker.add("pump off")
    maker.directory.close()
    data = maker.path / "shards" / "000001" / "data.mdb"
    os.truncate(data, data.stat().st_size - 4096)
    assert main(["verify", "--data", str(maker.path)]) == 3
    assert "run 'dejalog verify --repair'" in capsys.readouterr().err
    assert main(["verify", "--repair", "--data", str(maker.path)]) == 0
    out = capsys.readouterr().out
    assert "repaired: moved shard 000001 to " in out
    assert out.endswith("the index is clean now\n")
    assert main(["verify", "--repair", "--data", str(maker.path)]) == 0
    assert capsys.readouterr().out.startswith("clean: 1 shards, 1 events")


def test_what_cannot_be_repaired_remains_and_fails(make_index, capsys) -> None:
    maker = make_index()
    event = maker.event("once")
    maker.add(event)
    maker.add(event)
    maker.directory.close()
    assert main(["verify", "--repair", "--data", str(maker.path)]) == 3
    captured = capsys.readouterr()
    assert "stored twice" in captured.out
    assert "cannot be repaired" in captured.err


def test_a_repair_waits_for_nobody(make_index, capsys) -> None:
    maker = make_index()
    maker.add("pump on")
    assert main(["verify", "--repair", "--data", str(maker.path)]) == 3
    assert "is being written by process" in capsys.readouterr().err
