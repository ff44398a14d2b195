"""Whether a request keeps to the contract; one rule for every field, and a few across fields.

`check` raises ServiceError with the name of the first field that is wrong. A field that this
version does not know is refused too: it may be a filter, and dropping it in silence would answer
another question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from dejalog.client import limits
from dejalog.client.messages.requests import MODES, PATTERN_ORDERS, patterns_from_message
from dejalog.daemon.rpc_errors import invalid
from dejalog.indexer.errors import QueryError
from dejalog.indexer.query import parse_condition
from dejalog.indexer.request import PrecedentsRequest
from dejalog.proto.v1 import search_pb2

#: Raises ServiceError, given a field's name and its value.
Rule = Callable[[str, Any], None]


def check(message: Message) -> None:
    """Raises ServiceError unless every field is within its bounds."""
    _check_known(message, "")
    rules = RULES[message.DESCRIPTOR.name]
    for field in message.DESCRIPTOR.fields:
        # A repeated field has no presence; it is checked as a whole, also where it is empty.
        if not field.has_presence or message.HasField(field.name):
            rules[field.name](field.name, getattr(message, field.name))
    across = _ACROSS.get(message.DESCRIPTOR.name)
    if across is not None:
        across(message)


def _check_known(message: Message, place: str) -> None:
    unknown = UnknownFieldSet(message)
    if len(unknown) > 0:
        raise invalid(
            f"{place}{unknown[0].field_number}",
            f"the {message.DESCRIPTOR.name} of this daemon has no field of that number; "
            "leave it out, or update the daemon",
            reason="UNKNOWN_FIELD",
        )
    for field, value in message.ListFields():
        if field.message_type is not None:
            _check_known(value, f"{place}{field.name}.")


def whole(low: int, high: int, unset: int | None = None) -> Rule:
    """A whole number within bounds; where there is `unset`, 0 stands for it."""

    def rule(field: str, value: int) -> None:
        if unset is not None and value == 0:
            return
        if not low <= value <= high:
            note = "" if unset is None else f" (0 means {unset})"
            raise invalid(field, f"{value} is not within {low} to {high}{note}")

    return rule


def real(low: float, high: float, *, is_low_open: bool = False) -> Rule:
    """A finite number within bounds."""

    def rule(field: str, value: float) -> None:
        if not math.isfinite(value) or not low <= value <= high or (is_low_open and value == low):
            above = "above " if is_low_open else ""
            raise invalid(field, f"{value:g} is not within {above}{low:g} to {high:g}")

    return rule


def text(bytes_max: int) -> Rule:
    """A text of so many bytes of UTF-8 at most."""

    def rule(field: str, value: str) -> None:
        if len(value.encode()) > bytes_max:
            raise invalid(field, f"longer than {bytes_max} bytes of UTF-8")

    return rule


def member(numbers: Mapping[Any, object]) -> Rule:
    """A number of an enumeration that this version knows."""

    def rule(field: str, value: int) -> None:
        if value not in numbers:
            raise invalid(field, f"{value} is not a {field} this server knows")

    return rule


def conditions(field: str, values: list[str]) -> None:
    """Filters that can be read."""
    if len(values) > limits.WHERE_MAX:
        raise invalid(field, f"{len(values)} conditions, at most {limits.WHERE_MAX} are taken")
    for index, value in enumerate(values):
        text(limits.WHERE_BYTES_MAX)(f"{field}[{index}]", value)
        try:
            parse_condition(value)
        except QueryError as error:
            raise invalid(f"{field}[{index}]", str(error), reason="BAD_QUERY") from error


def label_names(field: str, values: list[str]) -> None:
    """Names of labels."""
    if len(values) > limits.ASSET_LABELS_MAX:
        raise invalid(field, f"{len(values)} labels, at most {limits.ASSET_LABELS_MAX} are taken")
    for index, value in enumerate(values):
        if not value:
            raise invalid(f"{field}[{index}]", "a label's name is not empty")
        text(limits.LABEL_NAME_BYTES_MAX)(f"{field}[{index}]", value)


def anything(field: str, value: object) -> None:
    """Every value is right, or is looked at by a rule across fields."""


_FILTERS: dict[str, Rule] = {
    "since_unix_nano": anything,
    "until_unix_nano": anything,
    "where": conditions,
}
_QUERY = text(limits.QUERY_BYTES_MAX)
_EVENT_ID = whole(0, limits.EVENT_ID_MAX)
_OCCURRENCES = whole(0, limits.OCCURRENCES_MAX)
_MODE = member(MODES)
_NEIGHBOURS = whole(0, limits.NEIGHBOURS_MAX)

#: The rule of every field of every request.
RULES: dict[str, dict[str, Rule]] = {
    "SearchRequest": {
        **_FILTERS,
        "query": _QUERY,
        "limit": whole(1, limits.LIMIT_MAX, 10),
        "occurrences": _OCCURRENCES,
        "mode": _MODE,
        "page_token": anything,
        "without_evidence": anything,
    },
    "SimilarRequest": {
        **_FILTERS,
        "event_id": _EVENT_ID,
        "limit": whole(1, limits.LIMIT_MAX, 10),
        "occurrences": _OCCURRENCES,
        "mode": _MODE,
        "page_token": anything,
        "without_evidence": anything,
    },
    "PrecedentsRequest": {
        **_FILTERS,
        "query": _QUERY,
        "event_id": _EVENT_ID,
        "limit": whole(1, limits.INCIDENTS_MAX, 5),
        "course": whole(0, limits.COURSE_MAX),
        "notes": whole(0, limits.NOTES_MAX),
        "occurrences": _OCCURRENCES,
        "mode": _MODE,
        "asset_labels": label_names,
        "gap_s": real(0, limits.GAP_S_MAX),
        "horizon_s": real(0, limits.HORIZON_S_MAX),
        "page_token": anything,
    },
    "PatternsRequest": {
        **_FILTERS,
        "query": _QUERY,
        "limit": whole(1, limits.LIMIT_MAX, 50),
        "is_new": anything,
        "order": member(PATTERN_ORDERS),
        "buckets": whole(1, limits.BUCKETS_MAX, 24),
        "page_token": anything,
    },
    "DiffRequest": {
        "before": anything,
        "after": anything,
        "query": _QUERY,
        "where": conditions,
        "limit": whole(1, limits.LIMIT_MAX, 50),
        "false_share": real(0, 1, is_low_open=True),
        "page_token": anything,
    },
    "HistogramRequest": {
        **_FILTERS,
        "query": _QUERY,
        "buckets": whole(1, limits.BUCKETS_MAX, 60),
        "by": text(limits.LABEL_NAME_BYTES_MAX),
        "values": whole(1, limits.VALUES_MAX, 10),
    },
    "ContextRequest": {
        "event_id": _EVENT_ID,
        "before": _NEIGHBOURS,
        "after": _NEIGHBOURS,
    },
    "FollowRequest": {
        "query": _QUERY,
        "where": conditions,
        "mode": _MODE,
        "score_min": real(0, math.inf),
        # An empty index has looked at everything up to -1.
        "after_event_id": whole(-1, limits.EVENT_ID_MAX),
        "without_evidence": anything,
    },
}


def _check_range(message: Any) -> None:
    has_both = message.HasField("since_unix_nano") and message.HasField("until_unix_nano")
    if has_both and message.since_unix_nano >= message.until_unix_nano:
        raise invalid("until_unix_nano", "must be after since_unix_nano")


def _check_hits(message: search_pb2.SearchRequest | search_pb2.SimilarRequest) -> None:
    occurrences = message.occurrences if message.HasField("occurrences") else 0
    if message.limit * occurrences > limits.EVENTS_MAX:
        raise invalid(
            "occurrences",
            f"{message.limit} hits of {occurrences} occurrences are more than "
            f"{limits.EVENTS_MAX} events; ask for fewer of either",
        )
    _check_range(message)


def _check_precedents(message: search_pb2.PrecedentsRequest) -> None:
    if message.WhichOneof("question") is None:
        raise invalid("question", "give either a query or an event_id")
    defaults = PrecedentsRequest()
    limit = message.limit or defaults.limit
    each = {
        name: getattr(message, name) if message.HasField(name) else getattr(defaults, name)
        for name in ("course", "notes", "occurrences")
    }
    events = each["course"] + each["notes"] + limits.INCIDENT_HITS_MAX * each["occurrences"]
    if limit * events > limits.EVENTS_MAX:
        raise invalid(
            "limit",
            f"{limit} incidents of up to {events} events are more than {limits.EVENTS_MAX}; ask"
            " for fewer incidents, or for less of each",
        )
    _check_range(message)


def _check_patterns(message: search_pb2.PatternsRequest) -> None:
    if message.is_new and not message.HasField("since_unix_nano"):
        raise invalid("since_unix_nano", "must be set with is_new: new since when?")
    request = patterns_from_message(message)
    if request.limit * request.buckets > limits.COUNTS_MAX:
        raise invalid(
            "buckets",
            f"{request.limit} patterns of {request.buckets} buckets are more than "
            f"{limits.COUNTS_MAX} counts; ask for fewer of either",
        )
    _check_range(message)


def _check_windows(message: search_pb2.DiffRequest) -> None:
    for name in ("before", "after"):
        if not message.HasField(name):
            raise invalid(name, "must be set")
        window: search_pb2.Window = getattr(message, name)
        if window.since_unix_nano >= window.until_unix_nano:
            raise invalid(f"{name}.until_unix_nano", "must be after since_unix_nano")


_ACROSS: dict[str, Callable[[Any], None]] = {
    "SearchRequest": _check_hits,
    "SimilarRequest": _check_hits,
    "PrecedentsRequest": _check_precedents,
    "PatternsRequest": _check_patterns,
    "DiffRequest": _check_windows,
    "HistogramRequest": _check_range,
}
