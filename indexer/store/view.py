"""A fresh shard in memory: its vectors and columns as growing arrays that follow the writer.

A view reads only what is new since its last refresh, so its cost is that of the batch. What it
hands out are slices of its arrays up to a length that never changes, so a search may go on using
them while the view grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.event import Labels
from dejalog.indexer.store.layout import Columns, Counters, Header
from dejalog.indexer.store.shard import Shard, Snapshot


@dataclass(frozen=True, slots=True)
class ShardArrays:
    """One consistent state of a shard.

    `offsets` int64[patterns + 1]: pattern i has the rows offsets[i] to offsets[i + 1] of `codes`
    int8[tokens, dim] and `scales` float32[tokens]. `pooled` float32[patterns, pooled_dim].
    `columns` are those of all events; event i of them has the number `header.first_event` + i.
    """

    shard: Shard
    header: Header
    counters: Counters
    offsets: NDArray[np.int64]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    pooled: NDArray[np.float32]
    columns: Columns
    labelsets: Sequence[Labels]
    label_names: frozenset[str]


class ShardView:
    """Follows one fresh shard."""

    def __init__(self, shard: Shard) -> None:
        header = shard.header
        self._shard = shard
        self._lock = Lock()
        self._counters: Counters | None = None
        self._offsets = _Growing(np.int64)
        self._offsets.extend(np.zeros(1, np.int64))
        self._codes = _Growing(np.int8, header.dim)
        self._scales = _Growing(np.float32)
        self._pooled = _Growing(np.float32, header.pooled_dim)
        self._times = _Growing(np.int64)
        self._patterns = _Growing(np.uint32)
        self._labelset_index = _Growing(np.uint32)
        self._kinds = _Growing(np.uint8)
        self._labelsets: list[Labels] = []
        self._label_names: frozenset[str] = frozenset()

    @property
    def shard(self) -> Shard:
        """The shard that is followed."""
        return self._shard

    def refresh(self) -> ShardArrays:
        """Returns the newest committed state."""
        with self._lock:
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
                scale = vectors.pooled_scales[:, None]
                self._pooled.extend(vectors.pooled_codes.astype(np.float32) * scale)
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
        self._counters = counters

    def _arrays(self, counters: Counters) -> ShardArrays:
        return ShardArrays(
            shard=self._shard,
            header=self._shard.header,
            counters=counters,
            offsets=self._offsets.filled(),
            codes=self._codes.filled(),
            scales=self._scales.filled(),
            pooled=self._pooled.filled(),
            columns=Columns(
                times=self._times.filled(),
                patterns=self._patterns.filled(),
                labelsets=self._labelset_index.filled(),
                kinds=self._kinds.filled(),
            ),
            # Shared while it grows: entries are only added, and columns point below the old end.
            labelsets=self._labelsets,
            label_names=self._label_names,
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
