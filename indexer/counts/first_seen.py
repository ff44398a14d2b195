"""When patterns were first seen at all, whatever filters say; deleted events count nowhere.

Only columns are read. A shard whose oldest event is not older than what is known already is passed
over, so that of many shards most often one is looked into.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.counts.pattern_tally import NOT_YET_NS, numbers_of
from dejalog.indexer.counts.tally import CountedShard
from dejalog.indexer.opened import HeldShard
from dejalog.indexer.store.view import NEVER_NS, ShardArrays


def first_seen(
    shards: Sequence[HeldShard], names: NDArray[np.bytes_], known: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns int64[n]: the time of the oldest event of each pattern in all shards.

    names S16[n] are digests, known int64[n] times at which the patterns were seen.
    """
    first = known.copy()
    for shard in sorted(shards, key=lambda shard: shard.state.counters.oldest_ns):
        state = shard.state
        wanted = np.flatnonzero(first > state.counters.oldest_ns)
        if not len(wanted) or not len(state.columns.times):
            continue
        with shard.reading() as snapshot:
            numbers = numbers_of(snapshot, state, names[wanted])
            is_there = numbers >= 0
            wanted, numbers = wanted[is_there], numbers[is_there]
            first[wanted] = np.minimum(first[wanted], _oldest(shard, numbers))
    return first


def seen_before(
    shards: Sequence[HeldShard], names: NDArray[np.bytes_], time_ns: int
) -> NDArray[np.bool_]:
    """Returns bool[n]: whether the patterns of these digests have an event before a time."""
    is_old = np.zeros(len(names), np.bool_)
    for shard in shards:
        state = shard.state
        if not len(state.columns.times) or state.counters.oldest_ns >= time_ns:
            continue
        unsure = np.flatnonzero(~is_old)
        with shard.reading() as snapshot:
            numbers = numbers_of(snapshot, state, names[unsure])
            is_there = numbers >= 0
            is_old[unsure[is_there]] = _has_older(shard, time_ns)[numbers[is_there]]
    return is_old


def _oldest(shard: HeldShard, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The times of the oldest events of a shard's patterns, NOT_YET_NS where all are deleted."""
    state = shard.state
    if state.order is not None:
        return np.array([_oldest_of(state, n) for n in numbers.tolist()], np.int64)
    slots = np.full(state.counters.patterns, -1)
    slots[numbers] = np.arange(len(numbers))
    oldest = np.full(len(numbers), NOT_YET_NS)
    for chunk in _all_events(shard).chunks():
        own = slots[chunk.patterns]
        kept = own >= 0
        np.minimum.at(oldest, own[kept], chunk.times[kept])
    return oldest


def _oldest_of(state: ShardArrays, number: int) -> int:
    rows = state.rows_of(number)
    if state.deleted is not None:
        rows = rows[~state.deleted[rows]]
    return int(state.columns.times[rows].min(initial=NOT_YET_NS))


def _has_older(shard: HeldShard, time_ns: int) -> NDArray[np.bool_]:
    """bool[patterns of the shard]: whether each has an event before a time."""
    state = shard.state
    if state.counters.newest_ns < time_ns:
        return state.newest > NEVER_NS
    is_older = np.zeros(state.counters.patterns, np.bool_)
    for chunk in _all_events(shard).chunks():
        is_older[chunk.patterns[chunk.times < time_ns]] = True
    return is_older


def _all_events(shard: HeldShard) -> CountedShard:
    deleted = shard.state.deleted
    return CountedShard(shard, None if deleted is None else ~deleted)
