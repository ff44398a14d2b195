from __future__ import annotations

import argparse
import threading
from pathlib import Path

import pytest

from dejalog.daemon.commands import backup
from dejalog.daemon.flags import add_common_flags
from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.store.folders import COMPACT_LOCK_NAME, take_lock


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    backup.add_arguments(parser)
    return backup.run(parser.parse_args([str(each) for each in arguments]))


def test_it_says_what_was_copied_and_what_was_there(make_index, tmp_path: Path, capsys) -> None:
    maker = make_index()
    maker.add("pump on")
    maker.appender.seal()
    maker.index_words()
    maker.directory.close()
    assert run(tmp_path / "backup", "--data", maker.path) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("backed up 2 shards: 2 copied (")
    assert [line.split(" (")[0] for line in captured.err.splitlines()] == [
        "copying shard 000001",
        "copying shard 000002",
    ]
    assert run(tmp_path / "backup", "--check", "--data", maker.path) == 0
    assert "1 copied" in (out := capsys.readouterr().out)
    assert out.endswith("1 were there\n")


def test_without_an_index_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="no index"):
        run(tmp_path / "backup", "--data", tmp_path / "nowhere")
    assert not (tmp_path / "backup").exists()


def test_a_compaction_is_waited_for(make_index, tmp_path: Path, capsys) -> None:
    maker = make_index()
    maker.add("pump on")
    maker.directory.close()
    lock = take_lock(maker.path, COMPACT_LOCK_NAME)
    with pytest.raises(DataDirectoryError, match="being compacted"):
        run(tmp_path / "backup", "--wait", 0, "--data", maker.path)
    assert "waiting" not in capsys.readouterr().err
    ending = threading.Timer(0.3, lock.close)
    ending.start()
    assert run(tmp_path / "backup", "--data", maker.path) == 0
    ending.join()
    assert "waiting for the compaction to end" in capsys.readouterr().err
