from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer.filter import Condition, filter_events
from dejalog.indexer.store.layout import Columns

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
    ],
)
def test_a_condition_chooses_its_events(condition: Condition, expected: list[int]) -> None:
    assert chosen(condition) == expected


def test_all_conditions_must_hold() -> None:
    assert chosen(Condition("site", "=", "lodz"), Condition("kind", "=", "log"), since=15) == [1]
