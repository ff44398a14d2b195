"""The threads that answer questions, and the bounded line of those that wait for one.

1. A question is refused with RESOURCE_EXHAUSTED where the line is full, or so long that its answer
   would come after the caller's deadline: neither costs more than this refusal.
2. It waits on the event loop, so one that is cancelled there, or expires, is simply gone. Where the
   wait took longer than expected, and leaves too little time, it is refused when its turn comes.
3. On its thread it works with a Patience. Where its caller leaves, the patience is over and the
   work ends at its next look; the thread counts as taken until then.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from dejalog.daemon.rpc_errors import overloaded, unavailable
from dejalog.indexer.patience import Patience

T = TypeVar("T")

#: What is left of a call's time for sending a partial result instead of none.
ANSWER_TIME_SHARE = 0.1
ANSWER_TIME_MAX_S = 0.1
#: Weight of the newest question in the running mean that waiting times are computed from, and the
#: first guess at that mean.
MEAN_WEIGHT = 0.1
MEAN_FIRST_S = 0.05
#: A question is expected to take the mean and this many mean deviations: RFC 6298 has 4 for a timer
#: that must not fire early; with 2, 14 of 3,162 questions were late at twice the sustainable rate
#: (bench.load, 2 s, a machine with other work), with none 431 of 2,594.
DEVIATIONS = 2.0
#: Who waits is expected to have an answer within this share of the time: a neighbour on the machine
#: may slow the line down meanwhile.
WAIT_SHARE = 0.75
#: Clients come back within these bounds, however long the line is.
RETRY_MIN_S = 0.05
RETRY_MAX_S = 5.0


class Pace:
    """How long questions take on a thread: a running mean and mean deviation, in seconds."""

    def __init__(self) -> None:
        self.mean_s = MEAN_FIRST_S
        self._deviation_s = 0.0

    def add(self, elapsed_s: float) -> None:
        """Takes the newest question in."""
        error_s = elapsed_s - self.mean_s
        self.mean_s += MEAN_WEIGHT * error_s
        self._deviation_s += MEAN_WEIGHT * (abs(error_s) - self._deviation_s)

    @property
    def expected_s(self) -> float:
        """What the next question will rarely exceed."""
        return self.mean_s + DEVIATIONS * self._deviation_s


class SearchPool:
    """`threads` questions are worked on and `queue_max` wait; belongs to one event loop."""

    def __init__(self, threads: int, queue_max: int) -> None:
        self._threads = threads
        self._taken_max = threads + queue_max
        self._taken = 0
        self._pace = Pace()
        self._free = asyncio.Semaphore(threads)
        self._lock = threading.Lock()
        self._running: dict[Future[Any], threading.Event] = {}
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="search")

    @property
    def taken(self) -> int:
        """How many questions are worked on or wait."""
        return self._taken

    async def run(self, work: Callable[[Patience], T], deadline: float) -> T:
        """Returns what the work returns; raises TimeoutError after `deadline` (monotonic time).

        The work's patience ends a little earlier, so that a partial result still arrives. Raises
        ServiceError where the pool takes no more.
        """
        left_s = deadline - time.monotonic()
        self._admit(left_s)
        patience = Patience(
            deadline - min(ANSWER_TIME_MAX_S, left_s * ANSWER_TIME_SHARE), threading.Event()
        )
        self._taken += 1
        try:
            await self._turn(left_s, patience)
        except BaseException:
            self._taken -= 1
            raise
        return await self._run(work, patience, deadline)

    def close(self, timeout_s: float) -> bool:
        """Ends what runs at its next look and waits for it; returns whether all has ended.

        What waits is answered UNAVAILABLE. May be called from any thread.
        """
        self._executor.shutdown(wait=False)
        with self._lock:
            running = dict(self._running)
        for stop in running.values():
            stop.set()
        return not wait(running, timeout_s).not_done

    def _admit(self, left_s: float) -> None:
        if left_s <= 0:
            raise TimeoutError
        wait_s = self._wait_s()
        if self._taken >= self._taken_max:
            raise overloaded(f"{self._taken} searches are running or waiting", _retry_s(wait_s))
        if wait_s and wait_s + self._pace.expected_s > WAIT_SHARE * left_s:
            message = f"the deadline is in {left_s:.2f} s and the wait for a turn about"
            raise overloaded(f"{message} {wait_s:.2f} s", _retry_s(wait_s))

    async def _turn(self, left_s: float, patience: Patience) -> None:
        """Waits for a free thread."""
        is_late = self._free.locked()
        async with asyncio.timeout(left_s):
            await self._free.acquire()
        assert patience.deadline is not None
        left_s = patience.deadline - time.monotonic()
        if is_late and left_s < self._pace.expected_s:
            self._free.release()
            message = f"the wait for a turn left {max(0.0, left_s):.2f} s to search"
            raise overloaded(message, _retry_s(self._wait_s()))

    def _wait_s(self) -> float:
        """How long the next question would wait; 0 where a thread is free."""
        waiting = max(0, self._taken - self._threads + 1)
        return self._pace.mean_s * waiting / self._threads

    async def _run(self, work: Callable[[Patience], T], patience: Patience, deadline: float) -> T:
        """Works on a thread; the place and the thread are free again once the work has ended."""
        stop = patience.stop
        assert stop is not None
        try:
            with self._lock:
                started = self._executor.submit(self._work, work, patience)
                self._running[started] = stop
        except RuntimeError as error:
            self._release()
            raise unavailable("the daemon is stopping", RETRY_MIN_S) from error
        # Both futures are done together, but only the loop's own may change the loop's counts.
        working = asyncio.wrap_future(started)
        working.add_done_callback(lambda _: self._ended(started, working))
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await asyncio.shield(working)
        except BaseException:
            stop.set()
            raise

    def _work(self, work: Callable[[Patience], T], patience: Patience) -> T:
        patience.check()
        started = time.monotonic()
        try:
            return work(patience)
        finally:
            elapsed_s = time.monotonic() - started
            with self._lock:
                self._pace.add(elapsed_s)

    def _ended(self, started: Future[Any], working: asyncio.Future[Any]) -> None:
        # Nobody may be left to fetch it; looking at it keeps asyncio from reporting it as lost.
        if not working.cancelled():
            working.exception()
        with self._lock:
            self._running.pop(started, None)
        self._release()

    def _release(self) -> None:
        self._taken -= 1
        self._free.release()


def _retry_s(wait_s: float) -> float:
    return min(RETRY_MAX_S, max(RETRY_MIN_S, wait_s))
