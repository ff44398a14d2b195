"""Events that were committed behind a given number, by text blocks, in the order of their numbers.

Numbers are given once and never change: a shard that is rolled, compacted or dropped between two
looks takes none of them along, so whoever remembers the last number that was looked at neither
misses nor repeats an event. What is committed is there at once; the lexical index is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.event import Event
from dejalog.indexer.exact import whole_words
from dejalog.indexer.hit import Occurrence
from dejalog.indexer.opened import Held, HeldShard, OpenShards
from dejalog.indexer.store.compacted import DELETED_KIND
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.layout import Columns, digest
from dejalog.indexer.store.view import ShardArrays

#: Blocks kept for others that look at the same events: about 4 MB.
_BLOCKS_KEPT: Final = 16


class EventBlock:
    """New events of one text block: index i of its arrays is the event number `first` + i.

    `is_there` bool[n] is false for deleted events. `patterns` int64[m], growing, are the events'
    patterns, each once, and event i has the one at `pattern_index` int64[n]. Only for as long as
    the shards are held.
    """

    def __init__(self, shard: HeldShard, start: int, older: tuple[HeldShard, ...]) -> None:
        self.shard = shard
        self.state: ShardArrays = shard.state
        self._older = older
        first_event = self.state.header.first_event
        with shard.reading() as snapshot:
            self._reader = EventReader(snapshot, self.state)
            block = self._reader.block(start)
        end = min(block.first + len(block), first_event + len(self.state.columns.times))
        self.first = start
        self.last = end - 1
        self._rows = slice(start - first_event, end - first_event)
        self._firsts: FirstRows | None = None

    def __len__(self) -> int:
        return self.last + 1 - self.first

    @cached_property
    def columns(self) -> Columns:
        """The events' columns."""
        columns, rows = self.state.columns, self._rows
        return Columns(
            columns.times[rows],
            columns.patterns[rows],
            columns.labelsets[rows],
            columns.kinds[rows],
        )

    @cached_property
    def is_there(self) -> NDArray[np.bool_]:
        """bool[n]: which events are not deleted."""
        is_there: NDArray[np.bool_] = self.columns.kinds != DELETED_KIND
        if self.state.deleted is not None:
            is_there &= ~self.state.deleted[self._rows]
        return is_there

    @cached_property
    def _unique(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        patterns, index = np.unique(self.columns.patterns, return_inverse=True)
        return patterns.astype(np.int64), index

    @property
    def patterns(self) -> NDArray[np.int64]:
        """int64[m], growing: the events' patterns."""
        return self._unique[0]

    @property
    def pattern_index(self) -> NDArray[np.int64]:
        """int64[n]: which of them each event has."""
        return self._unique[1]

    def event(self, index: int) -> Event:
        """An event that is there."""
        with self.shard.reading():
            return self._reader.event(self.first + index)

    def occurrence(self, index: int) -> Occurrence:
        """The same with its number."""
        return Occurrence(self.first + index, self.event(index))

    def pattern_text(self, number: int) -> str:
        """The text of a pattern."""
        with self.shard.reading() as snapshot:
            return snapshot.pattern(number)

    def holding(self, needle: str, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Returns bool[n]: which of the events `among` hold a string, as whole words, in any case.

        As `exact.match_exact`, which reads texts and attributes, too, where nothing else tells.
        """
        found = np.zeros(len(self), np.bool_)
        folded, ends = self._folded
        wanted, holds = needle.casefold(), whole_words(needle)
        at = folded.find(wanted)
        while at >= 0:
            index = int(np.searchsorted(ends, at, side="right"))
            found[index] = among[index] and any(map(holds.search, self._texts[index]))
            at = folded.find(wanted, int(ends[index]))
        return found

    @cached_property
    def _texts(self) -> list[tuple[str, ...]]:
        """Each event's text and the values of its attributes; nothing of a deleted one."""
        with self.shard.reading():
            block = self._reader.block(self.first)
            start = self.first - block.first
            return [
                (block.text(start + i), *(v for _, v in block.block.attributes[start + i]))
                if self.is_there[i]
                else ()
                for i in range(len(self))
            ]

    @cached_property
    def _folded(self) -> tuple[str, NDArray[np.int64]]:
        """All of these in one string, to be searched at once, and where each event's end."""
        parts = ["\0".join(texts).casefold() for texts in self._texts]
        ends = np.cumsum([len(part) + 1 for part in parts], dtype=np.int64)
        return "\0".join(parts), ends

    def are_new(self, indexes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns bool[n]: which of these events are the first one of their pattern."""
        assert self._firsts is not None
        rows = self._rows.start + indexes
        patterns = self.columns.patterns[indexes]
        are_new: NDArray[np.bool_] = self._firsts.of(self.state)[patterns] == rows
        for place in np.flatnonzero(are_new):
            are_new[place] = not self._is_older(int(patterns[place]))
        return are_new

    def _is_older(self, number: int) -> bool:
        name = digest(self.pattern_text(number))
        for shard in reversed(self._older):
            # One that is damaged cannot say no, and must not keep others from being asked.
            with suppress(CorruptShardError), shard.reading() as snapshot:
                if snapshot.find_pattern(name) is not None:
                    return True
        return False


class FirstRows:
    """The row of each pattern's first event in one shard, which may grow."""

    def __init__(self) -> None:
        self._rows = np.zeros(0, np.int64)
        self._read = 0

    def of(self, state: ShardArrays) -> NDArray[np.int64]:
        """Returns int64[patterns or more], -1 for a pattern without an event."""
        if self._read < len(state.columns.times):
            rows = np.full(state.counters.patterns, -1, np.int64)
            if state.order is not None:
                starts = state.order.starts.astype(np.int64)
                has_any = starts[1:] > starts[:-1]
                rows[has_any] = state.order.rows[starts[:-1][has_any]]
            else:
                self._add(rows, state.columns.patterns)
            self._rows, self._read = rows, len(state.columns.times)
        return self._rows

    def _add(self, rows: NDArray[np.int64], patterns: NDArray[np.uint32]) -> None:
        new = patterns[self._read :]
        # The last of several values for one place stays: walked backwards, the first event's.
        rows[new[::-1]] = np.arange(self._read, len(patterns))[::-1]
        is_known = self._rows >= 0
        rows[: len(self._rows)][is_known] = self._rows[is_known]


class Arrivals:
    """Follows a data directory's events; not for use by several threads at once."""

    def __init__(self, shards: OpenShards) -> None:
        self._shards = shards
        self._firsts: dict[int, FirstRows] = {}

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Holds the newest state of all shards; keep it short, as any snapshot."""
        with self._shards.held() as held:
            numbers = {shard.state.header.shard for shard in held.shards}
            for gone in self._firsts.keys() - numbers:
                del self._firsts[gone]
            yield Reading(held, self._firsts)


class Reading:
    """One state of all shards, to be read from any number on, by several queries."""

    def __init__(self, held: Held, firsts: dict[int, FirstRows]) -> None:
        self._held = held
        self._firsts = firsts
        self._blocks: dict[int, EventBlock] = {}
        self._is_unread: set[int] = set()

    @cached_property
    def label_names(self) -> frozenset[str]:
        """The names of all labels that occur."""
        return frozenset[str]().union(*(each.state.label_names for each in self._held.shards))

    @property
    def newest(self) -> int:
        """The number of the last event that was ever committed; -1 before the first one."""
        return max((_end(shard.state) for shard in self._held.shards), default=0) - 1

    @property
    def damage(self) -> tuple[CorruptShardError, ...]:
        """Why events of some shards cannot be read."""
        return tuple(self._held.damaged.values())

    def set_aside(self, error: CorruptShardError) -> None:
        """Notes that something of a block could not be read; those behind it still may be."""
        self._held.set_aside(error)

    def blocks(self, after: int) -> Iterator[EventBlock]:
        """Yields all events above the number `after`.

        A shard that turns out to be damaged is left; where the first event of a block is not the
        one behind the last, those between are gone.
        """
        shards = self._held.shards
        for place, shard in enumerate(shards):
            start = max(after + 1, shard.state.header.first_event)
            number = shard.state.header.shard
            while start < _end(shard.state) and number not in self._is_unread:
                try:
                    block = self._block(shard, start, tuple(shards[:place]))
                except CorruptShardError as error:
                    self._held.set_aside(error)
                    self._is_unread.add(number)
                    break
                yield block
                start = block.last + 1

    def _block(self, shard: HeldShard, start: int, older: tuple[HeldShard, ...]) -> EventBlock:
        block = self._blocks.get(start)
        if block is None:
            block = EventBlock(shard, start, older)
            block._firsts = self._firsts.setdefault(shard.state.header.shard, FirstRows())
            if len(self._blocks) >= _BLOCKS_KEPT:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[start] = block
        return block


def _end(state: ShardArrays) -> int:
    return state.header.first_event + len(state.columns.times)
