"""One LMDB environment over a time window: its transactions, and what they read and write.

A process opens each shard once and shares it between its writer and its readers. Reads copy what
they return, so nothing outlives its transaction. No error inside a write transaction is caught
before the transaction has ended, and a map is neither replaced nor removed under a snapshot.
"""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, TypeAlias

import lmdb

from dejalog.indexer.errors import CorruptShardError, FormatError, StorageError
from dejalog.indexer.event import DeadLetter, Position
from dejalog.indexer.store import layout
from dejalog.indexer.store.environment import (
    MAP_BYTES,
    READERS_MAX,
    open_environment,
    rolled_map_bytes,
)
from dejalog.indexer.store.layout import (
    DATABASES,
    FORMAT_VERSION,
    Columns,
    Counters,
    DamagedValueError,
    Header,
    TextBlock,
    Vectors,
)

#: After so many commits the slots of readers that were killed are freed: until then LMDB keeps
#: every page that they might see, and the file grows by what each commit replaces.
_READER_CHECK_COMMITS: Final = 128

#: Pattern texts in a block, which reading one of them has to decompress.
PATTERN_BLOCK: Final = 64

#: A shard's named databases, open.
Databases: TypeAlias = "dict[bytes, lmdb._Database]"

_HEADER_KEY = b"header"
_COUNTERS_KEY = b"counters"


class Shard:
    """A shard's folder, open."""

    def __init__(self, path: Path, environment: lmdb.Environment) -> None:
        self.path = path
        self._environment = environment
        self._databases = {name: environment.open_db(name, create=False) for name in DATABASES}
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
    def create(cls, path: Path, header: Header, positions: Sequence[Position]) -> Shard:
        """Makes a new shard that begins with the positions its predecessor ended with."""
        path.mkdir(parents=True)
        environment = open_environment(path, is_writable=True, map_bytes=MAP_BYTES)
        databases = {name: environment.open_db(name) for name in DATABASES}
        with _write(path, environment, databases) as write:
            write.put_header(header)
            write.put_counters(Counters())
            write.put_positions(positions)
        return cls(path, environment)

    @classmethod
    def open(cls, path: Path, *, is_writable: bool, is_rolled: bool = False) -> Shard:
        """Opens an existing shard; raises CorruptShardError, FormatError or StorageError.

        `is_rolled` says that no process appends to it any more, so that its map can be small.
        """
        if not (path / "data.mdb").is_file():
            raise CorruptShardError(path, "its data.mdb is missing")
        map_bytes = rolled_map_bytes(path) if is_rolled else MAP_BYTES
        environment = open_environment(path, is_writable=is_writable, map_bytes=map_bytes)
        try:
            return cls(path, environment)
        except lmdb.Error as error:
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

    def finish(self) -> None:
        """Gives back the address space that a shard needs only while it grows.

        For a shard that no process appends to any more; it is done once no snapshot is open.
        """
        with self._lock:
            self._is_map_too_large = True
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
            if self._is_closed:
                raise StorageError(f"shard {self.path} has been closed; open the index again")
            self._snapshots += 1

    def _leave(self) -> None:
        with self._lock:
            self._snapshots -= 1
            self._settle()

    def _settle(self) -> None:
        """Does what has to wait until nobody looks at the map."""
        if self._snapshots:
            return
        if self._is_closed:
            self._environment.close()
        elif self._is_map_too_large:
            self._is_map_too_large = False
            self._environment.set_mapsize(rolled_map_bytes(self.path))


class Snapshot:
    """A read transaction; everything it returns is a copy and may be kept."""

    def __init__(self, path: Path, transaction: lmdb.Transaction, databases: Databases) -> None:
        self._path = path
        self._transaction = transaction
        self._databases = databases
        self._pattern_blocks: dict[int, list[str]] = {}

    def header(self) -> Header:
        """What the shard says of itself."""
        return layout.unseal_struct(self._need(b"meta", _HEADER_KEY), Header)

    def counters(self) -> Counters:
        """What the shard holds."""
        return layout.unseal_struct(self._need(b"meta", _COUNTERS_KEY), Counters)

    def positions(self) -> list[Position]:
        """How far each source partition has been read."""
        return [layout.unseal_struct(value, Position) for _, value in self._walk(b"positions")]

    def position(self, source: str, partition: str) -> Position | None:
        """How far one source partition has been read, or None if never."""
        value = self._get(b"positions", layout.digest(source, partition))
        return None if value is None else layout.unseal_struct(value, Position)

    def find_pattern(self, digest: bytes) -> int | None:
        """The number of the pattern of this digest, or None."""
        value = self._get(b"pattern_ids", digest)
        return None if value is None else int.from_bytes(value, "little")

    def pattern_digests(self) -> Iterator[tuple[bytes, int]]:
        """Every pattern's digest and number."""
        for key, value in self._walk(b"pattern_ids"):
            yield key, int.from_bytes(value, "little")

    def patterns_from(self, number: int) -> Iterator[tuple[int, list[str]]]:
        """Blocks of pattern texts, from the one that starts at `number` on."""
        for key, value in self._walk(b"patterns", layout.key_u32(number)):
            yield layout.number_of(key), layout.unseal_compressed(value, list[str])

    def pattern(self, number: int) -> str:
        """One pattern's text; blocks that were looked into stay open with the snapshot."""
        first, value = self._block(b"patterns", layout.key_u32(number))
        texts = self._pattern_blocks.get(first)
        if texts is None:
            texts = self._pattern_blocks[first] = layout.unseal_compressed(value, list[str])
        if number - first >= len(texts):
            raise DamagedValueError(f"pattern {number} is missing")
        return texts[number - first]

    def vectors_from(self, number: int) -> Iterator[tuple[int, Vectors]]:
        """Blocks of patterns' vectors, from the one that starts at pattern `number` on."""
        for key, value in self._walk(b"vectors", layout.key_u32(number)):
            yield layout.number_of(key), layout.unseal_vectors(value)

    def labelsets_from(self, number: int) -> Iterator[tuple[int, list[tuple[str, str]]]]:
        """Label sets, from `number` on."""
        for key, value in self._walk(b"labelsets", layout.key_u32(number)):
            yield layout.number_of(key), layout.unseal_struct(value, list[tuple[str, str]])

    def columns_from(self, event: int) -> Iterator[tuple[int, Columns]]:
        """Blocks of columns, from the one that starts at `event` on."""
        for key, value in self._walk(b"columns", layout.key_u64(event)):
            yield layout.number_of(key), layout.unseal_columns(value)

    def texts_from(self, event: int) -> Iterator[tuple[int, TextBlock]]:
        """Blocks of texts, from the one that holds `event` on."""
        found = self._find_block(b"texts", layout.key_u64(event))
        start = layout.key_u64(event) if found is None else found[0]
        for key, value in self._walk(b"texts", start):
            yield layout.number_of(key), layout.unseal_compressed(value, TextBlock)

    def texts_start(self, event: int) -> int:
        """The number of the first event of the block that holds `event`."""
        return self._block(b"texts", layout.key_u64(event))[0]

    def texts(self, first: int) -> TextBlock:
        """The block that starts at event `first`."""
        value = self._need(b"texts", layout.key_u64(first))
        return layout.unseal_compressed(value, TextBlock)

    def dead_letters(self) -> Iterator[tuple[int, DeadLetter]]:
        """Every dead letter with its number."""
        for key, value in self._walk(b"dead_letters"):
            yield layout.number_of(key), layout.unseal_struct(value, DeadLetter)

    def _get(self, database: bytes, key: bytes) -> bytes | None:
        value = self._transaction.get(key, db=self._databases[database])
        return None if value is None else bytes(value)

    def _need(self, database: bytes, key: bytes) -> bytes:
        value = self._get(database, key)
        if value is None:
            raise CorruptShardError(self._path, f"{database.decode()} lacks the key {key!r}")
        return value

    def _walk(self, database: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        with self._transaction.cursor(self._databases[database]) as cursor:
            if not cursor.set_range(start):
                return
            for key, value in cursor:
                yield bytes(key), bytes(value)

    def _find_block(self, database: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        """The last entry whose key is not above `key`."""
        with self._transaction.cursor(self._databases[database]) as cursor:
            if cursor.set_range(key):
                is_found = cursor.key() == key or cursor.prev()
            else:
                is_found = cursor.last()
            return (bytes(cursor.key()), bytes(cursor.value())) if is_found else None

    def _block(self, database: bytes, key: bytes) -> tuple[int, bytes]:
        found = self._find_block(database, key)
        if found is None:
            number = layout.number_of(key)
            raise DamagedValueError(f"{database.decode()} has no block for {number}")
        return layout.number_of(found[0]), found[1]


class ShardWrite:
    """A write transaction; what it puts is visible, whole, after the commit."""

    def __init__(self, transaction: lmdb.Transaction, databases: Databases) -> None:
        self._transaction = transaction
        self._databases = databases

    def put_header(self, header: Header) -> None:
        """Writes what the shard says of itself."""
        self._put(b"meta", _HEADER_KEY, layout.seal_struct(header))

    def put_counters(self, counters: Counters) -> None:
        """Replaces what the shard holds."""
        self._put(b"meta", _COUNTERS_KEY, layout.seal_struct(counters))

    def put_positions(self, positions: Sequence[Position]) -> None:
        """Replaces the positions of these source partitions."""
        for position in positions:
            key = layout.digest(position.source, position.partition)
            self._put(b"positions", key, layout.seal_struct(position))

    def put_patterns(
        self, first: int, texts: Sequence[str], digests: Sequence[bytes], vectors: Vectors
    ) -> None:
        """Adds new patterns, numbered from `first` on, and their vectors."""
        if not texts:
            return
        for number, digest in enumerate(digests, first):
            self._put(b"pattern_ids", digest, number.to_bytes(4, "little"), is_new=True)
        for start in range(0, len(texts), PATTERN_BLOCK):
            block = list(texts[start : start + PATTERN_BLOCK])
            key = layout.key_u32(first + start)
            self._append(b"patterns", key, layout.seal_compressed(block))
        self._append(b"vectors", layout.key_u32(first), layout.seal_vectors(vectors))

    def put_labelset(self, number: int, labels: Sequence[tuple[str, str]]) -> None:
        """Adds a label set under its number."""
        self._append(b"labelsets", layout.key_u32(number), layout.seal_struct(labels))

    def put_columns(self, first: int, columns: Columns) -> None:
        """Adds the columns of events, numbered from `first` on."""
        self._append(b"columns", layout.key_u64(first), layout.seal_columns(columns))

    def put_texts(self, first: int, block: TextBlock) -> None:
        """Adds the texts of events, numbered from `first` on."""
        self._append(b"texts", layout.key_u64(first), layout.seal_compressed(block))

    def put_dead_letter(self, number: int, letter: DeadLetter) -> None:
        """Adds a dead letter under its number."""
        self._append(b"dead_letters", layout.key_u64(number), layout.seal_struct(letter))

    def _put(self, database: bytes, key: bytes, value: bytes, *, is_new: bool = False) -> None:
        is_stored = self._transaction.put(
            key, value, db=self._databases[database], overwrite=not is_new
        )
        if not is_stored:
            raise AssertionError(f"{database.decode()} already has the key {key.hex()}")

    def _append(self, database: bytes, key: bytes, value: bytes) -> None:
        """Puts a key that is above every other one; anything else is a fault of the caller."""
        is_stored = self._transaction.put(
            key, value, db=self._databases[database], overwrite=False, append=True
        )
        if not is_stored:
            raise AssertionError(f"{database.decode()} already reaches {layout.number_of(key)}")


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
