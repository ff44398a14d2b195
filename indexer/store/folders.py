"""The folders and locks of a data directory: how they are taken, and how folders vanish.

A folder that is removed is renamed first, in one step: whoever opens a shard meanwhile finds it
whole or not at all, and makes no new file in a folder that is being emptied.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from dejalog.indexer.errors import DataDirectoryError
from dejalog.indexer.store.manifest import MANIFEST_NAME, Manifest

#: Held by the one process that ingests, for as long as it lives.
LOCK_NAME = "lock"
#: Held by the one process that replaces, removes or copies shards.
COMPACT_LOCK_NAME = "compact.lock"
SHARDS_NAME = "shards"

#: A shard is written under its number and this suffix, and renamed before the manifest names it.
DRAFT_SUFFIX = ".draft"

#: A shard that is being removed.
REMOVED_SUFFIX = ".removed"

#: What the holder of a lock does, and what to do about it.
_HOLDERS: Final = {
    LOCK_NAME: (
        "is being written by",
        "stop it first, or let it read the files itself (sources.files in its configuration)",
    ),
    COMPACT_LOCK_NAME: ("is being compacted or copied by", "try again when it has ended"),
}

#: Whoever asks whether a lock is held holds it for some microseconds.
_WAIT_MIN_S: Final = 0.05
_TRY_INTERVAL_S: Final = 0.02


def take_lock(directory: Path, name: str, *, wait_s: float = 0.0) -> IO[str]:
    """Returns the lock, held until it is closed.

    Raises DataDirectoryError if another process has it for longer than `wait_s`.
    """
    deadline = time.monotonic() + max(wait_s, _WAIT_MIN_S)
    try:
        lock = (directory / name).open("a+", encoding="ascii")
    except OSError as error:
        raise DataDirectoryError(f"cannot lock {directory}: {error}") from error
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_TRY_INTERVAL_S)
                continue
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            what, hint = _HOLDERS[name]
            raise DataDirectoryError(f"{directory} {what} process {holder}; {hint}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock


def is_locked(directory: Path, name: str) -> bool:
    """Whether a process holds the lock."""
    try:
        with (directory / name).open("r", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def remove_folder(folder: Path) -> None:
    """Removes a folder, which another process may be removing as well."""
    doomed = folder
    if folder.suffix != REMOVED_SUFFIX:
        doomed = folder.with_name(folder.name + REMOVED_SUFFIX)
        with suppress(FileNotFoundError):
            folder.rename(doomed)
    shutil.rmtree(doomed, onerror=_pass_over_missing)


def _pass_over_missing(_call: Callable[..., Any], _path: str, error: Any) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def remove_unlisted(folder: Path, manifest: Manifest, *, with_drafts: bool = False) -> None:
    """Removes what a step that was interrupted before its manifest swap has left.

    Drafts are of a compaction that may be running in another process.
    """
    listed = {f"{number:06d}" for number in manifest.numbers}
    for child in folder.iterdir():
        if child.name in listed or (child.name.endswith(DRAFT_SUFFIX) and not with_drafts):
            continue
        if child.is_dir() and not child.is_symlink():
            remove_folder(child)
        else:
            child.unlink(missing_ok=True)


def check_no_shards(directory: Path) -> None:
    """Shards without a manifest may be a whole index, of which only that file was lost."""
    folder = directory / SHARDS_NAME
    if folder.is_dir() and any(folder.iterdir()):
        raise DataDirectoryError(
            f"{directory} has no {MANIFEST_NAME}, but {folder} is not empty; restore "
            f"{MANIFEST_NAME} from a backup, or move {folder} away to begin a new index"
        )
