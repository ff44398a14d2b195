from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from dejalog.indexer import backup as backing_up
from dejalog.indexer.append import ShardLimits
from dejalog.indexer.backup import BACKUP_NAME, back_up, read_backup
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.errors import (
    CorruptShardError,
    DataDirectoryError,
    FormatError,
    StorageError,
)
from dejalog.indexer.restore import restore
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import Deletion


@pytest.fixture
def filled(make_index):
    """Three shards of 4 events; the last one is being appended to."""
    maker = make_index(ShardLimits(events_max=4))
    for number in range(3):
        maker.add(*(f"fan F-{i} stopped, job 90000{number}" for i in range(4)))
    return maker


def compact(maker) -> None:
    compact_directory(maker.directory, lambda: maker.encoder, CompactRules(write_bytes_per_s=0))


def restored(backup: Path, target: Path) -> tuple[int, list[int]]:
    """Events and shards of the restored index, every byte of which was verified."""
    events = restore(backup, target).report.events
    with DataDirectory.open(target, is_writable=False) as directory:
        return events, [shard.header.shard for shard in directory.shards]


def tree(folder: Path) -> dict[str, int]:
    """Every file with its inode, which changes when it is written anew."""
    return {
        str(path.relative_to(folder)): path.stat().st_ino
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_backup_holds_what_was_committed_when_it_was_made(filled, tmp_path: Path) -> None:
    report = back_up(filled.directory, tmp_path / "backup")
    assert (report.copied, report.kept, report.removed) == (3, 0, 0)
    filled.add("later")
    assert restored(tmp_path / "backup", tmp_path / "again") == (12, [1, 2, 3])


def test_a_second_backup_copies_what_is_new_only(filled, tmp_path: Path) -> None:
    back_up(filled.directory, tmp_path / "backup")
    before = tree(tmp_path / "backup")
    filled.add("fan F-9 stopped")  # Begins shard 4, so shard 3 is copied a last time.
    report = back_up(filled.directory, tmp_path / "backup")
    assert (report.copied, report.kept, report.removed) == (2, 2, 1)
    after = tree(tmp_path / "backup")
    old = {name: inode for name, inode in before.items() if name.startswith("shards/00000[12]")}
    assert old.items() <= after.items()
    kept = [n for n in before if n.startswith(("shards/000001-", "shards/000002-"))]
    assert kept
    assert all(after[name] == before[name] for name in kept)
    assert restored(tmp_path / "backup", tmp_path / "again") == (13, [1, 2, 3, 4])


def test_a_compaction_between_two_backups_replaces_shards_there_too(filled, tmp_path: Path) -> None:
    back_up(filled.directory, tmp_path / "backup")
    compact(filled)
    report = back_up(filled.directory, tmp_path / "backup")
    assert (report.copied, report.kept, report.removed) == (2, 0, 3)
    assert len(list((tmp_path / "backup" / "shards").iterdir())) == 2
    assert restored(tmp_path / "backup", tmp_path / "again") == (12, [4, 3])


def test_pending_deletions_and_the_next_numbers_are_backed_up(filled, tmp_path: Path) -> None:
    deletion = Deletion(1, 0, 12, until_ns=5)
    filled.directory.update(
        lambda m: msgspec.structs.replace(m, next_deletion=2, deletions=(deletion,))
    )
    filled.directory.reserve_number()
    back_up(filled.directory, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    with DataDirectory.open(tmp_path / "again", is_writable=False) as directory:
        assert directory.manifest == filled.directory.manifest


def test_a_backup_while_events_are_appended_is_one_moment(make_index, tmp_path: Path) -> None:
    """Events and the positions of their source are of the same moment, in every copy."""
    stop = threading.Event()
    maker = make_index(ShardLimits(events_max=100))
    maker.add("fan F-1 stopped")

    def append() -> None:
        while not stop.is_set():
            maker.add(*(f"fan F-{number} stopped" for number in range(3)), is_indexed=False)

    writer = threading.Thread(target=append)
    writer.start()
    try:
        for number in range(3):
            back_up(maker.directory, tmp_path / "backup")
            events, _ = restored(tmp_path / "backup", tmp_path / f"again-{number}")
            assert offset(tmp_path / f"again-{number}") == events
    finally:
        stop.set()
        writer.join()
    assert len(maker.directory.shards) > 1


def offset(path: Path) -> int:
    """Where the one source of a restored index goes on."""
    with (
        DataDirectory.open(path, is_writable=False) as directory,
        directory.shards[-1].snapshot() as snapshot,
    ):
        (position,) = snapshot.positions()
        return position.offset


@pytest.mark.parametrize("at", [3, 20, 40])
def test_a_killed_backup_leaves_the_one_before(filled, tmp_path: Path, at: int) -> None:
    """Killed at one of its steps: syncs, renames and removals are counted."""
    backup = tmp_path / "backup"
    back_up(filled.directory, backup)
    filled.add("fan F-9 stopped")
    compact(filled)
    filled.add("fan F-8 stopped")
    filled.directory.close()
    script = f"""
import os, signal
from pathlib import Path
left = {at}
def counted(original):
    def call(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)
    return call
for name in ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir"):
    setattr(os, name, counted(getattr(os, name)))
from dejalog.indexer.backup import back_up
from dejalog.indexer.store.directory import DataDirectory
with DataDirectory.open(Path({str(filled.path)!r}), is_writable=False) as directory:
    back_up(directory, Path({str(backup)!r}))
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -9
    assert restored(backup, tmp_path / "again")[0] in {12, 14}
    with DataDirectory.open(filled.path, is_writable=False) as directory:
        back_up(directory, backup)
    assert restored(backup, tmp_path / "newest")[0] == 14
    named = read_backup(backup)
    assert named is not None
    assert {path.name for path in (backup / "shards").iterdir()} == set(named.folders)


def test_a_first_backup_that_was_killed_is_gone_on_with(filled, tmp_path, monkeypatch) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(backing_up._Writer, "_write", killed)
        with pytest.raises(KilledError):
            back_up(filled.directory, tmp_path / "backup")
    with pytest.raises(DataDirectoryError, match="interrupted before it was ever whole"):
        restore(tmp_path / "backup", tmp_path / "again")
    back_up(filled.directory, tmp_path / "backup")
    assert restored(tmp_path / "backup", tmp_path / "again")[0] == 12


def test_a_copy_that_has_changed_is_copied_again_with_check(filled, tmp_path: Path) -> None:
    back_up(filled.directory, tmp_path / "backup")
    data = next((tmp_path / "backup" / "shards").glob("000002-*/data.mdb"))
    good = data.read_bytes()
    data.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert back_up(filled.directory, tmp_path / "backup").kept == 2
    with pytest.raises(DataDirectoryError, match="checksum differs"):
        restore(tmp_path / "backup", tmp_path / "again")
    assert not (tmp_path / "again").exists()
    report = back_up(filled.directory, tmp_path / "backup", is_checked=True)
    assert (report.copied, report.kept) == (2, 1)
    assert restored(tmp_path / "backup", tmp_path / "again")[0] == 12


def test_a_damaged_shard_does_not_replace_its_good_copy(filled, tmp_path: Path) -> None:
    back_up(filled.directory, tmp_path / "backup")
    filled.directory.close()
    data = filled.path / "shards" / "000002" / "data.mdb"
    os.truncate(data, data.stat().st_size - 4096)
    with DataDirectory.open(filled.path, is_writable=False) as directory:
        report = back_up(directory, tmp_path / "backup")
        assert "keeps its earlier copy" in report.notes[0]
        with pytest.raises(CorruptShardError, match="000002"):
            back_up(directory, tmp_path / "other")
    assert restored(tmp_path / "backup", tmp_path / "again") == (12, [1, 2, 3])


def test_complete_word_indexes_are_copied_and_others_made_anew(filled, tmp_path: Path) -> None:
    filled.add("fan F-9 stopped", is_indexed=False)
    shutil.rmtree(filled.directory.shards[1].path / "lexical")
    back_up(filled.directory, tmp_path / "backup")
    shards = tmp_path / "backup" / "shards"
    copied = {path.parent.name[:6] for path in shards.glob("*/lexical")}
    assert copied == {"000001", "000003"}
    filled.index_words()
    back_up(filled.directory, tmp_path / "backup")
    copied = {path.parent.name[:6] for path in shards.glob("*/lexical")}
    assert copied == {"000001", "000002", "000003"}
    assert restored(tmp_path / "backup", tmp_path / "again")[0] == 13


def test_places_that_are_no_place_for_a_backup_are_refused(filled, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    back_up(filled.directory, tmp_path / "other")
    state = read_backup(tmp_path / "other")
    assert state is not None
    moved = msgspec.structs.replace(state, source="/elsewhere")
    (tmp_path / "other" / BACKUP_NAME).write_bytes(msgspec.json.encode(moved))
    for place, reason in (
        (tmp_path / "full", "neither empty nor a backup"),
        (tmp_path / "full" / "file", "not a directory"),
        (filled.path / "backup", "lie in each other"),
        (filled.path, "lie in each other"),
        (filled.path.parent, "lie in each other"),
        (tmp_path / "other", "holds the backup of /elsewhere"),
    ):
        with pytest.raises(DataDirectoryError, match=reason):
            back_up(filled.directory, place)
    assert not (filled.path / "backup").exists()


def test_a_backup_of_another_version_is_refused(filled, tmp_path: Path) -> None:
    (tmp_path / BACKUP_NAME).write_text('{"source": "x", "format_version": 9}')
    with pytest.raises(FormatError, match="version 9"):
        read_backup(tmp_path)
    (tmp_path / BACKUP_NAME).write_text("{")
    with pytest.raises(FormatError, match="unreadable"):
        read_backup(tmp_path)


def test_a_disk_without_room_is_named_before_anything_is_copied(
    filled, tmp_path: Path, monkeypatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StorageError, match="0 MiB left"):
        back_up(filled.directory, tmp_path / "backup")


def test_a_disk_that_fills_up_leaves_the_backup_before(filled, tmp_path: Path) -> None:
    """A file size limit stands in for the disk: it fails the same write with EFBIG."""
    back_up(filled.directory, tmp_path / "backup")
    filled.add("fan F-9 stopped")
    filled.directory.close()
    script = f"""
import resource, signal
from pathlib import Path
from dejalog.indexer.backup import back_up
from dejalog.indexer.errors import StorageError
from dejalog.indexer.store.directory import DataDirectory
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with DataDirectory.open(Path({str(filled.path)!r}), is_writable=False) as directory:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        back_up(directory, Path({str(tmp_path / "backup")!r}))
    except StorageError as error:
        print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "the backup of before is whole" in result.stdout, result.stderr
    assert restored(tmp_path / "backup", tmp_path / "again")[0] == 12


def test_no_compaction_runs_meanwhile(filled, tmp_path: Path) -> None:
    with (
        filled.directory.compacting(),
        pytest.raises(DataDirectoryError, match="compacted or copied"),
    ):
        back_up(filled.directory, tmp_path / "backup")
