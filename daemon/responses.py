"""Results -> the responses of SearchService, each small enough for one message."""

from __future__ import annotations

from collections.abc import Sequence

from dejalog.client.messages import results
from dejalog.daemon.cutting import (
    CHANGES,
    HITS,
    MATCHES,
    OCCURRENCES,
    PRECEDENTS,
    RESPONSE_BYTES_MAX,
    SUMMARIES,
)
from dejalog.indexer.answer import (
    Context,
    DiffResult,
    HistogramResult,
    Match,
    PatternsResult,
    PrecedentsResult,
    SimilarResult,
)
from dejalog.indexer.hit import Occurrence, SearchResult
from dejalog.proto.v1 import search_pb2

#: The share of a response that the event takes at most which was asked about.
EVENT_SHARE = 4


def search_response(
    result: SearchResult, next_page_token: str = "", *, bytes_max: int = RESPONSE_BYTES_MAX
) -> search_pb2.SearchResponse:
    """Returns the response with hits of at most `bytes_max` bytes."""
    response = results.search_to_message(result)
    hits, response.is_cut = HITS.fit(result.hits, bytes_max)
    response.hits.extend(hits)
    response.next_page_token = next_page_token
    return response


def similar_response(
    result: SimilarResult, next_page_token: str = ""
) -> search_pb2.SimilarResponse:
    """Returns the response."""
    event, is_event_cut = _event(result.event)
    left = RESPONSE_BYTES_MAX - event.ByteSize()
    response = search_response(result.result, next_page_token, bytes_max=left)
    response.is_cut |= is_event_cut
    return search_pb2.SimilarResponse(event=event, result=response)


def precedents_response(
    result: PrecedentsResult, next_page_token: str = ""
) -> search_pb2.PrecedentsResponse:
    """Returns the response."""
    response = results.precedents_to_message(result)
    left = RESPONSE_BYTES_MAX
    if result.event is not None:
        event, response.is_cut = _event(result.event)
        response.event.CopyFrom(event)
        left -= event.ByteSize()
    precedents, is_cut = PRECEDENTS.fit(result.precedents, left)
    response.precedents.extend(precedents)
    response.is_cut |= is_cut
    response.next_page_token = next_page_token
    return response


def patterns_response(
    result: PatternsResult, next_page_token: str = ""
) -> search_pb2.PatternsResponse:
    """Returns the response."""
    response = results.patterns_to_message(result)
    patterns, response.is_cut = SUMMARIES.fit(result.patterns, RESPONSE_BYTES_MAX)
    response.patterns.extend(patterns)
    response.next_page_token = next_page_token
    return response


def diff_response(result: DiffResult, next_page_token: str = "") -> search_pb2.DiffResponse:
    """Returns the response."""
    response = results.diff_to_message(result)
    changes, response.is_cut = CHANGES.fit(result.changes, RESPONSE_BYTES_MAX)
    response.changes.extend(changes)
    response.next_page_token = next_page_token
    return response


def histogram_response(result: HistogramResult) -> search_pb2.HistogramResponse:
    """Returns the response; the bounds on values and buckets keep it small."""
    return results.histogram_to_message(result)


def context_response(context: Context) -> search_pb2.ContextResponse:
    """Returns the response."""
    events = (context.event, *context.before, *context.after)
    messages, is_cut = OCCURRENCES.fit(events, RESPONSE_BYTES_MAX)
    middle = 1 + len(context.before)
    return search_pb2.ContextResponse(
        event=messages[0],
        before=messages[1:middle],
        after=messages[middle:],
        is_complete=context.is_complete,
        is_cut=is_cut,
    )


def follow_response(
    matches: Sequence[Match], last_event_id: int, *, is_partial: bool = False
) -> search_pb2.FollowResponse:
    """Returns one response of a stream."""
    messages, _ = MATCHES.fit(matches, RESPONSE_BYTES_MAX)
    return search_pb2.FollowResponse(
        matches=messages, last_event_id=last_event_id, is_partial=is_partial
    )


def _event(occurrence: Occurrence) -> tuple[search_pb2.Occurrence, bool]:
    messages, is_cut = OCCURRENCES.fit([occurrence], RESPONSE_BYTES_MAX // EVENT_SHARE)
    return messages[0], is_cut
