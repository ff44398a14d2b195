"""Export requests are decoded at the door, and large ones split without a loss."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from dejalog.daemon.rpc_errors import ServiceError
from dejalog.daemon.service_otlp import (
    PART_BYTES_MAX,
    PART_LOG_RECORDS_MAX,
    SERVICE_NAME,
    count_log_records,
    decoded,
    split,
)


def export(*sizes: tuple[int, ...]) -> ExportLogsServiceRequest:
    """One resource with two scopes for each tuple of body sizes."""
    message = ExportLogsServiceRequest()
    for number, bodies in enumerate(sizes):
        resource = message.resource_logs.add(schema_url=f"https://schema/{number}")
        resource.resource.attributes.add(key="host.name").value.string_value = f"gw{number}"
        for name in ("first", "second"):
            scope = resource.scope_logs.add(schema_url="https://scope")
            scope.scope.name = name
            for index, size in enumerate(bodies):
                log_record = scope.log_records.add(time_unix_nano=index)
                log_record.body.string_value = "x" * size
    return message


def flat(message: ExportLogsServiceRequest) -> list[tuple[str, ...]]:
    return [
        (
            str(resource.resource),
            resource.schema_url,
            str(scope.scope),
            scope.schema_url,
            str(log_record),
        )
        for resource in message.resource_logs
        for scope in resource.scope_logs
        for log_record in scope.log_records
    ]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([0, 10, 70_000, 300_000, 600_000]), max_size=6).map(tuple),
        max_size=3,
    )
)
def test_splitting_keeps_every_log_record_its_resource_its_scope_and_the_order(sizes):
    message = export(*sizes)
    parts = [decoded(part) for part in split(message)]
    assert [each for part in parts for each in flat(part)] == flat(message)
    assert all(part.ByteSize() <= PART_BYTES_MAX or count_log_records(part) == 1 for part in parts)


def test_many_small_log_records_are_split_by_number():
    counts = [count_log_records(decoded(part)) for part in split(export((0,) * 12_000))]
    assert max(counts) == PART_LOG_RECORDS_MAX
    assert sum(counts) == 24_000


def test_bytes_of_something_else_are_an_invalid_argument():
    with pytest.raises(ServiceError) as caught:
        decoded(b"\x0a\xff\xff\xff\xff\x0f{}")
    assert caught.value.field == "request"


def test_the_service_has_the_name_that_exporters_call():
    assert SERVICE_NAME == "opentelemetry.proto.collector.logs.v1.LogsService"
