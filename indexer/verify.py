"""Walks every byte of an index and compares it with everything else that is said about it.

Per shard, in this order:

1. LMDB's own structure: every page, every tree, every counter (only while nobody writes).
2. Every value: checksum, layout, lengths.
3. Invariants: numbers are consecutive, references point at something, counters add up, a pattern
   is what its events' raw text gives when it is masked again, and no record is stored twice.
   While a process writes this covers what was committed when the shard's turn came.
4. The lexical index: its library's check, and that it does not lead what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
from lmdb.verify import VerifyError
from lmdb.verify import verify as verify_tree
from numpy.typing import NDArray

from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import MASK_VERSION, mask_pattern
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import OpenBlock, open_block
from dejalog.indexer.store.layout import Counters, DamagedValueError, digest
from dejalog.indexer.store.shard import Shard, Snapshot

T = TypeVar("T")

#: Blocks of 128 KiB of texts: checking so many takes a second or two.
BLOCKS_PER_SNAPSHOT = 64

#: Records whose hashes are kept (8 bytes each, 256 MiB) to find one that is stored twice, in the
#: newest shards: a source repeats what it read last. Among so many, two records have the same hash
#: with a probability of 1 in 30,000.
RECORDS_MAX = 1 << 25

NO_ROWS: NDArray[np.uint32] = np.zeros(0, np.uint32)

#: A damaged shard can have a problem per value; the first ones tell what is wrong.
PROBLEMS_MAX = 100


@dataclass(slots=True)
class Report:
    """What was walked, and everything that is not as it should be."""

    shards: int = 0
    events: int = 0
    patterns: int = 0
    dead_letters: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


def verify(
    directory: DataDirectory,
    *,
    is_quiet: bool,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Returns the report. `is_quiet` says that no process writes, so pages can be walked, too."""
    report = Report()
    seen = _Seen()
    next_numbers: tuple[int, int] | None = (0, 0)
    for shard in directory.shards:
        name = shard.path.name
        found: list[str] = []
        on_progress(f"shard {name}")
        before, next_numbers = next_numbers, None
        if is_quiet and (found := _tree_problems(shard)):
            # Following damaged pages can end the process; what is in them is lost anyway.
            report.problems += [f"shard {name}: {problem}" for problem in found[:PROBLEMS_MAX]]
            continue
        try:
            counters = _counters(shard)
            found += _numbering_problems(shard, before)
            found += list(_value_problems(_Walk(shard, counters, is_quiet=is_quiet), seen))
            found += _lexical_problems(shard)
            header = shard.header
            next_numbers = (
                header.first_event + counters.events,
                header.first_dead_letter + counters.dead_letters,
            )
            report.shards += 1
            report.events += counters.events
            report.patterns += counters.patterns
            report.dead_letters += counters.dead_letters
        except (CorruptShardError, DamagedValueError) as error:
            found.append(str(error))
        report.problems += [f"shard {name}: {problem}" for problem in found[:PROBLEMS_MAX]]
    return report


@dataclass(frozen=True, slots=True)
class _Walk:
    """A shard and what it held when its walk began; what a writer adds meanwhile is left out.

    A snapshot is held for a few blocks only, because a writer cannot use the pages again that are
    freed meanwhile. Where nobody writes nothing is left out: what lies beyond the counters is a
    fault.
    """

    shard: Shard
    counters: Counters
    is_quiet: bool

    def blocks(
        self, walk: Callable[[Snapshot, int], Iterator[tuple[int, T]]], start: int, count: int
    ) -> Iterator[tuple[int, T]]:
        """Yields what `walk` yields from the number `start` on."""
        last = start - 1
        is_over = False
        while not is_over:
            is_over = True
            with self.shard.snapshot() as snapshot:
                rest = (item for item in walk(snapshot, last + 1) if item[0] > last)
                for number, value in islice(rest, BLOCKS_PER_SNAPSHOT):
                    if number >= start + count and not self.is_quiet:
                        return
                    yield number, value
                    last, is_over = number, False


class _Seen:
    """Which records are stored, as a sorted uint64 array of hashes for each of the last shards."""

    def __init__(self) -> None:
        self._shards: list[NDArray[np.uint64]] = []

    def add_shard(self, names: bytes) -> list[int]:
        """Takes the records of a shard, 8 bytes each, and returns which of them were there."""
        hashes = np.frombuffer(names, np.uint64)
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        is_known = np.zeros(len(hashes), bool)
        is_known[1:] = hashes[1:] == hashes[:-1]
        for other in self._shards:
            at = np.minimum(np.searchsorted(other, hashes), len(other) - 1)
            is_known |= other[at] == hashes
        if len(hashes):
            self._shards.append(hashes)
        while len(self._shards) > 1 and sum(map(len, self._shards)) > RECORDS_MAX:
            del self._shards[0]
        return sorted(order[is_known].tolist())


def _counters(shard: Shard) -> Counters:
    with shard.snapshot() as snapshot:
        return snapshot.counters()


def _tree_problems(shard: Shard) -> list[str]:
    try:
        problems: list[str] = verify_tree(str(shard.path))
        return [f"LMDB: {problem}" for problem in problems]
    except VerifyError as error:
        return [f"LMDB: {error}"]


def _numbering_problems(shard: Shard, expected: tuple[int, int] | None) -> list[str]:
    if expected is None:
        return []  # The shard before could not be read to its end.
    header, problems = shard.header, []
    if header.first_event != expected[0]:
        problems.append(f"begins with event {header.first_event} instead of {expected[0]}")
    if header.first_dead_letter != expected[1]:
        problems.append(f"begins with dead letter {header.first_dead_letter}, not {expected[1]}")
    return problems


def _value_problems(walk: _Walk, seen: _Seen) -> Iterator[str]:
    shard, counters = walk.shard, walk.counters
    patterns: list[str] = []
    yield from _pattern_problems(walk, patterns)
    yield from _vector_problems(walk)
    labelsets = sum(1 for _ in walk.blocks(Snapshot.labelsets_from, 0, counters.labelsets))
    if labelsets != counters.labelsets:
        yield f"has {labelsets} label sets instead of {counters.labelsets}"
    of_event: list[NDArray[np.uint32]] = []
    yield from _column_problems(walk, of_event)
    yield from _text_problems(walk, np.concatenate([NO_ROWS, *of_event]), patterns, seen)
    first = shard.header.first_dead_letter
    with shard.snapshot() as snapshot:
        letters = [number - first for number, _ in snapshot.dead_letters()]
        snapshot.positions()
    if not walk.is_quiet:
        letters = [number for number in letters if number < counters.dead_letters]
    if letters != list(range(counters.dead_letters)):
        yield f"has {len(letters)} dead letters instead of {counters.dead_letters}"


def _pattern_problems(walk: _Walk, patterns: list[str]) -> Iterator[str]:
    expected = walk.counters.patterns
    for first, texts in walk.blocks(Snapshot.patterns_from, 0, expected):
        if first != len(patterns):
            yield f"a block of patterns begins at {first} instead of {len(patterns)}"
        patterns.extend(texts)
    if len(patterns) != expected:
        yield f"has {len(patterns)} patterns instead of {expected}"
    with walk.shard.snapshot() as snapshot:
        digests = list(snapshot.pattern_digests())
    if not walk.is_quiet:
        digests = [(name, number) for name, number in digests if number < expected]
    for name, number in digests:
        if number >= len(patterns) or digest(patterns[number]) != name:
            yield f"pattern {number} is not the text that its digest names"
    if len(digests) != expected:
        yield f"has {len(digests)} pattern digests, not {expected}"


def _vector_problems(walk: _Walk) -> Iterator[str]:
    counters = walk.counters
    covered = tokens = 0
    for first, vectors in walk.blocks(Snapshot.vectors_from, 0, counters.patterns):
        if first != covered:
            yield f"a block of vectors begins at pattern {first} instead of {covered}"
        covered += len(vectors.lengths)
        tokens += len(vectors.codes)
        if vectors.codes.shape[1] != walk.shard.header.dim or (vectors.lengths == 0).any():
            yield f"the vectors from pattern {first} on have the wrong shape"
    if (covered, tokens) != (counters.patterns, counters.tokens):
        yield f"has vectors of {covered} patterns, {tokens} tokens instead of {counters.tokens}"


def _column_problems(walk: _Walk, rows: list[NDArray[np.uint32]]) -> Iterator[str]:
    counters, first_event = walk.counters, walk.shard.header.first_event
    expected = first_event
    for first, columns in walk.blocks(Snapshot.columns_from, first_event, counters.events):
        if first != expected:
            yield f"columns begin at event {first} instead of {expected}"
        expected = first + len(columns.times)
        rows.append(columns.patterns)
        if (columns.labelsets >= counters.labelsets).any():
            yield f"events from {first} on point at a label set that is not there"
        if columns.times.min() < counters.oldest_ns or columns.times.max() > counters.newest_ns:
            yield f"events from {first} on lie outside of the shard's time window"
    if expected != first_event + counters.events:
        yield f"has columns of {expected - first_event} events instead of {counters.events}"


def _text_problems(
    walk: _Walk, of_event: NDArray[np.uint32], patterns: list[str], seen: _Seen
) -> Iterator[str]:
    header, events = walk.shard.header, walk.counters.events
    reached = header.first_event
    is_same_mask = header.mask_version == MASK_VERSION
    names = bytearray()
    for first, block in walk.blocks(Snapshot.texts_from, header.first_event, events):
        if first != reached:
            yield f"texts begin at event {first} instead of {reached}"
        opened = open_block(first, block)
        reached = first + len(opened)
        numbers = of_event[first - header.first_event : reached - header.first_event].tolist()
        for index in range(len(opened)):
            names += _record_hash(opened, index)
            if not is_same_mask or index >= len(numbers):
                continue
            if not _is_masked(opened.text(index), numbers[index], patterns):
                yield f"event {first + index} does not have its text's pattern"
    for index in seen.add_shard(bytes(names)):
        yield f"event {header.first_event + index} is stored twice"
    if reached != header.first_event + events:
        yield f"has texts of {reached - header.first_event} events instead of {events}"


def _record_hash(block: OpenBlock, index: int) -> bytes:
    source, partition = block.origin(index)
    return digest(source, partition, f"{block.offsets[index]}.{block.subs[index]}")[:8]


def _is_masked(text: str, number: int, patterns: list[str]) -> bool:
    return number < len(patterns) and mask_pattern(text)[0] == patterns[number]


def _lexical_problems(shard: Shard) -> list[str]:
    index = LexicalIndex.open(lexical_folder(shard))
    try:
        # Read after the index was opened: what it has by now must be committed by then.
        counters = _counters(shard)
        problems = [f"lexical index: {problem}" for problem in index.verify()]
        if index.patterns_indexed > counters.patterns:
            problems.append("the lexical index has patterns that are not committed")
        if index.events_indexed > shard.header.first_event + counters.events:
            problems.append("the lexical index has events that are not committed")
        return problems
    finally:
        index.close()
