"""A token leads to the next page of its own question, and of no other one."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from dejalog.client.limits import LIMIT_MAX
from dejalog.daemon.paging import page_of
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.proto.v1 import search_pb2

QUESTION: dict[str, Any] = {
    "query": "pump",
    "limit": 10,
    "where": ["site=lodz"],
    "since_unix_nano": 5,
}


def ask(token: str = "", **fields: Any) -> Message:
    return search_pb2.SearchRequest(**{**QUESTION, **fields}, page_token=token)


def token_behind(pages: int, limit: int = 10) -> str:
    token = ""
    for _ in range(pages):
        token = page_of(ask(token), limit).next_token(has_more=True)
    return token


@given(st.integers(1, 60), st.integers(1, LIMIT_MAX))
def test_pages_follow_each_other_up_to_the_bound_on_all_of_them(pages: int, limit: int) -> None:
    token, skip = "", 0
    for _ in range(pages):
        page = page_of(ask(token), limit)
        assert (page.skip, page.limit) == (skip, min(limit, LIMIT_MAX - skip))
        skip = page.end
        token = page.next_token(has_more=True)
        if not token:
            assert skip == LIMIT_MAX
            return
    assert skip == pages * limit


def test_where_there_is_no_more_there_is_no_token() -> None:
    assert page_of(ask(), 10).next_token(has_more=False) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"query": "pumps"},
        {"limit": 11},
        {"where": []},
        {"since_unix_nano": 6},
        {"occurrences": 3},
        {"mode": 1},
        {"without_evidence": True},
    ],
)
def test_a_token_of_another_request_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        page_of(ask(token_behind(1), **changed), 10)
    assert (caught.value.reason, caught.value.field) == ("BAD_PAGE_TOKEN", "page_token")


def test_a_token_of_another_method_is_refused_though_the_fields_are_the_same() -> None:
    token = page_of(search_pb2.PatternsRequest(query="x"), 5).next_token(has_more=True)
    with pytest.raises(ServiceError):
        page_of(search_pb2.SearchRequest(query="x", page_token=token), 5)


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode()))
def test_garbage_is_refused(garbage: str) -> None:
    if not garbage:
        return
    with pytest.raises(ServiceError) as caught:
        page_of(ask(garbage), 10)
    assert caught.value.reason == "BAD_PAGE_TOKEN"


def test_a_token_of_any_length_is_refused_at_once() -> None:
    with pytest.raises(ServiceError):
        page_of(ask(token_behind(1) * 100_000), 10)


@given(st.integers(0, 20), st.integers(1, 255))
def test_no_byte_of_a_token_may_be_changed(place: int, change: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(token_behind(2)))
    raw[place] ^= change
    with pytest.raises(ServiceError):
        page_of(ask(base64.urlsafe_b64encode(bytes(raw)).decode()), 10)


def test_a_token_is_the_same_in_every_process() -> None:
    """A daemon that was started again, or another one behind one address, must take it."""
    assert token_behind(1) == "AQAAAArN325ArIFETA1P97FxNbBv"
