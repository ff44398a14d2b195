"""The columns of all shards side by side: which asset had which pattern when; no text is read.

Deleted events are not there. An event is known by its number, which is the same in every answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.counting import counted_events
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.event import Kind
from dejalog.indexer.hit import Occurrence
from dejalog.indexer.incidents.assets import Asset, AssetNumbers
from dejalog.indexer.incidents.grouping import HitEvents
from dejalog.indexer.incidents.surprise import Cells, count_cells
from dejalog.indexer.opened import Held, HeldShard
from dejalog.indexer.query import Query
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.layout import digest
from dejalog.indexer.store.view import ShardArrays


class Part:
    """One shard of a timeline."""

    def __init__(self, shard: HeldShard, asset_of_labelset: NDArray[np.int64]) -> None:
        self.shard = shard
        self._asset_of_labelset = asset_of_labelset

    @property
    def state(self) -> ShardArrays:
        """The shard's arrays."""
        return self.shard.state

    @property
    def first_event(self) -> int:
        """The number of the event in row 0."""
        return self.state.header.first_event

    @cached_property
    def assets(self) -> NDArray[np.int64]:
        """The asset of each event, int64[events]; -1 for what is deleted."""
        assets: NDArray[np.int64] = self._asset_of_labelset[self.state.columns.labelsets]
        if self.state.deleted is not None:
            assets[self.state.deleted] = -1
        return assets

    @cached_property
    def note_rows(self) -> NDArray[np.int64]:
        """The rows of notes, growing; deleted ones too, which have no asset."""
        return np.flatnonzero(self.state.columns.kinds == Kind.NOTE)

    @cached_property
    def reader(self) -> EventReader:
        """Reads whole events; use within `shard.reading`."""
        with self.shard.reading() as snapshot:
            return EventReader(snapshot, self.state)

    def log_rows(self, asset: int) -> NDArray[np.int64]:
        """The rows of an asset's log lines, growing."""
        return np.flatnonzero((self.assets == asset) & (self.state.columns.kinds == Kind.LOG))

    def find(self, pattern: str) -> int | None:
        """The number that a pattern has in this shard, None if it has none."""
        with self.shard.reading() as snapshot:
            number = snapshot.find_pattern(digest(pattern))
        return None if number is None or number >= self.state.counters.patterns else number

    def pattern(self, number: int) -> str:
        """A pattern's text."""
        with self.shard.reading() as snapshot:
            return snapshot.pattern(number)


class Timeline:
    """All shards; `check` is called before each is looked through, and may raise."""

    def __init__(
        self, held: Held, asset_labels: Sequence[str], check: Callable[[], None] = lambda: None
    ) -> None:
        self.numbers = AssetNumbers(asset_labels)
        self._check = check
        self.parts: list[Part] = []
        for shard in held.shards:
            check()
            self.parts.append(Part(shard, self.numbers.of_labelsets(shard.state)))

    def asset(self, number: int) -> Asset:
        """The asset of this number."""
        return self.numbers.asset(number)

    def events_of(self, patterns: Sequence[str]) -> HitEvents:
        """Returns all events of these patterns, whose places here are the events' hits."""
        found = []
        for part in self.parts:
            self._check()
            with part.shard.reading():
                found.append(_events_of(part, patterns))
        return HitEvents(
            times=_joined([each.times for each in found]),
            assets=_joined([each.assets for each in found]),
            hits=_joined([each.hits for each in found]),
            numbers=_joined([each.numbers for each in found]),
            is_note=_joined([each.is_note for each in found]).astype(np.bool_),
        )

    def is_counted(
        self,
        events: HitEvents,
        query: Query,
        *,
        since_ns: int | None,
        until_ns: int | None,
        set_aside: Callable[[CorruptShardError], None],
    ) -> tuple[NDArray[np.bool_], bool]:
        """Returns bool[n], the events that pass the filters, and whether some may be missing."""
        counts, is_partial = np.ones(len(events), np.bool_), False
        if not query.is_filtered and since_ns is None and until_ns is None:
            return counts, is_partial
        for part in self.parts:
            counted, is_cut = counted_events(
                query,
                part.shard,
                since_ns=since_ns,
                until_ns=until_ns,
                set_aside=set_aside,
                check=self._check,
            )
            rows = events.numbers - part.first_event
            is_here = (rows >= 0) & (rows < len(part.state.columns.times))
            if counted.events is not None:
                counts[is_here] = counted.events[rows[is_here]]
            is_partial |= is_cut
        return counts, is_partial

    def cells(self, width_ns: int) -> Cells:
        """Returns in which stretches of `width_ns` each asset has how many events."""
        found = []
        for part in self.parts:
            self._check()
            with part.shard.reading():
                is_there = part.assets >= 0
                times, assets = part.state.columns.times, part.assets
                if not is_there.all():
                    times, assets = times[is_there], assets[is_there]
                found.append(count_cells(assets, times // width_ns))
        # Two shards may share the cell at their border.
        return count_cells(
            _joined([each.owners for each in found]),
            _joined([each.stretches for each in found]),
            _joined([each.counts for each in found]),
        )

    def occurrence(self, number: int) -> Occurrence:
        """Reads one event."""
        for part in self.parts:
            if 0 <= number - part.first_event < len(part.state.columns.times):
                with part.shard.reading():
                    return Occurrence(number, part.reader.event(number))
        raise LookupError(f"event {number} is not in this index, or not any more")


def _events_of(part: Part, patterns: Sequence[str]) -> HitEvents:
    columns = part.state.columns
    hit_of_pattern = np.full(part.state.counters.patterns, -1, np.int32)
    for hit, pattern in enumerate(patterns):
        number = part.find(pattern)
        if number is not None:
            hit_of_pattern[number] = hit
    hits = hit_of_pattern[columns.patterns]
    rows = np.flatnonzero((hits >= 0) & (part.assets >= 0))
    return HitEvents(
        times=columns.times[rows].astype(np.int64),
        assets=part.assets[rows],
        hits=hits[rows].astype(np.int64),
        numbers=rows + part.first_event,
        is_note=columns.kinds[rows] == Kind.NOTE,
    )


def _joined(parts: list[NDArray[np.generic]]) -> NDArray:  # type: ignore[type-arg]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
