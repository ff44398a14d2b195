from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dejalog.indexer.append import Appender, ShardLimits
from dejalog.indexer.backup import back_up
from dejalog.indexer.errors import DataDirectoryError, StorageError
from dejalog.indexer.event import Position
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.restore import restore
from dejalog.indexer.search import Searcher
from dejalog.indexer.store.directory import DataDirectory


@pytest.fixture
def backup(make_index, tmp_path: Path) -> Path:
    maker = make_index(ShardLimits(events_max=4))
    for number in range(2):
        maker.add(*(f"fan F-{i} stopped, job 90000{number}" for i in range(4)))
    back_up(maker.directory, tmp_path / "backup")
    maker.directory.close()
    return tmp_path / "backup"


def test_a_restored_index_is_searched_and_written_on(backup, tmp_path: Path, encoder) -> None:
    steps: list[str] = []
    restored = restore(backup, tmp_path / "new" / "again", on_step=steps.append)
    assert (restored.shards, restored.report.events) == (2, 8)
    assert steps
    with DataDirectory.open(tmp_path / "new" / "again", is_writable=True) as directory:
        assert Appender(directory, encoder).positions() == [Position("file", "1:1", 8)]
        result = Searcher(directory, encoder).search(SearchRequest('"900001"'))
        assert result.events_matched == 4
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["again"]


def test_an_empty_directory_is_a_place_and_a_full_one_is_not(backup, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    restore(backup, tmp_path / "empty")
    with pytest.raises(DataDirectoryError, match="not an empty directory"):
        restore(backup, tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="not an empty directory"):
        restore(backup, tmp_path / "file")


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="is no backup"):
        restore(tmp_path, tmp_path / "again")


def test_a_shard_that_is_missing_is_named(backup: Path, tmp_path: Path) -> None:
    shard = next((backup / "shards").glob("000001-*"))
    shutil.rmtree(shard)
    with pytest.raises(DataDirectoryError, match=f"{shard.name} is damaged or missing"):
        restore(backup, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_damaged_word_index_in_the_backup_is_made_anew(backup, tmp_path, encoder) -> None:
    (words,) = (backup / "shards").glob("000001-*/lexical")
    for file in words.glob("*/*.store"):
        file.write_bytes(b"\0" * file.stat().st_size)
    (words / "events" / "meta.json").write_text("{")
    assert restore(backup, tmp_path / "again").report.is_clean
    with DataDirectory.open(tmp_path / "again", is_writable=False) as directory:
        result = Searcher(directory, encoder).search(SearchRequest('"900000"'))
        assert result.events_matched == 4


def test_what_an_interrupted_restore_left_is_no_hindrance(backup: Path, tmp_path: Path) -> None:
    left = tmp_path / ".again.restoring" / "shards" / "000001"
    left.mkdir(parents=True)
    (left / "data.mdb").write_text("half")
    assert restore(backup, tmp_path / "again").report.events == 8
    assert not (tmp_path / ".again.restoring").exists()


def test_a_disk_that_refuses_is_named(backup: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        restore(backup, tmp_path / "again")
    assert not (tmp_path / "again").exists()
