"""The lines around an event: its neighbours in the same source, in the order of that source.

Events are numbered in the order of their commits. Those of one (source, partition) keep their
order, and other sources' events lie in between; so the neighbours are found by walking over event
numbers, a text block at a time, and never by time, which sources may get wrong or share. Deleted
events are passed over, and so are the numbers between two shards, whose events are gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dejalog.indexer.answer import Context
from dejalog.indexer.hit import Occurrence
from dejalog.indexer.store.events import EventReader, OpenBlock
from dejalog.indexer.store.view import ShardArrays

#: How many text blocks (of 128 KiB) are read in one direction: with a hundred busy sources, enough
#: for the next lines of each; about 20 ms at most.
BLOCKS_MAX = 64


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
    if none of them holds the event, or it was deleted.
    """
    at = _shard_of(states, event_id)
    with states[at].shard.snapshot() as snapshot:
        reader = EventReader(snapshot, states[at])
        event = reader.event(event_id)
    earlier = _Walk((event.source, event.partition), before, blocks_max)
    for state in states[at::-1]:
        if not earlier.backward(state, min(event_id, _end(state))):
            break
    later = _Walk((event.source, event.partition), after, blocks_max)
    for state in states[at:]:
        if not later.forward(state, max(event_id + 1, _first(state))):
            break
    return Context(
        event=Occurrence(event_id, event),
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
                self._take(reader, self._numbers(state, block, _first(state), end)[::-1])
                end = block.first
        return self._is_hungry()

    def forward(self, state: ShardArrays, start: int) -> bool:
        """Walks up from `start`; returns whether to go on in a newer shard."""
        with state.shard.snapshot() as snapshot:
            end = _end(state)
            while start < end and self._may_read():
                reader = EventReader(snapshot, state)
                block = reader.block(start)
                self._take(reader, self._numbers(state, block, start, end))
                start = block.first + len(block)
        return self._is_hungry()

    def _numbers(self, state: ShardArrays, block: OpenBlock, start: int, end: int) -> list[int]:
        """The numbers from `start` up to `end` of the block's events of this origin, in order."""
        if self._origin not in block.block.origins:
            return []
        index = block.block.origins.index(self._origin)
        numbers = block.first + np.flatnonzero(block.origin_index == index)
        numbers = numbers[(numbers >= start) & (numbers < end)]
        if state.deleted is not None:
            numbers = numbers[~state.deleted[numbers - _first(state)]]
        found: list[int] = numbers.tolist()
        return found

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
            if state.deleted is not None and state.deleted[event_id - _first(state)]:
                break
            return index
    raise LookupError(f"event {event_id} is not in this index, or not any more")
