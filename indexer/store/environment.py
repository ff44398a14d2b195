"""How a shard's LMDB environment is opened, and how much address space its map takes.

Rules learnt from failures: the map of the shard that grows is large and never enlarged, `writemap`
is never used (a full disk would be SIGBUS), and the LMDB 0.9 format is asked for by name.
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import Final

import lmdb
from lmdb.verify import VerifyError, verify

from dejalog.indexer.errors import CorruptShardError, StorageError
from dejalog.indexer.store.layout import FRESH_DATABASES

#: A reservation of address space, not of disk, for the shard that grows; the same in every process,
#: because a reader with a smaller map cannot follow a writer. Boards with 39-bit addresses have
#: 512 GiB in all, so this is for one shard only.
MAP_BYTES: Final = 16 << 30

#: The bound on bytes may be at most half of the map: a shard is left alone after the batch that
#: reaches the bound, and pages that readers still see are not used again until they end.
SHARD_BYTES_MAX: Final = MAP_BYTES // 2

#: The map of a shard that no longer grows is its file's size, rounded up to whole ones of these.
_ROLLED_MAP_STEP: Final = 16 << 20

#: LMDB's words for faults that say nothing about the shard: a process that may not read it, cannot
#: make its lock file, has too many files open or this one already, must not take it for damaged.
_NOT_DAMAGE: Final = (
    *map(
        os.strerror,
        (
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.EMFILE,
            errno.ENFILE,
            errno.ENOLCK,
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
        ),
    ),
    "already open in this process",
)

#: Query threads of several processes; a slot is 64 bytes.
READERS_MAX: Final = 512


def rolled_map_bytes(path: Path) -> int:
    """What the map of a shard has to have that no longer grows."""
    size = (path / "data.mdb").stat().st_size
    return (size // _ROLLED_MAP_STEP + 1) * _ROLLED_MAP_STEP


def open_environment(
    path: Path, *, is_writable: bool, map_bytes: int, is_immutable: bool = False
) -> lmdb.Environment:
    """Opens the environment in a shard's folder; raises CorruptShardError or StorageError.

    An immutable one has no writer to wait for, so it needs no lock file and no reader's slot.
    """
    try:
        environment = lmdb.open(
            str(path),
            map_size=map_bytes,
            max_dbs=len(FRESH_DATABASES),
            max_readers=READERS_MAX,
            readonly=not is_writable,
            create=is_writable,
            lock=not is_immutable,
            lib_version=0,
        )
    except lmdb.Error as error:
        # A damaged meta page can ask for more than there is, too: then it is not for want of room.
        if isinstance(error, lmdb.MemoryError) and not _has_room(map_bytes):
            raise StorageError(
                f"cannot map shard {path}: no {map_bytes >> 20} MiB of address space are left; "
                "raise the limit of this process ('ulimit -v') or end others that use the index"
            ) from error
        if any(words in str(error) for words in _NOT_DAMAGE):
            raise StorageError(f"cannot open shard {path}: {error}") from error
        raise CorruptShardError(path, f"LMDB cannot open it ({error})") from error
    try:
        _check_not_cut(path, environment)
        if is_writable:
            environment.reader_check()
    except BaseException:
        environment.close()
        raise
    return environment


def _check_not_cut(path: Path, environment: lmdb.Environment) -> None:
    """Raises CorruptShardError for a file that was cut short: reading its map would be SIGBUS.

    LMDB need not write the last pages of its file while they are free, so where pages are missing
    its verifier, which only reads the file, tells whether they are needed.
    """
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if (path / "data.mdb").stat().st_size >= needed:
        return
    problems = tree_problems(path)
    if problems:
        raise CorruptShardError(path, f"data.mdb has been cut short ({problems[0]})")


def tree_problems(path: Path) -> list[str]:
    """Returns what is wrong with LMDB's pages, trees and counters, which it reads from the file.

    Only of an environment that nobody writes; one that is open may be read meanwhile.
    """
    try:
        problems: list[str] = verify(str(path))  # type: ignore[no-untyped-call]
    except VerifyError as error:
        return [str(error)]
    return problems


def _has_room(size_bytes: int) -> bool:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        mmap.mmap(-1, size_bytes, flags=flags, prot=mmap.PROT_READ).close()
    except OSError:
        return False
    return True
