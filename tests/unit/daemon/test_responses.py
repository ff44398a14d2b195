"""Responses stay below 4 MiB and say what was left out; round trips are in the client's tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dejalog.client.messages.results import similar_from_message
from dejalog.daemon import responses
from dejalog.indexer.answer import (
    Context,
    Coverage,
    HistogramResult,
    Match,
    PatternsResult,
    PatternSummary,
    PrecedentsResult,
    Series,
    SimilarResult,
)
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Hit, Occurrence, Scores, SearchResult

MESSAGE_BYTES_MAX = 4 << 20
COVERAGE = Coverage(1, 1, 1, 0.5)
SCORES = Scores(1, 1, 1, 1, 1)


def event(text: str) -> Occurrence:
    return Occurrence(7, Event(Kind.LOG, 1, TimeOrigin.EVENT, text, "s", "0", 0))


def found(text: str, hits: int) -> SearchResult:
    hit = Hit("ab", text, SCORES, 1, 1, 1, (event(text),), ())
    return SearchResult((hit,) * hits, 1, 1, 1, 1, 0.1, is_partial=False)


def test_a_long_event_leaves_most_of_the_response_to_what_is_like_it() -> None:
    result = SimilarResult(event("x" * 3_000_000), found("y" * 1_000_000, 2))
    message = responses.similar_response(result, "token")
    assert message.ByteSize() < MESSAGE_BYTES_MAX
    assert (message.result.is_cut, message.result.next_page_token) == (True, "token")
    assert len(message.event.text) == 16_384
    assert [len(each.pattern) for each in message.result.hits] == [16_384, 1_000_000]


def test_a_cut_event_alone_is_said_too() -> None:
    result = SimilarResult(event("x" * 3_000_000), found("y", 2))
    message = responses.similar_response(result)
    assert message.result.is_cut
    assert similar_from_message(message).result == result.result
    precedents = PrecedentsResult(event("x" * 3_000_000), (), 0, COVERAGE)
    assert responses.precedents_response(precedents).is_cut


def test_precedents_of_a_text_have_no_event() -> None:
    message = responses.precedents_response(PrecedentsResult(None, (), 0, COVERAGE))
    assert not message.HasField("event")
    assert not message.is_cut


@pytest.mark.parametrize("length", [10, 3_000_000])
def test_context_keeps_its_order_however_long_the_lines_are(length: int) -> None:
    events = [event(f"{number}" + "x" * length) for number in range(6)]
    message = responses.context_response(Context(events[2], tuple(events[:2]), tuple(events[3:])))
    assert message.ByteSize() < MESSAGE_BYTES_MAX
    assert message.is_cut == (length > 10)
    order = [*message.before, message.event, *message.after]
    assert [each.text[0] for each in order] == ["0", "1", "2", "3", "4", "5"]


def test_the_largest_histogram_that_may_be_asked_for_fits() -> None:
    series = Series("\U0001f527" * 256, (2**62,) * 1_000)
    message = responses.histogram_response(HistogramResult((series,) * 101, 1, 1, COVERAGE))
    assert message.ByteSize() < MESSAGE_BYTES_MAX


def test_counts_are_never_cut() -> None:
    summary = PatternSummary("ab", "x" * 100_000, 1, 1, 1, 1, (5,) * 200, event("x" * 100_000))
    message = responses.patterns_response(
        PatternsResult((summary,) * 1_000, 1_000, 1, 1, COVERAGE), "next"
    )
    assert message.ByteSize() < MESSAGE_BYTES_MAX
    assert message.is_cut
    assert all(list(each.counts) == [5] * 200 for each in message.patterns)


def test_a_followed_event_that_is_too_long_is_cut_where_it_is() -> None:
    match = Match(event("x"), "ab", "x", SCORES, (), is_new_pattern=True)
    long = replace(match, occurrence=event("x" * 5_000_000))
    message = responses.follow_response([match, long], 9, is_partial=True)
    assert (message.last_event_id, message.is_partial) == (9, True)
    assert [each.is_cut for each in message.matches] == [False, True]


def test_what_could_not_be_read_is_passed_on() -> None:
    result: Any = replace(found("x", 1), damaged_shards=("s-1: a checksum differs",))
    message = responses.search_response(replace(result, is_partial=True), "token")
    assert list(message.damaged_shards) == ["s-1: a checksum differs"]
    assert message.is_partial
    assert message.next_page_token == "token"
