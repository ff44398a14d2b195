"""Walks every byte of an index and compares it with everything else that is said about it.

Per shard, in this order:

1. LMDB's own structure: every page, every tree, every counter (of the shard that is appended to
   only while nobody writes).
2. Every value: checksum, layout, lengths.
3. Invariants: numbers are consecutive, references point at something, counters add up, a pattern
   is what its events' raw text gives when it is masked again, and no record is stored twice.
   While a process writes this covers what was committed when the shard's turn came.
   `verify_fresh.py` and `verify_compacted.py` have those of one tier only.
4. The lexical index: its library's check, and that it does not lead what is committed.

Between shards, numbers may be missing (those of what was dropped), but none is given twice.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import MASK_VERSION, mask_pattern
from dejalog.indexer.store.compacted import DELETED_KIND
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.environment import tree_problems
from dejalog.indexer.store.events import OpenBlock, open_block
from dejalog.indexer.store.layout import Columns, Counters, DamagedValueError, digest
from dejalog.indexer.store.manifest import Manifest, Tier, read_manifest
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import Snapshot
from dejalog.indexer.verify_compacted import compacted_problems
from dejalog.indexer.verify_fresh import Walk, column_problems, vector_problems

#: Records whose hashes are kept (8 bytes each, 256 MiB) to find one that is stored twice, in the
#: newest shards: a source repeats what it read last. Among so many, two records have the same hash
#: with a probability of 1 in 30,000.
RECORDS_MAX = 1 << 25

#: A damaged shard can have a problem per value; the first ones tell what is wrong.
PROBLEMS_MAX = 100


@dataclass(slots=True)
class Report:
    """What was walked, and everything that is not as it should be.

    `damaged` are the numbers of shards that are not what was written; `damaged_words` those of
    sound ones whose word index is not; `replaced` those that another process took away meanwhile.
    """

    shards: int = 0
    events: int = 0
    patterns: int = 0
    dead_letters: int = 0
    problems: list[str] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    damaged_words: list[int] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)

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
    manifest = directory.manifest
    report.problems += _manifest_problems(manifest)
    shards = {shard.header.shard: shard for shard in directory.shards}
    seen = _Seen()
    numbers = _Numbers()
    for number in manifest.numbers:
        name = f"{number:06d}"
        on_progress(f"shard {name}")
        if number in shards:
            is_immutable = is_quiet or number != manifest.numbers[-1]
            walk = _Verification(shards[number], seen, numbers, is_quiet=is_immutable)
            try:
                walk.run(report)
            except FileNotFoundError:
                if _is_listed(directory, number):
                    raise
                report.replaced.append(number)
                continue
            found, words, others = walk.found, walk.words, walk.others
        else:
            found, words, others = [_reason(directory, number)], [], []
        if found:
            report.damaged.append(number)
        elif words:
            report.damaged_words.append(number)
        problems = (found + words + others)[:PROBLEMS_MAX]
        report.problems += [f"shard {name}: {problem}" for problem in problems]
    return report


def _reason(directory: DataDirectory, number: int) -> str:
    return directory.damaged[number].reason if number in directory.damaged else "is not open"


def _is_listed(directory: DataDirectory, number: int) -> bool:
    manifest = read_manifest(directory.path)
    return manifest is not None and number in manifest.numbers


def _manifest_problems(manifest: Manifest) -> list[str]:
    twice = {number for number in manifest.numbers if manifest.numbers.count(number) > 1}
    problems = [f"the manifest names shard {number} twice" for number in sorted(twice)]
    if max(manifest.numbers, default=0) >= manifest.next_shard:
        problems.append(f"the manifest would give the number {manifest.next_shard} again")
    if max((d.number for d in manifest.deletions), default=0) >= manifest.next_deletion:
        problems.append(f"the manifest would give deletion {manifest.next_deletion} again")
    return problems


class _Verification:
    """Of one shard: `found` are its own problems, `words` those of its word index.

    `others` are those of a shard whose bytes are what was written, and that no repair would mend.
    """

    def __init__(self, shard: Shard, seen: _Seen, numbers: _Numbers, *, is_quiet: bool) -> None:
        self._shard = shard
        self._seen = seen
        self._numbers = numbers
        self._is_quiet = is_quiet
        self.found: list[str] = []
        self.words: list[str] = []
        self.others: list[str] = []

    def run(self, report: Report) -> None:
        """Fills both, and counts in the report what could be read to its end."""
        shard = self._shard
        if self._is_quiet:
            self.found += [f"LMDB: {problem}" for problem in tree_problems(shard.path)]
            if self.found:
                return  # Following damaged pages can end the process; what is in them is lost.
        try:
            counters = _counters(shard)
            self.others += self._numbers.problems(shard, counters)
            walk = Walk(shard, counters, is_quiet=self._is_quiet)
            self.found += list(_value_problems(walk, self._seen, self.others))
        except (CorruptShardError, DamagedValueError) as error:
            self.found.append(_text(error))
            return
        report.shards += 1
        report.events += counters.events - counters.deleted
        report.patterns += counters.patterns
        report.dead_letters += counters.dead_letters
        try:
            self.words += _lexical_problems(shard)
        except CorruptShardError as error:
            self.words.append(f"lexical index: {error.reason}")


def _text(error: CorruptShardError | DamagedValueError) -> str:
    return error.reason if isinstance(error, CorruptShardError) else str(error)


class _Numbers:
    """The numbers that events and dead letters have had in the shards so far."""

    def __init__(self) -> None:
        self._next_event = 0
        self._next_dead_letter = 0

    def problems(self, shard: Shard, counters: Counters) -> list[str]:
        """Takes a shard's numbers, and returns what is wrong with them."""
        header, problems = shard.header, []
        if header.first_event < self._next_event:
            problems.append(
                f"begins with event {header.first_event}, but a shard before it has those up to "
                f"{self._next_event - 1}"
            )
        if header.first_dead_letter < self._next_dead_letter:
            problems.append(
                f"begins with dead letter {header.first_dead_letter}, but a shard before it has "
                f"those up to {self._next_dead_letter - 1}"
            )
        ends = header.first_event + counters.events
        letters = header.first_dead_letter + counters.dead_letters
        self._next_event = max(self._next_event, ends)
        self._next_dead_letter = max(self._next_dead_letter, letters)
        return problems


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


def _value_problems(walk: Walk, seen: _Seen, others: list[str]) -> Iterator[str]:
    shard, counters = walk.shard, walk.counters
    patterns: list[str] = []
    yield from _pattern_problems(walk, patterns)
    labelsets = sum(1 for _ in walk.blocks(Snapshot.labelsets_from, 0, counters.labelsets))
    if labelsets != counters.labelsets:
        yield f"has {labelsets} label sets instead of {counters.labelsets}"
    columns: list[Columns] = []
    if shard.tier is Tier.COMPACTED:
        yield from compacted_problems(shard, counters, columns)
    else:
        yield from vector_problems(walk)
        yield from column_problems(walk, columns)
    records = _Records(others)
    yield from _text_problems(walk, _Rows(columns), patterns, records)
    twice = seen.add_shard(bytes(records.hashes))
    others.extend(f"event {records.numbers[index]} is stored twice" for index in twice)
    yield from _dead_letter_problems(walk)


def _dead_letter_problems(walk: Walk) -> Iterator[str]:
    expected = walk.counters.dead_letters
    with walk.shard.snapshot() as snapshot:
        numbers = [number for number, _ in snapshot.dead_letters()]
        snapshot.positions()
    first = walk.shard.header.first_dead_letter
    if walk.shard.tier is Tier.COMPACTED:
        # Those of several shards, between which numbers may be missing.
        is_right = len(numbers) == expected and (not numbers or numbers[0] >= first)
    else:
        if not walk.is_quiet:
            numbers = [number for number in numbers if number < first + expected]
        is_right = numbers == list(range(first, first + expected))
    if not is_right:
        yield f"has {len(numbers)} dead letters instead of {expected}"


def _pattern_problems(walk: Walk, patterns: list[str]) -> Iterator[str]:
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


class _Rows:
    """What the texts are compared with: the pattern of each row, and whether it is hollow."""

    def __init__(self, columns: list[Columns]) -> None:
        self.patterns = np.concatenate([np.zeros(0, np.uint32), *(c.patterns for c in columns)])
        self.kinds = np.concatenate([np.zeros(0, np.uint8), *(c.kinds for c in columns)])


class _Records:
    """The records that a shard's events came from: 8 bytes of hash each, and the events.

    `others` is told of events whose pattern is not their text's.
    """

    def __init__(self, others: list[str]) -> None:
        self.others = others
        self.hashes = bytearray()
        self.numbers = array("Q")


def _text_problems(
    walk: Walk, rows: _Rows, patterns: list[str], records: _Records
) -> Iterator[str]:
    first_event, events = walk.shard.header.first_event, walk.counters.events
    is_same_mask = walk.shard.header.mask_version == MASK_VERSION
    reached = first_event
    for first, block in walk.blocks(Snapshot.texts_from, first_event, events):
        if first != reached:
            yield f"texts begin at event {first} instead of {reached}"
        opened = open_block(first, block)
        reached = first + len(opened)
        part = slice(first - first_event, reached - first_event)
        of_row = zip(rows.patterns[part].tolist(), rows.kinds[part].tolist(), strict=True)
        for index, (pattern, kind) in enumerate(of_row):
            if kind == DELETED_KIND:
                if opened.text(index) or opened.block.attributes[index]:
                    yield f"event {first + index} was deleted and still has content"
                continue
            records.hashes += _record_hash(opened, index)
            records.numbers.append(first + index)
            if is_same_mask and not _is_masked(opened.text(index), pattern, patterns):
                records.others.append(f"event {first + index} does not have its text's pattern")
    if reached != first_event + events:
        yield f"has texts of {reached - first_event} events instead of {events}"


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
