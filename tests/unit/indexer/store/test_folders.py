from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.store.directory import is_being_written
from dejalog.indexer.store.folders import (
    COMPACT_LOCK_NAME,
    LOCK_NAME,
    check_no_shards,
    remove_folder,
    remove_unlisted,
    take_lock,
)
from dejalog.indexer.store.manifest import Manifest, ShardEntry


def fill(folder: Path, files: int = 3) -> Path:
    (folder / "lexical").mkdir(parents=True)
    for number in range(files):
        (folder / "lexical" / str(number)).write_text("x")
    return folder


def test_two_processes_may_remove_one_folder_at_the_same_time(tmp_path: Path) -> None:
    """One of them met a file that the other had just removed, and ended."""
    for attempt in range(20):
        folder = fill(tmp_path / f"{attempt:06d}", files=50)
        failed: list[BaseException] = []

        def remove(folder: Path = folder, failed: list[BaseException] = failed) -> None:
            try:
                remove_folder(folder)
            except OSError as error:
                failed.append(error)

        threads = [threading.Thread(target=remove) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_vanishes_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that opened a shard while it was being emptied made a new lock file in it."""
    folder = fill(tmp_path / "000001")
    monkeypatch.setattr(
        "shutil.rmtree", lambda *_, **__: pytest.fail("still there") if folder.exists() else None
    )
    remove_folder(folder)
    monkeypatch.undo()
    remove_unlisted(tmp_path, Manifest(shards=(ShardEntry(1),)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_removed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(PermissionError):
        remove_folder(fill(tmp_path / "000001"))


@pytest.mark.parametrize("name", [LOCK_NAME, COMPACT_LOCK_NAME])
def test_a_lock_is_held_by_one_and_names_it(tmp_path: Path, name: str) -> None:
    with take_lock(tmp_path, name), pytest.raises(DataDirectoryError, match=str(os.getpid())):
        take_lock(tmp_path, name)
    take_lock(tmp_path, name).close()


def test_a_glance_at_the_lock_does_not_keep_a_writer_from_starting(tmp_path: Path) -> None:
    """A cron job that asked whether the index is being written let the daemon's start fail."""
    take_lock(tmp_path, LOCK_NAME).close()
    stop = threading.Event()

    def glance() -> None:
        while not stop.is_set():
            is_being_written(tmp_path)

    thread = threading.Thread(target=glance)
    thread.start()
    try:
        for _ in range(200):
            take_lock(tmp_path, LOCK_NAME).close()
    finally:
        stop.set()
        thread.join()


def test_a_place_without_a_folder_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="cannot lock"):
        take_lock(tmp_path / "nowhere", LOCK_NAME)


def test_shards_without_a_manifest_are_not_taken_for_nothing(tmp_path: Path) -> None:
    check_no_shards(tmp_path)
    (tmp_path / "shards").mkdir()
    check_no_shards(tmp_path)
    (tmp_path / "shards" / "000001").mkdir()
    with pytest.raises(DataDirectoryError, match="restore"):
        check_no_shards(tmp_path)
