"""Errors of both kinds of call become statuses, and streams end when they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from dejalog.daemon import interceptor as interceptor_module
from dejalog.daemon.auth import METHOD_ROLES, Role, new_token, token_hash
from dejalog.daemon.guard import Guard, open_credentials
from dejalog.daemon.interceptor import CallInterceptor
from dejalog.daemon.rpc_errors import AnswerFault, invalid
from dejalog.indexer.store.layout import DamagedValueError

TOKEN = new_token()
#: A service of the contract, so that its methods need a role; the handlers are the tests'.
SERVICE = "dejalog.v1.SearchService"


class Service:
    """One handler of each kind, and what became of the endless one."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.started = asyncio.Event()

    async def one(self, request: bytes, context: Any) -> bytes:
        if request == b"wrong":
            raise invalid("limit", "is wrong")
        if request == b"broken":
            raise OSError("the disk is gone")
        if request == b"tripped":
            raise IndexError("out of range")
        if request == b"damaged":
            raise DamagedValueError("texts: checksum")
        if request == b"slow":
            await asyncio.sleep(60)
        if request == b"left":
            await self._left()
        return request

    async def _left(self) -> None:
        self.started.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.set()
            raise grpc.aio.InternalError("execute_batch, to somebody who has left")

    async def many(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.started.set()
        try:
            yield b"first"
            if request == b"wrong":
                raise invalid("limit", "is wrong")
            if request == b"broken":
                raise OSError("the disk is gone")
            if request == b"endless":
                await asyncio.sleep(60)
        finally:
            self.ended.set()

    async def written(self, request: bytes, context: Any) -> None:
        await context.write(b"written")

    async def gathered(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"".join([each async for each in requests])

    async def echoed(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each

    def generated(self, request: bytes, context: Any) -> bytes:
        raise NotImplementedError("Method not implemented!")

    def handlers(self) -> grpc.GenericRpcHandler:
        handlers = {
            "Search": grpc.unary_unary_rpc_method_handler(self.one),
            "Follow": grpc.unary_stream_rpc_method_handler(self.many),
            "Similar": grpc.unary_stream_rpc_method_handler(self.written),
            "Patterns": grpc.stream_unary_rpc_method_handler(self.gathered),
            "Diff": grpc.stream_stream_rpc_method_handler(self.echoed),
            "Context": grpc.unary_unary_rpc_method_handler(self.generated),
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)


class Served:
    """A server with the interceptor, and a channel to it."""

    def __init__(self, guard: Guard | None) -> None:
        self.faults: list[BaseException] = []
        self.service = Service()
        self.interceptor = CallInterceptor(self.faults.append, guard)
        self.server = grpc.aio.server(interceptors=[self.interceptor])
        self.server.add_generic_rpc_handlers((self.service.handlers(),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")

    def method(self, name: str, kind: str = "unary_unary") -> Any:
        return getattr(self.channel, kind)(f"/{SERVICE}/{name}")


@asynccontextmanager
async def serving(guard: Guard | None = None) -> AsyncIterator[Served]:
    served = Served(guard)
    await served.server.start()
    try:
        yield served
    finally:
        await served.channel.close()
        await served.server.stop(None)


def on_loop(test: Callable[..., Awaitable[None]]) -> Callable[[Path], None]:
    def run(tmp_path: Path) -> None:
        asyncio.run(asyncio.wait_for(test(tmp_path), 60))

    run.__name__ = test.__name__
    return run


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (ended(call) if hasattr(call, "read") else call)
    return caught.value


async def ended(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def until_answered(method: Any) -> None:
    """A place is free a moment after the stream that held it has ended."""
    for _ in range(1000):
        try:
            assert await method(b"x") == b"x"
            return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(0.01)
    raise AssertionError("the place stays taken")


def guarded(folder: Path, text: str = "") -> Guard:
    path = folder / "t.toml"
    path.write_text(
        f'[[token]]\nname = "p"\nroles = ["read"]\nsha256 = "{token_hash(TOKEN)}"\n{text}'
    )
    path.chmod(0o600)
    return Guard(9, credentials=open_credentials(str(path), None))


METADATA = (("authorization", f"Bearer {TOKEN}"),)


@on_loop
async def test_every_kind_of_handler_answers_as_it_would_alone(tmp_path: Path) -> None:
    async with serving() as served:
        assert await served.method("Search")(b"x") == b"x"
        assert [each async for each in served.method("Follow", "unary_stream")(b"x")] == [b"first"]
        written = served.method("Similar", "unary_stream")(b"x")
        assert [each async for each in written] == [b"written"]
        assert await served.method("Patterns", "stream_unary")(iter([b"a", b"b"])) == b"ab"
        echoed = served.method("Diff", "stream_stream")(iter([b"a", b"b"]))
        assert [each async for each in echoed] == [b"a", b"b"]
        assert served.faults == []


@on_loop
async def test_what_a_handler_refuses_and_what_escapes_it_are_told_apart(tmp_path: Path) -> None:
    """Streams used to go round the interceptor: their faults were UNKNOWN and nobody heard."""
    async with serving() as served:
        for name, kind in (("Search", "unary_unary"), ("Follow", "unary_stream")):
            wrong = await failure(served.method(name, kind)(b"wrong"))
            assert wrong.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert wrong.details() == "limit: is wrong"
            broken = await failure(served.method(name, kind)(b"broken"))
            assert broken.code() is grpc.StatusCode.INTERNAL
            assert broken.details() == "OSError: the disk is gone"
        assert [str(each) for each in served.faults] == ["the disk is gone"] * 2


@on_loop
async def test_a_client_that_leaves_while_it_is_answered_is_no_fault(tmp_path: Path) -> None:
    """A call of Health/Check, cancelled at the right moment, ended the daemon."""
    async with serving() as served:
        call = served.method("Search")(b"left")
        await served.service.started.wait()
        call.cancel()
        await served.service.ended.wait()
        await served.interceptor.idle.wait()
        assert served.faults == []


@on_loop
async def test_a_question_that_code_trips_over_is_a_fault_of_that_answer_only(
    tmp_path: Path,
) -> None:
    """One query ended a daemon (`IndexError`, from a stemmer): events were not taken meanwhile."""
    async with serving() as served:
        tripped = await failure(served.method("Search")(b"tripped"))
        assert tripped.code() is grpc.StatusCode.INTERNAL
        damaged = await failure(served.method("Search")(b"damaged"))
        assert damaged.code() is grpc.StatusCode.INTERNAL
        of_answer, of_storage = served.faults
        assert isinstance(of_answer, AnswerFault)
        assert "Search was answered INTERNAL: IndexError: out of range (test_" in str(of_answer)
        assert isinstance(of_storage, DamagedValueError)


@on_loop
async def test_methods_of_nobody_are_unimplemented(tmp_path: Path) -> None:
    async with serving() as served:
        for name in ("Context", "Nothing"):
            error = await failure(served.method(name)(b"x"))
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert served.faults == []


@on_loop
async def test_streams_end_with_the_daemon_and_say_when_to_come_back(tmp_path: Path) -> None:
    async with serving() as served:
        call = served.method("Follow", "unary_stream")(b"endless")
        assert await call.read() == b"first"
        served.interceptor.end_streams()
        error = await failure(call)
        await served.service.ended.wait()
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    retry = RetryInfo()
    assert any(each.Unpack(retry) for each in rpc_status.from_call(error).details)
    assert retry.retry_delay.ToNanoseconds() > 0


@on_loop
async def test_a_stream_whose_client_leaves_is_closed(tmp_path: Path) -> None:
    async with serving() as served:
        call = served.method("Follow", "unary_stream")(b"endless")
        assert await call.read() == b"first"
        call.cancel()
        await asyncio.wait_for(served.service.ended.wait(), 20)
        assert served.faults == []


def test_a_streams_credential_is_looked_at_again(tmp_path, monkeypatch):
    monkeypatch.setattr(interceptor_module, "RECHECK_S", 0.01)
    monkeypatch.setattr("dejalog.daemon.credentials.LOOK_INTERVAL_S", 0.0)

    async def run() -> grpc.aio.AioRpcError:
        async with serving(guarded(tmp_path)) as served:
            call = served.method("Follow", "unary_stream")(b"endless", metadata=METADATA)
            assert await call.read() == b"first"
            (tmp_path / "t.toml").write_text("")
            error = await failure(call)
            await served.service.ended.wait()
            return error

    error = asyncio.run(asyncio.wait_for(run(), 60))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@on_loop
async def test_no_handler_begins_for_a_call_that_is_not_allowed(tmp_path: Path) -> None:
    async with serving(guarded(tmp_path)) as served:
        for metadata in ((), (("authorization", "Bearer x"),)):
            error = await failure(served.method("Follow", "unary_stream")(b"x", metadata=metadata))
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not served.service.started.is_set()
        # The stream of requests is not read, either.
        error = await failure(served.method("Patterns", "stream_unary")(iter([b"a"])))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@on_loop
async def test_a_clients_time_limit_ends_its_call(tmp_path: Path) -> None:
    async with serving(guarded(tmp_path, "timeout_s = 0.05\n")) as served:
        error = await failure(served.method("Search")(b"slow", metadata=METADATA))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "0.05 s, the most for this credential" in error.details()
        assert await served.method("Search")(b"x", metadata=METADATA) == b"x"
        assert served.faults == []


@on_loop
async def test_calls_beyond_the_bound_are_told_when_to_come_back(tmp_path: Path) -> None:
    async with serving(Guard(1)) as served:
        call = served.method("Follow", "unary_stream")(b"endless")
        assert await call.read() == b"first"
        error = await failure(served.method("Search")(b"x"))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert any(each.Is(RetryInfo.DESCRIPTOR) for each in rpc_status.from_call(error).details)
        call.cancel()
        await served.service.ended.wait()
        await until_answered(served.method("Search"))


def test_the_methods_of_these_tests_need_a_role():
    for name in ("Search", "Follow", "Similar", "Patterns", "Diff"):
        assert METHOD_ROLES[f"/{SERVICE}/{name}"] is Role.READ
