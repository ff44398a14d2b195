"""What has to hold in a fresh shard only: its batches' vectors and columns, block after block.

A shard that is appended to is walked in many short snapshots, up to what it held in the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import numpy as np

from dejalog.indexer.event import Kind
from dejalog.indexer.store.layout import Columns, Counters
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import Snapshot

T = TypeVar("T")

#: Blocks of 128 KiB of texts: checking so many takes a second or two.
BLOCKS_PER_SNAPSHOT = 64

_KINDS: Final = [int(kind) for kind in Kind]


@dataclass(frozen=True, slots=True)
class Walk:
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


def vector_problems(walk: Walk) -> Iterator[str]:
    """Yields what is wrong with the vectors of the patterns."""
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


def column_problems(walk: Walk, found: list[Columns]) -> Iterator[str]:
    """Yields what is wrong with the columns of the events, which it puts into the list."""
    counters, first_event = walk.counters, walk.shard.header.first_event
    expected = first_event
    for first, columns in walk.blocks(Snapshot.columns_from, first_event, counters.events):
        if first != expected:
            yield f"columns begin at event {first} instead of {expected}"
        expected = first + len(columns.times)
        found.append(columns)
        if (columns.patterns >= counters.patterns).any():
            yield f"events from {first} on point at a pattern that is not there"
        if (columns.labelsets >= counters.labelsets).any():
            yield f"events from {first} on point at a label set that is not there"
        if not np.isin(columns.kinds, _KINDS).all():
            yield f"events from {first} on are neither logs nor notes"
        if columns.times.min() < counters.oldest_ns or columns.times.max() > counters.newest_ns:
            yield f"events from {first} on lie outside of the shard's time window"
    if expected != first_event + counters.events:
        yield f"has columns of {expected - first_event} events instead of {counters.events}"
