from __future__ import annotations

import argparse
from datetime import UTC, datetime

import pytest

from dejalog.daemon.count_flags import (
    Teller,
    add_output_flags,
    add_text,
    label_advice,
    read_asked,
    showing,
)
from dejalog.daemon.filter_flags import add_filter_flags
from dejalog.indexer.answer import Coverage
from dejalog.indexer.query import parse_condition

NOW = datetime(2022, 8, 22, 12, tzinfo=UTC)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_text(parser)
    add_filter_flags(parser)
    add_output_flags(parser, has_limit=True)
    return parser.parse_args(["--timezone", "UTC", *arguments])


def coverage(total: int, matched: int, **given: object) -> Coverage:
    return Coverage(total, matched, 1, 0.012, **given)  # type: ignore[arg-type]


def test_times_inside_of_the_text_are_taken_out_of_it() -> None:
    asked = read_asked(parse('"low oil"', "since:2h", "--where", "host=a"), NOW)
    assert asked.text.split() == ['"low', 'oil"']
    assert asked.given.since_ns == (int(NOW.timestamp()) - 7200) * 10**9
    assert asked.given.where == ("host=a",)


def test_nothing_is_left_out_without_saying_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert showing(50, 1204, "patterns") == "showing 50 of 1 204 patterns, -n shows more"
    assert showing(3, 3, "changes") == "3 changes"
    teller = Teller(parse())
    teller.sum_up(["2 patterns"], coverage(1000, 1000))
    teller.sum_up([], coverage(1000, 10))
    assert capsys.readouterr().err.splitlines() == [
        "2 patterns, 1 000 events counted in 12 ms", "10 of 1 000 events counted in 12 ms",
    ]  # fmt: skip
    Teller(parse("-q")).sum_up(["2 patterns"], coverage(1, 1))
    assert capsys.readouterr() == ("", "")


def test_exit_codes_tell_some_none_and_partial(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(parse("-q"))
    assert teller.finish(coverage(1, 1), is_cut=False, is_any=True) == 0
    assert teller.finish(coverage(1, 0), is_cut=False, is_any=False) == 1
    assert capsys.readouterr().err == ""
    damaged = coverage(1, 1, is_partial=True, damaged_shards=("000002: torn",))
    assert teller.finish(damaged, is_cut=True, is_any=True) == 4
    err = capsys.readouterr().err
    assert "not counted: 000002: torn" in err
    assert "may be too low" in err
    assert "shortened by the daemon" in err


def test_a_label_that_no_event_has_is_named_with_the_nearest_one() -> None:
    conditions = [parse_condition(text) for text in ("hots=a", "severity=warn", "host=b", "q=1")]
    assert list(label_advice(conditions, frozenset({"host"}))) == [
        "no event has a label 'hots'; did you mean host?",
        "no event has a label 'q'; known: host, kind, severity",
    ]
