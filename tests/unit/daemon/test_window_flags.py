from __future__ import annotations

import argparse
from datetime import UTC, datetime

import pytest

from dejalog.daemon.window_flags import Windows, add_window_flags, read_windows
from dejalog.indexer.errors import QueryError

NOW = datetime(2022, 8, 22, 12, 0, tzinfo=UTC)
HOUR_NS = 3600 * 10**9
TODAY_NS = int(datetime(2022, 8, 22, tzinfo=UTC).timestamp()) * 10**9


def read(*arguments: str) -> Windows:
    parser = argparse.ArgumentParser()
    add_window_flags(parser)
    return read_windows(parser.parse_args(arguments), NOW, UTC)


def hours(windows: Windows) -> list[tuple[float, float]]:
    """Both windows, in hours since the day began."""
    return [
        ((w.since_ns - TODAY_NS) / HOUR_NS, (w.until_ns - TODAY_NS) / HOUR_NS)
        for w in (windows.before, windows.after)
    ]


def test_a_day_in_a_range_is_where_it_begins() -> None:
    windows = read("--before", "yesterday..today", "--after", "today 06:00..now")
    assert hours(windows) == [(-24, 0), (6, 12)]
    assert not windows.is_cut


def test_a_day_alone_is_all_of_it_and_an_open_end_is_now() -> None:
    assert hours(read("--before", "yesterday", "--after", "06:00..")) == [(-24, 0), (6, 12)]


def test_dates_with_zones_and_durations_are_read_as_everywhere() -> None:
    windows = read("--before", "2022-08-22T02:00+02:00..03:00", "--after", "2h..30m")
    assert hours(windows) == [(0, 3), (10, 11.5)]


def test_the_time_on_either_side_of_a_moment() -> None:
    assert hours(read("--at", "06:30", "--for", "30m")) == [(6, 6.5), (6.5, 7)]
    assert hours(read("--at", "06:30", "--for", "1h 30m")) == [(5, 6.5), (6.5, 8)]


def test_what_has_not_happened_yet_is_cut_off() -> None:
    windows = read("--at", "11:00", "--for", "2h")
    assert hours(windows) == [(9, 11), (11, 12)]
    assert windows.is_cut
    with pytest.raises(QueryError, match="lies in the future"):
        read("--at", "12:00", "--for", "2h")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what to compare"),
        (["--before", "yesterday"], "say what to compare"),
        (["--at", "06:30"], "go together"),
        (["--for", "1h"], "go together"),
        (["--at", "06:30", "--for", "1h", "--before", "yesterday"], "go together"),
        (["--at", "06:30", "--for", "yesterday"], "not a length of time"),
        (["--at", "06:30", "--for", "0m"], "no time at all"),
        (["--before", "06:00", "--after", "today"], "is a moment"),
        (["--before", "today..yesterday", "--after", "today"], "no later than it begins"),
        (["--before", "..06:00", "--after", "today"], "--before '..06:00': cannot read the time"),
        (["--before", "soon..now", "--after", "today"], "cannot read the time 'soon'"),
    ],
)
def test_what_cannot_be_compared_says_what_to_write(arguments: list[str], says: str) -> None:
    with pytest.raises(QueryError, match=says):
        read(*arguments)
