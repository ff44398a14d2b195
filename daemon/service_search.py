"""SearchService: checks a request, then has it answered by the pool's threads.

What a method checks, asks and answers is in `questions.py`; here are time and errors, which are
the same for all of them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import grpc

from dejalog.client.answer import FollowUpdate
from dejalog.client.messages.requests import follow_from_message
from dejalog.daemon import questions
from dejalog.daemon.answers import Answers
from dejalog.daemon.checks import check
from dejalog.daemon.questions import Work
from dejalog.daemon.responses import follow_response
from dejalog.daemon.rpc_errors import ServiceError, invalid
from dejalog.daemon.search_pool import SearchPool
from dejalog.indexer.errors import QueryError
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import FollowRequest
from dejalog.proto.v1 import search_pb2, search_pb2_grpc

Request = TypeVar("Request")
Response = TypeVar("Response")


class Follower(Protocol):
    """What tells of new events."""

    def follow(
        self, request: FollowRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[FollowUpdate]]:
        """Opens the updates of one client; raises ServiceError."""


class SearchService(search_pb2_grpc.SearchServiceServicer):
    """`dejalog.v1.SearchService`; leave out `follower` for a process that hears of no new events.

    A question without a deadline of its own, or with a later one, has `timeout_s`.
    """

    def __init__(
        self,
        answers: Answers,
        pool: SearchPool,
        *,
        timeout_s: float,
        follower: Follower | None = None,
    ) -> None:
        self._answers = answers
        self._pool = pool
        self._timeout_s = timeout_s
        self._follower = follower

    async def Search(  # noqa: N802 - the names are the contract's
        self, request: search_pb2.SearchRequest, context: Any
    ) -> search_pb2.SearchResponse:
        """Returns hits."""
        return await self._answer(questions.search, request, context)

    async def Similar(  # noqa: N802
        self, request: search_pb2.SimilarRequest, context: Any
    ) -> search_pb2.SimilarResponse:
        """Returns hits that are like an event."""
        return await self._answer(questions.similar, request, context)

    async def Precedents(  # noqa: N802
        self, request: search_pb2.PrecedentsRequest, context: Any
    ) -> search_pb2.PrecedentsResponse:
        """Returns earlier incidents and what followed them."""
        return await self._answer(questions.precedents, request, context)

    async def Patterns(  # noqa: N802
        self, request: search_pb2.PatternsRequest, context: Any
    ) -> search_pb2.PatternsResponse:
        """Returns patterns with their counts."""
        return await self._answer(questions.patterns, request, context)

    async def Diff(  # noqa: N802
        self, request: search_pb2.DiffRequest, context: Any
    ) -> search_pb2.DiffResponse:
        """Returns what changed between two windows."""
        return await self._answer(questions.diff, request, context)

    async def Histogram(  # noqa: N802
        self, request: search_pb2.HistogramRequest, context: Any
    ) -> search_pb2.HistogramResponse:
        """Returns counts of events by time."""
        return await self._answer(questions.histogram, request, context)

    async def Context(  # noqa: N802
        self, request: search_pb2.ContextRequest, context: Any
    ) -> search_pb2.ContextResponse:
        """Returns the neighbours of an event."""
        return await self._answer(questions.context, request, context)

    async def Follow(  # noqa: N802
        self, request: search_pb2.FollowRequest, context: Any
    ) -> AsyncIterator[search_pb2.FollowResponse]:
        """Yields new events that meet the query."""
        check(request)
        if self._follower is None:
            message = "this process does not follow the index; ask the daemon that does"
            raise ServiceError(grpc.StatusCode.UNIMPLEMENTED, "NOT_FOLLOWING", message)
        async with self._follower.follow(follow_from_message(request)) as updates:
            async for update in updates:
                yield follow_response(
                    update.matches, update.last_event_id, is_partial=update.is_partial
                )

    async def _answer(
        self, question: Callable[[Request], Work[Response]], request: Request, context: Any
    ) -> Response:
        """Answers within the client's deadline or the server's, whichever is nearer."""
        work = question(request)
        remaining_s = context.time_remaining()
        timeout_s = self._timeout_s if remaining_s is None else min(self._timeout_s, remaining_s)

        def ask(patience: Patience) -> Response:
            try:
                return work(self._answers, patience)
            except LookupError as error:
                if type(error) is not LookupError:
                    raise  # A KeyError is a fault of ours, not of the question.
                raise ServiceError(
                    grpc.StatusCode.NOT_FOUND, "UNKNOWN_EVENT", str(error), field="event_id"
                ) from error

        try:
            return await self._pool.run(ask, time.monotonic() + timeout_s)
        except QueryError as error:
            raise invalid("query", str(error), reason="BAD_QUERY") from error
        except TimeoutError as error:
            message = f"there was no answer within {self._timeout_s:g} s or the call's deadline"
            raise ServiceError(
                grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message
            ) from error
