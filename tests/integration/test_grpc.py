"""The daemon's gRPC services over real sockets, with a real pipeline-like consumer behind them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub

from dejalog.client import Client, Pushed, RemoteError
from dejalog.daemon.server import Server, ServerSettings
from dejalog.daemon.sources.push import PushSource
from dejalog.indexer.errors import CorruptShardError, QueryError
from dejalog.indexer.event import DeadLetter, Event, Kind, Position, Record, TimeOrigin
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores, SearchResult
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import ingest_pb2, ingest_pb2_grpc, search_pb2, search_pb2_grpc

STATUS = IndexStatus("/data", "1.2.3", "f00d", 7, 3, 40, 1, 2, 4096, 5, None, 6, 0.5, 0.25)


class Searcher:
    """Answers with the query's own text; queries that start with a known word misbehave."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: list[SearchRequest] = []

    def search(self, request: SearchRequest, patience: Patience) -> SearchResult:
        self.seen.append(request)
        word = request.text.partition(" ")[0]
        if word == "block":
            assert self.gate.wait(30)
        elif word == "bad":
            raise QueryError("cannot read the filter 'bad'")
        elif word == "corrupt":
            raise CorruptShardError(Path("shard-1"), "a checksum differs")
        elif word == "patient":
            assert patience.deadline is not None
            time.sleep(max(0.0, patience.deadline - time.monotonic()))
        return result(request.text, limit=request.limit, is_partial=word == "patient")


def result(
    text: str, *, limit: int = 1, is_partial: bool = False, padding: int = 0
) -> SearchResult:
    event = Event(
        Kind.NOTE,
        1_700_000_000_000_000_001,
        TimeOrigin.RECEIVED,
        text + "x" * padding,
        "grpc:cmms",
        "0",
        41,
        2,
        (("asset", "P-101"), ("site", "lodz")),
        (("author", "J\u00f6rg"),),
    )
    hit = Hit(
        "ab12",
        text + " <N>",
        Scores(2.5, 0.75, 0.5, 1.0, 0.25),
        3,
        1,
        2**61,
        (Occurrence(9, event),),
        (Evidence(0, 3, 4, 7, 0.875),),
    )
    return SearchResult((hit,) * limit, 100, 50, 20, 2, 0.5, is_partial)


class Consumer(threading.Thread):
    """What the pipeline does with the push source: poll, store, then acknowledge.

    Records that start with a NUL byte become dead letters. Commits wait while `gate` is shut.
    """

    def __init__(self, source: PushSource, positions: dict[tuple[str, str], Position]) -> None:
        super().__init__(name="consumer")
        self.source = source
        self.stored: list[Record] = []
        self.positions = positions
        self.gate = threading.Event()
        self.gate.set()

    def run(self) -> None:
        self.source.seek(self.positions)
        while not self.source.is_exhausted:
            records = self.source.poll(records_max=100, bytes_max=1 << 20, timeout_s=0.05)
            assert self.gate.wait(30)
            self.stored += records
            new = {
                (each.source, each.partition): Position(
                    each.source, each.partition, each.next_offset, each.state
                )
                for each in records
            }
            self.positions.update(new)
            self.source.observe(
                DeadLetter("test", "", b"", 1, 0, each.source, each.partition, each.offset)
                for each in records
                if b"\0bad" in each.data
            )
            self.source.ack(list(new.values()))


class Daemon:
    """A server on its own loop and thread, as the daemon runs it."""

    def __init__(self, settings: ServerSettings, source: PushSource) -> None:
        self.searcher = Searcher()
        self.source = source
        self.faults: list[BaseException] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="loop")
        self.thread.start()
        self.server = self.call(self._make(settings))

    async def _make(self, settings: ServerSettings) -> Server:
        return Server(
            settings,
            answers=self.searcher,
            push_source=self.source,
            status=lambda: STATUS,
            on_fault=self.faults.append,
        )

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.searcher.gate.set()
        self.call(self.server.stop(1.0))
        self.call(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


LOCAL = ServerSettings(listen="127.0.0.1:0", otlp_listen="127.0.0.1:0")


@contextmanager
def running(settings: ServerSettings = LOCAL, source: PushSource | None = None) -> Iterator[Daemon]:
    daemon = Daemon(settings, source or PushSource())
    try:
        daemon.call(daemon.server.start())
        yield daemon
    finally:
        daemon.close()


@contextmanager
def consuming(
    source: PushSource, positions: dict[tuple[str, str], Position] | None = None
) -> Iterator[Consumer]:
    consumer = Consumer(source, {} if positions is None else positions)
    consumer.start()
    try:
        wait_until(lambda: not source._failure)
        yield consumer
    finally:
        source.close()
        consumer.gate.set()
        consumer.join()


@contextmanager
def searching(settings: ServerSettings = LOCAL) -> Iterator[tuple[Daemon, Client]]:
    with running(settings) as daemon, Client(daemon.server.address) as client:
        yield daemon, client


@contextmanager
def everything(
    settings: ServerSettings = LOCAL, source: PushSource | None = None, positions=None
) -> Iterator[tuple[Daemon, Consumer, Client]]:
    source = source or PushSource()
    with (
        running(settings, source) as daemon,
        consuming(source, positions) as consumer,
        Client(daemon.server.address) as client,
    ):
        yield daemon, consumer, client


@contextmanager
def exporting(
    source: PushSource | None = None,
) -> Iterator[tuple[Daemon, Consumer, LogsServiceStub]]:
    with (
        everything(source=source) as (daemon, consumer, _),
        grpc.insecure_channel(daemon.server.otlp_address) as channel,
    ):
        yield daemon, consumer, LogsServiceStub(channel)


def wait_until(is_true) -> None:
    ends = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < ends, "waited for 20 s"
        time.sleep(0.005)


def details(error: grpc.RpcError) -> dict[str, object]:
    found: dict[str, object] = {}
    for detail in rpc_status.from_call(error).details:
        for kind in (ErrorInfo, BadRequest, RetryInfo):
            if detail.Is(kind.DESCRIPTOR):
                found[kind.__name__] = kind.FromString(detail.value)
    return found


def lines(*texts: str, start: int | None = None) -> list[Pushed]:
    return [
        Pushed(text.encode(), None if start is None else start + index)
        for index, text in enumerate(texts)
    ]


def test_a_hit_arrives_with_every_field_as_it_was_found():
    request = SearchRequest(
        "pump noise", 2, 0, since_ns=-5, until_ns=9, where=("site=lodz",), mode=Mode.LEXICAL
    )
    with searching() as (daemon, client):
        answer = client.search(request)
    assert answer.result == result("pump noise", limit=2)
    assert not answer.is_cut
    # One hit more than asked for tells whether there is another page.
    assert daemon.searcher.seen == [replace(request, limit=3)]


def test_unset_fields_take_the_documented_defaults():
    with running() as daemon, grpc.insecure_channel(daemon.server.address) as channel:
        search_pb2_grpc.SearchServiceStub(channel).Search(search_pb2.SearchRequest(query="x"))
    assert daemon.searcher.seen == [SearchRequest("x", limit=11)]


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"limit": 1001}, "limit"),
        ({"where": ["a=b", "nonsense"]}, "where[1]"),
        ({"query": "bad"}, "query"),
    ],
)
def test_a_wrong_field_is_named_in_the_error(request_fields, field):
    with running() as daemon, grpc.insecure_channel(daemon.server.address) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Search(search_pb2.SearchRequest(**request_fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    found = details(caught.value)
    assert found["ErrorInfo"].domain == "dejalog.v1"
    assert [each.field for each in found["BadRequest"].field_violations] == [field]
    assert daemon.faults == []


def test_the_client_raises_query_error_with_the_servers_sentence():
    with (
        searching() as (_, client),
        pytest.raises(QueryError, match="cannot read the filter 'bad'"),
    ):
        client.search(SearchRequest("bad"))


def test_a_search_past_its_deadline_is_refused_and_the_next_one_is_answered():
    with searching() as (_, client):
        with pytest.raises(TimeoutError):
            client.search(SearchRequest("block"), timeout_s=0.2)
        assert client.search(SearchRequest("fine")).result.hits


def test_the_servers_own_time_limit_holds_where_the_client_sets_none():
    settings = ServerSettings("127.0.0.1:0", "", search_timeout_s=0.2)
    with running(settings) as daemon, grpc.insecure_channel(daemon.server.address) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Search(search_pb2.SearchRequest(query="block"))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert details(caught.value)["ErrorInfo"].reason == "DEADLINE_EXCEEDED"


def test_a_partial_result_is_sent_before_the_deadline_passes():
    with searching() as (_, client):
        assert client.search(SearchRequest("patient"), timeout_s=2.0).result.is_partial


def test_cancelled_and_expired_searches_never_start():
    settings = ServerSettings("127.0.0.1:0", "", search_threads=1)
    with running(settings) as daemon, grpc.insecure_channel(daemon.server.address) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        pool = daemon.server._pool
        first = stub.Search.future(search_pb2.SearchRequest(query="block first"))
        wait_until(lambda: pool._taken == 1)
        second = stub.Search.future(search_pb2.SearchRequest(query="cancelled"))
        wait_until(lambda: pool._taken == 2)
        second.cancel()
        wait_until(lambda: pool._taken == 1)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Search(search_pb2.SearchRequest(query="expired"), timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: pool._taken == 1)
        daemon.searcher.gate.set()
        assert first.result().hits
        assert stub.Search(search_pb2.SearchRequest(query="last")).hits
    assert [each.text for each in daemon.searcher.seen] == ["block first", "last"]


def test_searches_beyond_the_queue_are_told_when_to_come_back():
    settings = ServerSettings("127.0.0.1:0", "", search_threads=1, search_queue_max=1)
    with running(settings) as daemon, grpc.insecure_channel(daemon.server.address) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        waiting = [stub.Search.future(search_pb2.SearchRequest(query="block")) for _ in range(2)]
        wait_until(lambda: daemon.server._pool._taken == 2)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Search(search_pb2.SearchRequest(query="third"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details(caught.value)["RetryInfo"].retry_delay.ToNanoseconds() > 0
        with Client(daemon.server.address) as client, pytest.raises(RemoteError) as refused:
            client.search(SearchRequest("fourth"))
        assert refused.value.reason == "OVERLOADED"
        assert refused.value.retry_after_s > 0
        daemon.searcher.gate.set()
        assert all(each.result().hits for each in waiting)
        assert stub.Search(search_pb2.SearchRequest(query="fifth")).hits


def test_a_damaged_shard_is_an_internal_error_that_the_daemon_hears_of():
    with (
        searching() as (daemon, client),
        pytest.raises(RemoteError, match="shard-1 is damaged") as caught,
    ):
        client.search(SearchRequest("corrupt"))
    assert caught.value.code == "INTERNAL"
    assert [type(each) for each in daemon.faults] == [CorruptShardError]


def test_a_result_larger_than_a_message_is_cut_and_says_so():
    with searching() as (daemon, client):
        daemon.searcher.search = lambda request, patience: result(
            "long", limit=request.limit, padding=100_000
        )
        assert not client.search(SearchRequest("x", 10)).is_cut
        answer = client.search(SearchRequest("x", 1000))
    assert answer.is_cut
    assert len(answer.result.hits) == 1000


def test_status_arrives_as_it_is():
    with searching() as (_, client):
        assert client.status() == STATUS


def test_an_append_returns_only_after_the_commit():
    with everything() as (_, consumer, client):
        consumer.gate.clear()
        with pytest.raises(TimeoutError):
            client.append("plc", lines("one", start=0), timeout_s=0.3)
        assert consumer.stored == []
        consumer.gate.set()
        receipt = client.append("plc", lines("one", "two", start=0))
        assert (receipt.accepted, receipt.duplicates) == (1, 1)
        assert receipt.positions == (Position("plc", "0", 2),)
    assert [each.data for each in consumer.stored] == [b"one", b"two"]


def test_records_carry_what_the_client_said_about_them():
    with everything() as (_, consumer, client):
        client.append(
            "plc", lines("x"), partition="line 3", encoding="json", labels=(("site", "lodz"),)
        )
    (record,) = consumer.stored
    assert (record.source, record.partition) == ("grpc:plc", "line 3")
    assert (record.offset, record.next_offset) == (0, 1)
    assert (record.encoding, record.labels) == ("json", (("site", "lodz"),))
    assert abs(record.received_at_ns - time.time_ns()) < 60e9


def test_a_resend_is_a_duplicate_even_after_a_restart():
    positions: dict[tuple[str, str], Position] = {}
    stored: list[Record] = []
    for _ in range(2):
        with everything(positions=positions) as (_, consumer, client):
            receipt = client.append("plc", lines("a", "b", "c", start=10))
            again = client.append("plc", lines("b", "c", "d", start=11))
        stored += consumer.stored
    assert (receipt.accepted, receipt.duplicates) == (0, 3)
    assert (again.accepted, again.duplicates) == (0, 3)
    assert [each.data for each in stored] == [b"a", b"b", b"c", b"d"]


def test_without_offsets_the_server_numbers_on_from_the_stored_position():
    stored = Position("grpc:plc", "0", 7, '{"offsets":"server"}')
    with everything(positions={("grpc:plc", "0"): stored}) as (_, consumer, client):
        client.append("plc", lines("a", "b"))
        assert client.append("plc", lines("a")).accepted == 1
    assert [each.offset for each in consumer.stored] == [7, 8, 9]


@pytest.mark.parametrize(
    "records", [lines("a", "b", start=3)[::-1], [*lines("a"), *lines("b", start=3)]]
)
def test_offsets_that_fall_or_are_missing_here_and_there_are_refused(records):
    with everything() as (_, consumer, client):
        with pytest.raises(RemoteError, match=r"records\.offset") as caught:
            client.append("plc", records)
        assert client.append("plc", lines("z", start=0)).accepted == 1
    assert (caught.value.code, caught.value.reason) == ("INVALID_ARGUMENT", "BAD_OFFSETS")
    assert [each.data for each in consumer.stored] == [b"z"]


def test_a_partition_is_numbered_by_one_side_only():
    with everything() as (_, _, client):
        client.append("plc", lines("a", start=0))
        with pytest.raises(RemoteError, match="numbered by the client"):
            client.append("plc", lines("b"))
        assert client.append("plc", lines("b"), partition="other").accepted == 1


def test_a_slow_index_slows_the_client_down_and_nothing_is_lost():
    count = 3_000
    messages = [
        ingest_pb2.AppendRequest(
            source="plc",
            records=[ingest_pb2.AppendRecord(data=b"%d" % n) for n in range(start, start + 100)],
        )
        for start in range(0, count, 100)
    ]
    with everything(source=PushSource(records_max=50)) as (daemon, consumer, _):
        consumer.gate.clear()
        with grpc.insecure_channel(daemon.server.address) as channel:
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            call = stub.Append.future(iter(messages))
            wait_until(lambda: daemon.source.queue_depth[0] == 50)
            assert not call.done()
            consumer.gate.set()
            assert call.result(timeout=30).accepted == count
    assert [each.data for each in consumer.stored] == [b"%d" % n for n in range(count)]


def test_a_failed_pipeline_fails_the_calls_that_wait_and_those_that_come():
    with everything() as (daemon, consumer, client):
        consumer.gate.clear()
        failing = threading.Timer(0.2, daemon.source.fail, ["the disk is full"])
        failing.start()
        for _ in range(2):
            with pytest.raises(RemoteError, match="the disk is full") as caught:
                client.append("plc", lines("a", start=0))
            assert (caught.value.code, caught.value.retry_after_s) == ("UNAVAILABLE", 1.0)
        failing.join()
    assert daemon.faults == []


def test_before_the_pipeline_has_started_clients_are_told_to_come_back():
    with (
        searching() as (_, client),
        pytest.raises(RemoteError, match="has not started yet") as caught,
    ):
        client.append("plc", lines("a"))
    assert caught.value.reason == "NOT_READY"


def test_dead_letters_are_counted_for_the_call_that_brought_them():
    with everything() as (_, _, client):
        assert client.append("plc", lines("\0bad", "fine", "\0bad")).dead_letters == 2
        assert client.append("plc", lines("fine")).dead_letters == 0


def test_a_batch_out_of_bounds_is_refused_whole():
    with everything() as (_, consumer, client):
        with pytest.raises(RemoteError) as caught:
            client.append("a\nb", lines("x"))
        assert client.append("plc", []).accepted == 0
    assert caught.value.code == "INVALID_ARGUMENT"
    found = details(caught.value.__cause__)
    assert found["BadRequest"].field_violations[0].field == "source"
    assert consumer.stored == []


def export(*bodies: str) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "mes"
    scope = resource.scope_logs.add()
    for body in bodies:
        scope.log_records.add(time_unix_nano=1).body.string_value = body
    return request


def test_exported_logs_are_stored_byte_for_byte_before_the_answer():
    request = export("pressure low", "pressure ok")
    with exporting() as (_, consumer, stub):
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            assert stub.Export(request, compression=compression) == ExportLogsServiceResponse()
            assert consumer.stored[-1].data == request.SerializeToString()
        stub.Export(ExportLogsServiceRequest())
    assert [each.offset for each in consumer.stored] == [0, 1]
    record = consumer.stored[0]
    assert (record.source, record.partition, record.encoding) == ("otlp", "0", "otlp_proto")


def test_bytes_that_are_no_export_request_are_an_invalid_argument():
    method = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
    with exporting() as (daemon, consumer, _):
        channel = grpc.insecure_channel(daemon.server.otlp_address)
        with channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(method)(b"\x0a\xff\xff\xff\xff not protobuf")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert consumer.stored == []
    assert daemon.faults == []


def test_exported_logs_that_cannot_be_read_are_a_partial_success():
    with exporting() as (_, _, stub):
        response = stub.Export(export("fine", "\0bad"))
    assert response.partial_success.rejected_log_records == 1
    assert "dead letters" in response.partial_success.error_message


def test_a_large_export_becomes_records_that_decoding_takes():
    request = export(*(f"line {n} " + "x" * 200 for n in range(8192)))
    with exporting() as (_, consumer, stub):
        stub.Export(request)
    parts = [ExportLogsServiceRequest.FromString(each.data) for each in consumer.stored]
    assert len(parts) > 1
    assert all(len(each.data) <= 1 << 19 for each in consumer.stored)
    assert [
        log_record
        for part in parts
        for log_record in part.resource_logs[0].scope_logs[0].log_records
    ] == list(request.resource_logs[0].scope_logs[0].log_records)
    assert all(
        part.resource_logs[0].resource == request.resource_logs[0].resource for part in parts
    )


def test_a_full_queue_sends_exporters_away_with_a_retry_time():
    with exporting(PushSource(records_max=1)) as (daemon, consumer, stub):
        consumer.gate.clear()
        calls = [stub.Export.future(export("first"))]
        # The consumer holds the first; the second fills the queue.
        wait_until(lambda: daemon.source.progress().bytes_done > 0)
        calls.append(stub.Export.future(export("second")))
        wait_until(lambda: daemon.source.queue_depth[0] == 1)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Export(export("third"))
        consumer.gate.set()
        assert all(call.result() == ExportLogsServiceResponse() for call in calls)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert details(caught.value)["RetryInfo"].retry_delay.seconds == 1
    assert len(consumer.stored) == 2


def test_a_message_over_the_limit_is_refused():
    settings = ServerSettings("127.0.0.1:0", "", message_bytes_max=1 << 20)
    refused = pytest.raises(RemoteError)
    with everything(settings) as (_, consumer, client), refused as caught:
        client.append("plc", [Pushed(b"x" * (1 << 21))])
    assert caught.value.code == "RESOURCE_EXHAUSTED"
    assert consumer.stored == []
