"""An error carries its code, its sentence and the details that programs read."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from dejalog.daemon.rpc_errors import ServiceError, invalid, overloaded, unavailable


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
