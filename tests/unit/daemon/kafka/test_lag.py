from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.kafka.lag import Lag, PartitionReach, note_of, stored_offsets
from dejalog.indexer.event import Position

OFFSETS = st.none() | st.integers(0, 1000)


def reach(**offsets: int | None) -> PartitionReach:
    return PartitionReach("logs", 0, **offsets)


@pytest.mark.parametrize(
    ("offsets", "lag"),
    [
        ({"stored": 40, "committed": 30, "begin": 0, "end": 100}, 60),
        ({"committed": 30, "begin": 0, "end": 100}, 70),
        ({"begin": 10, "end": 100}, 90),
        ({"stored": 100, "begin": 0, "end": 100}, 0),
        # Another worker has had the partition since.
        ({"stored": 40, "committed": 90, "begin": 0, "end": 100}, 10),
        # What retention has deleted cannot be read.
        ({"stored": 40, "begin": 70, "end": 100}, 30),
        ({"stored": 40}, None),
    ],
)
def test_the_lag_is_what_a_worker_has_still_to_read(offsets, lag: int | None) -> None:
    assert reach(**offsets).lag == lag


@given(OFFSETS, OFFSETS, OFFSETS, OFFSETS)
def test_the_lag_is_never_negative_and_never_more_than_the_log(
    stored: int | None, committed: int | None, begin: int | None, end: int | None
) -> None:
    lag = reach(stored=stored, committed=committed, begin=begin, end=end).lag
    assert (lag is None) is (end is None)
    if lag is not None and end is not None:
        assert 0 <= lag <= max(0, end - (begin or 0))


@pytest.mark.parametrize(
    ("offsets", "has_leader", "note"),
    [
        ({"stored": 40, "begin": 0, "end": 100}, True, ""),
        ({"begin": 0, "end": 100}, True, "never read"),
        ({"committed": 3, "begin": 0, "end": 100}, True, "no position here"),
        ({"stored": 40, "begin": 70, "end": 100}, True, "30 deleted by retention before they"),
        ({"stored": 140, "begin": 0, "end": 100}, True, "the position is beyond the end"),
        ({"stored": 40}, False, "no leader at present"),
        ({"stored": 40}, None, "the partition is gone"),
    ],
)
def test_what_is_wrong_with_a_partition_is_said(
    offsets, has_leader: bool | None, note: str
) -> None:
    said = note_of(reach(**offsets), has_leader)
    assert said.startswith(note)
    assert bool(said) is bool(note)


def test_of_several_indexes_the_furthest_counts_and_other_sources_do_not() -> None:
    positions = [
        Position("kafka:logs", "0", 40),
        Position("kafka:logs", "0", 90),
        Position("kafka:logs", "0", 70),
        Position("kafka:a.b-c_d", "11", 5),
        Position("file", "1:2", 7),
        Position("kafka", "0", 8),
        Position("kafka:logs", "x", 9),
    ]
    assert stored_offsets(positions) == {("logs", 0): 90, ("a.b-c_d", 11): 5}


def test_partitions_whose_end_is_not_known_do_not_count_in_the_sum() -> None:
    partitions = (reach(stored=1, end=4), reach(stored=1), reach(begin=0, end=5))
    assert Lag("dejalog", partitions).total == 8
