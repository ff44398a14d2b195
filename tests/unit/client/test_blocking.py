"""The blocking client over a real socket: what it sends, what it returns and what it raises."""

from __future__ import annotations

import socket
from typing import Any

import grpc
import pytest

from dejalog.client import (
    Client,
    ClientTls,
    LateError,
    NotFoundError,
    Pushed,
    Receipt,
    RefusedError,
    RemoteError,
    UnknownEventError,
    sending,
)
from dejalog.indexer.errors import ConfigError, QueryError
from dejalog.indexer.event import Position
from dejalog.indexer.letters import LetterFilter, RetryReport
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

from .daemon import FakeDaemon, refusal

#: Method, request, and what of the result the stand-in for the daemon filled in.
QUESTIONS: list[tuple[str, Any, Any]] = [
    ("search", SearchRequest("pump"), lambda r: [each.pattern_id for each in r.hits] == ["a", "b"]),
    ("similar", SimilarRequest(7), lambda r: r.event.event_id == 7),
    ("precedents", PrecedentsRequest("pump"), lambda r: r.incidents_total == 3),
    ("patterns", PatternsRequest(), lambda r: r.patterns_total == 4),
    ("diff", DiffRequest(Window(0, 1), Window(1, 2)), lambda r: r.changes_total == 5),
    ("histogram", HistogramRequest(), lambda r: r.width_ns == 6),
    ("context", ContextRequest(7), lambda r: r.event.event_id == 7 and r.is_complete),
]


@pytest.mark.parametrize(("name", "request_", "is_right"), QUESTIONS)
def test_every_question_is_sent_and_answered(
    daemon: FakeDaemon, name: str, request_: Any, is_right: Any
) -> None:
    with Client(daemon.address) as client:
        answer = getattr(client, name)(request_, timeout_s=20)
    assert is_right(answer.result)
    assert [call for call, _, _ in daemon.calls] == [name.capitalize()]
    assert daemon.left[0] is not None
    # It arrives rounded, and a little late.
    assert 10 < daemon.left[0] < 25


def test_what_stands_beside_a_result_is_returned_too(daemon: FakeDaemon) -> None:
    with Client(daemon.address) as client:
        searched = client.search(SearchRequest("pump"))
        similar = client.similar(SimilarRequest(7))
        whole = client.context(ContextRequest(7))
    assert (searched.is_cut, searched.next_page_token) == (True, "page two")
    assert (similar.is_cut, similar.next_page_token) == (True, "more")
    assert (whole.is_cut, whole.next_page_token) == (False, "")


def test_pages_follow_each_other_until_there_is_no_more(daemon: FakeDaemon) -> None:
    with Client(daemon.address) as client:
        pages = list(client.pages(client.search, SearchRequest("pump", limit=2)))
    assert [hit.pattern_id for page in pages for hit in page.result.hits] == ["a", "b", "c", "d"]
    first, second = (request for _, request, _ in daemon.calls)
    assert (first.page_token, second.page_token) == ("", "page two")
    second.page_token = ""
    assert first == second


def test_skip_is_refused_here_because_it_would_be_lost(daemon: FakeDaemon) -> None:
    with Client(daemon.address) as client, pytest.raises(QueryError, match="page_token"):
        client.search(SearchRequest("pump", skip=10))
    assert daemon.calls == []


@pytest.mark.parametrize("request_", [SearchRequest("\ud800"), SearchRequest("x", limit=2**40)])
def test_a_request_that_no_message_can_hold_is_a_query_error(
    daemon: FakeDaemon, request_: SearchRequest
) -> None:
    with Client(daemon.address) as client, pytest.raises(QueryError, match="cannot be sent"):
        client.search(request_)


def test_following_goes_on_until_it_is_closed(daemon: FakeDaemon) -> None:
    with Client(daemon.address) as client:
        updates = client.follow(FollowRequest("pump", after_event_id=4))
        assert [next(updates).last_event_id for _ in range(3)] == [5, 6, 7]
        updates.close()
        assert client.status().events == 9
    assert daemon.calls[0][1].query == "pump"


def test_a_token_goes_with_every_call(daemon: FakeDaemon) -> None:
    with Client(daemon.address, token="dj_secret") as client:
        client.search(SearchRequest("pump"))
        client.append("plc", [Pushed(b"x")])
        client.status()
        client.retry_dead_letters(LetterFilter(reason="bad-json"))
        next(client.follow(FollowRequest("pump"))).last_event_id.bit_length()
    assert [name for name, _, _ in daemon.calls] == [
        "Search",
        "Append",
        "Status",
        "RetryDeadLetters",
        "Follow",
    ]
    sent = {metadata.get("authorization") for _, _, metadata in daemon.calls}
    assert sent == {"Bearer dj_secret"}


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_busy_daemon_is_asked_again_when_it_says(
    daemon: FakeDaemon, code: grpc.StatusCode
) -> None:
    daemon.refusals = 2
    daemon.refusal = refusal(code, "busy", reason="OVERLOADED", retry_after_s=0.01)
    with Client(daemon.address) as client:
        assert client.search(SearchRequest("pump")).result.hits
    assert len(daemon.calls) == 3


@pytest.mark.parametrize(
    ("retries", "retry_after_s", "calls"), [(1, 0.01, 2), (0, 0.01, 1), (5, None, 1), (5, 60.0, 1)]
)
def test_after_some_tries_or_without_time_for_another_the_refusal_is_raised(
    daemon: FakeDaemon, retries: int, retry_after_s: float | None, calls: int
) -> None:
    daemon.refusals = 99
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    daemon.refusal = refusal(code, "busy", reason="OVERLOADED", retry_after_s=retry_after_s)
    with Client(daemon.address, retries=retries) as client, pytest.raises(RemoteError) as caught:
        client.search(SearchRequest("pump"), timeout_s=30)
    assert len(daemon.calls) == calls
    assert (caught.value.reason, caught.value.retry_after_s) == ("OVERLOADED", retry_after_s)


def test_what_changes_something_is_never_sent_again_by_itself(daemon: FakeDaemon) -> None:
    daemon.refusals = 99
    code = grpc.StatusCode.UNAVAILABLE
    daemon.refusal = refusal(code, "busy", reason="NOT_READY", retry_after_s=0.01)
    with Client(daemon.address) as client:
        with pytest.raises(RemoteError):
            client.append("plc", [Pushed(b"x")])
        with pytest.raises(RemoteError):
            client.retry_dead_letters(LetterFilter(reason="x"))
    assert len(daemon.calls) == 2


@pytest.mark.parametrize(
    ("code", "kind", "also"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, RefusedError, QueryError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError, UnknownEventError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, LateError, TimeoutError),
        (grpc.StatusCode.UNAUTHENTICATED, RemoteError, RemoteError),
    ],
)
def test_a_refusal_is_an_error_of_its_kind(
    daemon: FakeDaemon, code: grpc.StatusCode, kind: type[Exception], also: type[Exception]
) -> None:
    daemon.refusals = 99
    daemon.refusal = refusal(code, "no", reason="WHY")
    with Client(daemon.address) as client, pytest.raises(also) as caught:
        client.search(SearchRequest("pump"))
    assert type(caught.value) is kind
    assert isinstance(caught.value, RemoteError)
    assert (caught.value.code, caught.value.reason) == (code.name, "WHY")


def test_an_answer_of_a_newer_daemon_asks_for_a_newer_client(daemon: FakeDaemon) -> None:
    with Client(daemon.address) as client, pytest.raises(RemoteError, match="update the client"):
        client.context(ContextRequest(9))


def test_records_go_out_in_bounded_messages_and_calls_and_the_receipts_add_up(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "CALL_RECORDS_MAX", 5)
    monkeypatch.setattr(sending, "MESSAGE_RECORDS_MAX", 2)
    monkeypatch.setattr(sending, "MESSAGE_BYTES_MAX", 10)
    sizes = [1, 1, 1, 20, 1, 9, 2]
    records = (Pushed(b"x" * size, offset) for offset, size in enumerate(sizes))
    with Client(daemon.address) as client:
        receipt = client.append("plc", records, labels=(("site", "lodz"),))
    assert receipt == Receipt(7, 0, 2, (Position("plc", "0", 2),))
    calls = [messages for _, messages, _ in daemon.calls]
    sent = [[[len(r.data) for r in message.records] for message in call] for call in calls]
    assert sent == [[[1, 1], [1], [20], [1]], [[9], [2]]]
    offsets = [r.offset for call in calls for message in call for r in message.records]
    assert offsets == list(range(7))
    assert dict(calls[0][0].labels) == {"site": "lodz"}


def test_no_records_make_no_call(daemon: FakeDaemon) -> None:
    with Client(daemon.address) as client:
        assert client.append("plc", []) == Receipt(0, 0, 0, ())
    assert daemon.calls == []


def test_an_address_where_nobody_listens_says_how_to_start_the_daemon() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with Client(address) as client, pytest.raises(RemoteError) as caught:
        client.search(SearchRequest("x"))
    assert caught.value.code == "UNAVAILABLE"
    assert f"no daemon answers at {address}" in str(caught.value)
    assert "dejalog run" in str(caught.value)


def test_a_missing_certificate_is_named(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"ca: cannot read .*missing\.pem"):
        Client("127.0.0.1:1", tls=ClientTls(f"{tmp_path}/missing.pem"))


def test_a_retry_of_dead_letters_is_asked_of_the_daemon(daemon: FakeDaemon) -> None:
    with Client(daemon.address) as client:
        report = client.retry_dead_letters(LetterFilter(reason="bad-json"))
    assert report == RetryReport(retried=3, events=4, cut=1)
    assert daemon.calls[0][1].reason == "bad-json"
