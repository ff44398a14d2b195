from __future__ import annotations

import argparse
from datetime import UTC, datetime

import pytest

from dejalog.daemon.filter_flags import Filter, add_filter_flags, read_filter, take_times
from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import Condition

NOW = datetime(2024, 3, 5, 12, tzinfo=UTC)


def read(*arguments: str) -> Filter:
    parser = argparse.ArgumentParser()
    add_filter_flags(parser)
    return read_filter(parser.parse_args(["--timezone", "UTC", *arguments]), NOW)


def test_labels_kinds_and_times_are_read_as_search_reads_them() -> None:
    found = read("-l", "site=lodz", "--where", "severity>=warn", "--kind", "note")
    assert found.conditions == (
        Condition("site", "=", "lodz"),
        Condition("severity", ">=", "warn"),
        Condition("kind", "=", "note"),
    )
    found = read("--since", "2024-03-01", "--until", "2024-03-01")
    assert (found.since_ns, found.until_ns) == (1_709_251_200 * 10**9, 1_709_337_600 * 10**9)
    assert not found.is_empty


def test_without_a_flag_every_event_is_meant() -> None:
    assert read().is_empty


def test_a_filter_says_what_it_means() -> None:
    assert str(read("-l", "site!=lodz", "--until", "2024-03-01 06:00")) == (
        "site!=lodz, until 2024-03-01 06:00:00.000 +00:00"
    )
    assert str(read("--since", "1h")) == "since 2024-03-05 11:00:00.000 +00:00"


@pytest.mark.parametrize(
    "arguments",
    [("--since", "1h", "--until", "2h"), ("-l", "site"), ("-l", "site>=3"), ("--until", "soon")],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(QueryError):
        read(*arguments)


def taken(text: str, *arguments: str) -> tuple[str, str]:
    text, given = take_times(text, read(*arguments), NOW)
    return text, str(given)


def test_times_in_a_text_are_taken_out_of_it() -> None:
    text, given = taken("pump since:2h  trips")
    assert text == "pump           trips"
    assert given == "since 2024-03-05 10:00:00.000 +00:00"
    text, given = taken('since:"last monday 06:00" x until:2024-03-05T06:00+01:00')
    assert text.split() == ["x"]
    assert given == ("since 2024-03-04 06:00:00.000 +00:00, until 2024-03-05 05:00:00.000 +00:00")
    assert taken("x until:yesterday")[1] == "until 2024-03-05 00:00:00.000 +00:00"


def test_a_text_and_the_flags_narrow_each_other() -> None:
    assert taken("x since:2h", "--since", "1h")[1] == "since 2024-03-05 11:00:00.000 +00:00"
    assert taken("x since:1h", "--since", "2h")[1] == "since 2024-03-05 11:00:00.000 +00:00"
    assert taken("x until:1h", "--until", "2h")[1] == "until 2024-03-05 10:00:00.000 +00:00"
    with pytest.raises(QueryError, match="is not before"):
        taken("x since:1h", "--until", "2h")


@pytest.mark.parametrize(
    "text",
    [
        '"since:2h" x',
        '-"up since:2h now" x',
        "2015-07-29 17:41:44,747 - INFO up since:2h",
        "first line since:2h\nsecond line",
        "since: 2h",
        "waiting-since:2h",
        "since:",
    ],
)
def test_what_only_looks_like_a_time_stays_text(text: str) -> None:
    assert taken(text) == (text, "")


def test_a_time_in_a_text_that_cannot_be_read_is_refused_by_name() -> None:
    with pytest.raises(QueryError, match="since:soon in the text: cannot read the time 'soon'"):
        taken("pump since:soon")
