from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.deletion import (
    DeletionMask,
    apply_deletions,
    deleted_events,
    pending_deletions,
)
from dejalog.indexer.store.layout import Columns, Counters
from dejalog.indexer.store.manifest import Deletion, ShardEntry
from dejalog.indexer.store.shard import new_header
from dejalog.indexer.store.view import NEVER_NS, ShardArrays

FIRST = 100
LABELSETS = ((("host", "a"),), (("host", "b"),))
PATTERNS = 3


def columns_of(count: int) -> Columns:
    """Event i happens at second i, of pattern i % 3, by turns on host a and b."""
    numbers = np.arange(count)
    return Columns(
        times=numbers.astype(np.int64),
        patterns=(numbers % PATTERNS).astype(np.uint32),
        labelsets=(numbers % 2).astype(np.uint32),
        kinds=np.ones(count, np.uint8),
    )


def state_of(count: int, deleted: list[int] | None = None) -> ShardArrays:
    """What a view hands out: its newest times are of all events that are not hollow."""
    columns = columns_of(count)
    is_deleted = None
    if deleted is not None:
        is_deleted = np.zeros(count, np.bool_)
        is_deleted[deleted] = True
    header = new_header(
        shard=1, created_ns=0, first_event=FIRST, first_dead_letter=0,
        encoder_fingerprint="none", mask_version=1, dim=8, pooled_dim=8,
    )  # fmt: skip
    newest = newest_of(columns, np.zeros(count, np.bool_) if is_deleted is None else is_deleted)
    counters = Counters(events=count, patterns=PATTERNS)
    return ShardArrays(
        shard=None,  # type: ignore[arg-type]
        header=header,
        counters=counters,
        vectors=None,  # type: ignore[arg-type]
        columns=columns,
        newest=newest,
        order=None,
        labelsets=LABELSETS,
        label_names=frozenset({"host"}),
        deleted=is_deleted,
    )


def newest_of(columns: Columns, deleted: np.ndarray) -> np.ndarray:
    newest = np.full(PATTERNS, NEVER_NS)
    for pattern, time_ns, is_gone in zip(columns.patterns, columns.times, deleted, strict=True):
        if not is_gone:
            newest[pattern] = max(newest[pattern], time_ns)
    return newest


def deletion(number: int, end: int, **changes: object) -> Deletion:
    return replace_struct(Deletion(number, 0, FIRST + end), **changes)


def replace_struct(value: Deletion, **changes: object) -> Deletion:
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return Deletion(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_deletion_means_older_events_that_meet_all_of_it() -> None:
    found = deleted_events(
        columns_of(12),
        LABELSETS,
        FIRST,
        [deletion(1, 10, since_ns=4, until_ns=9, conditions=(("host", "=", "B"),))],
    )
    assert np.flatnonzero(found).tolist() == [5, 7]
    everything = deleted_events(columns_of(12), LABELSETS, FIRST, [deletion(1, 10)])
    assert np.flatnonzero(everything).tolist() == list(range(10))


def test_several_deletions_add_up() -> None:
    some = [deletion(1, 3), deletion(2, 99, since_ns=10)]
    found = deleted_events(columns_of(12), LABELSETS, FIRST, some)
    assert np.flatnonzero(found).tolist() == [0, 1, 2, 10, 11]


def test_only_deletions_that_reach_a_shard_and_are_not_applied_are_pending() -> None:
    deletions = [deletion(1, 5), deletion(2, 0), deletion(3, 5)]
    assert pending_deletions(ShardEntry(1), deletions, FIRST) == (deletions[0], deletions[2])
    assert pending_deletions(ShardEntry(1, deletions_applied=1), deletions, FIRST) == (
        deletions[2],
    )


def test_a_pattern_without_an_event_left_is_never_seen() -> None:
    state = state_of(6)
    # Rows 0 and 3 are all that pattern 0 has.
    masked = apply_deletions(state, ShardEntry(1), [deletion(1, 4)])
    assert masked.deleted is not None
    assert np.flatnonzero(masked.deleted).tolist() == [0, 1, 2, 3]
    assert masked.newest.tolist() == [NEVER_NS, 4, 5]
    assert state.deleted is None
    assert state.newest.tolist() == [3, 4, 5]


def test_what_means_no_event_changes_nothing() -> None:
    state = state_of(6)
    masked = apply_deletions(state, ShardEntry(1), [deletion(1, 4, since_ns=50)])
    assert masked.deleted is None
    assert masked.newest.tolist() == state.newest.tolist()
    assert apply_deletions(state, ShardEntry(1, deletions_applied=1), [deletion(1, 4)]) is state


def test_hollow_events_stay_hollow() -> None:
    masked = apply_deletions(state_of(6, [0, 5]), ShardEntry(1), [deletion(1, 2)])
    assert masked.deleted is not None
    assert np.flatnonzero(masked.deleted).tolist() == [0, 1, 5]
    assert masked.newest.tolist() == [3, 4, 2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=6).map(sorted),
    st.lists(
        st.builds(
            deletion,
            st.integers(1, 3),
            st.integers(-3, 30),
            since_ns=st.none() | st.integers(0, 30),
            conditions=st.sampled_from([(), (("host", "=", "a"),)]),
        ),
        max_size=3,
    ),
)
def test_following_a_shard_is_the_same_as_beginning_anew(
    sizes: list[int], deletions: list[Deletion]
) -> None:
    mask, entry = DeletionMask(), ShardEntry(1, deletions_applied=1)
    for size in sizes:
        followed = mask.apply(state_of(size), entry, deletions)
        anew = apply_deletions(state_of(size), entry, deletions)
        gone = np.zeros(size, np.bool_) if anew.deleted is None else anew.deleted
        assert (followed.deleted is None) == (anew.deleted is None)
        if followed.deleted is not None:
            assert followed.deleted.tolist() == gone.tolist()
        assert followed.newest.tolist() == newest_of(columns_of(size), gone).tolist()


def test_a_new_deletion_is_applied_to_a_state_that_has_not_changed() -> None:
    mask, state = DeletionMask(), state_of(6)
    first = mask.apply(state, ShardEntry(1), [deletion(1, 1)])
    assert mask.apply(replace(state), ShardEntry(1), [deletion(1, 1)]) is first
    second = mask.apply(state, ShardEntry(1), [deletion(1, 1), deletion(2, 2)])
    assert second.deleted is not None
    assert int(second.deleted.sum()) == 2


@pytest.mark.parametrize("count", [0, 1])
def test_a_shard_with_hardly_an_event_is_no_exception(count: int) -> None:
    masked = apply_deletions(state_of(count), ShardEntry(1), [deletion(1, 99)])
    assert (masked.newest == NEVER_NS).all()
