"""Requests survive the wire with every field but `skip`, and what is left out has its default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.client.messages import requests
from dejalog.indexer.request import (
    ContextRequest,
    DiffRequest,
    FollowRequest,
    HistogramRequest,
    PatternsRequest,
    PrecedentsRequest,
    SearchRequest,
    SimilarRequest,
    Window,
)
from dejalog.proto.v1 import search_pb2

from .anything import TEXTS, any_of

FIRST_PAGE = st.just(0)
#: 0 stands for the default.
POSITIVE = st.integers(1, 2**31 - 1)
PAGED = {"skip": FIRST_PAGE, "limit": POSITIVE}
PRECEDENTS = any_of(
    PrecedentsRequest,
    **PAGED,
    text=st.just(""),
    asset_labels=st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
)
ROUND_TRIPS: dict[str, st.SearchStrategy[Any]] = {
    "search": any_of(SearchRequest, **PAGED),
    "similar": any_of(SimilarRequest, **PAGED),
    "precedents": PRECEDENTS,
    "patterns": any_of(PatternsRequest, **PAGED, buckets=POSITIVE),
    "diff": any_of(DiffRequest, **PAGED),
    "histogram": any_of(HistogramRequest, buckets=POSITIVE, values=POSITIVE),
    "context": any_of(ContextRequest),
    "follow": any_of(FollowRequest),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
@given(data=st.data())
def test_a_request_survives_the_wire(name: str, data: st.DataObject) -> None:
    request = data.draw(ROUND_TRIPS[name])
    message = getattr(requests, f"{name}_to_message")(request)
    sent = type(message).FromString(message.SerializeToString())
    assert getattr(requests, f"{name}_from_message")(sent) == request


def test_precedents_of_a_text_survive_the_wire() -> None:
    request = PrecedentsRequest("pump trips")
    message = requests.precedents_to_message(request)
    assert message.WhichOneof("question") == "query"
    assert requests.precedents_from_message(message) == request


@pytest.mark.parametrize(
    ("from_message", "message", "request_left_at_defaults"),
    [
        (requests.search_from_message, search_pb2.SearchRequest(), SearchRequest("")),
        (requests.similar_from_message, search_pb2.SimilarRequest(), SimilarRequest(0)),
        (requests.precedents_from_message, search_pb2.PrecedentsRequest(), PrecedentsRequest()),
        (requests.patterns_from_message, search_pb2.PatternsRequest(), PatternsRequest()),
        (
            requests.diff_from_message,
            search_pb2.DiffRequest(),
            DiffRequest(Window(0, 0), Window(0, 0)),
        ),
        (requests.histogram_from_message, search_pb2.HistogramRequest(), HistogramRequest()),
        (requests.context_from_message, search_pb2.ContextRequest(), ContextRequest(0)),
        (requests.follow_from_message, search_pb2.FollowRequest(), FollowRequest("")),
    ],
)
def test_fields_that_are_left_out_have_the_defaults_of_the_request(
    from_message: Callable[[Any], Any], message: Any, request_left_at_defaults: Any
) -> None:
    assert from_message(message) == request_left_at_defaults


def test_a_mode_or_order_of_a_newer_contract_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        requests.search_from_message(search_pb2.SearchRequest(mode=9))
    with pytest.raises(KeyError):
        requests.patterns_from_message(search_pb2.PatternsRequest(order=9))


def test_zero_occurrences_are_none_and_not_the_default() -> None:
    message = search_pb2.SearchRequest(query="x", occurrences=0)
    assert requests.search_from_message(message).occurrences == 0
