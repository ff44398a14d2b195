"""An error carries its code, its sentence and the details that programs read."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from dejalog.daemon.rpc_errors import (
    ErrorInterceptor,
    ServiceError,
    invalid,
    overloaded,
    unavailable,
)


def unpacked(error: ServiceError, kind: type) -> object:
    (found,) = [each for each in error.status().details if each.Is(kind.DESCRIPTOR)]
    return kind.FromString(found.value)


def test_an_invalid_field_is_named_in_message_and_details():
    error = invalid("limit", "1001 is not within 1 to 1000")
    assert error.status().code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert error.status().message == "limit: 1001 is not within 1 to 1000"
    (violation,) = unpacked(error, BadRequest).field_violations
    assert (violation.field, violation.description) == ("limit", str(error))
    assert unpacked(error, ErrorInfo).reason == "INVALID_FIELD"
    assert unpacked(error, ErrorInfo).domain == "dejalog.v1"


@pytest.mark.parametrize("make", [overloaded, unavailable])
def test_a_passing_error_says_when_to_come_back(make):
    error = make("later", 0.25)
    assert unpacked(error, RetryInfo).retry_delay.ToMilliseconds() == 250


def test_an_exception_that_escapes_a_handler_is_internal_and_reported():
    faults: list[BaseException] = []

    async def fail(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        raise OSError("the disk is gone")

    async def run() -> grpc.aio.AioRpcError:
        server = grpc.aio.server(interceptors=[ErrorInterceptor(faults.append)])
        handlers = {"Fail": grpc.unary_unary_rpc_method_handler(fail)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/test/Fail")(b"")
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await channel.unary_unary("/test/Unknown")(b"")
        await server.stop(0)
        assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED
        return caught.value

    error = asyncio.run(run())
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "OSError: the disk is gone"
    assert [str(each) for each in faults] == ["the disk is gone"]
