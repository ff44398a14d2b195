from __future__ import annotations

import argparse

import pytest

from dejalog.daemon.question_flags import (
    Number,
    Seconds,
    add_question_flags,
    elapsed,
    event_id,
)


def test_numbers_and_seconds_are_read_within_their_bounds() -> None:
    assert Number(1, 5)("5") == 5
    assert Seconds(10)("0.5") == 0.5
    assert Seconds(10, has_zero=True)("0") == 0.0
    assert event_id("18204") == 18204
    for read, text in (
        (Number(1, 5), "0"),
        (Number(1, 5), "six"),
        (Number(1, 5), "\u0665"),
        (Seconds(10), "0"),
        (Seconds(10), "11"),
        (Seconds(10), "nan"),
        (Seconds(10), "a while"),
        (event_id, "-1"),
        (event_id, str(2**63)),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match="is not"):
            read(text)


def test_a_question_is_hybrid_and_waits_half_a_minute_unless_told_otherwise() -> None:
    parser = argparse.ArgumentParser()
    add_question_flags(parser)
    parsed = parser.parse_args([])
    assert (parsed.mode, parsed.timeout) == ("hybrid", 30.0)
    assert parser.parse_args(["--timeout", "2", "--mode", "lexical"]).timeout == 2.0


def test_what_took_less_than_a_second_is_said_in_milliseconds() -> None:
    assert elapsed(0.0341) == "34 ms"
    assert elapsed(1.24) == "1.2 s"
