"""What one transaction on a shard reads or writes; `shard.py` begins and ends it.

Everything that a snapshot returns is a copy, so nothing outlives its transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import lmdb
from numpy.typing import NDArray

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.event import DeadLetter, Position
from dejalog.indexer.store import layout
from dejalog.indexer.store.layout import (
    Coded,
    Columns,
    Counters,
    DamagedValueError,
    Header,
    TextBlock,
    Vectors,
)

#: Pattern texts in a block, which reading one of them has to decompress.
PATTERN_BLOCK: Final = 64

#: A shard's named databases, open.
Databases: TypeAlias = "dict[bytes, lmdb._Database]"

_HEADER_KEY = b"header"
_COUNTERS_KEY = b"counters"
_CODED_KEY = b"coded"


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

    def coded(self) -> Coded:
        """How a compacted shard's vectors are coded."""
        return layout.unseal_struct(self._need(b"meta", _CODED_KEY), Coded)

    def section(self, name: str) -> bytes:
        """A section of a compacted shard, its checksum compared."""
        return layout.unseal(self._need(b"sections", name.encode()))

    def section_names(self) -> list[str]:
        """The names of a compacted shard's sections."""
        return [key.decode() for key, _ in self._walk(b"sections")]

    def sealed(self, database: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a database as they are stored, from the key `start` on."""
        return self._walk(database, start)

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

    def put_coded(self, coded: Coded) -> None:
        """Writes how a compacted shard's vectors are coded."""
        self._put(b"meta", _CODED_KEY, layout.seal_struct(coded))

    def put_section(self, name: str, array: NDArray[Any]) -> None:
        """Adds an array to a compacted shard, in C order."""
        self._put(b"sections", name.encode(), layout.seal(array.tobytes()), is_new=True)

    def put_sealed(self, database: bytes, key: bytes, value: bytes) -> None:
        """Adds a value as another shard has stored it, behind all others of its database."""
        self._append(database, key, value)

    def put_vectors(self, first: int, vectors: Vectors) -> None:
        """Adds the vectors of new patterns, numbered from `first` on."""
        if len(vectors.lengths):
            self._append(b"vectors", layout.key_u32(first), layout.seal_vectors(vectors))

    def put_patterns(self, first: int, texts: Sequence[str], digests: Sequence[bytes]) -> None:
        """Adds new patterns, numbered from `first` on."""
        for number, digest in enumerate(digests, first):
            self._put(b"pattern_ids", digest, number.to_bytes(4, "little"), is_new=True)
        for start in range(0, len(texts), PATTERN_BLOCK):
            block = list(texts[start : start + PATTERN_BLOCK])
            key = layout.key_u32(first + start)
            self._append(b"patterns", key, layout.seal_compressed(block))

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
