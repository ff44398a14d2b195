"""Every method of the contract has its request and its result."""

from __future__ import annotations

import pytest

from dejalog.client import methods
from dejalog.client.answer import FollowUpdate
from dejalog.client.errors import RemoteError
from dejalog.client.methods import Method
from dejalog.indexer.errors import QueryError
from dejalog.indexer.request import HistogramRequest, PatternsRequest
from dejalog.proto.v1 import admin_pb2, search_pb2


def test_no_method_of_the_contract_is_missing() -> None:
    known = {each.name for each in vars(methods).values() if isinstance(each, Method)}
    for module, service in ((search_pb2, "SearchService"), (admin_pb2, "AdminService")):
        assert {m.name for m in module.DESCRIPTOR.services_by_name[service].methods} <= known


def test_the_page_token_is_added_to_the_request() -> None:
    message = methods.PATTERNS.message(PatternsRequest("site=lodz"), "token")
    assert (message.query, message.page_token) == ("site=lodz", "token")


def test_a_request_that_cannot_be_sent_says_why() -> None:
    with pytest.raises(QueryError, match="cannot be sent"):
        methods.HISTOGRAM.message(HistogramRequest(buckets=2**40))
    with pytest.raises(QueryError, match="leave skip at 0"):
        methods.PATTERNS.message(PatternsRequest(skip=1))


def test_a_similar_response_tells_what_its_inner_one_tells() -> None:
    event = search_pb2.Occurrence(kind=1, time_origin=1)
    inner = search_pb2.SearchResponse(is_cut=True, next_page_token="more")
    answer = methods.SIMILAR.answer(search_pb2.SimilarResponse(event=event, result=inner))
    assert (answer.is_cut, answer.next_page_token) == (True, "more")


def test_a_value_that_only_a_newer_daemon_knows_is_named() -> None:
    match = search_pb2.Match(occurrence=search_pb2.Occurrence(kind=9, time_origin=1))
    with pytest.raises(RemoteError, match=r"Follow has a value .* update the client"):
        methods.FOLLOW.result(search_pb2.FollowResponse(matches=[match]))
    empty = search_pb2.FollowResponse(last_event_id=4, is_partial=True)
    assert methods.FOLLOW.result(empty) == FollowUpdate((), 4, is_partial=True)
