"""Requests are checked against the documented limits, and the pool keeps to its bound."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from dejalog.daemon.rpc_errors import ServiceError
from dejalog.daemon.service_search import SearchPool, checked_request
from dejalog.indexer.query import Mode, SearchRequest
from dejalog.proto.v1 import search_pb2

EMPTY = search_pb2.SearchResponse()


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"query": "x" * 16_385}, "query"),
        ({"query": "\u00e9" * 8_193}, "query"),
        ({"limit": 1001}, "limit"),
        ({"limit": -1}, "limit"),
        ({"occurrences": 101}, "occurrences"),
        ({"occurrences": -1}, "occurrences"),
        ({"where": ["a=b"] * 33}, "where"),
        ({"where": ["a=b", "nonsense"]}, "where[1]"),
        ({"where": ["a=" + "b" * 1024]}, "where[0]"),
        ({"mode": 9}, "mode"),
        ({"since_unix_nano": 5, "until_unix_nano": 5}, "until_unix_nano"),
    ],
)
def test_a_request_beyond_a_limit_names_the_field(fields, name):
    with pytest.raises(ServiceError) as caught:
        checked_request(search_pb2.SearchRequest(**fields))
    assert caught.value.field == name


def test_a_request_at_every_limit_passes():
    message = search_pb2.SearchRequest(
        query="x" * 16_384,
        limit=1000,
        occurrences=100,
        where=["a=" + "b" * 1022] * 32,
        since_unix_nano=4,
        until_unix_nano=5,
        mode=search_pb2.SEARCH_MODE_SEMANTIC,
    )
    assert checked_request(message) == SearchRequest(
        "x" * 16_384, 1000, 100, 4, 5, ("a=" + "b" * 1022,) * 32, Mode.SEMANTIC
    )


def test_work_beyond_the_queue_is_refused_and_space_comes_back():
    async def run() -> None:
        pool, gate = SearchPool(1, 1), threading.Event()
        later = time.monotonic() + 30

        def blocked() -> search_pb2.SearchResponse:
            assert gate.wait(30)
            return EMPTY

        tasks = [asyncio.create_task(pool.run(blocked, later)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as caught:
            await pool.run(blocked, later)
        assert 0.05 <= caught.value.retry_after_s <= 5.0
        gate.set()
        await asyncio.gather(*tasks)
        assert await pool.run(lambda: EMPTY, later) == EMPTY
        pool.close(1.0)

    asyncio.run(run())


def test_work_past_its_deadline_is_not_done():
    async def run() -> list[str]:
        pool, done = SearchPool(1, 1), []

        def work() -> search_pb2.SearchResponse:
            done.append("ran")
            return EMPTY

        with pytest.raises(TimeoutError):
            await pool.run(work, time.monotonic() - 1)
        pool.close(1.0)
        return done

    assert asyncio.run(run()) == []


def test_a_failure_of_the_work_reaches_the_caller_and_frees_its_place():
    async def run() -> None:
        pool = SearchPool(1, 0)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 // 0, time.monotonic() + 30)
            while pool._taken:
                await asyncio.sleep(0.001)
        pool.close(1.0)

    asyncio.run(run())


def test_a_pool_that_is_closed_waits_for_the_search_that_runs_and_drops_the_rest():
    """Closing did not wait, and the data directory was closed under a search."""

    async def run() -> None:
        pool, gate, ended = SearchPool(1, 1), threading.Event(), []
        later = time.monotonic() + 30

        def work() -> search_pb2.SearchResponse:
            assert gate.wait(30)
            ended.append("ran")
            return EMPTY

        tasks = [asyncio.create_task(pool.run(work, later)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not await asyncio.to_thread(pool.close, 0.01)
        closing = asyncio.create_task(asyncio.to_thread(pool.close, 30))
        gate.set()
        assert await closing
        assert ended == ["ran"]
        await asyncio.wait(tasks)
        assert tasks[1].cancelled()

    asyncio.run(run())
