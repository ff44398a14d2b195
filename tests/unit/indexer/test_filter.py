from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from dejalog.indexer.filter import Condition, TimeRange, filter_events
from dejalog.indexer.store.layout import Columns, Counters

COLUMNS = Columns(
    times=np.array([10, 20, 30, 40], np.int64),
    patterns=np.zeros(4, np.uint32),
    labelsets=np.array([0, 1, 0, 2], np.uint32),
    kinds=np.array([1, 1, 2, 2], np.uint8),
)
LABELSETS = (
    (("severity", "error"), ("site", "Lodz")),
    (("severity", "info"), ("site", "lodz")),
    (),
)


def chosen(*conditions: Condition, since: int | None = None, until: int | None = None) -> list[int]:
    mask = filter_events(COLUMNS, LABELSETS, conditions, since_ns=since, until_ns=until)
    assert mask is not None
    return np.flatnonzero(mask).tolist()


def test_without_filters_every_event_counts() -> None:
    assert filter_events(COLUMNS, LABELSETS, (), since_ns=None, until_ns=None) is None


def test_since_is_inclusive_and_until_exclusive() -> None:
    assert chosen(since=20, until=40) == [1, 2]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition("site", "=", "LODZ"), [0, 1, 2]),
        (Condition("site", "!=", "lodz"), [3]),
        (Condition("severity", ">=", "warn"), [0, 2]),
        (Condition("severity", "<=", "info"), [1]),
        (Condition("severity", ">=", "INFO"), [0, 1, 2]),
        (Condition("kind", "=", "note"), [2, 3]),
        (Condition("kind", "!=", "NOTE"), [0, 1]),
        (Condition("unheard", "=", "of"), []),
        # Not the same as severity<=info: the last event has none.
        (Condition("severity", ">=", "warn", is_negated=True), [1, 3]),
        (Condition("site", "=", "lodz", is_negated=True), [3]),
        (Condition("kind", "=", "note", is_negated=True), [0, 1]),
        (Condition("kind", "!=", "note", is_negated=True), [2, 3]),
    ],
)
def test_a_condition_chooses_its_events(condition: Condition, expected: list[int]) -> None:
    assert chosen(condition) == expected


def test_a_condition_is_shown_as_it_is_written() -> None:
    assert str(Condition("site", "!=", "lodz")) == "site!=lodz"
    assert str(Condition("severity", ">=", "warn", is_negated=True)) == "-severity>=warn"


def test_all_conditions_must_hold() -> None:
    assert chosen(Condition("site", "=", "lodz"), Condition("kind", "=", "log"), since=15) == [1]


def test_many_conditions_take_no_more_memory_than_a_few() -> None:
    """A mask for each of a text's thousand filters, all at once, ate a gateway's memory."""
    events = 1_000_000
    columns = Columns(
        times=np.zeros(events, np.int64),
        patterns=np.zeros(events, np.uint32),
        labelsets=np.zeros(events, np.uint32),
        kinds=np.ones(events, np.uint8),
    )
    conditions = [Condition("site", "!=", str(n)) for n in range(60)]
    conditions += [Condition("kind", "=", "log")] * 60
    tracemalloc.start()
    try:
        mask = filter_events(columns, LABELSETS, conditions, since_ns=0, until_ns=1)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert mask is not None
    assert mask.all()
    assert peak_bytes < 8 * events


def test_a_few_events_among_many_label_sets_are_judged_by_their_own() -> None:
    """A deletion looks at the few newest events of a shard with very many label sets."""
    many = [(("site", "Lodz"),), *((("site", str(n)),) for n in range(1000))]
    columns = Columns(
        times=COLUMNS.times[:2],
        patterns=COLUMNS.patterns[:2],
        labelsets=np.array([1000, 0], np.uint32),
        kinds=COLUMNS.kinds[:2],
    )
    mask = filter_events(
        columns, many, [Condition("site", "!=", "lodz")], since_ns=None, until_ns=None
    )
    assert mask is not None
    assert mask.tolist() == [True, False]


@pytest.mark.parametrize(
    ("since", "until", "misses", "left"),
    [
        (None, None, False, (None, None)),
        (10, 21, False, (None, None)),
        (11, None, False, (11, None)),
        (None, 20, False, (None, 20)),
        (20, None, False, (20, None)),
        (21, None, True, None),
        (None, 10, True, None),
        (None, 11, False, (None, 11)),
    ],
)
def test_a_time_range_misses_a_shard_or_cuts_it(since, until, misses, left) -> None:
    counters, times = Counters(oldest_ns=10, newest_ns=20), TimeRange(since, until)
    assert times.misses(counters) == misses
    if not misses:
        within = times.within(counters)
        assert (within.since_ns, within.until_ns) == left
