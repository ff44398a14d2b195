"""A failed call becomes an error that programs can tell apart, whatever its details are."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from dejalog.client.errors import (
    LateError,
    NotFoundError,
    RefusedError,
    RemoteError,
    UnknownEventError,
    translated,
)
from dejalog.indexer.errors import DejalogError, QueryError

from .daemon import refusal


class Failed(grpc.RpcError):
    """What a stub raises."""

    def __init__(self, code: grpc.StatusCode, details: str, status: bytes | None = None) -> None:
        self._code, self._details, self._status = code, details, status

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return [] if self._status is None else [("grpc-status-details-bin", self._status)]


def error_of(status: Status, code: grpc.StatusCode) -> RemoteError:
    return translated(Failed(code, status.message, status.SerializeToString()), "gw:7040")


def test_details_are_what_programs_rely_on() -> None:
    status = refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", reason="OVERLOADED", retry_after_s=1.5
    )
    error = error_of(status, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert (error.code, error.reason, error.retry_after_s, error.field) == (
        "RESOURCE_EXHAUSTED",
        "OVERLOADED",
        1.5,
        "",
    )
    assert str(error) == "busy"


def test_the_field_that_is_wrong_is_named() -> None:
    status = refusal(grpc.StatusCode.INVALID_ARGUMENT, "limit: too large", reason="INVALID_FIELD")
    packed = AnyMessage()
    packed.Pack(BadRequest(field_violations=[BadRequest.FieldViolation(field="limit")]))
    status.details.append(packed)
    error = error_of(status, grpc.StatusCode.INVALID_ARGUMENT)
    assert isinstance(error, RefusedError)
    assert error.field == "limit"


def test_a_daemon_that_is_not_there_and_one_that_is_not_ready_are_told_apart() -> None:
    code = grpc.StatusCode.UNAVAILABLE
    assert "dejalog run" in str(translated(Failed(code, "connection refused"), "gw:7040"))
    no_tls = str(translated(Failed(code, "Tls handshake failed (TSI)"), "gw:7040"))
    assert "TLS with gw:7040" in no_tls
    assert "dejalog run" not in no_tls
    starting = error_of(refusal(code, "starting", reason="NOT_READY", retry_after_s=1), code)
    assert str(starting) == "starting"


def test_an_answer_that_contradicts_itself_or_is_no_status_has_no_details() -> None:
    other = refusal(grpc.StatusCode.INTERNAL, "other", reason="SERVER_FAULT")
    error = error_of(other, grpc.StatusCode.UNAVAILABLE)
    assert (error.code, error.reason) == ("UNAVAILABLE", "")
    broken = translated(Failed(grpc.StatusCode.UNKNOWN, "", b"\xff\xff"), "gw:7040")
    assert (broken.code, str(broken)) == ("UNKNOWN", "UNKNOWN")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [(RefusedError, QueryError), (NotFoundError, LookupError), (LateError, TimeoutError)],
)
def test_each_kind_is_also_what_the_index_in_this_process_would_raise(
    kind: type[RemoteError], builtin: type[Exception]
) -> None:
    error = kind("text", code="CODE", reason="WHY", field="x", retry_after_s=2.0)
    assert isinstance(error, builtin)
    assert isinstance(error, DejalogError)
    assert (str(error), error.code, error.field) == ("text", "CODE", "x")
    assert issubclass(NotFoundError, UnknownEventError)
