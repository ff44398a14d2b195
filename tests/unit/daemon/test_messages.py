"""Results and requests survive the wire, and a large result is cut to fit, never refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.daemon.messages import (
    RESPONSE_BYTES_MAX,
    letter_filter_from_message,
    letter_filter_to_message,
    request_from_message,
    request_to_message,
    result_from_message,
    result_to_message,
    retry_report_from_message,
    retry_report_to_message,
    status_from_message,
    status_to_message,
)
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores, SearchResult
from dejalog.indexer.letters import LetterFilter, NumberRanges, RetryReport
from dejalog.indexer.query import Mode, SearchRequest
from dejalog.indexer.status import IndexStatus, PartitionLag
from dejalog.proto.v1 import search_pb2

TIMES = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=40)
LABELS = st.dictionaries(st.text(max_size=5), TEXTS, max_size=3).map(
    lambda labels: tuple(sorted(labels.items()))
)
COUNTS = st.integers(0, 2**31 - 1)
NUMBERS = st.floats(allow_nan=False)
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(Kind),
    time_ns=TIMES,
    time_origin=st.sampled_from(TimeOrigin),
    text=TEXTS,
    source=TEXTS,
    partition=TEXTS,
    offset=TIMES,
    sub=COUNTS,
    labels=LABELS,
    attributes=LABELS,
)
HITS = st.builds(
    Hit,
    pattern_id=TEXTS,
    pattern=TEXTS,
    scores=st.builds(Scores, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    count=COUNTS,
    first_seen_ns=TIMES,
    last_seen_ns=TIMES,
    occurrences=st.lists(st.builds(Occurrence, TIMES, EVENTS), max_size=3).map(tuple),
    evidence=st.lists(st.builds(Evidence, COUNTS, COUNTS, COUNTS, COUNTS, NUMBERS), max_size=3).map(
        tuple
    ),
)
RESULTS = st.builds(
    SearchResult,
    hits=st.lists(HITS, max_size=4).map(tuple),
    events_total=COUNTS,
    events_matched=COUNTS,
    patterns_scored=COUNTS,
    shards_searched=COUNTS,
    elapsed_s=NUMBERS,
    is_partial=st.booleans(),
)
REQUESTS = st.builds(
    SearchRequest,
    text=TEXTS,
    limit=st.integers(1, 1000),
    occurrences=st.integers(0, 100),
    since_ns=st.none() | TIMES,
    until_ns=st.none() | TIMES,
    where=st.lists(TEXTS, max_size=3).map(tuple),
    mode=st.sampled_from(Mode),
)


@given(REQUESTS)
def test_a_request_survives_the_wire(request):
    message = search_pb2.SearchRequest.FromString(request_to_message(request).SerializeToString())
    assert request_from_message(message) == request


@settings(deadline=None)
@given(RESULTS)
def test_a_result_survives_the_wire(result):
    # No evidence may reach beyond 2**31 code points, which COUNTS keeps.
    data = result_to_message(result).SerializeToString()
    assert result_from_message(search_pb2.SearchResponse.FromString(data)) == result


@pytest.mark.parametrize("newest_ns", [None, 0, 5])
def test_a_status_survives_the_wire(newest_ns):
    lags = (PartitionLag("kafka:logs", "3+1", 4, 9, 5, lost=2),)
    status = IndexStatus("/d", "1", "f", 1, 2, 3, 4, 5, 6, None, newest_ns, 7, 0.5, 0.25, lags)
    assert status_from_message(status_to_message(status)) == status


def large_hit(text: str, *, occurrences: int = 3, attribute: str = "") -> Hit:
    event = Event(Kind.LOG, 1, TimeOrigin.EVENT, text, "s", "0", 0, attributes=(("a", attribute),))
    return Hit(
        "ab",
        text,
        Scores(1, 1, 1, 1, 1),
        occurrences,
        1,
        2,
        tuple(Occurrence(number, event) for number in range(occurrences)),
        tuple(
            Evidence(0, 1, at, at + 1, 0.5) for at in (0, 255, 300, 600, 5_000) if at < len(text)
        ),
    )


def result_of(*hits: Hit) -> SearchResult:
    return SearchResult(hits, 1, 1, 1, 1, 0.1, False)


@pytest.mark.parametrize(
    "hits",
    [
        [large_hit("\U0001f527" * 20_000, occurrences=100)] * 1000,
        [large_hit("x" * 5_000_000)],
        [large_hit("x", attribute="y" * 5_000_000)],
        [large_hit("x" * 2_000_000, occurrences=1)] * 3,
    ],
    ids=["many", "one long text", "one long attribute", "a few"],
)
def test_any_result_fits_into_a_message_with_every_hit_in_it(hits):
    message = result_to_message(result_of(*hits))
    assert message.ByteSize() <= RESPONSE_BYTES_MAX + 100
    assert len(message.hits) == len(hits)
    assert message.is_cut
    assert any(hit.is_cut for hit in message.hits)
    for hit in message.hits:
        lengths = [len(occurrence.text) for occurrence in hit.occurrences]
        assert all(each.text_end <= lengths[0] for each in hit.evidence)


def test_small_hits_stay_whole_beside_a_large_one():
    small, large = large_hit("pump E-1034"), large_hit("x" * 100_000)
    message = result_to_message(result_of(small, large, small), bytes_max=40_000)
    assert [hit.is_cut for hit in message.hits] == [False, True, False]
    assert result_from_message(message).hits[2] == small
    assert len(message.hits[1].occurrences) == 3
    assert len(message.hits[1].occurrences[0].text) == 4_096


def test_a_result_that_just_fits_is_not_cut():
    result = result_of(large_hit("x" * 1_000))
    size = result_to_message(result).hits[0].ByteSize() + 5
    assert not result_to_message(result, bytes_max=size).is_cut
    assert result_to_message(result, bytes_max=size - 1).is_cut


def test_a_mode_of_a_newer_contract_is_a_key_error():
    with pytest.raises(KeyError):
        request_from_message(search_pb2.SearchRequest(mode=9))


def test_zero_limit_means_ten_and_zero_occurrences_mean_none():
    message = search_pb2.SearchRequest(query="x", occurrences=0)
    assert request_from_message(message) == replace(SearchRequest("x"), limit=10, occurrences=0)


@given(
    st.builds(
        LetterFilter,
        numbers=st.none()
        | st.lists(st.tuples(st.integers(0, 50), st.integers(50, 90)), min_size=1).map(
            NumberRanges.of
        ),
        reason=TEXTS,
        source=TEXTS,
        since_ns=st.none() | TIMES,
        until_ns=st.none() | TIMES,
    )
)
def test_which_dead_letters_are_meant_survives_the_wire(wanted: LetterFilter) -> None:
    message = letter_filter_to_message(wanted)
    assert letter_filter_from_message(message) == wanted
    assert message.all == (wanted == LetterFilter())


@given(st.builds(RetryReport, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS))
def test_what_a_retry_did_survives_the_wire(report: RetryReport) -> None:
    assert retry_report_from_message(retry_report_to_message(report)) == report
