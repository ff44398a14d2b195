"""Time and errors, which are the same for every method."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from dejalog.client.answer import FollowUpdate
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.daemon.search_pool import SearchPool
from dejalog.daemon.service_search import SearchService
from dejalog.indexer.answer import Context
from dejalog.indexer.errors import QueryError
from dejalog.indexer.event import Event, Kind, TimeOrigin
from dejalog.indexer.hit import Occurrence
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import ContextRequest, FollowRequest
from dejalog.proto.v1 import search_pb2

EVENT = Occurrence(7, Event(Kind.LOG, 1, TimeOrigin.EVENT, "text", "s", "0", 0))
REQUEST = search_pb2.ContextRequest(event_id=7)


class Answers:
    """Answers one method; `error` is raised, and deadlines are kept."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.deadlines: list[float] = []

    def context(self, request: ContextRequest, patience: Patience) -> Context:
        assert patience.deadline is not None
        self.deadlines.append(patience.deadline)
        if self.error is not None:
            raise self.error
        return Context(EVENT, (), ())


class Call:
    """As much of a call's context as the service looks at."""

    def __init__(self, remaining_s: float | None = None) -> None:
        self._remaining_s = remaining_s

    def time_remaining(self) -> float | None:
        return self._remaining_s


def serving(
    answers: Any, ask: Callable[[SearchService], Any], *, timeout_s: float = 30.0, **own: Any
) -> Any:
    async def run() -> Any:
        pool = SearchPool(1, 1)
        try:
            return await ask(SearchService(answers, pool, timeout_s=timeout_s, **own))
        finally:
            pool.close(5.0)

    return asyncio.run(run())


def refused(answers: Any, message: Any = REQUEST) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        serving(answers, lambda service: service.Context(message, Call()))
    return caught.value


def test_an_event_that_is_not_there_is_not_found_and_no_fault() -> None:
    error = refused(Answers(LookupError("event 7 is not in this index, or not any more")))
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert (error.reason, error.field) == ("UNKNOWN_EVENT", "event_id")
    assert "event 7 is not in this index" in str(error)


def test_a_question_that_cannot_be_understood_is_a_bad_query() -> None:
    error = refused(Answers(QueryError("cannot read the filter 'x'")))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.field) == ("BAD_QUERY", "query")


def test_no_time_to_find_anything_is_a_deadline_exceeded() -> None:
    error = refused(Answers(TimeoutError()))
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.reason == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("error", [KeyError("x"), IndexError("y"), ValueError("z")])
def test_a_mistake_in_the_daemon_is_not_taken_for_a_missing_event(error: Exception) -> None:
    with pytest.raises(type(error)):
        serving(Answers(error), lambda service: service.Context(REQUEST, Call()))


@pytest.mark.parametrize(("remaining_s", "expected_s"), [(None, 20.0), (5.0, 5.0), (1e9, 20.0)])
def test_the_nearer_of_both_deadlines_counts(remaining_s: float | None, expected_s: float) -> None:
    answers = Answers()
    before = time.monotonic()
    serving(answers, lambda service: service.Context(REQUEST, Call(remaining_s)), timeout_s=20.0)
    # A little is left for the way back.
    assert before + expected_s - 0.5 < answers.deadlines[0] < time.monotonic() + expected_s


class Follower:
    def __init__(self) -> None:
        self.asked: list[FollowRequest] = []
        self.is_left = False

    @asynccontextmanager
    async def follow(self, request: FollowRequest) -> AsyncIterator[AsyncIterator[FollowUpdate]]:
        self.asked.append(request)
        try:
            yield self._updates()
        finally:
            self.is_left = True

    async def _updates(self) -> AsyncIterator[FollowUpdate]:
        yield FollowUpdate((), 4)
        yield FollowUpdate((), 9, is_partial=True)


async def followed(service: SearchService, **fields: Any) -> list[search_pb2.FollowResponse]:
    request = search_pb2.FollowRequest(**fields)
    return [response async for response in service.Follow(request, Call())]


def test_updates_are_passed_on_until_they_end() -> None:
    follower = Follower()
    responses = serving(
        Answers(),
        lambda service: followed(service, query="pump", after_event_id=3),
        follower=follower,
    )
    assert [(each.last_event_id, each.is_partial) for each in responses] == [(4, False), (9, True)]
    assert follower.asked == [FollowRequest("pump", after_event_id=3)]
    assert follower.is_left


def test_a_process_that_does_not_follow_says_so() -> None:
    with pytest.raises(ServiceError, match="does not follow") as caught:
        serving(Answers(), lambda service: followed(service, query="pump"))
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED


def test_a_wrong_request_to_follow_is_refused() -> None:
    follower = Follower()
    with pytest.raises(ServiceError) as caught:
        serving(Answers(), lambda service: followed(service, mode=9), follower=follower)
    assert caught.value.field == "mode"
    assert follower.asked == []
