from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.counts.buckets import BUCKETS_MAX, check_count, divide_range
from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import TimeRange

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INT64, min_size=1, max_size=20), st.integers(1, BUCKETS_MAX))
def test_every_time_falls_into_the_bucket_that_its_edges_say(times: list[int], count: int) -> None:
    oldest, newest = min(times), max(times)
    if newest - oldest > 2**63 - 2:
        newest = oldest
    buckets = divide_range(TimeRange(None, None), oldest, newest, count)
    kept = [time for time in times if oldest <= time <= newest]
    found = buckets.of(np.array(kept, np.int64))
    for time, bucket in zip(kept, found.tolist(), strict=True):
        assert 0 <= bucket < count
        start = buckets.start_ns + bucket * buckets.width_ns
        assert start <= time < start + buckets.width_ns


def test_a_range_that_is_given_counts_and_not_where_events_are() -> None:
    buckets = divide_range(TimeRange(100, 200), 150, 160, 4)
    assert (buckets.start_ns, buckets.width_ns) == (100, 25)
    assert divide_range(TimeRange(100, None), 150, 160, 4).start_ns == 100
    assert divide_range(TimeRange(None, 200), 150, 160, 5).width_ns == 10


def test_a_range_that_cannot_be_divided_evenly_is_reached_over() -> None:
    buckets = divide_range(TimeRange(0, 10), 0, 0, 3)
    assert buckets.width_ns == 4
    assert buckets.of(np.array([0, 3, 4, 9])).tolist() == [0, 0, 1, 2]


def test_a_range_of_centuries_is_refused() -> None:
    with pytest.raises(QueryError, match="292 years"):
        divide_range(TimeRange(-(2**63), 2**63 - 1), 0, 0, 10)


@pytest.mark.parametrize("count", [0, -1, BUCKETS_MAX + 1])
def test_impossible_numbers_of_buckets_are_refused(count: int) -> None:
    with pytest.raises(QueryError, match=f"1 to {BUCKETS_MAX}"):
        check_count(count)
