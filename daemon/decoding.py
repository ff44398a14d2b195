"""Bytes that are no message of their type, invalid UTF-8 in a text for one, are the client's fault.

gRPC decodes a request before the handler sees it, and tells of a failure as UNKNOWN, or within a
stream as an exception of the handler, which looks like a fault of ours. So decoding never fails
here: what cannot be decoded is passed on as such, and refused by the first one who looks at it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from dejalog.daemon.rpc_errors import ServiceError

Deserializer = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands in for a message; `reason` is what the decoder said."""

    reason: str


def lenient(deserialize: Deserializer | None) -> Deserializer | None:
    """Returns a deserializer that never raises DecodeError; None stays None."""
    if deserialize is None:
        return None

    def decode(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return Undecodable(str(error))

    return decode


def decoded(request: Any) -> Any:
    """Returns a request, or the stream of them; raises ServiceError where one is undecodable."""
    if hasattr(request, "__aiter__"):
        return _each(request)
    return _checked(request)


async def _each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _checked(request)


def _checked(request: Any) -> Any:
    if isinstance(request, Undecodable):
        code = grpc.StatusCode.INVALID_ARGUMENT
        message = f"the request cannot be read: {request.reason}; is every text valid UTF-8?"
        raise ServiceError(code, "BAD_MESSAGE", message)
    return request
