"""The errors of the wire: a gRPC status, a sentence, and details that programs can read.

Details follow google.rpc (error_details.proto): ErrorInfo says which error it is (`reason`, in
domain `dejalog.v1`), BadRequest which field is wrong, RetryInfo when to come back. Handlers raise
`ServiceError`; the interceptor (interceptor.py) turns it into the answer.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

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


class AnswerFault(Exception):  # noqa: N818 - it is told of, never raised
    """One question could not be answered, by a fault of ours that leaves everything else whole.

    A question only reads: what went wrong is in the code that answered it, and the same question,
    asked again and again, must not keep events from being taken.
    """

    def __init__(self, method: str, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        super().__init__(
            f"{method} was answered INTERNAL: {type(error).__name__}: {error} ({place}); "
            "this is a fault of dejalog, please report it"
        )


def invalid(field: str, message: str, *, reason: str = "INVALID_FIELD") -> ServiceError:
    """The request is wrong in this field and will be wrong again."""
    return ServiceError(
        grpc.StatusCode.INVALID_ARGUMENT, reason, f"{field}: {message}", field=field
    )


def overloaded(message: str, retry_after_s: float) -> ServiceError:
    """There is more to do than the server takes on; the same request is welcome later."""
    return exhausted("OVERLOADED", message, retry_after_s)


def exhausted(reason: str, message: str, retry_after_s: float) -> ServiceError:
    """A limit is reached; the same request is welcome later."""
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    return ServiceError(code, reason, message, retry_after_s=retry_after_s)


def unavailable(message: str, retry_after_s: float, *, reason: str = "NOT_READY") -> ServiceError:
    """The service is starting, stopping or momentarily full."""
    return ServiceError(grpc.StatusCode.UNAVAILABLE, reason, message, retry_after_s=retry_after_s)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: ServiceError) -> NoReturn:
    """Ends the call with the error's status."""
    untyped: Any = context  # The published types lack abort_with_status.
    await untyped.abort_with_status(rpc_status.to_status(error.status()))
    raise AssertionError("abort_with_status returned")
