"""The errors of the wire: a gRPC status, a sentence, and details that programs can read.

Details follow google.rpc (error_details.proto): ErrorInfo says which error it is (`reason`, in
domain `dejalog.v1`), BadRequest which field is wrong, RetryInfo when to come back. Handlers raise
`ServiceError`; the interceptor turns it, and whatever else escapes a handler, into the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

if TYPE_CHECKING:
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    Interceptor = grpc.aio.ServerInterceptor

DOMAIN = "dejalog.v1"


class ServiceError(Exception):
    """An answer other than the response; `code` is a gRPC status code."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        field: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.field = field
        self.retry_after_s = retry_after_s

    def status(self) -> Status:
        """Returns the google.rpc.Status with its details."""
        details: list[Message] = [ErrorInfo(reason=self.reason, domain=DOMAIN)]
        if self.field:
            violation = BadRequest.FieldViolation(field=self.field, description=str(self))
            details.append(BadRequest(field_violations=[violation]))
        if self.retry_after_s is not None:
            delay = Duration()
            delay.FromNanoseconds(round(self.retry_after_s * 1e9))
            details.append(RetryInfo(retry_delay=delay))
        status = Status(code=self.code.value[0], message=str(self))
        for detail in details:
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        return status


def invalid(field: str, message: str, *, reason: str = "INVALID_FIELD") -> ServiceError:
    """The request is wrong in this field and will be wrong again."""
    return ServiceError(
        grpc.StatusCode.INVALID_ARGUMENT, reason, f"{field}: {message}", field=field
    )


def overloaded(message: str, retry_after_s: float) -> ServiceError:
    """There is more to do than the server takes on; the same request is welcome later."""
    return ServiceError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", message, retry_after_s=retry_after_s
    )


def unavailable(message: str, retry_after_s: float, *, reason: str = "NOT_READY") -> ServiceError:
    """The service is starting, stopping or momentarily full."""
    return ServiceError(grpc.StatusCode.UNAVAILABLE, reason, message, retry_after_s=retry_after_s)


class ErrorInterceptor(Interceptor):
    """Answers with the status of a raised ServiceError, and with INTERNAL for any other exception.

    `on_fault` is told of every other exception: it means that storage, encoder or code is broken,
    and that the process should end rather than go on answering. `idle` is set while no handler
    with one response runs; health watches and reflection, which only end with their client, do
    not count.
    """

    def __init__(self, on_fault: Callable[[BaseException], None]) -> None:
        self._on_fault = on_fault
        self._running = 0
        self.idle = asyncio.Event()
        self.idle.set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the method's handler with the answering around it."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.response_streaming:
            return handler
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(
                self._wrap(handler.stream_unary),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._wrap(handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _wrap(self, behaviour: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def answer(
            request: Message | AsyncIterator[Message], context: grpc.aio.ServicerContext[Any, Any]
        ) -> Any:
            self._running += 1
            self.idle.clear()
            try:
                return await behaviour(request, context)
            except ServiceError as error:
                await abort(context, error)
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception as error:
                self._on_fault(error)
                message = f"{type(error).__name__}: {error}"
                await abort(
                    context, ServiceError(grpc.StatusCode.INTERNAL, "SERVER_FAULT", message)
                )
            finally:
                self._running -= 1
                if self._running == 0:
                    self.idle.set()

        return answer


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: ServiceError) -> NoReturn:
    """Ends the call with the error's status."""
    untyped: Any = context  # The published types lack abort_with_status.
    await untyped.abort_with_status(rpc_status.to_status(error.status()))
    raise AssertionError("abort_with_status returned")
