"""Deleted events: a deletion holds from the moment that the manifest has it.

A deletion is a condition, and its events stay in their shards until each is compacted. Until then
every search masks them: they are no hit, no occurrence, no line of a context, and count nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.event import Labels
from dejalog.indexer.filter import Condition, filter_events
from dejalog.indexer.store.layout import Columns
from dejalog.indexer.store.manifest import Deletion, ShardEntry
from dejalog.indexer.store.view import NEVER_NS, ShardArrays


def pending_deletions(
    entry: ShardEntry, deletions: Sequence[Deletion], first_event: int
) -> tuple[Deletion, ...]:
    """Returns the deletions that reach a shard from `first_event` on and are not applied in it."""
    return tuple(
        deletion
        for deletion in deletions
        if deletion.number > entry.deletions_applied and deletion.end_event > first_event
    )


def deleted_events(
    columns: Columns,
    labelsets: Sequence[Labels],
    first_event: int,
    deletions: Sequence[Deletion],
) -> NDArray[np.bool_]:
    """Returns bool[events], true for those that one of the deletions means.

    Event i of the columns has the number `first_event` + i.
    """
    is_deleted = np.zeros(len(columns.times), np.bool_)
    for deletion in deletions:
        end = min(max(deletion.end_event - first_event, 0), len(is_deleted))
        means = filter_events(
            Columns(
                columns.times[:end],
                columns.patterns[:end],
                columns.labelsets[:end],
                columns.kinds[:end],
            ),
            labelsets,
            [Condition(*condition) for condition in deletion.conditions],
            since_ns=deletion.since_ns,
            until_ns=deletion.until_ns,
        )
        is_deleted[:end] |= True if means is None else means
    return is_deleted


def apply_deletions(
    arrays: ShardArrays,
    entry: ShardEntry,
    deletions: Sequence[Deletion],
    *,
    earlier: ShardArrays | None = None,
) -> ShardArrays:
    """Returns the state with the deletions that are pending for it: its `deleted` and `newest`.

    A pattern without a remaining event has NEVER_NS as its newest. `earlier` is what this function
    made of an earlier state of the shard by the same deletions; only what came since is looked at.
    """
    first_event = arrays.header.first_event
    pending = pending_deletions(entry, deletions, first_event)
    if not pending:
        return arrays
    old = 0 if earlier is None else len(earlier.columns.times)
    new = _from_row(arrays.columns, old)
    fresh = deleted_events(new, arrays.labelsets, first_event + old, pending)
    if arrays.deleted is not None:
        fresh |= arrays.deleted[old:]
    deleted = np.concatenate([_deleted(earlier), fresh])
    newest = np.full(arrays.counters.patterns, NEVER_NS)
    if earlier is not None:
        newest[: len(earlier.newest)] = earlier.newest
    np.maximum.at(newest, new.patterns[~fresh], new.times[~fresh])
    return replace(arrays, deleted=deleted if deleted.any() else None, newest=newest)


def _deleted(arrays: ShardArrays | None) -> NDArray[np.bool_]:
    if arrays is None:
        return np.zeros(0, np.bool_)
    if arrays.deleted is None:
        return np.zeros(len(arrays.columns.times), np.bool_)
    return arrays.deleted


def _from_row(columns: Columns, row: int) -> Columns:
    return Columns(
        columns.times[row:], columns.patterns[row:], columns.labelsets[row:], columns.kinds[row:]
    )


class DeletionMask:
    """Applies deletions to the states of one shard, anew only where something has changed.

    Not for use by several threads at once.
    """

    def __init__(self) -> None:
        self._pending: tuple[Deletion, ...] = ()
        self._masked: ShardArrays | None = None

    def apply(
        self, arrays: ShardArrays, entry: ShardEntry, deletions: Sequence[Deletion]
    ) -> ShardArrays:
        """Returns apply_deletions of a state of the shard that is not older than the last one."""
        pending = pending_deletions(entry, deletions, arrays.header.first_event)
        earlier = self._masked if pending == self._pending else None
        if earlier is not None and earlier.counters == arrays.counters:
            return earlier
        self._pending = pending
        self._masked = apply_deletions(arrays, entry, deletions, earlier=earlier)
        return self._masked
