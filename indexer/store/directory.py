"""A data directory: its locks, one manifest, and the shards it names, open.

One process ingests (it holds `lock` for as long as it lives) and one compacts at a time (it holds
`compact.lock`); the kernel releases both even after kill -9. Any number of processes read. In one
process, writer and readers share the object. A shard that cannot be opened is set aside by name,
and the others answer; only the shard that is appended to has to be sound for ingest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import IO, Final

import msgspec

from dejalog.indexer.errors import CorruptShardError, DataDirectoryError
from dejalog.indexer.event import Position
from dejalog.indexer.store.folders import (
    COMPACT_LOCK_NAME,
    DRAFT_SUFFIX,
    LOCK_NAME,
    SHARDS_NAME,
    check_no_shards,
    is_locked,
    remove_folder,
    remove_unlisted,
    take_lock,
)
from dejalog.indexer.store.layout import Header
from dejalog.indexer.store.manifest import (
    MANIFEST_NAME,
    Manifest,
    ShardEntry,
    Tier,
    manifest_lock,
    read_manifest,
    sync_folder,
    write_manifest,
)
from dejalog.indexer.store.shard import Shard

#: A reader that loses the race against a compaction (the manifest it read is replaced before the
#: shards are open) begins again; each lost race is a whole compaction, so three are a fault.
_RACES_MAX: Final = 3


class DataDirectory:
    """An open data directory; `shards` is a tuple, oldest first, replaced as a whole.

    `damaged` maps the numbers of shards that could not be opened to the reason.
    """

    def __init__(self, path: Path, manifest: Manifest, lock: IO[str] | None) -> None:
        self.path = path
        self.manifest = manifest
        self.shards: tuple[Shard, ...] = ()
        self.damaged: Mapping[int, CorruptShardError] = {}
        self._lock = lock
        # Guards the three above, which searches, the appender and a scheduler renew.
        self._renewal = RLock()
        self._open_shards(manifest)

    @classmethod
    def open(cls, path: Path, *, is_writable: bool) -> DataDirectory:
        """Opens a data directory, making it when writable; raises DataDirectoryError."""
        if is_writable:
            return cls._open_writable(path)
        manifest = read_manifest(path)
        if manifest is None:
            check_no_shards(path)
            raise DataDirectoryError(
                f"there is no index in {path}; make one with 'dejalog index' or name another "
                "directory with --data"
            )
        return cls(path, manifest, None)

    @classmethod
    def _open_writable(cls, path: Path) -> DataDirectory:
        try:
            (path / SHARDS_NAME).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataDirectoryError(f"cannot make the data directory {path}: {error}") from error
        lock = take_lock(path, LOCK_NAME)
        try:
            with manifest_lock(path):
                manifest = read_manifest(path)
                if manifest is None:
                    check_no_shards(path)
                    manifest = Manifest()
                    write_manifest(path, manifest)
                remove_unlisted(path / SHARDS_NAME, manifest)
            directory = cls(path, manifest, lock)
        except BaseException:
            lock.close()
            raise
        if manifest.shards and manifest.numbers[-1] in directory.damaged:
            directory.close()
            raise directory.damaged[manifest.numbers[-1]]
        return directory

    @property
    def is_writable(self) -> bool:
        """Whether this process holds the lock."""
        return self._lock is not None

    def refresh(self) -> None:
        """Takes on what other processes have added, compacted, deleted or removed since."""
        with self._renewal:
            manifest = read_manifest(self.path)
            if manifest is not None and (manifest != self.manifest or self.damaged):
                self._open_shards(manifest)

    def add_shard(self, header: Header, positions: Sequence[Position]) -> Shard:
        """Makes a new shard, numbered here, the one that is appended to."""
        with self._renewal:
            with manifest_lock(self.path):
                manifest = self._read()
                number = manifest.next_shard
                folder = self.folder(number)
                header = msgspec.structs.replace(header, shard=number)
                shard = Shard.create(folder, header, positions)
                sync_folder(folder)
                sync_folder(folder.parent)
                manifest = msgspec.structs.replace(
                    manifest,
                    next_shard=number + 1,
                    shards=(*manifest.shards, _new_entry(number, manifest)),
                )
                write_manifest(self.path, manifest)
            self.shards = (*self.shards, shard)
            self._open_shards(manifest)
            return shard

    def update(self, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Replaces the manifest by what `change` makes of the newest one, and takes it on."""
        with self._renewal:
            with manifest_lock(self.path):
                manifest = change(self._read())
                write_manifest(self.path, manifest)
            self._open_shards(manifest)
            return manifest

    def reserve_number(self) -> int:
        """Returns a shard number that no other shard will ever have."""
        manifest = self.update(lambda m: msgspec.structs.replace(m, next_shard=m.next_shard + 1))
        return manifest.next_shard - 1

    @contextmanager
    def compacting(self, *, wait_s: float = 0.0) -> Iterator[None]:
        """Holds the right to replace and remove shards, or to rely on none being removed.

        Raises DataDirectoryError if another process has it for longer than `wait_s`. What an
        interrupted holder left behind is removed first.
        """
        lock = take_lock(self.path, COMPACT_LOCK_NAME, wait_s=wait_s)
        with lock:
            with manifest_lock(self.path):
                remove_unlisted(self.path / SHARDS_NAME, self._read(), with_drafts=True)
            self.refresh()
            yield

    def replace_shards(self, sources: Sequence[int], made: ShardEntry | None) -> None:
        """Puts one shard in the place of adjacent ones, or none, in one step; then removes them.

        Only while `compacting` is held. The made shard lies complete in its draft folder. A crash
        leaves the old state or the new one, and folders that no manifest names.
        """

        def change(manifest: Manifest) -> Manifest:
            at = [manifest.numbers.index(number) for number in sources]
            if at != list(range(at[0], at[0] + len(at))):
                raise AssertionError(f"shards {sources} are not adjacent in {manifest.numbers}")
            if made is not None:
                # Under the manifest's lock, or a writer that starts would take it for a leftover.
                sync_folder(self.draft(made.number))
                if self.folder(made.number).exists():
                    # A writer that was killed in add_shard left its folder and used no number.
                    remove_folder(self.folder(made.number))
                self.draft(made.number).rename(self.folder(made.number))
                sync_folder(self.path / SHARDS_NAME)
            shards = list(manifest.shards)
            shards[at[0] : at[0] + len(at)] = [made] if made is not None else []
            return settled(msgspec.structs.replace(manifest, shards=tuple(shards)))

        self.update(change)
        for number in sources:
            remove_folder(self.folder(number))

    def draft(self, number: int) -> Path:
        """The folder in which shard `number` is written before it counts."""
        return self.path / SHARDS_NAME / f"{number:06d}{DRAFT_SUFFIX}"

    def folder(self, number: int) -> Path:
        """The folder of shard `number`."""
        return self.path / SHARDS_NAME / f"{number:06d}"

    def shard(self, number: int) -> Shard:
        """The open shard of this number; raises KeyError."""
        for shard in self.shards:
            if shard.header.shard == number:
                return shard
        raise KeyError(number)

    def bytes_on_disk(self) -> int:
        """Bytes allocated for everything below the directory."""
        return folder_bytes(self.path)

    def close(self) -> None:
        """Closes every shard and gives the lock back."""
        with self._renewal:
            for shard in self.shards:
                shard.close()
            self.shards = ()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> DataDirectory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> Manifest:
        manifest = read_manifest(self.path)
        if manifest is None:
            raise DataDirectoryError(f"{self.path / MANIFEST_NAME} has disappeared; restore it")
        return manifest

    def _open_shards(self, manifest: Manifest) -> None:
        """Takes on the manifest with its shards, or after an error nothing of it."""
        for races_left in reversed(range(_RACES_MAX)):
            by_number = {shard.header.shard: shard for shard in self.shards}
            damaged: dict[int, CorruptShardError] = {}
            made = self._open_missing(manifest, by_number, damaged)
            newest = read_manifest(self.path) if damaged else manifest
            if races_left == 0 or newest is None or newest == manifest:
                self._take_on(manifest, by_number, damaged)
                return
            # Another process has removed shards between the manifest and their opening.
            manifest = newest
            for shard in made:
                shard.close()

    def _open_missing(
        self,
        manifest: Manifest,
        by_number: dict[int, Shard],
        damaged: dict[int, CorruptShardError],
    ) -> list[Shard]:
        made: list[Shard] = []
        try:
            for entry in manifest.shards:
                if entry.number in by_number:
                    continue
                try:
                    made.append(self._open_shard(entry, is_last=entry == manifest.shards[-1]))
                    by_number[entry.number] = made[-1]
                except CorruptShardError as error:
                    damaged[entry.number] = error
        except BaseException:
            for shard in made:
                shard.close()
            raise
        return made

    def _take_on(
        self,
        manifest: Manifest,
        by_number: dict[int, Shard],
        damaged: dict[int, CorruptShardError],
    ) -> None:
        before, last_before = self.shards, self.manifest.numbers[-1:]
        self.manifest = manifest
        self.damaged = damaged
        self.shards = tuple(by_number[n] for n in manifest.numbers if n in by_number)
        for shard in before:
            number = shard.header.shard
            if number not in manifest.numbers:
                shard.close()
            elif last_before == (number,) != manifest.numbers[-1:]:
                shard.finish()  # It will not grow any more, here or in another process.

    def _open_shard(self, entry: ShardEntry, *, is_last: bool) -> Shard:
        folder = self.folder(entry.number)
        if entry.tier is Tier.COMPACTED:
            shard = Shard.open_compacted(folder)
        else:
            is_writable = self.is_writable and is_last
            shard = Shard.open(folder, is_writable=is_writable, is_rolled=not is_last)
        if shard.header.shard != entry.number:
            shard.close()
            raise CorruptShardError(folder, f"it says that it is shard {shard.header.shard}")
        return shard


def _new_entry(number: int, manifest: Manifest) -> ShardEntry:
    """Events that come later are not what an earlier deletion meant."""
    return ShardEntry(number, deletions_applied=manifest.next_deletion - 1)


def settled(manifest: Manifest) -> Manifest:
    """Returns the manifest without the deletions that every shard they reach reflects.

    Which shards a deletion reaches is not known here, so every listed shard counts.
    """
    least = min((entry.deletions_applied for entry in manifest.shards), default=0)
    kept = tuple(d for d in manifest.deletions if manifest.shards and d.number > least)
    return msgspec.structs.replace(manifest, deletions=kept)


def folder_bytes(path: Path) -> int:
    """Bytes allocated for everything below a folder."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue  # A file that another process has just removed holds no bytes.
    return total


def is_being_written(path: Path) -> bool:
    """Whether a process holds the directory's lock."""
    return is_locked(path, LOCK_NAME)


def check_encoder(shards: Sequence[Shard], fingerprint: str) -> None:
    """Raises DataDirectoryError if a shard was written with another model."""
    for shard in shards:
        if shard.header.encoder_fingerprint != fingerprint:
            raise DataDirectoryError(
                f"{shard.path} was written with the model {shard.header.encoder_fingerprint}, "
                f"and {fingerprint} is loaded; start with that model (encoder.bundle), "
                "or index into another data directory"
            )
