"""The client's own part: what it sends together, and what it raises when nobody answers."""

from __future__ import annotations

import socket

import grpc
import pytest

from dejalog.daemon import client as client_module
from dejalog.daemon.client import Client, ClientTls, RemoteError
from dejalog.daemon.sources.pushed import Pushed, Receipt
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.event import Position
from dejalog.indexer.letters import LetterFilter, RetryReport
from dejalog.indexer.query import SearchRequest
from dejalog.proto.v1 import admin_pb2, admin_pb2_grpc, ingest_pb2, ingest_pb2_grpc


class Recorder(ingest_pb2_grpc.IngestServiceServicer):
    """Accepts everything and keeps it."""

    def __init__(self) -> None:
        self.calls: list[list[ingest_pb2.AppendRequest]] = []

    def Append(self, request_iterator, context):  # noqa: N802 - the name is the contract's
        messages = list(request_iterator)
        self.calls.append(messages)
        count = sum(len(message.records) for message in messages)
        position = ingest_pb2.PartitionPosition(source="plc", partition="0", next_offset=count)
        return ingest_pb2.AppendResponse(accepted=count, dead_letters=1, positions=[position])


@pytest.fixture
def recorder():
    from concurrent.futures import ThreadPoolExecutor

    service = Recorder()
    server = grpc.server(ThreadPoolExecutor(2))
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(service, server)
    service.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(0).wait()


def test_records_go_out_in_bounded_messages_and_calls_and_the_receipts_add_up(
    recorder, monkeypatch
):
    monkeypatch.setattr(client_module, "CALL_RECORDS_MAX", 5)
    monkeypatch.setattr(client_module, "MESSAGE_RECORDS_MAX", 2)
    monkeypatch.setattr(client_module, "MESSAGE_BYTES_MAX", 10)
    sizes = [1, 1, 1, 20, 1, 9, 2]
    records = (Pushed(b"x" * size, offset) for offset, size in enumerate(sizes))
    with Client(recorder.address) as client:
        receipt = client.append("plc", records, labels=(("site", "lodz"),))
    assert receipt == Receipt(7, 0, 2, (Position("plc", "0", 2),))
    sent = [[[len(r.data) for r in message.records] for message in call] for call in recorder.calls]
    assert sent == [[[1, 1], [1], [20], [1]], [[9], [2]]]
    offsets = [r.offset for call in recorder.calls for message in call for r in message.records]
    assert offsets == list(range(7))
    assert dict(recorder.calls[0][0].labels) == {"site": "lodz"}


def test_no_records_make_no_call(recorder):
    with Client(recorder.address) as client:
        assert client.append("plc", []) == Receipt(0, 0, 0, ())
    assert recorder.calls == []


def test_an_address_where_nobody_listens_says_how_to_start_the_daemon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with Client(address) as client, pytest.raises(RemoteError) as caught:
        client.search(SearchRequest("x"))
    assert caught.value.code == "UNAVAILABLE"
    assert f"no daemon answers at {address}" in str(caught.value)
    assert "dejalog run" in str(caught.value)


def test_a_server_without_the_service_is_a_remote_error(recorder):
    with Client(recorder.address) as client, pytest.raises(RemoteError) as caught:
        client.status()
    assert caught.value.code == "UNIMPLEMENTED"


def test_a_missing_certificate_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"ca: cannot read .*missing\.pem"):
        Client("127.0.0.1:1", tls=ClientTls(f"{tmp_path}/missing.pem"))


class Admin(admin_pb2_grpc.AdminServiceServicer):
    def RetryDeadLetters(self, request, context):  # noqa: N802 - the name is the contract's
        if request.reason == "slow":
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
        return admin_pb2.RetryDeadLettersResponse(retried=3, events=4, cut=1)


def test_a_retry_is_asked_of_the_daemon():
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(1))
    admin_pb2_grpc.add_AdminServiceServicer_to_server(Admin(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        with Client(address) as client:
            report = client.retry_dead_letters(LetterFilter(reason="bad-json"))
            with pytest.raises(TimeoutError, match="did not answer in time"):
                client.retry_dead_letters(LetterFilter(reason="slow"))
    finally:
        server.stop(0).wait()
    assert report == RetryReport(retried=3, events=4, cut=1)
