"""How a shard's LMDB environment is opened, and how much address space its map takes.

Rules learnt from failures: the map of the shard that grows is large and never enlarged, `writemap`
is never used (a full disk would be SIGBUS), and the LMDB 0.9 format is asked for by name.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

import lmdb

from dejalog.indexer.errors import CorruptShardError, StorageError
from dejalog.indexer.store.layout import DATABASES

#: A reservation of address space, not of disk, for the shard that grows; the same in every process,
#: because a reader with a smaller map cannot follow a writer. Boards with 39-bit addresses have
#: 512 GiB in all, so this is for one shard only.
MAP_BYTES: Final = 16 << 30

#: The bound on bytes may be at most half of the map: a shard is left alone after the batch that
#: reaches the bound, and pages that readers still see are not used again until they end.
SHARD_BYTES_MAX: Final = MAP_BYTES // 2

#: The map of a shard that no longer grows is its file's size, rounded up to whole ones of these.
_ROLLED_MAP_STEP: Final = 16 << 20

#: Query threads of several processes; a slot is 64 bytes.
READERS_MAX: Final = 512


def rolled_map_bytes(path: Path) -> int:
    """What the map of a shard has to have that no longer grows."""
    size = (path / "data.mdb").stat().st_size
    return (size // _ROLLED_MAP_STEP + 1) * _ROLLED_MAP_STEP


def open_environment(path: Path, *, is_writable: bool, map_bytes: int) -> lmdb.Environment:
    """Opens the environment in a shard's folder; raises CorruptShardError or StorageError."""
    try:
        environment = lmdb.open(
            str(path),
            map_size=map_bytes,
            max_dbs=len(DATABASES),
            max_readers=READERS_MAX,
            readonly=not is_writable,
            create=is_writable,
            lib_version=0,
        )
    except lmdb.Error as error:
        # A damaged meta page can ask for more than there is, too: then it is not for want of room.
        if isinstance(error, lmdb.MemoryError) and not _has_room(map_bytes):
            raise StorageError(
                f"cannot map shard {path}: no {map_bytes >> 20} MiB of address space are left; "
                "raise the limit of this process ('ulimit -v') or end others that use the index"
            ) from error
        raise CorruptShardError(path, f"LMDB cannot open it ({error})") from error
    if is_writable:
        environment.reader_check()
    return environment


def _has_room(size_bytes: int) -> bool:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        mmap.mmap(-1, size_bytes, flags=flags, prot=mmap.PROT_READ).close()
    except OSError:
        return False
    return True
