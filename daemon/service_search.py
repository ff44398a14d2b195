"""SearchService: validates a request, then searches on a few threads behind a bounded queue.

A search that was cancelled, or whose deadline passed while it waited, never starts. Beyond the
queue's bound requests are refused with RESOURCE_EXHAUSTED and a time to come back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import grpc

from dejalog.daemon.messages import request_from_message, result_to_message
from dejalog.daemon.rpc_errors import ServiceError, invalid, overloaded
from dejalog.indexer.errors import QueryError
from dejalog.indexer.hit import SearchResult
from dejalog.indexer.query import SearchRequest, parse_condition
from dejalog.proto.v1 import search_pb2, search_pb2_grpc

#: A query is a question or one raw log line; longer text is cut by the encoder anyway.
QUERY_BYTES_MAX = 16 * 1024
LIMIT_MAX = 1_000
OCCURRENCES_MAX = 100
WHERE_MAX = 32
WHERE_BYTES_MAX = 1024
#: What is left of a call's time for sending a partial result instead of none.
ANSWER_TIME_SHARE = 0.1
ANSWER_TIME_MAX_S = 0.1
#: Weight of the newest search in the running mean that retry times are computed from.
MEAN_WEIGHT = 0.1


class Searcher(Protocol):
    """What answers queries: blocking, called from several threads at once."""

    def search(self, request: SearchRequest, *, deadline: float | None) -> SearchResult:
        """Returns the hits; after `deadline` (a time of `time.monotonic`) those found so far.

        Raises QueryError on a query that cannot be understood, TimeoutError where the deadline
        left no time to find anything.
        """


class SearchPool:
    """A few threads and a bounded number of searches that wait for one."""

    def __init__(self, threads: int, queue_max: int) -> None:
        self._threads = threads
        self._taken_max = threads + queue_max
        self._taken = 0
        self._mean_s = 0.05
        self._lock = threading.Lock()
        self._running: set[Future[search_pb2.SearchResponse]] = set()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="search")

    async def run(
        self, work: Callable[[], search_pb2.SearchResponse], deadline: float
    ) -> search_pb2.SearchResponse:
        """Runs the work on a thread; raises TimeoutError after `deadline` (monotonic time).

        A cancelled or expired caller takes its work out of the queue.
        """
        with self._lock:
            if self._taken >= self._taken_max:
                wait_s = min(5.0, max(0.05, self._mean_s * self._taken / self._threads))
                raise overloaded(f"{self._taken} searches are running or waiting", wait_s)
            self._taken += 1
        future = self._executor.submit(self._work, work, deadline)
        with self._lock:
            self._running.add(future)
        future.add_done_callback(self._release)
        return await asyncio.wait_for(asyncio.wrap_future(future), deadline - time.monotonic())

    def close(self, timeout_s: float) -> bool:
        """Drops what waits, and waits for searches that run; returns whether all have ended."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            running = set(self._running)
        return not wait(running, timeout_s).not_done

    def _work(
        self, work: Callable[[], search_pb2.SearchResponse], deadline: float
    ) -> search_pb2.SearchResponse:
        started = time.monotonic()
        if started >= deadline:
            raise TimeoutError
        response = work()
        elapsed_s = time.monotonic() - started
        with self._lock:
            self._mean_s += MEAN_WEIGHT * (elapsed_s - self._mean_s)
        return response

    def _release(self, future: Future[search_pb2.SearchResponse]) -> None:
        with self._lock:
            self._taken -= 1
            self._running.discard(future)


class SearchService(search_pb2_grpc.SearchServiceServicer):
    """`dejalog.v1.SearchService` over a searcher."""

    def __init__(self, searcher: Searcher, pool: SearchPool, *, timeout_s: float) -> None:
        self._searcher = searcher
        self._pool = pool
        self._timeout_s = timeout_s

    async def Search(  # noqa: N802 - the name is the contract's
        self,
        request: search_pb2.SearchRequest,
        context: grpc.aio.ServicerContext[search_pb2.SearchRequest, search_pb2.SearchResponse],
    ) -> search_pb2.SearchResponse:
        """Returns the hits, within the client's deadline or the server's, whichever is nearer."""
        wanted = checked_request(request)
        timeout_s = _timeout_s(context, self._timeout_s)
        deadline = time.monotonic() + timeout_s
        search_until = deadline - min(ANSWER_TIME_MAX_S, timeout_s * ANSWER_TIME_SHARE)

        def work() -> search_pb2.SearchResponse:
            return result_to_message(self._searcher.search(wanted, deadline=search_until))

        try:
            return await self._pool.run(work, deadline)
        except QueryError as error:
            raise invalid("query", str(error), reason="BAD_QUERY") from error
        except TimeoutError as error:
            message = f"the search did not end within {self._timeout_s:g} s or the call's deadline"
            raise ServiceError(
                grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message
            ) from error


def checked_request(message: search_pb2.SearchRequest) -> SearchRequest:
    """Returns the request, or raises ServiceError naming the field that is out of bounds."""
    if len(message.query.encode()) > QUERY_BYTES_MAX:
        raise invalid("query", f"longer than {QUERY_BYTES_MAX} bytes of UTF-8")
    if not 0 <= message.limit <= LIMIT_MAX:
        raise invalid("limit", f"{message.limit} is not within 1 to {LIMIT_MAX} (0 means 10)")
    if not 0 <= message.occurrences <= OCCURRENCES_MAX:
        raise invalid("occurrences", f"{message.occurrences} is not within 0 to {OCCURRENCES_MAX}")
    if len(message.where) > WHERE_MAX:
        raise invalid("where", f"{len(message.where)} conditions, at most {WHERE_MAX} are taken")
    for index, condition in enumerate(message.where):
        _check_condition(f"where[{index}]", condition)
    try:
        request = request_from_message(message)
    except KeyError as error:
        raise invalid("mode", f"{message.mode} is not a mode this server knows") from error
    if (
        request.since_ns is not None
        and request.until_ns is not None
        and request.since_ns >= request.until_ns
    ):
        raise invalid("until_unix_nano", "must be after since_unix_nano")
    return request


def _check_condition(field: str, condition: str) -> None:
    if len(condition.encode()) > WHERE_BYTES_MAX:
        raise invalid(field, f"longer than {WHERE_BYTES_MAX} bytes of UTF-8")
    try:
        parse_condition(condition)
    except QueryError as error:
        raise invalid(field, str(error), reason="BAD_QUERY") from error


def _timeout_s(context: grpc.aio.ServicerContext[Any, Any], timeout_s: float) -> float:
    remaining_s = context.time_remaining()
    return timeout_s if remaining_s is None else min(timeout_s, remaining_s)
