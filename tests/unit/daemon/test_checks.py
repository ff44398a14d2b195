"""Every field of every request has a rule, and a request that breaks one hears which."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.message import Message

from dejalog.client import limits
from dejalog.daemon.checks import RULES, check
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.proto.v1 import search_pb2

WINDOW = search_pb2.Window(since_unix_nano=1, until_unix_nano=2)
#: The least of each request that is right.
LEAST: dict[str, dict[str, Any]] = {
    "PrecedentsRequest": {"query": "pump"},
    "DiffRequest": {"before": WINDOW, "after": WINDOW},
}


def request(name: str, **fields: Any) -> Message:
    kind: type[Message] = getattr(search_pb2, name)
    return kind(**{**LEAST.get(name, {}), **fields})


def refused(message: Message) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        check(message)
    assert caught.value.code.name == "INVALID_ARGUMENT"
    return caught.value


def test_every_field_of_every_request_has_a_rule() -> None:
    service = search_pb2.DESCRIPTOR.services_by_name["SearchService"]
    asked = {method.input_type.name: method.input_type for method in service.methods}
    assert set(RULES) == set(asked)
    for name, descriptor in asked.items():
        assert set(RULES[name]) == {field.name for field in descriptor.fields}, name


@pytest.mark.parametrize("name", RULES)
def test_a_request_with_nothing_but_its_question_is_right(name: str) -> None:
    check(request(name))


FILTERED = ("SearchRequest", "SimilarRequest", "PrecedentsRequest", "PatternsRequest")
WRONG: list[tuple[str, dict[str, Any], str]] = [
    *[
        (name, fields, field)
        for name in (*FILTERED, "HistogramRequest")
        for fields, field in [
            ({"where": ["a=b"] * 33}, "where"),
            ({"where": ["a=b", "nonsense"]}, "where[1]"),
            ({"where": ["a=" + "b" * 1024]}, "where[0]"),
            ({"since_unix_nano": 5, "until_unix_nano": 5}, "until_unix_nano"),
        ]
    ],
    *[(name, {"limit": -1}, "limit") for name in FILTERED],
    ("SearchRequest", {"query": "x" * 16_385}, "query"),
    ("SearchRequest", {"query": "\u00e9" * 8_193}, "query"),
    ("SearchRequest", {"limit": 1001}, "limit"),
    ("SearchRequest", {"occurrences": 101}, "occurrences"),
    ("SearchRequest", {"occurrences": -1}, "occurrences"),
    ("SearchRequest", {"limit": 1000, "occurrences": 11}, "occurrences"),
    ("SimilarRequest", {"limit": 101, "occurrences": 100}, "occurrences"),
    ("SearchRequest", {"mode": 9}, "mode"),
    ("SimilarRequest", {"event_id": -1}, "event_id"),
    ("SimilarRequest", {"mode": -1}, "mode"),
    ("PrecedentsRequest", {"limit": 101}, "limit"),
    ("PrecedentsRequest", {"event_id": -(2**63)}, "event_id"),
    ("PrecedentsRequest", {"course": 101}, "course"),
    ("PrecedentsRequest", {"notes": -1}, "notes"),
    ("PrecedentsRequest", {"asset_labels": ["x"] * 17}, "asset_labels"),
    ("PrecedentsRequest", {"asset_labels": ["x", ""]}, "asset_labels[1]"),
    ("PrecedentsRequest", {"asset_labels": ["x" * 1025]}, "asset_labels[0]"),
    ("PrecedentsRequest", {"gap_s": math.nan}, "gap_s"),
    ("PrecedentsRequest", {"gap_s": -0.1}, "gap_s"),
    ("PrecedentsRequest", {"gap_s": limits.GAP_S_MAX + 1}, "gap_s"),
    ("PrecedentsRequest", {"horizon_s": math.inf}, "horizon_s"),
    ("PatternsRequest", {"order": 9}, "order"),
    ("PatternsRequest", {"buckets": 1001}, "buckets"),
    ("PatternsRequest", {"limit": 1000, "buckets": 201}, "buckets"),
    ("PatternsRequest", {"is_new": True}, "since_unix_nano"),
    ("DiffRequest", {"where": ["nonsense"]}, "where[0]"),
    ("DiffRequest", {"before": search_pb2.Window(until_unix_nano=-1)}, "before.until_unix_nano"),
    ("DiffRequest", {"after": search_pb2.Window()}, "after.until_unix_nano"),
    ("DiffRequest", {"false_share": 0.0}, "false_share"),
    ("DiffRequest", {"false_share": 1.1}, "false_share"),
    ("DiffRequest", {"false_share": math.nan}, "false_share"),
    ("HistogramRequest", {"buckets": -1}, "buckets"),
    ("HistogramRequest", {"values": 101}, "values"),
    ("HistogramRequest", {"by": "x" * 1025}, "by"),
    ("ContextRequest", {"event_id": -5}, "event_id"),
    ("ContextRequest", {"before": 1001}, "before"),
    ("ContextRequest", {"after": -1}, "after"),
    ("FollowRequest", {"query": "x" * 16_385}, "query"),
    ("FollowRequest", {"where": ["nonsense"]}, "where[0]"),
    ("FollowRequest", {"mode": 9}, "mode"),
    ("FollowRequest", {"score_min": -math.inf}, "score_min"),
    ("FollowRequest", {"score_min": math.inf}, "score_min"),
    ("FollowRequest", {"after_event_id": -2}, "after_event_id"),
]


@pytest.mark.parametrize(("name", "fields", "field"), WRONG)
def test_a_field_beyond_its_limit_is_named(name: str, fields: dict[str, Any], field: str) -> None:
    assert refused(request(name, **fields)).field == field


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (
            "SearchRequest",
            {
                "query": "x" * 16_384,
                "limit": 1000,
                "occurrences": 10,
                "where": ["a=" + "b" * 1022] * 32,
                "since_unix_nano": -(2**63),
                "until_unix_nano": 2**63 - 1,
                "mode": search_pb2.SEARCH_MODE_SEMANTIC,
            },
        ),
        ("SimilarRequest", {"event_id": 2**63 - 1, "limit": 100, "occurrences": 100}),
        ("SearchRequest", {"limit": 1000}),
        (
            "PrecedentsRequest",
            {
                "limit": 100,
                "course": 80,
                "notes": 20,
                "occurrences": 0,
                "asset_labels": ["x" * 1024] * 16,
                "gap_s": 0.0,
                "horizon_s": limits.HORIZON_S_MAX,
            },
        ),
        ("PatternsRequest", {"limit": 1000, "buckets": 200, "is_new": True, "since_unix_nano": 0}),
        ("DiffRequest", {"false_share": 1.0}),
        ("HistogramRequest", {"buckets": 1000, "values": 100}),
        ("ContextRequest", {"before": 1000, "after": 0}),
        ("FollowRequest", {"score_min": 0.0, "after_event_id": -1}),
    ],
)
def test_a_request_at_its_limits_is_right(name: str, fields: dict[str, Any]) -> None:
    check(request(name, **fields))


def test_precedents_need_a_question() -> None:
    assert refused(search_pb2.PrecedentsRequest()).field == "question"


def test_all_incidents_together_may_only_have_so_many_events() -> None:
    fields = {"limit": 100, "course": 50, "notes": 40}  # And an occurrence of each of ten hits.
    check(request("PrecedentsRequest", **fields))
    error = refused(request("PrecedentsRequest", **fields | {"notes": 41}))
    assert error.field == "limit"
    assert "more than 10000" in str(error)
    # What is not set has its default.
    assert refused(request("PrecedentsRequest", limit=100, occurrences=10)).field == "limit"


@pytest.mark.parametrize("missing", ["before", "after"])
def test_a_diff_needs_both_windows(missing: str) -> None:
    message = request("DiffRequest")
    message.ClearField(missing)
    assert refused(message).field == missing


def test_a_filter_that_cannot_be_read_is_a_bad_query() -> None:
    assert refused(request("SearchRequest", where=["nonsense"])).reason == "BAD_QUERY"
    assert refused(request("SearchRequest", limit=-1)).reason == "INVALID_FIELD"


@pytest.mark.parametrize("name", RULES)
def test_a_field_of_a_newer_contract_is_refused_and_not_passed_over(name: str) -> None:
    data = request(name).SerializeToString() + b"\xba\x3e\x03abc"  # Field 999, a text.
    error = refused(type(request(name)).FromString(data))
    assert (error.reason, error.field) == ("UNKNOWN_FIELD", "999")


def test_a_field_of_a_newer_contract_is_found_within_a_window() -> None:
    window = search_pb2.Window.FromString(WINDOW.SerializeToString() + b"\xb8\x3e\x01")
    error = refused(request("DiffRequest", after=window))
    assert (error.reason, error.field) == ("UNKNOWN_FIELD", "after.999")
