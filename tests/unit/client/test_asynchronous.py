"""The client for an event loop does what the blocking one does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import pytest

from dejalog.client import AsyncClient, Client, NotFoundError, Pushed, Receipt, RemoteError, sending
from dejalog.indexer.errors import QueryError
from dejalog.indexer.event import Position
from dejalog.indexer.letters import LetterFilter, RetryReport
from dejalog.indexer.request import FollowRequest, SearchRequest, SimilarRequest

from .daemon import FakeDaemon, refusal
from .test_blocking import QUESTIONS

T = TypeVar("T")


def using(daemon: FakeDaemon, work: Callable[[AsyncClient], Awaitable[T]], **own: Any) -> T:
    async def run() -> T:
        async with AsyncClient(daemon.address, **own) as client:
            return await work(client)

    return asyncio.run(run())


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if name.startswith("_"):
            continue
        other = getattr(AsyncClient, name)
        assert list(inspect.signature(method).parameters) == list(
            inspect.signature(other).parameters
        ), name
    assert {n for n in dir(Client) if n[0] != "_"} == {n for n in dir(AsyncClient) if n[0] != "_"}


@pytest.mark.parametrize(("name", "request_", "is_right"), QUESTIONS)
def test_every_question_is_sent_and_answered(
    daemon: FakeDaemon, name: str, request_: Any, is_right: Any
) -> None:
    answer = using(daemon, lambda client: getattr(client, name)(request_, timeout_s=20))
    assert is_right(answer.result)
    assert [call for call, _, _ in daemon.calls] == [name.capitalize()]


def test_pages_follow_each_other_until_there_is_no_more(daemon: FakeDaemon) -> None:
    async def work(client: AsyncClient) -> list[str]:
        pages = client.pages(client.search, SearchRequest("pump", limit=2))
        return [hit.pattern_id async for page in pages for hit in page.result.hits]

    assert using(daemon, work) == ["a", "b", "c", "d"]


def test_following_goes_on_until_it_is_closed(daemon: FakeDaemon) -> None:
    async def work(client: AsyncClient) -> list[int]:
        updates = client.follow(FollowRequest("pump", after_event_id=4))
        numbers = [(await anext(updates)).last_event_id for _ in range(3)]
        await updates.aclose()
        return numbers

    assert using(daemon, work) == [5, 6, 7]


def test_a_busy_daemon_is_asked_again_when_it_says(daemon: FakeDaemon) -> None:
    daemon.refusals = 2
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    daemon.refusal = refusal(code, "busy", reason="OVERLOADED", retry_after_s=0.01)
    assert using(daemon, lambda client: client.search(SearchRequest("pump"))).result.hits
    assert len(daemon.calls) == 3
    daemon.refusals = 99
    with pytest.raises(RemoteError, match="busy"):
        using(daemon, lambda client: client.search(SearchRequest("pump")), retries=0)
    assert len(daemon.calls) == 4


def test_errors_are_of_the_same_kinds(daemon: FakeDaemon) -> None:
    with pytest.raises(QueryError, match="page_token"):
        using(daemon, lambda client: client.search(SearchRequest("pump", skip=10)))
    daemon.refusals = 99
    daemon.refusal = refusal(grpc.StatusCode.NOT_FOUND, "no event 7", reason="UNKNOWN_EVENT")
    with pytest.raises(NotFoundError, match="no event 7") as caught:
        using(daemon, lambda client: client.similar(SimilarRequest(7)))
    assert (caught.value.code, caught.value.reason) == ("NOT_FOUND", "UNKNOWN_EVENT")


def test_a_task_that_is_cancelled_ends_its_call(daemon: FakeDaemon) -> None:
    async def work(client: AsyncClient) -> None:
        async def read() -> None:
            async for _ in client.follow(FollowRequest("pump")):
                pass

        task = asyncio.create_task(read())
        while not daemon.calls:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not daemon.is_follow_over:
            await asyncio.sleep(0.005)

    using(daemon, work)


def test_records_may_come_from_an_asynchronous_iterator(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "CALL_RECORDS_MAX", 3)

    async def records() -> AsyncIterator[Pushed]:
        for offset in range(7):
            yield Pushed(b"x", offset)

    receipt = using(daemon, lambda client: client.append("plc", records()))
    assert receipt == Receipt(7, 0, 3, (Position("plc", "0", 1),))
    assert [len(messages[0].records) for _, messages, _ in daemon.calls] == [3, 3, 1]
    assert using(daemon, lambda client: client.append("plc", [Pushed(b"x")])).accepted == 1


def test_a_token_goes_with_every_call(daemon: FakeDaemon) -> None:
    async def work(client: AsyncClient) -> RetryReport:
        await client.search(SearchRequest("pump"))
        await client.append("plc", [Pushed(b"x")])
        await client.status()
        await anext(client.follow(FollowRequest("pump")))
        return await client.retry_dead_letters(LetterFilter(reason="bad-json"))

    report = using(daemon, work, token="dj_secret")
    assert report == RetryReport(retried=3, events=4, cut=1)
    assert len(daemon.calls) == 5
    sent = {metadata.get("authorization") for _, _, metadata in daemon.calls}
    assert sent == {"Bearer dj_secret"}
