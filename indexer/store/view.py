"""A shard as arrays: a fresh one in memory, following the writer; a compacted one in its map.

The view of a fresh shard reads only what is new since its last refresh, so its cost is that of the
batch. What it hands out are slices of its arrays up to a length that never changes, so a search
may go on using them while the view grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.event import Labels
from dejalog.indexer.store.compacted import DELETED_KIND, CodedVectors, EventOrder, SectionMap
from dejalog.indexer.store.layout import Columns, Counters, Header
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import Snapshot

#: The time of the newest event of a pattern that has none.
NEVER_NS = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class FreshVectors:
    """The vectors of a fresh shard: pattern i has the rows offsets[i] to offsets[i + 1].

    offsets int64[patterns + 1], codes int8[tokens, dim], scales float32[tokens], pooled_codes
    int8[patterns, pooled_dim], pooled_scales float32[patterns].
    """

    offsets: NDArray[np.int64]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    pooled_codes: NDArray[np.int8]
    pooled_scales: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ShardArrays:
    """One consistent state of a shard.

    `columns` are those of all events; event i of them has the number `header.first_event` + i.
    `newest` int64[patterns] is when each pattern's newest event happened. `order` is there for
    compacted shards. `deleted` bool[events] are events that do not count, None if all do.
    """

    shard: Shard
    header: Header
    counters: Counters
    vectors: FreshVectors | CodedVectors
    columns: Columns
    newest: NDArray[np.int64]
    order: EventOrder | None
    labelsets: Sequence[Labels]
    label_names: frozenset[str]
    deleted: NDArray[np.bool_] | None

    def rows_of(self, pattern: int) -> NDArray[np.int64]:
        """The rows of a pattern's events, growing."""
        if self.order is None:
            return np.flatnonzero(self.columns.patterns == pattern)
        starts = self.order.starts
        rows = self.order.rows[int(starts[pattern]) : int(starts[pattern + 1])]
        return rows.astype(np.int64)


class ShardView:
    """Follows one shard; a compacted one is read once."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._lock = Lock()
        self._fresh = _FreshArrays(shard) if shard.tier is Tier.FRESH else None
        self._compacted: ShardArrays | None = None

    @property
    def shard(self) -> Shard:
        """The shard that is followed."""
        return self._shard

    def refresh(self) -> ShardArrays:
        """Returns the newest committed state."""
        with self._lock:
            if self._fresh is not None:
                return self._fresh.refresh()
            if self._compacted is None:
                self._compacted = _map_arrays(self._shard)
            return self._compacted


def _map_arrays(shard: Shard) -> ShardArrays:
    with shard.snapshot() as snapshot:
        counters = snapshot.counters()
        sections = SectionMap.open(shard, snapshot)
        labelsets = tuple(tuple(labels) for _, labels in snapshot.labelsets_from(0))
    columns = sections.columns(counters.events)
    order = sections.event_order(counters.events - counters.deleted, counters.patterns)
    return ShardArrays(
        shard=shard,
        header=shard.header,
        counters=counters,
        vectors=sections.vectors(),
        columns=columns,
        newest=order.newest,
        order=order,
        labelsets=labelsets,
        label_names=frozenset(name for labels in labelsets for name, _ in labels),
        deleted=columns.kinds == DELETED_KIND if counters.deleted else None,
    )


class _FreshArrays:
    """Reads what is new of a fresh shard."""

    def __init__(self, shard: Shard) -> None:
        header = shard.header
        self._shard = shard
        self._counters: Counters | None = None
        self._offsets = _Growing(np.int64)
        self._offsets.extend(np.zeros(1, np.int64))
        self._codes = _Growing(np.int8, header.dim)
        self._scales = _Growing(np.float32)
        self._pooled_codes = _Growing(np.int8, header.pooled_dim)
        self._pooled_scales = _Growing(np.float32)
        self._times = _Growing(np.int64)
        self._patterns = _Growing(np.uint32)
        self._labelset_index = _Growing(np.uint32)
        self._kinds = _Growing(np.uint8)
        self._newest = np.zeros(0, np.int64)
        self._labelsets: list[Labels] = []
        self._label_names: frozenset[str] = frozenset()

    def refresh(self) -> ShardArrays:
        with self._shard.snapshot() as snapshot:
            counters = snapshot.counters()
            if counters != self._counters:
                self._read(snapshot, counters)
        return self._arrays(counters)

    def _read(self, snapshot: Snapshot, counters: Counters) -> None:
        patterns = len(self._offsets) - 1
        if counters.patterns > patterns:
            for _, vectors in snapshot.vectors_from(patterns):
                ends = np.cumsum(vectors.lengths, dtype=np.int64) + len(self._codes)
                self._offsets.extend(ends)
                self._codes.extend(vectors.codes)
                self._scales.extend(vectors.scales)
                self._pooled_codes.extend(vectors.pooled_codes)
                self._pooled_scales.extend(vectors.pooled_scales)
        if counters.labelsets > len(self._labelsets):
            for _, labels in snapshot.labelsets_from(len(self._labelsets)):
                self._labelsets.append(tuple(labels))
                self._label_names |= {name for name, _ in labels}
        events = len(self._times)
        if counters.events > events:
            for _, columns in snapshot.columns_from(self._shard.header.first_event + events):
                self._times.extend(columns.times)
                self._patterns.extend(columns.patterns)
                self._labelset_index.extend(columns.labelsets)
                self._kinds.extend(columns.kinds)
            self._renew_newest(events, counters.patterns)
        self._counters = counters

    def _renew_newest(self, first_row: int, patterns: int) -> None:
        """Searches may hold the array of before, so a new one takes its place."""
        newest = np.full(patterns, NEVER_NS)
        newest[: len(self._newest)] = self._newest
        rows = self._patterns.filled()[first_row:]
        np.maximum.at(newest, rows, self._times.filled()[first_row:])
        self._newest = newest

    def _arrays(self, counters: Counters) -> ShardArrays:
        return ShardArrays(
            shard=self._shard,
            header=self._shard.header,
            counters=counters,
            vectors=FreshVectors(
                offsets=self._offsets.filled(),
                codes=self._codes.filled(),
                scales=self._scales.filled(),
                pooled_codes=self._pooled_codes.filled(),
                pooled_scales=self._pooled_scales.filled(),
            ),
            columns=Columns(
                times=self._times.filled(),
                patterns=self._patterns.filled(),
                labelsets=self._labelset_index.filled(),
                kinds=self._kinds.filled(),
            ),
            newest=self._newest,
            order=None,
            # Shared while it grows: entries are only added, and columns point below the old end.
            labelsets=self._labelsets,
            label_names=self._label_names,
            deleted=None,
        )


class _Growing:
    """An array that doubles its room, so that n appends copy O(n) elements in all."""

    def __init__(self, dtype: type[np.generic], width: int | None = None) -> None:
        shape = (0,) if width is None else (0, width)
        self._room = np.zeros(shape, dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def extend(self, rows: NDArray[np.generic]) -> None:
        end = self._length + len(rows)
        if end > len(self._room):
            room = np.empty(
                (max(end, 2 * len(self._room)), *self._room.shape[1:]), self._room.dtype
            )
            room[: self._length] = self._room[: self._length]
            self._room = room
        self._room[self._length : end] = rows
        self._length = end

    def filled(self) -> NDArray:  # type: ignore[type-arg]
        return self._room[: self._length]
