"""What the index is asked runs on threads, so that the loop goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import grpc
import pytest

from dejalog.client.messages.admin import retry_report_from_message, status_from_message
from dejalog.daemon.interceptor import CallInterceptor
from dejalog.daemon.rpc_errors import ServiceError
from dejalog.daemon.service_admin import AdminService, Retry, checked_filter
from dejalog.indexer.errors import DataDirectoryError, StorageError
from dejalog.indexer.letters import LetterFilter, NumberRanges, RetryReport, RetryRunningError
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import admin_pb2, admin_pb2_grpc

STATUS = IndexStatus("/d", "1", "f", 1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5, 0.25)
Request = admin_pb2.RetryDeadLettersRequest
Stub = admin_pb2_grpc.AdminServiceStub


def test_the_state_is_asked_for_at_each_call_and_off_the_loop():
    threads: list[int] = []

    def status() -> IndexStatus:
        threads.append(threading.get_ident())
        return STATUS

    async def run() -> list[admin_pb2.StatusResponse]:
        service = AdminService(status)
        return [await service.Status(admin_pb2.StatusRequest(), None) for _ in range(2)]

    assert [status_from_message(each) for each in asyncio.run(run())] == [STATUS, STATUS]
    assert len(threads) == 2
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Request(), "all"),
        (Request(all=True, reason="empty"), "all"),
        (Request(all=True, since_unix_nano=0), "all"),
        (Request(numbers=[admin_pb2.NumberRange(first=3, last=2)]), r"numbers\[0\]"),
        (Request(numbers=[admin_pb2.NumberRange(first=-3, last=2)]), r"numbers\[0\]"),
        (Request(since_unix_nano=5, until_unix_nano=5), "until_unix_nano"),
    ],
)
def test_a_request_that_means_nothing_certain_is_refused_with_the_field(
    message: Request, field: str
):
    with pytest.raises(ServiceError, match=f"^{field}: "):
        checked_filter(message)


def test_a_request_means_what_meets_all_of_it():
    message = Request(
        numbers=[admin_pb2.NumberRange(first=5, last=9), admin_pb2.NumberRange(first=0, last=0)],
        reason="bad-json",
        since_unix_nano=0,
    )
    numbers = NumberRanges(((0, 0), (5, 9)))
    assert checked_filter(message) == LetterFilter(numbers, "bad-json", since_ns=0)
    assert checked_filter(Request(all=True)) == LetterFilter()


def ask(retry: Retry | None, call: Callable[[Stub], Awaitable[object]]) -> tuple[object, list]:
    """Serves on a real socket; returns the answer and what the interceptor took for faults."""
    faults: list[BaseException] = []

    async def run() -> object:
        server = grpc.aio.server(interceptors=[CallInterceptor(faults.append)])
        admin_pb2_grpc.add_AdminServiceServicer_to_server(
            AdminService(lambda: STATUS, retry), server
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await call(Stub(channel))
        finally:
            await server.stop(None)

    return asyncio.run(run()), faults


async def code_of(call: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


def test_a_retry_answers_what_became_of_the_letters():
    wanted: list[LetterFilter] = []
    report = RetryReport(7, 6, 5, 4, 3, 2)

    def retry(each: LetterFilter, is_over: Callable[[], bool]) -> RetryReport:
        assert not is_over()
        wanted.append(each)
        return report

    answer, faults = ask(retry, lambda stub: stub.RetryDeadLetters(Request(reason="empty")))
    assert retry_report_from_message(answer) == report
    assert wanted == [LetterFilter(reason="empty")]
    assert faults == []


def raising(error: Exception) -> Retry:
    def retry(_: LetterFilter, __: Callable[[], bool]) -> RetryReport:
        raise error

    return retry


@pytest.mark.parametrize(
    ("retry", "code", "is_fault"),
    [
        (None, grpc.StatusCode.FAILED_PRECONDITION, False),
        (raising(RetryRunningError()), grpc.StatusCode.RESOURCE_EXHAUSTED, False),
        (raising(DataDirectoryError("full")), grpc.StatusCode.FAILED_PRECONDITION, False),
        (lambda *_: RetryReport(is_complete=False), grpc.StatusCode.UNAVAILABLE, False),
        (raising(StorageError("gone")), grpc.StatusCode.INTERNAL, True),
    ],
)
def test_only_a_fault_of_the_storage_ends_the_daemon(
    retry: Retry | None, code: grpc.StatusCode, is_fault: bool
):
    answer, faults = ask(retry, lambda stub: code_of(stub.RetryDeadLetters(Request(all=True))))
    assert answer is code
    assert bool(faults) is is_fault


def test_a_call_that_reaches_its_deadline_ends_its_retry():
    over: list[bool] = []
    ended = threading.Event()

    def retry(_: LetterFilter, is_over: Callable[[], bool]) -> RetryReport:
        while not is_over():
            ended.wait(0.01)
        over.append(True)
        ended.set()
        return RetryReport(is_complete=False)

    async def call(stub: Stub) -> grpc.StatusCode:
        code = await code_of(stub.RetryDeadLetters(Request(all=True), timeout=0.2))
        assert await asyncio.to_thread(ended.wait, 20)
        return code

    assert ask(retry, call) == (grpc.StatusCode.DEADLINE_EXCEEDED, [])
    assert over == [True]
