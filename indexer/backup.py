"""A data directory -> a backup of it, while it is written and searched.

    BACKUP/
      backup.json                         what the backup consists of; replaced last, as a whole
      shards/000001-<created>/            a shard that no longer grows: copied once
      shards/000007-<created>-<copied>/   the one that grows: a new copy each time
        data.mdb, shard.json, lexical/

Nothing is compacted or removed meanwhile. A folder gets its name when it is whole and durable, and
those that only the backup before needs go after backup.json was replaced: whatever happens, one of
the two is whole. Word indexes are copied where they are complete; `restore` makes the others anew.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from crc32c import crc32c

from dejalog.indexer.catch_up import LEXICAL_NAME, lexical_folder
from dejalog.indexer.errors import CorruptShardError, DataDirectoryError, FormatError, StorageError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.lexical_files import copy_index
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.folders import SHARDS_NAME, remove_folder
from dejalog.indexer.store.layout import Header
from dejalog.indexer.store.manifest import Manifest, ShardEntry, sync_folder, write_json
from dejalog.indexer.store.shard import Shard

BACKUP_NAME: Final = "backup.json"
SHARD_NAME: Final = "shard.json"
BACKUP_VERSION: Final = 1

_DRAFT_SUFFIX = ".draft"
_COPY_BYTES: Final = 4 << 20

#: Told the shard's name, and how many bytes of it are copied, of how many.
OnProgress: TypeAlias = Callable[[str, int, int], None]


class CopiedShard(msgspec.Struct, frozen=True):
    """What lies in a folder of the backup: a shard's header, its file's size and checksum."""

    header: Header
    size_bytes: int
    crc32c: int


class Backup(msgspec.Struct, frozen=True):
    """A whole backup: the manifest of `source`, and the folder of each of its shards.

    `created_ns` is 0 until the first one is whole.
    """

    source: str
    created_ns: int = 0
    manifest: Manifest = Manifest()
    folders: tuple[str, ...] = ()
    format_version: int = BACKUP_VERSION


@dataclass(slots=True)
class BackupReport:
    """Shards that were copied and that were there already; notes are about damaged ones."""

    copied: int = 0
    kept: int = 0
    copied_bytes: int = 0
    removed: int = 0
    notes: list[str] = field(default_factory=list)


def back_up(
    directory: DataDirectory,
    target: Path,
    *,
    is_checked: bool = False,
    wait_s: float = 0.0,
    on_progress: OnProgress = lambda _name, _done, _total: None,
    clock: Callable[[], int] = time.time_ns,
) -> BackupReport:
    """Brings the backup in `target` up to date.

    With `is_checked` the checksums of what is there already are compared, and what differs is
    copied again. Raises DataDirectoryError where `target` cannot be, or if the index is being
    compacted for longer than `wait_s`; CorruptShardError for a damaged shard that the backup does
    not have; StorageError if the disk refuses. The backup before is whole then.
    """
    source = directory.path.resolve()
    before = _begin(source, target)
    try:
        with directory.compacting(wait_s=wait_s):
            writer = _Writer(directory, target, before, on_progress, clock)
            return writer.run(is_checked=is_checked)
    except OSError as error:
        what = "is full" if error.errno == errno.ENOSPC else f"refuses ({error})"
        raise StorageError(
            f"cannot back up to {target}: the disk {what}; the backup of before is whole, and "
            "the next one goes on where this one ended"
        ) from error


def read_backup(folder: Path) -> Backup | None:
    """Returns what the folder holds, or None if it is no backup; raises FormatError."""
    path = folder / BACKUP_NAME
    try:
        backup = msgspec.json.decode(path.read_bytes(), type=Backup)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise FormatError(path, f"unreadable JSON ({error})", "a backup") from error
    if backup.format_version != BACKUP_VERSION:
        raise FormatError(path, f"version {backup.format_version}", f"version {BACKUP_VERSION}")
    return backup


def read_copied(folder: Path) -> CopiedShard | None:
    """Returns what a shard's folder says of itself, or None if it is none."""
    try:
        return msgspec.json.decode((folder / SHARD_NAME).read_bytes(), type=CopiedShard)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def copy_file(
    source: Path, target: Path, on_bytes: Callable[[int], None] = lambda _: None
) -> tuple[int, int]:
    """Copies a file durably; returns its size and the CRC-32C of what was copied."""
    size = checksum = 0
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(_COPY_BYTES):
            writing.write(chunk)
            size, checksum = size + len(chunk), crc32c(chunk, checksum)
            on_bytes(size)
        writing.flush()
        os.fsync(writing.fileno())
    return size, checksum


def copy_words(source: Path, target: Path) -> None:
    """Copies a complete word index; raises OSError or CorruptShardError if it cannot be read."""
    copy_index(source, target, copy_file)


def _begin(source: Path, target: Path) -> Backup:
    """Returns the backup of before, or begins the first one."""
    if target.exists() and not target.is_dir():
        raise DataDirectoryError(f"{target} is not a directory; name another place")
    # Unlike Path.resolve, this bears links in a circle.
    place = Path(os.path.realpath(target))
    if place == source or source in place.parents or place in source.parents:
        raise DataDirectoryError(
            f"{target} and the data directory {source} lie in each other; name another place"
        )
    backup = read_backup(target)
    if backup is not None and backup.source != str(source):
        raise DataDirectoryError(
            f"{target} holds the backup of {backup.source}; name another directory for {source}"
        )
    if backup is not None:
        return backup
    if target.exists() and any(target.iterdir()):
        raise DataDirectoryError(f"{target} is neither empty nor a backup; name another directory")
    try:
        (target / SHARDS_NAME).mkdir(parents=True)
        backup = Backup(str(source))
        write_json(target / BACKUP_NAME, backup)
    except OSError as error:
        raise DataDirectoryError(f"cannot make the backup {target}: {error}") from error
    return backup


class _Writer:
    def __init__(
        self,
        directory: DataDirectory,
        target: Path,
        before: Backup,
        on_progress: OnProgress,
        clock: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._target = target
        self._on_progress = on_progress
        self._clock = clock
        self._before: Mapping[int, str] = dict(
            zip(before.manifest.numbers, before.folders, strict=True)
        )
        self._report = BackupReport()

    def run(self, *, is_checked: bool) -> BackupReport:
        """Copies what is missing, then replaces backup.json, then removes what it does not name."""
        manifest = self._directory.manifest
        for child in self._shards.iterdir():
            if child.suffix:
                remove_folder(child)  # Half-written by a backup that was interrupted.
        self._check_room(manifest)
        folders = tuple(self._copy(entry, manifest, is_checked) for entry in manifest.shards)
        sync_folder(self._shards)
        source = str(self._directory.path.resolve())
        backup = Backup(source, self._clock(), manifest, folders)
        write_json(self._target / BACKUP_NAME, backup)
        for child in self._shards.iterdir():
            if child.name not in folders:
                remove_folder(child)
                self._report.removed += 1
        return self._report

    @property
    def _shards(self) -> Path:
        return self._target / SHARDS_NAME

    def _copy(self, entry: ShardEntry, manifest: Manifest, is_checked: bool) -> str:
        """Sees to it that the backup has the shard; returns its folder's name."""
        if entry.number in self._directory.damaged:
            return self._older_copy(entry)
        shard = self._directory.shard(entry.number)
        name = f"{entry.number:06d}-{shard.header.created_ns}"
        if entry == manifest.shards[-1]:
            name += f"-{self._clock()}"
            self._write(name, shard, is_growing=True)
            return name
        folder = self._shards / name
        if not self._has(folder, shard, is_checked):
            if folder.exists():
                remove_folder(folder)
            self._write(name, shard, is_growing=False)
        else:
            self._report.kept += 1
            if not (folder / LEXICAL_NAME).exists():
                self._add_words(shard, folder)
        return name

    def _older_copy(self, entry: ShardEntry) -> str:
        """The copy that an earlier backup made of a shard that is damaged by now."""
        name = self._before.get(entry.number)
        if name is None:
            raise self._directory.damaged[entry.number]
        self._report.kept += 1
        self._report.notes.append(
            f"shard {entry.number:06d} is damaged; the backup keeps its earlier copy "
            "('dejalog verify' shows the extent)"
        )
        return name

    def _has(self, folder: Path, shard: Shard, is_checked: bool) -> bool:
        copied = read_copied(folder)
        try:
            size = (folder / "data.mdb").stat().st_size
        except FileNotFoundError:
            return False
        is_same = copied is not None and (copied.header, copied.size_bytes) == (shard.header, size)
        if not is_same or copied is None or size != shard.bytes_on_disk():
            return False
        return not is_checked or file_checksum(folder / "data.mdb") == copied.crc32c

    def _write(self, name: str, shard: Shard, *, is_growing: bool) -> None:
        draft = self._shards / (name + _DRAFT_SUFFIX)
        draft.mkdir()
        data, total = draft / "data.mdb", shard.bytes_on_disk()
        self._on_progress(shard.path.name, 0, total)
        if is_growing:
            shard.copy(draft)
            size, checksum = data.stat().st_size, file_checksum(data)
        else:
            size, checksum = copy_file(
                shard.path / "data.mdb",
                data,
                lambda done: self._on_progress(shard.path.name, done, total),
            )
            self._add_words(shard, draft)
        write_json(draft / SHARD_NAME, CopiedShard(shard.header, size, checksum))
        draft.rename(self._shards / name)
        sync_folder(self._shards)
        self._report.copied += 1
        self._report.copied_bytes += size

    def _add_words(self, shard: Shard, folder: Path) -> None:
        """Copies the word index if it is complete and sound; else `restore` makes it."""
        draft = folder / (LEXICAL_NAME + _DRAFT_SUFFIX)
        if draft.exists():
            shutil.rmtree(draft)
        try:
            if not _are_words_complete(shard):
                return
            copy_words(lexical_folder(shard), draft)
        except (CorruptShardError, FileNotFoundError):
            return  # Damaged, or just being made anew; the draft goes with the next backup.
        if are_words_sound(draft):
            draft.rename(folder / LEXICAL_NAME)
            sync_folder(folder)

    def _check_room(self, manifest: Manifest) -> None:
        needed = 0
        for shard in self._directory.shards:
            is_last = shard.header.shard == manifest.numbers[-1]
            folder = self._shards / f"{shard.header.shard:06d}-{shard.header.created_ns}"
            if is_last or not self._has(folder, shard, False):
                needed += shard.bytes_on_disk()
        free = shutil.disk_usage(self._target).free
        if needed > free:
            raise StorageError(
                f"{self._target} has {free >> 20} MiB left, and {needed >> 20} MiB have to be "
                "copied; make room or name another directory"
            )


def file_checksum(path: Path) -> int:
    """Returns the CRC-32C of a file."""
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_COPY_BYTES):
            checksum = crc32c(chunk, checksum)
    return checksum


def are_words_sound(folder: Path) -> bool:
    """Whether the word index there can be read, and every file of it is what was written."""
    try:
        with closing(LexicalIndex.open(folder)) as index:
            return not index.damaged_files()
    except CorruptShardError:
        return False


def _are_words_complete(shard: Shard) -> bool:
    with closing(LexicalIndex.open(lexical_folder(shard))) as index, shard.snapshot() as snapshot:
        counters = snapshot.counters()
        return (
            index.patterns_indexed >= counters.patterns
            and index.events_indexed >= shard.header.first_event + counters.events
        )
