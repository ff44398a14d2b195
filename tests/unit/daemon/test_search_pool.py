"""The pool keeps to its bounds, and a question nobody waits for costs nothing more."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest

from dejalog.daemon.rpc_errors import ServiceError
from dejalog.daemon.search_pool import Pace, SearchPool
from dejalog.indexer.patience import Patience

SOON_S = 30.0


def on_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


def later() -> float:
    return time.monotonic() + SOON_S


class Gate:
    """Work that goes on until it is let through or its patience is over."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.started = threading.Semaphore(0)
        self.ended: list[str] = []

    def __call__(self, patience: Patience) -> str:
        self.started.release()
        ends_at = time.monotonic() + SOON_S
        while not self.event.wait(0.001):
            assert time.monotonic() < ends_at, "neither let through nor stopped"
            if patience.is_over:
                self.ended.append("stopped")
                return "partial"
        self.ended.append("done")
        return "whole"


async def until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + SOON_S
    while not is_so():
        assert time.monotonic() < ends_at
        await asyncio.sleep(0.001)


@on_loop
async def test_work_beyond_the_queue_is_refused_and_space_comes_back() -> None:
    pool, gate = SearchPool(1, 1), Gate()
    tasks = [asyncio.create_task(pool.run(gate, later())) for _ in range(2)]
    await until(lambda: pool.taken == 2)
    with pytest.raises(ServiceError, match="running or waiting") as caught:
        await pool.run(gate, later())
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.retry_after_s is not None
    assert 0.05 <= caught.value.retry_after_s <= 5.0
    gate.event.set()
    assert await asyncio.gather(*tasks) == ["whole", "whole"]
    assert await pool.run(lambda _: "next", later()) == "next"
    await until(lambda: pool.taken == 0)
    pool.close(1.0)


@on_loop
async def test_work_past_its_deadline_is_not_done() -> None:
    pool, done = SearchPool(1, 1), []
    with pytest.raises(TimeoutError):
        await pool.run(lambda _: done.append("ran"), time.monotonic() - 1)
    assert pool.taken == 0
    pool.close(1.0)
    assert done == []


@on_loop
async def test_a_failure_of_the_work_reaches_the_caller_and_frees_its_place() -> None:
    pool = SearchPool(1, 0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda _: 1 // 0, later())
        await until(lambda: pool.taken == 0)
    pool.close(1.0)


@on_loop
async def test_fifty_cancelled_questions_leave_the_pool_free() -> None:
    """A cancelled search used to keep its thread until the deadline."""
    pool, gate = SearchPool(2, 48), Gate()
    tasks = [asyncio.create_task(pool.run(gate, later())) for _ in range(50)]
    await asyncio.to_thread(gate.started.acquire)
    await asyncio.to_thread(gate.started.acquire)
    assert pool.taken == 50
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await until(lambda: pool.taken == 0)
    assert gate.ended == ["stopped", "stopped"]
    assert await pool.run(lambda _: "next", later()) == "next"
    pool.close(1.0)


@on_loop
async def test_a_question_whose_deadline_passes_ends_on_its_thread() -> None:
    pool, gate = SearchPool(1, 0), Gate()
    # The patience ends a little before the deadline, and a partial answer is one, too.
    assert await pool.run(gate, time.monotonic() + 0.3) == "partial"

    def deaf(patience: Patience) -> None:
        gate(Patience(stop=patience.stop))

    with pytest.raises(TimeoutError):
        await pool.run(deaf, time.monotonic() + 0.1)
    await until(lambda: pool.taken == 0)
    assert gate.ended == ["stopped", "stopped"]
    pool.close(1.0)


@on_loop
async def test_a_failure_that_nobody_waits_for_any_more_is_not_reported_as_lost() -> None:
    """The daemon's log had a "Future exception was never retrieved" for every late question."""
    lost: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    pool = SearchPool(1, 0)

    def fails_late(patience: Patience) -> None:
        while not patience.is_over:
            time.sleep(0.001)
        time.sleep(0.05)
        raise TimeoutError("nothing was searched")

    with pytest.raises(TimeoutError):
        await pool.run(fails_late, time.monotonic() + 0.05)
    await until(lambda: pool.taken == 0)
    gc.collect()
    await asyncio.sleep(0)
    assert lost == []
    assert pool.close(SOON_S)


@on_loop
async def test_a_question_that_would_wait_beyond_its_deadline_is_refused_at_once() -> None:
    pool, gate = SearchPool(1, 100), Gate()
    tasks = [asyncio.create_task(pool.run(gate, later())) for _ in range(50)]
    await until(lambda: pool.taken == 50)
    # Fifty turns of 0.05 s, the first guess, are 2.5 s.
    with pytest.raises(ServiceError, match="the wait for a turn") as caught:
        await pool.run(gate, time.monotonic() + 1.0)
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.retry_after_s == pytest.approx(2.5)
    patient = asyncio.create_task(pool.run(gate, later()))
    await until(lambda: pool.taken == 51)
    gate.event.set()
    await asyncio.gather(*tasks, patient)
    pool.close(1.0)


@on_loop
async def test_a_closed_pool_ends_what_runs_and_answers_what_waits() -> None:
    """Closing did not wait, and the data directory was closed under a search."""
    pool, gate = SearchPool(1, 1), Gate()
    running, waiting = (asyncio.create_task(pool.run(gate, later())) for _ in range(2))
    await asyncio.to_thread(gate.started.acquire)
    assert await asyncio.to_thread(pool.close, SOON_S)
    assert gate.ended == ["stopped"]
    assert await running == "partial"
    with pytest.raises(ServiceError, match="stopping") as caught:
        await waiting
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(ServiceError, match="stopping"):
        await pool.run(gate, later())


@on_loop
async def test_closing_gives_up_on_work_that_never_looks() -> None:
    pool, opening = SearchPool(1, 0), threading.Event()
    task = asyncio.create_task(pool.run(lambda _: opening.wait(SOON_S), later()))
    await until(lambda: pool.taken == 1)
    await asyncio.sleep(0.01)
    assert not await asyncio.to_thread(pool.close, 0.01)
    opening.set()
    assert await task


@on_loop
async def test_a_question_whose_turn_comes_too_late_is_refused_and_not_worked_on() -> None:
    pool, gate = SearchPool(1, 1), Gate()
    running = asyncio.create_task(pool.run(gate, later()))
    late = asyncio.create_task(pool.run(gate, later()))
    await until(lambda: pool.taken == 2)
    # Meanwhile questions turn out to take longer than anybody waits.
    for _ in range(50):
        pool._pace.add(10 * SOON_S)
    gate.event.set()
    assert await running == "whole"
    with pytest.raises(ServiceError, match=r"left \d+\.\d\d s to search") as caught:
        await late
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.retry_after_s is not None
    assert gate.ended == ["done"]
    # Where a thread is free, nobody is refused because others were slow.
    assert await pool.run(lambda _: "next", time.monotonic() + 5.0) == "next"
    pool.close(1.0)


def test_the_pace_follows_what_questions_take():
    pace = Pace()
    for _ in range(200):
        pace.add(0.2)
    assert pace.mean_s == pytest.approx(0.2)
    assert pace.expected_s == pytest.approx(0.2, rel=0.01)
    for number in range(400):
        pace.add(0.1 if number % 2 else 0.3)
    assert pace.mean_s == pytest.approx(0.2, rel=0.1)
    assert pace.expected_s == pytest.approx(0.4, rel=0.1)
