"""The lines around an event: its neighbours in the same source, in the order of that source.

Events are numbered in the order of their commits. Those of one (source, partition) keep their
order, and other sources' events lie in between; so the neighbours are found by walking over event
numbers, a text block at a time, and never by time, which sources may get wrong or share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dejalog.indexer.hit import Occurrence
from dejalog.indexer.store.events import EventReader, OpenBlock
from dejalog.indexer.store.view import ShardArrays

#: How many text blocks (of 128 KiB) are read in one direction: with a hundred busy sources, enough
#: for the next lines of each; about 20 ms at most.
BLOCKS_MAX = 64


@dataclass(frozen=True, slots=True)
class Context:
    """The events before and after one, oldest first.

    `is_complete` is false where fewer than asked for were found because the walk reached its
    bound; at the beginning or end of what is stored of a source it is true.
    """

    before: tuple[Occurrence, ...]
    after: tuple[Occurrence, ...]
    is_complete: bool = True


def read_context(
    states: Sequence[ShardArrays],
    event_id: int,
    *,
    before: int,
    after: int,
    blocks_max: int = BLOCKS_MAX,
) -> Context:
    """Returns up to `before` and `after` neighbours of an event.

    `states` are all shards, oldest first, as `Searcher.states` returns them. Raises LookupError
    if none of them holds the event.
    """
    at = _shard_of(states, event_id)
    with states[at].shard.snapshot() as snapshot:
        block = EventReader(snapshot, states[at]).block(event_id)
        origin = block.origin(event_id - block.first)
    earlier = _Walk(origin, before, blocks_max)
    for state in _unbroken(states[at::-1], lambda later, older: _end(older) == _first(later)):
        if not earlier.backward(state, min(event_id, _end(state))):
            break
    later = _Walk(origin, after, blocks_max)
    for state in _unbroken(states[at:], lambda older, newer: _end(older) == _first(newer)):
        if not later.forward(state, max(event_id + 1, _first(state))):
            break
    return Context(
        before=tuple(reversed(earlier.found)),
        after=tuple(later.found),
        is_complete=not (earlier.is_cut or later.is_cut),
    )


class _Walk:
    """Collects events of one origin, nearest first, until it has enough or has read too much."""

    def __init__(self, origin: tuple[str, str], wanted: int, blocks_max: int) -> None:
        self.found: list[Occurrence] = []
        self.is_cut = False
        self._origin = origin
        self._wanted = wanted
        self._blocks_left = blocks_max

    def backward(self, state: ShardArrays, end: int) -> bool:
        """Walks down from the event before `end`; returns whether to go on in an older shard."""
        with state.shard.snapshot() as snapshot:
            while end > _first(state) and self._may_read():
                reader = EventReader(snapshot, state)
                block = reader.block(end - 1)
                self._take(reader, [n for n in self._numbers(block)[::-1] if n < end])
                end = block.first
        return self._is_hungry()

    def forward(self, state: ShardArrays, start: int) -> bool:
        """Walks up from `start`; returns whether to go on in a newer shard."""
        with state.shard.snapshot() as snapshot:
            end = _end(state)
            while start < end and self._may_read():
                reader = EventReader(snapshot, state)
                block = reader.block(start)
                self._take(reader, [n for n in self._numbers(block) if start <= n < end])
                start = block.first + len(block)
        return self._is_hungry()

    def _numbers(self, block: OpenBlock) -> list[int]:
        """The numbers of the block's events that are of this origin, in order."""
        if self._origin not in block.block.origins:
            return []
        index = block.block.origins.index(self._origin)
        numbers: list[int] = (block.first + np.flatnonzero(block.origin_index == index)).tolist()
        return numbers

    def _take(self, reader: EventReader, numbers: list[int]) -> None:
        for number in numbers[: self._wanted - len(self.found)]:
            self.found.append(Occurrence(number, reader.event(number)))

    def _is_hungry(self) -> bool:
        return len(self.found) < self._wanted and not self.is_cut

    def _may_read(self) -> bool:
        if len(self.found) >= self._wanted:
            return False
        self.is_cut = self._blocks_left <= 0
        self._blocks_left -= 1
        return not self.is_cut


def _first(state: ShardArrays) -> int:
    return state.header.first_event


def _end(state: ShardArrays) -> int:
    return state.header.first_event + len(state.columns.times)


def _shard_of(states: Sequence[ShardArrays], event_id: int) -> int:
    for index, state in enumerate(states):
        if _first(state) <= event_id < _end(state):
            return index
    raise LookupError(f"event {event_id} is not in this index, or not any more")


def _unbroken(
    states: Sequence[ShardArrays], are_neighbours: Callable[[ShardArrays, ShardArrays], bool]
) -> Iterator[ShardArrays]:
    """Shards from the first on for as long as no events are missing in between."""
    for index, state in enumerate(states):
        if index and not are_neighbours(states[index - 1], state):
            return
        yield state
