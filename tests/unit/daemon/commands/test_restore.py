from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from dejalog.daemon.commands import restore
from dejalog.daemon.flags import add_common_flags
from dejalog.indexer.backup import back_up
from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.store.directory import DataDirectory


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_common_flags(parser)
    restore.add_arguments(parser)
    return restore.run(parser.parse_args([str(each) for each in arguments]))


def test_it_says_what_was_restored_as_of_when(make_index, tmp_path: Path, capsys) -> None:
    maker = make_index()
    maker.add("pump on", "pump off")
    back_up(maker.directory, tmp_path / "backup", clock=lambda: 1_709_287_200 * 10**9)
    maker.directory.close()
    assert run(tmp_path / "backup", "--data", tmp_path / "again") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"restored {tmp_path / 'again'} as of 2024-03-01")
    assert captured.out.endswith("2 events, verified\n")
    assert "copying shard 000001" in captured.err
    with DataDirectory.open(tmp_path / "again", is_writable=True) as directory:
        assert len(directory.shards) == 1


def test_an_index_is_never_overwritten(make_index, tmp_path: Path) -> None:
    maker = make_index()
    back_up(maker.directory, tmp_path / "backup")
    with pytest.raises(DataDirectoryError, match="not an empty directory"):
        run(tmp_path / "backup", "--data", maker.path)
