from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.human_time import (
    SECOND_NS,
    format_age,
    format_span,
    format_time,
    named_zone,
    parse_time,
    to_rfc3339,
)
from dejalog.indexer.errors import QueryError

WARSAW = ZoneInfo("Europe/Warsaw")
#: A Wednesday, 12:30 in Warsaw.
NOW = datetime(2022, 8, 24, 10, 30, tzinfo=UTC)


def ns(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * SECOND_NS


def parse(text: str, *, zone: object = WARSAW, is_end: bool = False, now: datetime = NOW) -> int:
    return parse_time(text, now=now, zone=zone, is_end=is_end)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", ns(2022, 8, 24, 10, 30)),
        ("15m", ns(2022, 8, 24, 10, 15)),
        ("2h ago", ns(2022, 8, 24, 8, 30)),
        ("1h30m", ns(2022, 8, 24, 9, 0)),
        ("2 days ago", ns(2022, 8, 22, 10, 30)),
        ("1 Week", ns(2022, 8, 17, 10, 30)),
        ("today", ns(2022, 8, 23, 22)),
        ("today 06:00", ns(2022, 8, 24, 4)),
        ("Yesterday", ns(2022, 8, 22, 22)),
        ("yesterday 6:05", ns(2022, 8, 23, 4, 5)),
        ("06:30", ns(2022, 8, 24, 4, 30)),
        ("last monday", ns(2022, 8, 21, 22)),
        ("last wed", ns(2022, 8, 16, 22)),
        ("wednesday", ns(2022, 8, 23, 22)),
        ("last tuesday 14:00", ns(2022, 8, 23, 12)),
        ("2022-08-22", ns(2022, 8, 21, 22)),
        ("2022-08-22 05:18", ns(2022, 8, 22, 3, 18)),
        ("2022-08-22T05:18:16", ns(2022, 8, 22, 3, 18, 16)),
        ("2022-08-22T05:18:16Z", ns(2022, 8, 22, 5, 18, 16)),
        ("2022-08-22 05:18 UTC", ns(2022, 8, 22, 5, 18)),
        ("2022-08-22T05:18:16-0330", ns(2022, 8, 22, 8, 48, 16)),
        ("2022-08-22 05:18 Asia/Tokyo", ns(2022, 8, 21, 20, 18)),
        ("06:30 America/New_York", ns(2022, 8, 24, 10, 30)),
        ("2022-01-22 05:18", ns(2022, 1, 22, 4, 18)),
        ("1661145496", ns(2022, 8, 22, 5, 18, 16)),
        ("1661145496000", ns(2022, 8, 22, 5, 18, 16)),
        ("@0", 0),
        ("2 years ago", ns(2020, 8, 24, 10, 30)),
        ("3 mo", ns(2022, 5, 24, 10, 30)),
        ("6 months ago", ns(2022, 2, 24, 11, 30)),
        ("1y 2mo 3d", ns(2021, 6, 21, 10, 30)),
        ("last 24 hours", ns(2022, 8, 23, 10, 30)),
        ("past 2 weeks", ns(2022, 8, 10, 10, 30)),
        ("last month", ns(2022, 6, 30, 22)),
        ("this month", ns(2022, 7, 31, 22)),
        ("this year", ns(2021, 12, 31, 23)),
        ("last week", ns(2022, 8, 14, 22)),
        ("march", ns(2022, 2, 28, 23)),
        ("Sept", ns(2021, 8, 31, 22)),
        ("march 2021", ns(2021, 2, 28, 23)),
        ("2022-03", ns(2022, 2, 28, 23)),
        ("2022-03 UTC", ns(2022, 3, 1)),
        ("22 Aug", ns(2022, 8, 21, 22)),
        ("august 22, 2021", ns(2021, 8, 21, 22)),
        ("22 aug 2021 05:18", ns(2021, 8, 22, 3, 18)),
        ("6:30 pm", ns(2022, 8, 24, 16, 30)),
        ("6pm yesterday", ns(2022, 8, 23, 16)),
        ("12 am", ns(2022, 8, 23, 22)),
        ("yesterday at 14:00", ns(2022, 8, 23, 12)),
        ("14:00 monday", ns(2022, 8, 22, 12)),
        ("yesterday 14:00 +01:00", ns(2022, 8, 23, 13)),
        ("yesterday 14:00 Europe/London", ns(2022, 8, 23, 13)),
        ("yesterday 14:00 UTC", ns(2022, 8, 23, 14)),
        ("14:00 UTC yesterday", ns(2022, 8, 23, 14)),
        ("yesterday UTC", ns(2022, 8, 23)),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, expected: int) -> None:
    assert parse(text) == expected


def test_nanoseconds_are_kept() -> None:
    assert parse("2022-08-22T05:18:16.154660034Z") == ns(2022, 8, 22, 5, 18, 16) + 154_660_034
    assert parse("1661145496154660034") == 1_661_145_496_154_660_034
    assert parse("@1661145496.25") == 1_661_145_496_250_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022-08-22", ns(2022, 8, 22, 22)),
        ("yesterday", ns(2022, 8, 23, 22)),
        ("2022-08-22 00:00", ns(2022, 8, 21, 22)),
        ("15m", ns(2022, 8, 24, 10, 15)),
        ("2 years ago", ns(2020, 8, 24, 10, 30)),
        ("last month", ns(2022, 7, 31, 22)),
        ("last week", ns(2022, 8, 21, 22)),
        ("march 2021", ns(2021, 3, 31, 22)),
        ("last year", ns(2021, 12, 31, 23)),
        ("22 aug 2021", ns(2021, 8, 22, 22)),
        ("22 aug 2021 05:18", ns(2021, 8, 22, 3, 18)),
    ],
)
def test_a_whole_day_as_the_end_of_a_range_means_its_end(text: str, expected: int) -> None:
    assert parse(text, is_end=True) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "soon", "03/04/2022", "04.03.2022", "2022/08/22", "2022-8-2", "2022-13-01",
        "2022-02-30", "25:00", "06:61", "6", "2022", "20220822", "15 parsecs", "ago", "5x ago",
        "2022-08-22 05:18 CEST", "2022-08-22 05:18 Mars/Base", "2022-08-22-05", "Z", "+02:00",
        "0001-01-01", "9999-12-31", "999999999w", "06:30 ../../etc/passwd", "last 06:00",
        "last month 06:00", "march 06:00", "last hour", "13pm", "0 am", "31 june", "30 feb 2022",
        "22-08-2022", "last 5 parsecs", "3 months ago UTC", "march 5 2022 25:00", "may 2022 UTC+1",
        "999999 years ago", "next monday", "1.5h", "31 dec 9999",
    ],
)  # fmt: skip
def test_what_is_unclear_is_an_error_and_not_a_guess(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text)


def test_the_last_day_of_the_calendar_has_no_end_that_is_read() -> None:
    with pytest.raises(QueryError):
        parse("9999-12-31", is_end=True)


def test_the_error_says_what_to_write() -> None:
    with pytest.raises(QueryError, match="'yesterday 06:00'"):
        parse("the day before")
    with pytest.raises(QueryError, match="two ways; write it as year-month-day"):
        parse("03/04/2022")
    for text in ("3/4/22 06:00", "22-08-2022"):
        with pytest.raises(QueryError, match="year-month-day"):
            parse(text)
    for text in ("yesterday 14:00 CET", "06:30 EST", "2022-08-22 05:18 UTC+2"):
        with pytest.raises(QueryError, match=r"zone .* is not clear; write UTC, \+02:00"):
            parse(text)
    with pytest.raises(QueryError, match="too far away"):
        parse("999999 years ago")


def test_months_ago_keep_the_time_that_the_clocks_show() -> None:
    """Three months of 30 days would begin in another week, and an hour off."""
    now = datetime(2022, 12, 31, 10, 30, tzinfo=UTC)
    assert parse("3 months ago", now=now) == ns(2022, 9, 30, 9, 30)
    assert parse("10 months ago", now=now) == ns(2022, 2, 28, 10, 30)


def test_a_day_has_23_hours_when_clocks_go_forward() -> None:
    begin, end = parse("2022-03-27"), parse("2022-03-27", is_end=True)
    assert (end - begin) == 23 * 3600 * SECOND_NS


def test_a_skipped_time_is_the_moment_of_the_change() -> None:
    change = ns(2022, 3, 27, 1)
    assert parse("2022-03-27 02:00") == change
    assert parse("2022-03-27 02:59:59") == change
    assert parse("2022-03-27 02:30", is_end=True) == change
    assert parse("2022-03-27 03:00") == change


def test_a_day_that_begins_with_a_skipped_hour_begins_after_it() -> None:
    # In Santiago clocks went from 24:00 to 01:00 on 2022-09-10.
    assert parse("2022-09-11", zone=ZoneInfo("America/Santiago")) == ns(2022, 9, 11, 4)


def test_a_time_that_happened_twice_spans_both_as_a_range() -> None:
    assert parse("2022-10-30 02:30") == ns(2022, 10, 30, 0, 30)
    assert parse("2022-10-30 02:30", is_end=True) == ns(2022, 10, 30, 1, 30)


@pytest.fixture
def _warsaw_by_rule(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_warsaw_by_rule")
@pytest.mark.parametrize("is_end", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "today",
        "2022-01-22 05:18",
        "2022-03-27 02:30",
        "2022-03-27",
        "2022-10-30 02:30",
        "06:30",
        "7 months ago",
        "march",
        "last year",
    ],
)
def test_the_systems_zone_changes_its_clocks_too(text: str, is_end: bool) -> None:
    assert parse(text, zone=None, is_end=is_end) == parse(text, is_end=is_end)


@pytest.mark.usefixtures("_warsaw_by_rule")
def test_the_offset_of_the_systems_zone_is_that_of_the_time() -> None:
    assert format_time(ns(2022, 10, 30, 0, 30), None) == "2022-10-30 02:30:00.000 +02:00"
    assert format_time(ns(2022, 10, 30, 1, 30), None) == "2022-10-30 02:30:00.000 +01:00"


@given(st.integers(ns(1700, 1, 1), ns(2250, 1, 1)))
def test_what_is_shown_can_be_typed_again(time_ns: int) -> None:
    time_ns -= time_ns % 1_000_000
    offset = timezone(timedelta(hours=5, minutes=45))
    assert parse(format_time(time_ns, offset)) == time_ns
    assert parse(to_rfc3339(time_ns)) == time_ns


@given(st.text(max_size=24))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except QueryError:
        return


@given(st.from_regex(r"(last )?(mon|sunday|today|2022-0[1-9]-[0-3][0-9])?T? ?[0-9]{1,2}:[0-9]{2}"))
def test_near_misses_are_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except QueryError:
        return


def test_a_time_is_shown_with_its_offset() -> None:
    time_ns = ns(2022, 8, 22, 5, 18, 16) + 154_660_034
    assert format_time(time_ns, WARSAW) == "2022-08-22 07:18:16.154 +02:00"
    assert to_rfc3339(time_ns) == "2022-08-22T05:18:16.154660034Z"
    assert to_rfc3339(-1) == "1969-12-31T23:59:59.999999999Z"


def test_a_span_says_what_is_common_once() -> None:
    first = ns(2022, 8, 22, 5, 18, 16)
    assert format_span(first, first + 5, WARSAW) == "2022-08-22 07:18:16 +02:00"
    assert format_span(first, ns(2022, 8, 22, 6), WARSAW) == (
        "2022-08-22 07:18:16 .. 08:00:00 +02:00"
    )
    assert format_span(first, ns(2022, 8, 23, 6), WARSAW) == (
        "2022-08-22 07:18:16 .. 2022-08-23 08:00:00 +02:00"
    )
    assert format_span(first, ns(2022, 12, 1, 6), WARSAW) == (
        "2022-08-22 07:18:16 +02:00 .. 2022-12-01 07:00:00 +01:00"
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7199, "119 min ago"),
        (7200, "2 h ago"), (172_800, "2 days ago"), (61 * 86_400, "2 months ago"),
        (729 * 86_400, "24 months ago"), (4 * 365 * 86_400, "4 years ago"), (-300, "in 5 min"),
    ],
)  # fmt: skip
def test_an_age_is_rounded_to_a_unit(seconds: int, expected: str) -> None:
    assert format_age(0, seconds * SECOND_NS) == expected


def test_zones_are_named_or_refused() -> None:
    assert named_zone("utc") is UTC
    assert named_zone("-03:30").utcoffset(None) == timedelta(hours=-3, minutes=-30)
    for name in ("CET/Nowhere", "+25:00", "../etc/passwd", "/etc/localtime", "", "EU"):
        with pytest.raises(QueryError, match="unknown time zone"):
            named_zone(name)
