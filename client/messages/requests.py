"""Requests as messages and back.

A field that a message leaves out becomes the default of its request. From a message raises KeyError
on a value of an enumeration that this version does not know. `skip` stays at home: over the wire,
pages are asked for with page tokens.
"""

from __future__ import annotations

from typing import Any, TypeVar

from dejalog.indexer.request import (
    ContextRequest,
    DiffRequest,
    FollowRequest,
    HistogramRequest,
    Mode,
    PatternOrder,
    PatternsRequest,
    PrecedentsRequest,
    SearchRequest,
    SimilarRequest,
    Window,
)
from dejalog.proto.v1 import search_pb2

_T = TypeVar("_T")

MODES = {
    search_pb2.SEARCH_MODE_UNSPECIFIED: Mode.HYBRID,
    search_pb2.SEARCH_MODE_HYBRID: Mode.HYBRID,
    search_pb2.SEARCH_MODE_SEMANTIC: Mode.SEMANTIC,
    search_pb2.SEARCH_MODE_LEXICAL: Mode.LEXICAL,
}
PATTERN_ORDERS = {
    search_pb2.PATTERN_ORDER_UNSPECIFIED: PatternOrder.COUNT,
    search_pb2.PATTERN_ORDER_COUNT: PatternOrder.COUNT,
    search_pb2.PATTERN_ORDER_NEWEST: PatternOrder.NEWEST,
    search_pb2.PATTERN_ORDER_FIRST: PatternOrder.FIRST,
}
_MODE_NUMBERS = {mode: number for number, mode in MODES.items() if number}
_ORDER_NUMBERS = {order: number for number, order in PATTERN_ORDERS.items() if number}

#: Where a request leaves something out; the dataclasses hold the defaults.
_SEARCH = SearchRequest("")
_PRECEDENTS = PrecedentsRequest()
_PATTERNS = PatternsRequest()
_HISTOGRAM = HistogramRequest()
_CONTEXT = ContextRequest(0)
_DIFF = DiffRequest(Window(0, 0), Window(0, 0))
#: How many a request asks for whose `limit` is 0.
DEFAULT_LIMITS = {
    search_pb2.SearchRequest: _SEARCH.limit,
    search_pb2.SimilarRequest: _SEARCH.limit,
    search_pb2.PrecedentsRequest: _PRECEDENTS.limit,
    search_pb2.PatternsRequest: _PATTERNS.limit,
    search_pb2.DiffRequest: _DIFF.limit,
}


def search_from_message(message: search_pb2.SearchRequest) -> SearchRequest:
    """Returns the request."""
    return SearchRequest(
        text=message.query,
        limit=message.limit or _SEARCH.limit,
        occurrences=_given(message, "occurrences", _SEARCH.occurrences),
        since_ns=_given(message, "since_unix_nano", None),
        until_ns=_given(message, "until_unix_nano", None),
        where=tuple(message.where),
        mode=MODES[message.mode],
        is_explained=not message.without_evidence,
    )


def search_to_message(request: SearchRequest) -> search_pb2.SearchRequest:
    """Returns the message."""
    return search_pb2.SearchRequest(
        query=request.text,
        limit=request.limit,
        occurrences=request.occurrences,
        since_unix_nano=request.since_ns,
        until_unix_nano=request.until_ns,
        where=request.where,
        mode=_MODE_NUMBERS[request.mode],
        without_evidence=not request.is_explained,
    )


def similar_from_message(message: search_pb2.SimilarRequest) -> SimilarRequest:
    """Returns the request."""
    return SimilarRequest(
        event_id=message.event_id,
        limit=message.limit or _SEARCH.limit,
        occurrences=_given(message, "occurrences", _SEARCH.occurrences),
        since_ns=_given(message, "since_unix_nano", None),
        until_ns=_given(message, "until_unix_nano", None),
        where=tuple(message.where),
        mode=MODES[message.mode],
        is_explained=not message.without_evidence,
    )


def similar_to_message(request: SimilarRequest) -> search_pb2.SimilarRequest:
    """Returns the message."""
    return search_pb2.SimilarRequest(
        event_id=request.event_id,
        limit=request.limit,
        occurrences=request.occurrences,
        since_unix_nano=request.since_ns,
        until_unix_nano=request.until_ns,
        where=request.where,
        mode=_MODE_NUMBERS[request.mode],
        without_evidence=not request.is_explained,
    )


def precedents_from_message(message: search_pb2.PrecedentsRequest) -> PrecedentsRequest:
    """Returns the request."""
    return PrecedentsRequest(
        text=message.query,
        event_id=_given(message, "event_id", None),
        limit=message.limit or _PRECEDENTS.limit,
        course=_given(message, "course", _PRECEDENTS.course),
        notes=_given(message, "notes", _PRECEDENTS.notes),
        occurrences=_given(message, "occurrences", _PRECEDENTS.occurrences),
        since_ns=_given(message, "since_unix_nano", None),
        until_ns=_given(message, "until_unix_nano", None),
        where=tuple(message.where),
        mode=MODES[message.mode],
        asset_labels=tuple(message.asset_labels) or _PRECEDENTS.asset_labels,
        gap_s=_given(message, "gap_s", _PRECEDENTS.gap_s),
        horizon_s=_given(message, "horizon_s", _PRECEDENTS.horizon_s),
    )


def precedents_to_message(request: PrecedentsRequest) -> search_pb2.PrecedentsRequest:
    """Returns the message."""
    message = search_pb2.PrecedentsRequest(
        limit=request.limit,
        course=request.course,
        notes=request.notes,
        occurrences=request.occurrences,
        since_unix_nano=request.since_ns,
        until_unix_nano=request.until_ns,
        where=request.where,
        mode=_MODE_NUMBERS[request.mode],
        asset_labels=request.asset_labels,
        gap_s=request.gap_s,
        horizon_s=request.horizon_s,
    )
    if request.event_id is not None:
        message.event_id = request.event_id
    else:
        message.query = request.text
    return message


def patterns_from_message(message: search_pb2.PatternsRequest) -> PatternsRequest:
    """Returns the request."""
    return PatternsRequest(
        text=message.query,
        limit=message.limit or _PATTERNS.limit,
        since_ns=_given(message, "since_unix_nano", None),
        until_ns=_given(message, "until_unix_nano", None),
        where=tuple(message.where),
        is_new=message.is_new,
        order=PATTERN_ORDERS[message.order],
        buckets=message.buckets or _PATTERNS.buckets,
    )


def patterns_to_message(request: PatternsRequest) -> search_pb2.PatternsRequest:
    """Returns the message."""
    return search_pb2.PatternsRequest(
        query=request.text,
        limit=request.limit,
        since_unix_nano=request.since_ns,
        until_unix_nano=request.until_ns,
        where=request.where,
        is_new=request.is_new,
        order=_ORDER_NUMBERS[request.order],
        buckets=request.buckets,
    )


def diff_from_message(message: search_pb2.DiffRequest) -> DiffRequest:
    """Returns the request."""
    return DiffRequest(
        before=Window(message.before.since_unix_nano, message.before.until_unix_nano),
        after=Window(message.after.since_unix_nano, message.after.until_unix_nano),
        text=message.query,
        where=tuple(message.where),
        limit=message.limit or _DIFF.limit,
        false_share=_given(message, "false_share", _DIFF.false_share),
    )


def diff_to_message(request: DiffRequest) -> search_pb2.DiffRequest:
    """Returns the message."""
    return search_pb2.DiffRequest(
        before=_window(request.before),
        after=_window(request.after),
        query=request.text,
        where=request.where,
        limit=request.limit,
        false_share=request.false_share,
    )


def histogram_from_message(message: search_pb2.HistogramRequest) -> HistogramRequest:
    """Returns the request."""
    return HistogramRequest(
        text=message.query,
        since_ns=_given(message, "since_unix_nano", None),
        until_ns=_given(message, "until_unix_nano", None),
        where=tuple(message.where),
        buckets=message.buckets or _HISTOGRAM.buckets,
        by=message.by,
        values=message.values or _HISTOGRAM.values,
    )


def histogram_to_message(request: HistogramRequest) -> search_pb2.HistogramRequest:
    """Returns the message."""
    return search_pb2.HistogramRequest(
        query=request.text,
        since_unix_nano=request.since_ns,
        until_unix_nano=request.until_ns,
        where=request.where,
        buckets=request.buckets,
        by=request.by,
        values=request.values,
    )


def context_from_message(message: search_pb2.ContextRequest) -> ContextRequest:
    """Returns the request."""
    return ContextRequest(
        event_id=message.event_id,
        before=_given(message, "before", _CONTEXT.before),
        after=_given(message, "after", _CONTEXT.after),
    )


def context_to_message(request: ContextRequest) -> search_pb2.ContextRequest:
    """Returns the message."""
    return search_pb2.ContextRequest(
        event_id=request.event_id, before=request.before, after=request.after
    )


def follow_from_message(message: search_pb2.FollowRequest) -> FollowRequest:
    """Returns the request."""
    return FollowRequest(
        text=message.query,
        where=tuple(message.where),
        mode=MODES[message.mode],
        score_min=_given(message, "score_min", None),
        after_event_id=_given(message, "after_event_id", None),
        is_explained=not message.without_evidence,
    )


def follow_to_message(request: FollowRequest) -> search_pb2.FollowRequest:
    """Returns the message."""
    return search_pb2.FollowRequest(
        query=request.text,
        where=request.where,
        mode=_MODE_NUMBERS[request.mode],
        score_min=request.score_min,
        after_event_id=request.after_event_id,
        without_evidence=not request.is_explained,
    )


def _given(message: Any, field: str, default: _T) -> Any | _T:
    return getattr(message, field) if message.HasField(field) else default


def _window(window: Window) -> search_pb2.Window:
    return search_pb2.Window(since_unix_nano=window.since_ns, until_unix_nano=window.until_ns)
