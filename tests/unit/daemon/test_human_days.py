from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.human_days import months_before, named_day, named_period

#: A Wednesday.
NOW = datetime(2022, 8, 24, 12, 30)


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("today", (2022, 8, 24)),
        ("yesterday", (2022, 8, 23)),
        ("wed", (2022, 8, 24)),
        ("last wed", (2022, 8, 17)),
        ("last tuesday", (2022, 8, 23)),
        ("2022-08-22", (2022, 8, 22)),
        ("24 august", (2022, 8, 24)),
        ("25 august", (2021, 8, 25)),
        ("august 25 2020", (2020, 8, 25)),
        ("29 feb", (2020, 2, 29)),
    ],
)
def test_a_day_is_the_latest_of_its_name(text: str, begin: tuple[int, int, int]) -> None:
    days = named_day(text, NOW)
    assert days is not None
    assert days.begin == datetime(*begin)
    assert days.end - days.begin == timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("this week", (2022, 8, 22), (2022, 8, 29)),
        ("last week", (2022, 8, 15), (2022, 8, 22)),
        ("this month", (2022, 8, 1), (2022, 9, 1)),
        ("last month", (2022, 7, 1), (2022, 8, 1)),
        ("last year", (2021, 1, 1), (2022, 1, 1)),
        ("august", (2022, 8, 1), (2022, 9, 1)),
        ("last august", (2021, 8, 1), (2021, 9, 1)),
        ("last july", (2022, 7, 1), (2022, 8, 1)),
        ("dec", (2021, 12, 1), (2022, 1, 1)),
        ("december 2020", (2020, 12, 1), (2021, 1, 1)),
        ("2020-02", (2020, 2, 1), (2020, 3, 1)),
    ],
)
def test_a_period_begins_where_one_looks_at_a_calendar(
    text: str, begin: tuple[int, int, int], end: tuple[int, int, int]
) -> None:
    assert named_period(text, NOW) == (datetime(*begin), datetime(*end))


@pytest.mark.parametrize("text", ["", "day", "last day", "august 2022 24", "mon tue", "Today"])
def test_anything_else_is_no_day_and_no_period(text: str) -> None:
    assert named_day(text, NOW) is None
    assert named_period(text, NOW) is None


@pytest.mark.parametrize("text", ["31 june", "30 feb 2022", "2022-02-30", "0 may"])
def test_a_day_that_is_in_no_calendar_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="day"):
        named_day(text, NOW)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.integers(0, 2000))
def test_so_many_months_before_is_in_the_month_that_counting_back_gives(
    wall: datetime, months: int
) -> None:
    before = months_before(wall, months)
    assert (wall.year - before.year) * 12 + wall.month - before.month == months
    assert before.time() == wall.time()
    assert before.day == wall.day or (before + timedelta(days=1)).day == 1
