"""Walks every byte of an index and compares it with everything else that is said about it.

Per shard, in this order:

1. LMDB's own structure: every page, every tree, every counter (only while nobody writes).
2. Every value: checksum, layout, lengths.
3. Invariants: numbers are consecutive, references point at something, counters add up, a pattern
   is what its events' raw text gives when it is masked again, and no record is stored twice.
4. The lexical index: its library's check, and that it does not lead what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from lmdb.verify import VerifyError
from lmdb.verify import verify as verify_tree

from dejalog.indexer.catch_up import lexical_folder
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import MASK_VERSION, mask_pattern
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.events import OpenBlock, open_block
from dejalog.indexer.store.layout import Counters, DamagedValueError, digest
from dejalog.indexer.store.shard import Shard, Snapshot

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
    seen: set[bytes] = set()
    next_event = next_dead_letter = 0
    for shard in directory.shards:
        name = shard.path.name
        found: list[str] = []
        on_progress(f"shard {name}")
        if is_quiet and (found := _tree_problems(shard)):
            # Following damaged pages can end the process; what is in them is lost anyway.
            report.problems += [f"shard {name}: {problem}" for problem in found[:PROBLEMS_MAX]]
            continue
        try:
            with shard.snapshot() as snapshot:
                counters = snapshot.counters()
                found += _numbering_problems(shard, next_event, next_dead_letter)
                found += list(_value_problems(shard, snapshot, counters, seen))
            next_event = shard.header.first_event + counters.events
            next_dead_letter = shard.header.first_dead_letter + counters.dead_letters
            found += _lexical_problems(shard, counters)
            report.shards += 1
            report.events += counters.events
            report.patterns += counters.patterns
            report.dead_letters += counters.dead_letters
        except (CorruptShardError, DamagedValueError) as error:
            found.append(str(error))
        report.problems += [f"shard {name}: {problem}" for problem in found[:PROBLEMS_MAX]]
    return report


def _tree_problems(shard: Shard) -> list[str]:
    try:
        problems: list[str] = verify_tree(str(shard.path))
        return [f"LMDB: {problem}" for problem in problems]
    except VerifyError as error:
        return [f"LMDB: {error}"]


def _numbering_problems(shard: Shard, event: int, dead_letter: int) -> list[str]:
    header = shard.header
    problems = []
    if header.first_event != event:
        problems.append(f"begins with event {header.first_event} instead of {event}")
    if header.first_dead_letter != dead_letter:
        problems.append(f"begins with dead letter {header.first_dead_letter}, not {dead_letter}")
    return problems


def _value_problems(
    shard: Shard, snapshot: Snapshot, counters: Counters, seen: set[bytes]
) -> Iterator[str]:
    patterns: list[str] = []
    yield from _pattern_problems(shard, snapshot, counters, patterns)
    labelsets = [number for number, _ in snapshot.labelsets_from(0)]
    if labelsets != list(range(counters.labelsets)):
        yield f"has {len(labelsets)} label sets instead of {counters.labelsets}"
    yield from _event_problems(shard, snapshot, counters, patterns, seen)
    letters = [number - shard.header.first_dead_letter for number, _ in snapshot.dead_letters()]
    if letters != list(range(counters.dead_letters)):
        yield f"has {len(letters)} dead letters instead of {counters.dead_letters}"
    snapshot.positions()


def _pattern_problems(
    shard: Shard, snapshot: Snapshot, counters: Counters, patterns: list[str]
) -> Iterator[str]:
    for first, texts in snapshot.patterns_from(0):
        if first != len(patterns):
            yield f"a block of patterns begins at {first} instead of {len(patterns)}"
        patterns.extend(texts)
    if len(patterns) != counters.patterns:
        yield f"has {len(patterns)} patterns instead of {counters.patterns}"
    for name, number in snapshot.pattern_digests():
        if number >= len(patterns) or digest(patterns[number]) != name:
            yield f"pattern {number} is not the text that its digest names"
    if snapshot.entries(b"pattern_ids") != counters.patterns:
        yield f"has {snapshot.entries(b'pattern_ids')} pattern digests, not {counters.patterns}"
    covered = tokens = 0
    for first, vectors in snapshot.vectors_from(0):
        if first != covered:
            yield f"a block of vectors begins at pattern {first} instead of {covered}"
        covered += len(vectors.lengths)
        tokens += len(vectors.codes)
        if vectors.codes.shape[1] != shard.header.dim or (vectors.lengths == 0).any():
            yield f"the vectors from pattern {first} on have the wrong shape"
    if (covered, tokens) != (counters.patterns, counters.tokens):
        yield f"has vectors of {covered} patterns, {tokens} tokens instead of {counters.tokens}"


def _event_problems(
    shard: Shard,
    snapshot: Snapshot,
    counters: Counters,
    patterns: list[str],
    seen: set[bytes],
) -> Iterator[str]:
    first_event = shard.header.first_event
    rows: list[np.ndarray[tuple[int], np.dtype[np.uint32]]] = []
    expected = first_event
    for first, columns in snapshot.columns_from(0):
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
    of_event = np.concatenate(rows) if rows else np.zeros(0, np.uint32)
    reached = first_event
    is_same_mask = shard.header.mask_version == MASK_VERSION
    for first, block in snapshot.texts_from(0):
        if first != reached:
            yield f"texts begin at event {first} instead of {reached}"
        opened = open_block(first, block)
        reached = first + len(opened)
        numbers = of_event[first - first_event : reached - first_event]
        for index in range(len(opened)):
            if not _is_new(opened, index, seen):
                yield f"event {first + index} is stored twice"
            if is_same_mask and not _is_masked(opened.text(index), int(numbers[index]), patterns):
                yield f"event {first + index} does not have its text's pattern"
    if reached != expected:
        yield f"has texts of {reached - first_event} events instead of {counters.events}"


def _is_new(block: OpenBlock, index: int, seen: set[bytes]) -> bool:
    source, partition = block.origin(index)
    place = f"{block.offsets[index]}.{block.subs[index]}"
    name = digest(source, partition, place)
    if name in seen:
        return False
    seen.add(name)
    return True


def _is_masked(text: str, number: int, patterns: list[str]) -> bool:
    return number < len(patterns) and mask_pattern(text)[0] == patterns[number]


def _lexical_problems(shard: Shard, counters: Counters) -> list[str]:
    index = LexicalIndex.open(lexical_folder(shard))
    try:
        problems = [f"lexical index: {problem}" for problem in index.verify()]
        if index.patterns_indexed > counters.patterns:
            problems.append("the lexical index has patterns that are not committed")
        if index.events_indexed > shard.header.first_event + counters.events:
            problems.append("the lexical index has events that are not committed")
        return problems
    finally:
        index.close()
