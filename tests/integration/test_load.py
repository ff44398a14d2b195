"""Beyond its bounds the daemon refuses at once and in order, and nobody pays for who has left."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

from dejalog.daemon.server import Server, ServerSettings
from dejalog.indexer.hit import SearchResult
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import admin_pb2, admin_pb2_grpc, search_pb2, search_pb2_grpc

ROOT = Path(__file__).parents[2]
STATUS = IndexStatus("/data", "1.2.3", "f00d", 7, 3, 40, 1, 2, 4096, 5, None, 6, 0.5, 0.25)
QUESTION = search_pb2.SearchRequest(query="pump")


class SlowAnswers:
    """Searches until the gate opens or the patience is over, and looks every millisecond."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.begun = 0
        self.running = 0
        self.most = 0
        self.stopped = 0

    def search(self, request: SearchRequest, patience: Patience) -> SearchResult:
        with self.lock:
            self.begun += 1
            self.running += 1
            self.most = max(self.most, self.running)
        ends_at = time.monotonic() + 60
        while not self.gate.wait(0.001) and not patience.is_over:
            assert time.monotonic() < ends_at, "nobody told the search to stop"
        with self.lock:
            self.running -= 1
            self.stopped += not self.gate.is_set()
        return SearchResult((), 1, 1, 1, 1, 0.0, False)


class Served:
    """A server, its answers, and a stub."""

    def __init__(self, settings: ServerSettings) -> None:
        self.answers = SlowAnswers()
        self.faults: list[BaseException] = []
        self.server = Server(
            settings,
            answers=self.answers,  # type: ignore[arg-type]
            push_source=None,
            status=lambda: STATUS,
            on_fault=self.faults.append,
        )


def serving(test: Callable[[Served, Any], Awaitable[None]], **changes: int) -> None:
    """Runs the test beside a real server on the same loop."""

    async def run() -> None:
        settings = ServerSettings("127.0.0.1:0", "", **changes)  # type: ignore[arg-type]
        served = Served(settings)
        await served.server.start()
        try:
            async with grpc.aio.insecure_channel(served.server.address) as channel:
                await asyncio.wait_for(test(served, channel), 60)
        finally:
            served.answers.gate.set()
            await served.server.stop(1.0)
        assert served.faults == []

    asyncio.run(run())


async def until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends_at
        await asyncio.sleep(0.001)


def refusal(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str, float]:
    """Code, reason and when to come back."""
    info, retry = ErrorInfo(), RetryInfo()
    status = rpc_status.from_call(error)
    assert status is not None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(retry)
    return error.code(), info.reason, retry.retry_delay.ToNanoseconds() / 1e9


def test_fifty_cancelled_questions_leave_the_pool_free_at_once():
    async def test(served: Served, channel: Any) -> None:
        stub, answers = search_pb2_grpc.SearchServiceStub(channel), served.answers
        calls = [stub.Search(QUESTION, timeout=50) for _ in range(50)]
        waiting = [asyncio.ensure_future(call.code()) for call in calls]
        await until(lambda: answers.running == 2 and served.server._pool.taken == 50)
        for call in calls:
            call.cancel()
        await asyncio.gather(*waiting)
        await until(lambda: served.server._pool.taken == 0)
        # A thread that is free again may begin one whose cancellation is still on its way. Whatever
        # began was stopped, and the others never began.
        assert answers.begun == answers.stopped < 50
        answers.gate.set()
        assert (await stub.Search(QUESTION, timeout=50)).events_total == 1

    serving(test)


def test_questions_beyond_threads_and_queue_are_refused_with_a_time_to_come_back():
    async def test(served: Served, channel: Any) -> None:
        stub, answers = search_pb2_grpc.SearchServiceStub(channel), served.answers
        calls = [stub.Search(QUESTION, timeout=50) for _ in range(40)]
        codes = [asyncio.ensure_future(call.code()) for call in calls]
        await until(lambda: sum(code.done() for code in codes) == 30)
        assert answers.most == 2
        for call, code in zip(calls, codes, strict=True):
            if code.done():
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                found, reason, retry_s = refusal(caught.value)
                assert (found, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
                assert retry_s > 0
        answers.gate.set()
        assert sum(code is grpc.StatusCode.OK for code in await asyncio.gather(*codes)) == 10

    serving(test, search_threads=2, search_queue_max=8)


def test_a_deadline_that_the_line_would_outlast_is_refused_and_not_waited_for():
    async def test(served: Served, channel: Any) -> None:
        stub, answers = search_pb2_grpc.SearchServiceStub(channel), served.answers
        patient = [stub.Search(QUESTION, timeout=50) for _ in range(60)]
        await until(lambda: served.server._pool.taken == 60)
        # 60 turns of 0.05 s, the first guess, on two threads are 1.5 s.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Search(QUESTION, timeout=1.5)
        assert refusal(caught.value)[:2] == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        answers.gate.set()
        await asyncio.gather(*patient)

    serving(test)


def test_calls_of_all_kinds_are_bounded_and_told_when_to_come_back():
    """gRPC's own bound answers without a time, so that clients try again at once."""

    async def test(served: Served, channel: Any) -> None:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        searches = [stub.Search(QUESTION, timeout=50) for _ in range(3)]
        await until(lambda: served.server._pool.taken == 3)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Search(QUESTION, timeout=50)
        code, reason, retry_s = refusal(caught.value)
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert retry_s > 0
        # Three quarters are the most for readers; the fourth place is for others.
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin.Status(admin_pb2.StatusRequest())
        assert refusal(caught.value)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        retry = admin_pb2.RetryDeadLettersRequest(all=True)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin.RetryDeadLetters(retry)
        assert refusal(caught.value)[1] == "NOT_WRITING"
        served.answers.gate.set()
        await asyncio.gather(*searches)
        assert (await admin.Status(admin_pb2.StatusRequest())).events == 7

    serving(test, rpcs_max=4)


def test_what_one_connection_may_have_open_is_bounded():
    """HTTP/2's own bound refused what a new connection sent before it knew the bound."""

    async def test(served: Served, channel: Any) -> None:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        calls = [stub.Search(QUESTION, timeout=50) for _ in range(10)]
        codes = [asyncio.ensure_future(call.code()) for call in calls]
        await until(lambda: sum(code.done() for code in codes) == 6)
        assert served.server._pool.taken == 4
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(served.server.address, options=options) as other:
            admin = admin_pb2_grpc.AdminServiceStub(other)
            assert (await admin.Status(admin_pb2.StatusRequest())).events == 7
        served.answers.gate.set()
        found = Counter(await asyncio.gather(*codes))
        assert found == {grpc.StatusCode.OK: 4, grpc.StatusCode.RESOURCE_EXHAUSTED: 6}

    serving(test, rpcs_per_connection_max=4)


def test_a_real_daemon_under_twice_its_load_only_refuses(tmp_path):
    """The short form of `python -m bench.load`: real searches, ingest, 32 connections."""
    log = tmp_path / "plant.log"
    log.write_text("".join(f"pump P-{n % 40} pressure {n} bar is low\n" for n in range(200)))
    flags = ("--log", str(log), "--minutes", "0.05", "--probe-s", "2", "--ingest-per-s", "50")
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["is_good"]
    assert summary["unexpected"] == {}
    assert summary["ok"] > 0
