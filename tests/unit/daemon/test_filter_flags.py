from __future__ import annotations

import argparse
from datetime import UTC, datetime

import pytest

from dejalog.daemon.filter_flags import Filter, add_filter_flags, read_filter
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
