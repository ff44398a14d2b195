"""Dead letters: which there are, and which of them were dealt with.

A dead letter never changes. That it was dealt with is said by a mark: a position of MARK_SOURCE
whose state lists the numbers of all letters that became events. It is written in the transaction of
these events, so that no crash makes an event twice or loses one, and it goes wherever positions go:
into new shards, through compaction, into backups.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from dejalog.indexer.errors import CorruptShardError, StorageError
from dejalog.indexer.event import DeadLetter, Position
from dejalog.indexer.letters import LetterFilter, NumberRanges
from dejalog.indexer.store import layout
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.store.shard import Shard

#: The source of the position that is the mark; no record can come from it.
MARK_SOURCE: Final = "dejalog:deadletters"

#: Read in one transaction, which is to be short: 256 letters of 64 KiB are 16 MiB, so bytes bound
#: it as well.
_CHUNK_LETTERS: Final = 256
_CHUNK_BYTES: Final = 4 << 20

#: Above every number.
_NO_END: Final = 2**63


@dataclass(frozen=True, slots=True)
class Mark:
    """The letters that were dealt with; `count` is how many ever were, dropped ones included."""

    resolved: NumberRanges = field(default_factory=NumberRanges)
    count: int = 0

    @classmethod
    def among(cls, positions: Iterable[Position]) -> Mark:
        """Returns the mark that stored positions hold."""
        for position in positions:
            if position.source == MARK_SOURCE:
                return cls.of(position)
        return cls()

    @classmethod
    def of(cls, position: Position) -> Mark:
        """Returns the mark that a position is."""
        ranges = ((int(first), int(last)) for first, last in json.loads(position.state))
        return cls(NumberRanges.of(ranges), position.offset)

    def add(self, numbers: Iterable[int], *, keep_from: int = 0) -> Mark:
        """Returns the mark with more letters, and without the numbers below `keep_from`."""
        added = NumberRanges().add(numbers)
        resolved = NumberRanges.of((*self.resolved.ranges, *added.ranges)).since(keep_from)
        return Mark(resolved, self.count + len(added))

    def position(self) -> Position:
        """Returns the position that keeps it."""
        state = json.dumps(self.resolved.ranges, separators=(",", ":"))
        return Position(MARK_SOURCE, "", self.count, state)


def read_mark(directory: DataDirectory) -> Mark:
    """Returns which letters of an index were dealt with."""
    if not directory.shards:
        return Mark()
    with directory.shards[-1].snapshot() as snapshot:
        position = snapshot.position(MARK_SOURCE, "")
    return Mark() if position is None else Mark.of(position)


def first_letter(directory: DataDirectory) -> int:
    """Returns a number below which there is no letter any more: retention drops whole shards.

    A shard that cannot be read now may come back from a backup, so it keeps its letters.
    """
    if directory.damaged or not directory.shards:
        return 0
    return directory.shards[0].header.first_dead_letter


def select_letters(
    directory: DataDirectory, wanted: LetterFilter
) -> Iterator[tuple[int, DeadLetter]]:
    """Yields the letters that are meant with their numbers, oldest first, resolved ones, too.

    Memory holds a few MiB of them. Letters that are added meanwhile are left out. Raises
    CorruptShardError; shards that could not be opened are left out (`directory.damaged`).
    """
    end = _end_letter(directory)
    numbers = wanted.numbers
    for first, last in ((0, end),) if numbers is None else numbers.ranges:
        for number, letter in letters_from(directory, first):
            if number > last or number >= end:
                break
            if wanted.passes(letter):
                yield number, letter


def letters_from(directory: DataDirectory, first: int) -> Iterator[tuple[int, DeadLetter]]:
    """Yields every letter whose number is not below `first`, in order.

    Shards may be compacted or dropped meanwhile: no transaction is open while it waits.
    """
    while some := _read_some(directory, first):
        yield from some
        first = some[-1][0] + 1


def _read_some(directory: DataDirectory, first: int) -> list[tuple[int, DeadLetter]]:
    while True:
        shards = directory.shards
        starts = [shard.header.first_dead_letter for shard in shards]
        # Of several with one start all but the last are without letters.
        for shard in shards[max(0, bisect_right(starts, first) - 1) :]:
            try:
                some = _read_shard(shard, first)
            except (CorruptShardError, StorageError):
                directory.refresh()
                if shard.header.shard in directory.manifest.numbers:
                    raise
                break  # It was replaced or removed: its letters are in another one, or gone.
            if some:
                return some
        else:
            return []


def _read_shard(shard: Shard, first: int) -> list[tuple[int, DeadLetter]]:
    some: list[tuple[int, DeadLetter]] = []
    size = 0
    with shard.snapshot() as snapshot:
        for key, value in snapshot.sealed(b"dead_letters", layout.key_u64(first)):
            some.append((layout.number_of(key), layout.unseal_struct(value, DeadLetter)))
            size += len(value)
            if len(some) >= _CHUNK_LETTERS or size >= _CHUNK_BYTES:
                break
    return some


def _end_letter(directory: DataDirectory) -> int:
    if not directory.shards or directory.shards[-1].tier is Tier.COMPACTED:
        return _NO_END  # Nobody appends to it.
    newest = directory.shards[-1]
    with newest.snapshot() as snapshot:
        return newest.header.first_dead_letter + snapshot.counters().dead_letters


def is_cut(letter: DeadLetter) -> bool:
    """Whether only the first bytes of what was refused are kept."""
    return len(letter.data) < letter.size_bytes
