"""A gRPC server that stands in for the daemon: it answers as it is told, and keeps what came."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from dejalog.proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)


class FakeDaemon(
    search_pb2_grpc.SearchServiceServicer,
    ingest_pb2_grpc.IngestServiceServicer,
    admin_pb2_grpc.AdminServiceServicer,
):
    """Refuses the first `refusals` calls, then answers Search with two pages of two hits."""

    def __init__(self) -> None:
        self.address = ""
        self.refusals = 0
        self.refusal: Status | None = None
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        self.left: list[float | None] = []
        self.is_follow_over = False

    def _take(self, name: str, request: Any, context: Any) -> None:
        self.calls.append((name, request, dict(context.invocation_metadata())))
        self.left.append(context.time_remaining())
        if self.refusal is not None and len(self.calls) <= self.refusals:
            context.abort_with_status(rpc_status.to_status(self.refusal))

    def Search(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's names
        self._take("Search", request, context)
        names = ("c", "d") if request.page_token else ("a", "b")
        return search_pb2.SearchResponse(
            hits=[search_pb2.Hit(pattern_id=name) for name in names],
            is_cut=True,
            next_page_token="" if request.page_token else "page two",
        )

    def Similar(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("Similar", request, context)
        event = search_pb2.Occurrence(event_id=request.event_id, kind=1, time_origin=1)
        result = search_pb2.SearchResponse(is_cut=True, next_page_token="more")
        return search_pb2.SimilarResponse(event=event, result=result)

    def Precedents(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("Precedents", request, context)
        return search_pb2.PrecedentsResponse(incidents_total=3)

    def Patterns(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("Patterns", request, context)
        return search_pb2.PatternsResponse(patterns_total=4)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("Diff", request, context)
        return search_pb2.DiffResponse(changes_total=5)

    def Histogram(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("Histogram", request, context)
        return search_pb2.HistogramResponse(width_nano=6)

    def Context(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("Context", request, context)
        # A kind of event that no client knows yet.
        event = search_pb2.Occurrence(event_id=7, kind=9 if request.event_id == 9 else 1)
        event.time_origin = search_pb2.TIME_ORIGIN_EVENT
        return search_pb2.ContextResponse(event=event, is_complete=True)

    def Follow(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("Follow", request, context)
        context.add_callback(lambda: setattr(self, "is_follow_over", True))
        number = request.after_event_id
        while context.is_active():
            number += 1
            yield search_pb2.FollowResponse(last_event_id=number)

    def Append(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        messages = list(request_iterator)
        self._take("Append", messages, context)
        count = sum(len(message.records) for message in messages)
        position = ingest_pb2.PartitionPosition(source="plc", partition="0", next_offset=count)
        return ingest_pb2.AppendResponse(accepted=count, dead_letters=1, positions=[position])

    def Status(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("Status", request, context)
        return admin_pb2.StatusResponse(events=9)

    def RetryDeadLetters(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._take("RetryDeadLetters", request, context)
        return admin_pb2.RetryDeadLettersResponse(retried=3, events=4, cut=1)


@contextmanager
def serving() -> Iterator[FakeDaemon]:
    """Serves on a free port of the loopback interface."""
    daemon = FakeDaemon()
    server = grpc.server(ThreadPoolExecutor(4))
    search_pb2_grpc.add_SearchServiceServicer_to_server(daemon, server)
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(daemon, server)
    admin_pb2_grpc.add_AdminServiceServicer_to_server(daemon, server)
    daemon.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield daemon
    finally:
        server.stop(0).wait()


def refusal(
    code: grpc.StatusCode, message: str, *, reason: str = "", retry_after_s: float | None = None
) -> Status:
    """Returns the status of an error with its details."""
    status = Status(code=code.value[0], message=message)
    details: list[Any] = [ErrorInfo(reason=reason, domain="dejalog.v1")] if reason else []
    if retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(round(retry_after_s * 1e9))
        details.append(RetryInfo(retry_delay=delay))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status
