"""What a client raises: a status of the wire as an error that programs can tell apart."""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from dejalog.indexer.errors import DejalogError, QueryError


class RemoteError(DejalogError):
    """The daemon cannot be reached, or refused or failed to do what it was asked.

    `code` is the gRPC status code's name, `reason` the ErrorInfo's (docs/API.md lists them),
    `field` the request's field that is wrong, `retry_after_s` when to come back; empty or None
    where the daemon said nothing of it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        field: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.field = code, reason, field
        self.retry_after_s = retry_after_s


class UnknownEventError(QueryError, LookupError):
    """The event that was asked about is not in the index, or not any more."""


class RefusedError(RemoteError, QueryError):
    """The question itself is wrong and will be wrong again (INVALID_ARGUMENT)."""


class NotFoundError(RemoteError, UnknownEventError):
    """The daemon does not have the event (NOT_FOUND)."""


class LateError(RemoteError, TimeoutError):
    """There was no answer in time (DEADLINE_EXCEEDED)."""


def translated(error: grpc.RpcError, address: str) -> RemoteError:
    """Returns the error that a failed call stands for."""
    call: grpc.Call = error  # type: ignore[assignment]  # Every RpcError of a call is one.
    code = call.code()
    reason, field, retry_after_s = _details(call)
    message = call.details() or code.name
    kind = RemoteError
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        kind = RefusedError
    elif code is grpc.StatusCode.NOT_FOUND:
        kind = NotFoundError
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        kind = LateError
        message = f"the daemon at {address} did not answer in time"
    elif code is grpc.StatusCode.UNAVAILABLE and not reason and "handshake" in message.lower():
        message = f"TLS with {address} fails: {message}; is it on there, and signed by this CA?"
    elif code is grpc.StatusCode.UNAVAILABLE and not reason:
        message = f"no daemon answers at {address}: {message}; start it with 'dejalog run'"
    return kind(message, code=code.name, reason=reason, field=field, retry_after_s=retry_after_s)


def _details(call: grpc.Call) -> tuple[str, str, float | None]:
    """The error's reason, the wrong field and the time to come back."""
    reason, field, retry_after_s = "", "", None
    try:
        status = rpc_status.from_call(call)
    except (ValueError, DecodeError):
        # Somebody in between answered, with details of another status or of another kind.
        return reason, field, retry_after_s
    for detail in status.details if status is not None else ():
        info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad) and bad.field_violations:
            field = bad.field_violations[0].field
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    return reason, field, retry_after_s
