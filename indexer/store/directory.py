"""A data directory: one lock, one manifest, and the shards it names, open.

One process writes (it holds the lock for as long as it lives, and the kernel releases it even
after kill -9); any number of processes read. In one process, writer and readers share the object.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.event import Position
from dejalog.indexer.store.layout import FORMAT_VERSION, Header
from dejalog.indexer.store.manifest import (
    MANIFEST_NAME,
    Manifest,
    read_manifest,
    sync_folder,
    write_manifest,
)
from dejalog.indexer.store.shard import Shard

LOCK_NAME = "lock"
SHARDS_NAME = "shards"


class DataDirectory:
    """An open data directory; `shards` is a tuple, oldest first, replaced as a whole."""

    def __init__(self, path: Path, manifest: Manifest, lock: IO[str] | None) -> None:
        self.path = path
        self._manifest = manifest
        self._lock = lock
        self.shards: tuple[Shard, ...] = ()
        self._open_shards(manifest)

    @classmethod
    def open(cls, path: Path, *, is_writable: bool) -> DataDirectory:
        """Opens a data directory, making it when writable; raises DataDirectoryError."""
        if is_writable:
            return cls._open_writable(path)
        manifest = read_manifest(path)
        if manifest is None:
            _check_no_shards(path)
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
        lock = _take_lock(path)
        try:
            manifest = read_manifest(path)
            if manifest is None:
                _check_no_shards(path)
                manifest = Manifest(FORMAT_VERSION, ())
                write_manifest(path, manifest)
            _remove_unlisted(path / SHARDS_NAME, manifest)
            return cls(path, manifest, lock)
        except BaseException:
            lock.close()
            raise

    @property
    def is_writable(self) -> bool:
        """Whether this process holds the lock."""
        return self._lock is not None

    def refresh(self) -> None:
        """Opens shards that another process has added since."""
        if self.is_writable:
            return
        manifest = read_manifest(self.path)
        if manifest is not None and manifest != self._manifest:
            self._open_shards(manifest)

    def add_shard(self, header: Header, positions: Sequence[Position]) -> Shard:
        """Makes a new shard the one that is appended to."""
        folder = self._folder(header.shard)
        shard = Shard.create(folder, header, positions)
        sync_folder(folder)
        sync_folder(folder.parent)
        self._manifest = Manifest(FORMAT_VERSION, (*self._manifest.shards, header.shard))
        write_manifest(self.path, self._manifest)
        for rolled in self.shards[-1:]:
            rolled.finish()
        self.shards = (*self.shards, shard)
        return shard

    def bytes_on_disk(self) -> int:
        """Bytes allocated for everything below the directory."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                try:
                    total += os.stat(os.path.join(folder, name)).st_blocks * 512
                except FileNotFoundError:
                    continue  # A file that another process has just removed holds no bytes.
        return total

    def close(self) -> None:
        """Closes every shard and gives the lock back."""
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

    def _open_shards(self, manifest: Manifest) -> None:
        """Takes on the manifest with all of its shards, or after an error nothing of it."""
        by_number = {shard.header.shard: shard for shard in self.shards}
        made: list[Shard] = []
        try:
            for number in manifest.shards:
                if number not in by_number:
                    made.append(self._open_shard(number, is_last=number == manifest.shards[-1]))
                    by_number[number] = made[-1]
        except BaseException:
            for shard in made:
                shard.close()
            raise
        # Only the last shard grows, here or in another process.
        for rolled in self.shards[-1:]:
            if rolled.header.shard != manifest.shards[-1]:
                rolled.finish()
        self._manifest = manifest
        self.shards = tuple(by_number[number] for number in manifest.shards)

    def _open_shard(self, number: int, *, is_last: bool) -> Shard:
        is_writable = self.is_writable and is_last
        return Shard.open(self._folder(number), is_writable=is_writable, is_rolled=not is_last)

    def _folder(self, number: int) -> Path:
        return self.path / SHARDS_NAME / f"{number:06d}"


def _take_lock(path: Path) -> IO[str]:
    lock = (path / LOCK_NAME).open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise DataDirectoryError(
            f"{path} is being written by process {holder}; stop it first, or let it read the "
            "files itself (sources.files in its configuration)"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _remove_unlisted(folder: Path, manifest: Manifest) -> None:
    """Removes what a step that was interrupted before its manifest swap has left."""
    listed = {f"{number:06d}" for number in manifest.shards}
    for child in folder.iterdir():
        if child.name in listed:
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def _check_no_shards(path: Path) -> None:
    """Shards without a manifest may be a whole index, of which only that file was lost."""
    folder = path / SHARDS_NAME
    if folder.is_dir() and any(folder.iterdir()):
        raise DataDirectoryError(
            f"{path} has no {MANIFEST_NAME}, but {folder} is not empty; restore {MANIFEST_NAME} "
            f"from a backup, or move {folder} away to begin a new index"
        )


def is_being_written(path: Path) -> bool:
    """Whether a process holds the directory's lock."""
    try:
        with (path / LOCK_NAME).open("r", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def check_encoder(shards: Sequence[Shard], fingerprint: str) -> None:
    """Raises DataDirectoryError if a shard was written with another model."""
    for shard in shards:
        if shard.header.encoder_fingerprint != fingerprint:
            raise DataDirectoryError(
                f"{shard.path} was written with the model {shard.header.encoder_fingerprint}, "
                f"and {fingerprint} is loaded; start with that model (encoder.bundle), "
                "or index into another data directory"
            )
