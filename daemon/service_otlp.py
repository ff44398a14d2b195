"""OpenTelemetry's LogsService: takes exported logs and answers once they are committed.

One request is one record, stored byte for byte as it came (a serialised LogsData has the same
bytes), so nothing that a newer exporter sends is lost. A request larger than a record should be
is split into several with the same resources and scopes.
Answers follow the OTLP specification
(opentelemetry.io/docs/specs/otlp, "OTLP/gRPC Response"): a request that cannot be decoded is
INVALID_ARGUMENT, which exporters do not repeat; a full queue is UNAVAILABLE with RetryInfo, which
they do; log records that became dead letters are a partial success.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    DESCRIPTOR,
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs

from dejalog.client.pushed import Pushed
from dejalog.daemon.rpc_errors import invalid, unavailable
from dejalog.daemon.sources.push import OTLP_SOURCE, PushSource
from dejalog.daemon.sources.pushed import PushBatch, PushClosedError, PushFullError

SERVICE_NAME = DESCRIPTOR.services_by_name["LogsService"].full_name
#: Exporters carry no partitions, and their connections come and go: all share one.
PARTITION = "0"
ENCODING = "otlp_proto"
#: Half of what decoding takes as one record by default; an exporter's batch of 8,192 log records is
#: larger than that now and then.
PART_BYTES_MAX = 1 << 19
PART_LOG_RECORDS_MAX = 5_000
#: Exporters double it by themselves when it happens again.
RETRY_AFTER_S = 1.0


class OtlpLogsService:
    """`opentelemetry.proto.collector.logs.v1.LogsService` over the push source."""

    def __init__(self, push_source: PushSource) -> None:
        self._push_source = push_source

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """Returns the handler to register; requests reach it as bytes."""
        export = grpc.unary_unary_rpc_method_handler(
            self.export,
            request_deserializer=None,
            response_serializer=ExportLogsServiceResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE_NAME, {"Export": export})

    async def export(
        self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ExportLogsServiceResponse:
        """Stores the request and tells how many of its log records were dead letters."""
        message = decoded(request)
        count = count_log_records(message)
        if count == 0:
            return ExportLogsServiceResponse()
        records = [Pushed(request)]
        if len(request) > PART_BYTES_MAX or count > PART_LOG_RECORDS_MAX:
            records = [Pushed(part) for part in await asyncio.to_thread(split, message)]
        batch = PushBatch(OTLP_SOURCE, PARTITION, records, encoding=ENCODING)
        submission = self._push_source.begin()
        try:
            await submission.add(batch, is_patient=False)
            receipt = await submission.committed()
        except PushFullError as error:
            raise unavailable(str(error), RETRY_AFTER_S, reason="OVERLOADED") from error
        except PushClosedError as error:
            raise unavailable(str(error), RETRY_AFTER_S) from error
        if receipt.dead_letters == 0:
            return ExportLogsServiceResponse()
        rejected = ExportLogsPartialSuccess(
            rejected_log_records=min(receipt.dead_letters, count),
            error_message="some log records could not be read; they are kept as dead letters",
        )
        return ExportLogsServiceResponse(partial_success=rejected)


def decoded(request: bytes) -> ExportLogsServiceRequest:
    """Returns the request's message, or raises ServiceError where it cannot be decoded."""
    try:
        return ExportLogsServiceRequest.FromString(request)
    except DecodeError as error:
        raise invalid("request", f"not an ExportLogsServiceRequest: {error}") from error


def count_log_records(message: ExportLogsServiceRequest) -> int:
    """Returns the number of log records over all resources and scopes."""
    return sum(
        len(scope.log_records)
        for resource in message.resource_logs
        for scope in resource.scope_logs
    )


def split(message: ExportLogsServiceRequest) -> list[bytes]:
    """Returns requests that together hold the same log records in the same order.

    Each stays within the bounds of a part, unless a single log record with its resource does not.
    """
    parts: list[bytes] = []
    for resource in message.resource_logs:
        for scope in resource.scope_logs:
            part, part_scope = _empty_part(resource, scope)
            framing_bytes = size_bytes = part.ByteSize()
            for log_record in scope.log_records:
                record_bytes = log_record.ByteSize() + 5  # Its tag and length.
                is_over = size_bytes + record_bytes > PART_BYTES_MAX
                if part_scope.log_records and (
                    is_over or len(part_scope.log_records) >= PART_LOG_RECORDS_MAX
                ):
                    parts.append(part.SerializeToString())
                    part, part_scope = _empty_part(resource, scope)
                    size_bytes = framing_bytes
                part_scope.log_records.append(log_record)
                size_bytes += record_bytes
            if part_scope.log_records:
                parts.append(part.SerializeToString())
    return parts


def _empty_part(
    resource: ResourceLogs, scope: ScopeLogs
) -> tuple[ExportLogsServiceRequest, ScopeLogs]:
    part = ExportLogsServiceRequest()
    part_resource = part.resource_logs.add(
        resource=resource.resource, schema_url=resource.schema_url
    )
    part_scope = part_resource.scope_logs.add(scope=scope.scope, schema_url=scope.schema_url)
    return part, part_scope
