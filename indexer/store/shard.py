"""One LMDB environment over a time window, and its transactions.

A process opens each shard once and shares it between its writer and its readers. Reads copy what
they return, so nothing outlives its transaction. No error inside a write transaction is caught
before the transaction has ended, and a map is neither replaced nor removed under a snapshot.
A compacted shard never changes: its sections are arrays in the map, and each of them keeps the
map, so that closing the shard cannot pull it away from under a search.
"""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

import lmdb
import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.errors import CorruptShardError, FormatError, StorageError
from dejalog.indexer.event import Position
from dejalog.indexer.store import layout
from dejalog.indexer.store.environment import (
    MAP_BYTES,
    READERS_MAX,
    open_environment,
    rolled_map_bytes,
)
from dejalog.indexer.store.layout import (
    COMPACTED_DATABASES,
    FORMAT_VERSION,
    FRESH_DATABASES,
    Counters,
    DamagedValueError,
    Header,
)
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.store.transaction import Databases, ShardWrite, Snapshot

#: After so many commits the slots of readers that were killed are freed: until then LMDB keeps
#: every page that they might see, and the file grows by what each commit replaces.
_READER_CHECK_COMMITS: Final = 128

#: A shard's named databases, by its tier.
_DATABASES = {Tier.FRESH: FRESH_DATABASES, Tier.COMPACTED: COMPACTED_DATABASES}

#: Where the sections of a shard lie is found in one look; the largest array that is mapped has
#: elements of 8 bytes.
_ALIGNMENT_BYTES: Final = 8


class Shard:
    """A shard's folder, open."""

    def __init__(self, path: Path, environment: lmdb.Environment, tier: Tier) -> None:
        self.path = path
        self.tier = tier
        self._environment = environment
        names = _DATABASES[tier]
        self._databases = {name: environment.open_db(name, create=False) for name in names}
        self._mapping: _Mapping | None = None
        self._is_mapped = False
        self._lock = Lock()
        self._snapshots = 0
        self._commits = 0
        self._is_map_too_large = False
        self._is_closed = False
        with self.snapshot() as snapshot:
            self.header = snapshot.header()
        if self.header.format_version != FORMAT_VERSION:
            raise FormatError(
                path, f"format version {self.header.format_version}", f"version {FORMAT_VERSION}"
            )

    @classmethod
    def create(
        cls,
        path: Path,
        header: Header,
        positions: Sequence[Position],
        tier: Tier = Tier.FRESH,
    ) -> Shard:
        """Makes a new shard that begins with the positions its predecessor ended with."""
        path.mkdir(parents=True)
        environment = open_environment(path, is_writable=True, map_bytes=MAP_BYTES)
        databases = {name: environment.open_db(name) for name in _DATABASES[tier]}
        with _write(path, environment, databases) as write:
            write.put_header(header)
            write.put_counters(Counters())
            write.put_positions(positions)
        return cls(path, environment, tier)

    @classmethod
    def open(cls, path: Path, *, is_writable: bool, is_rolled: bool = False) -> Shard:
        """Opens an existing shard; raises CorruptShardError, FormatError or StorageError.

        `is_rolled` says that no process appends to it any more, so that its map can be small.
        """
        _check_present(path)
        map_bytes = rolled_map_bytes(path) if is_rolled else MAP_BYTES
        environment = open_environment(path, is_writable=is_writable, map_bytes=map_bytes)
        return cls._opened(path, environment, Tier.FRESH)

    @classmethod
    def open_compacted(cls, path: Path) -> Shard:
        """Opens a compacted shard; raises CorruptShardError, FormatError or StorageError."""
        _check_present(path)
        environment = open_environment(
            path, is_writable=False, map_bytes=rolled_map_bytes(path), is_immutable=True
        )
        return cls._opened(path, environment, Tier.COMPACTED)

    @classmethod
    def _opened(cls, path: Path, environment: lmdb.Environment, tier: Tier) -> Shard:
        try:
            return cls(path, environment, tier)
        except (lmdb.Error, DamagedValueError) as error:
            environment.close()
            raise CorruptShardError(path, str(error)) from error
        except BaseException:
            environment.close()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One consistent view; keep it short, since pages freed meanwhile cannot be reused."""
        self._enter()
        try:
            with self._environment.begin(buffers=False) as transaction:
                yield Snapshot(self.path, transaction, self._databases)
        except lmdb.ReadersFullError as error:
            raise StorageError(
                f"{self.path} is being read by {READERS_MAX} transactions; end some processes"
            ) from error
        except (lmdb.Error, DamagedValueError) as error:
            raise CorruptShardError(self.path, str(error)) from error
        finally:
            self._leave()

    @contextmanager
    def write(self) -> Iterator[ShardWrite]:
        """One transaction: all of it is kept, or after an exception none of it."""
        self._commits += 1
        if self._commits % _READER_CHECK_COMMITS == 0:
            self._environment.reader_check()
        with _write(self.path, self._environment, self._databases) as write:
            yield write

    def section(self, name: str) -> NDArray[np.uint8]:
        """A section's bytes, in the map; what is made of them keeps the map. No checksum is read.

        Raises CorruptShardError if there is none of this name.
        """
        if self.tier is not Tier.COMPACTED:
            raise AssertionError(
                f"{self.path} is {self.tier}, and only compacted shards are mapped"
            )
        try:
            return self._mapped().array(self._databases[b"sections"], name)
        except (lmdb.Error, DamagedValueError) as error:
            raise CorruptShardError(self.path, f"section {name}: {error}") from error

    def _mapped(self) -> _Mapping:
        """Begun with the first section that is asked for: it sees what was committed until then."""
        with self._lock:
            self._check_open()
            if self._mapping is None:
                self._mapping = _Mapping(self._environment)
                self._is_mapped = True
            return self._mapping

    def copy(self, folder: Path) -> None:
        """Writes one consistent state to an empty folder, durably; others write on meanwhile.

        Raises StorageError. Pages that are freed meanwhile cannot be used again until it is done.
        """
        self._enter()
        try:
            self._environment.copy(str(folder), compact=True)
            with (folder / "data.mdb").open("rb") as file:
                os.fsync(file.fileno())
        except (lmdb.Error, OSError) as error:
            raise StorageError(f"cannot copy {self.path} to {folder}: {error}") from error
        finally:
            self._leave()

    def finish(self) -> None:
        """Gives back the address space that a shard needs only while it grows.

        For a shard that no process appends to any more; it is done once no snapshot is open.
        """
        with self._lock:
            self._is_map_too_large = self.tier is Tier.FRESH
            self._settle()

    def bytes_on_disk(self) -> int:
        """The size of the data file."""
        return (self.path / "data.mdb").stat().st_size

    def close(self) -> None:
        """Closes the environment, or lets the last open snapshot close it."""
        with self._lock:
            self._is_closed = True
            self._settle()

    def _enter(self) -> None:
        with self._lock:
            self._check_open()
            self._snapshots += 1

    def _check_open(self) -> None:
        if self._is_closed:
            raise StorageError(f"shard {self.path} has been closed; open the index again")

    def _leave(self) -> None:
        with self._lock:
            self._snapshots -= 1
            self._settle()

    def _settle(self) -> None:
        """Does what has to wait until nobody looks at the map."""
        if self._snapshots:
            return
        if self._is_closed:
            if not self._is_mapped:
                self._environment.close()
            self._mapping = None  # The last array in the map closes the environment.
        elif self._is_map_too_large:
            self._is_map_too_large = False
            self._environment.set_mapsize(rolled_map_bytes(self.path))


def new_header(
    *,
    shard: int,
    created_ns: int,
    first_event: int,
    first_dead_letter: int,
    encoder_fingerprint: str,
    mask_version: int,
    dim: int,
    pooled_dim: int,
) -> Header:
    """Returns the header of a shard made on this machine."""
    return Header(
        format_version=FORMAT_VERSION,
        shard=shard,
        created_ns=created_ns,
        first_event=first_event,
        first_dead_letter=first_dead_letter,
        encoder_fingerprint=encoder_fingerprint,
        mask_version=mask_version,
        dim=dim,
        pooled_dim=pooled_dim,
        page_size=resource.getpagesize(),
        machine=platform.machine(),
    )


@contextmanager
def _write(path: Path, environment: lmdb.Environment, databases: Databases) -> Iterator[ShardWrite]:
    try:
        with environment.begin(write=True) as transaction:
            yield ShardWrite(transaction, databases)
    except lmdb.Error as error:
        raise StorageError(
            f"cannot write to {path}: {error}; nothing of this batch was kept: "
            "check the disk ('df', 'dmesg') and start again"
        ) from error


def _check_present(path: Path) -> None:
    try:
        is_present = (path / "data.mdb").is_file()
    except OSError as error:
        raise StorageError(f"cannot open shard {path}: {error}") from error
    if not is_present:
        raise CorruptShardError(path, "its data.mdb is missing")


class _Mapping:
    """A read transaction that ends, with the environment, when nothing refers to it any more.

    Only for an environment that never changes: nothing can be freed, so nothing is pinned.
    """

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._transaction = environment.begin(buffers=True)
        # LMDB allows a transaction to one thread at a time.
        self._lock = Lock()

    def __del__(self) -> None:
        # By name: the shard may keep the environment longer, and no process may open it twice.
        self._transaction.abort()
        self._environment.close()

    def array(self, database: lmdb._Database, name: str) -> NDArray[np.uint8]:
        with self._lock:
            value = self._transaction.get(name.encode(), db=database)
        if value is None:
            raise DamagedValueError("it is missing")
        payload = layout.payload_view(value)
        if not payload.size:
            return payload
        address = payload.__array_interface__["data"][0]
        if address % _ALIGNMENT_BYTES:
            payload = payload.copy()  # Only small values lie on odd addresses.
            payload.flags.writeable = False
            return payload
        return np.asarray(_Mapped(self, payload))


class _Mapped:
    """Memory in a map, for NumPy: an array made of it refers to it, and it to the map."""

    def __init__(self, mapping: _Mapping, payload: NDArray[np.uint8]) -> None:
        self._mapping = mapping
        self.__array_interface__ = payload.__array_interface__
