"""The server over real sockets: addresses, TLS, health, reflection and stopping."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from dejalog.client import Client, ClientTls, RemoteError
from dejalog.daemon.server import (
    Server,
    ServerSettings,
    check_listen,
    check_server,
    server_credentials,
)
from dejalog.daemon.sources.push import PushSource
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.hit import SearchResult
from dejalog.indexer.patience import Patience
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import admin_pb2, admin_pb2_grpc, search_pb2, search_pb2_grpc

STATUS = IndexStatus("/data", "1.2.3", "f00d", 7, 3, 40, 1, 2, 4096, 5, None, 6, 0.5, 0.25)


class Searcher:
    """Finds nothing, once its gate opens."""

    def __init__(self) -> None:
        self.has_started = threading.Event()
        self.gate = threading.Event()

    def search(self, request: SearchRequest, patience: Patience) -> SearchResult:
        self.has_started.set()
        assert self.gate.wait(30)
        return SearchResult((), 1, 1, 1, 1, 0.0, False)


class Served:
    """A server on a loop in its own thread."""

    def __init__(self, settings: ServerSettings) -> None:
        self.searcher = Searcher()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="loop")
        self.thread.start()
        self.server = Server(
            settings,
            answers=self.searcher,
            push_source=PushSource(),
            status=lambda: STATUS,
            on_fault=lambda _: None,
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
def running(settings: ServerSettings = LOCAL) -> Iterator[Served]:
    served = Served(settings)
    try:
        served.call(served.server.start())
        yield served
    finally:
        served.close()


@pytest.mark.parametrize(
    ("listen", "has_tls"),
    [
        ("127.0.0.1:7040", False),
        ("127.9.9.9:0", False),
        ("localhost:1", False),
        ("[::1]:7040", False),
        ("unix:/run/dejalog.sock", False),
        ("", False),
        ("0.0.0.0:7040", True),
        ("gateway.plant:7040", True),
    ],
)
def test_local_addresses_need_no_tls_and_others_do(listen, has_tls):
    check_listen("listen", listen, has_tls=has_tls)
    if has_tls:
        with pytest.raises(ConfigError, match="can be reached from other machines"):
            check_listen("listen", listen, has_tls=False)


@pytest.mark.parametrize(
    "listen", ["7040", ":7040", "127.0.0.1", "127.0.0.1:x", "[::1]:65536", "::"]
)
def test_a_malformed_address_is_refused(listen):
    with pytest.raises(ConfigError, match="is not host:port"):
        check_listen("listen", listen, has_tls=True)


def test_an_open_address_without_tls_is_never_bound():
    with (
        pytest.raises(ConfigError, match="otlp_listen"),
        running(ServerSettings("127.0.0.1:0", "0.0.0.0:0")),
    ):
        pass


@pytest.mark.parametrize("key", ["listen", "otlp_listen"])
def test_a_second_daemon_on_a_taken_port_fails_and_names_the_port(key):
    with running() as first:
        taken = {"listen": first.server.address, "otlp_listen": first.server.otlp_address}[key]
        settings = {"listen": "127.0.0.1:0", "otlp_listen": "127.0.0.1:0", key: taken}
        refused = pytest.raises(ConfigError, match=f"{key}: cannot listen on {taken}")
        with refused, running(ServerSettings(**settings)):
            pass
        with Client(first.server.address) as client:
            assert client.status() == STATUS


def test_a_unix_socket_serves_like_a_port(tmp_path):
    address = f"unix:{tmp_path}/dejalog.sock"
    with running(ServerSettings(address, "")) as daemon, Client(address) as client:
        assert client.status() == STATUS
        assert (daemon.server.address, daemon.server.otlp_address) == (address, "")


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A CA, a server certificate for localhost and a client certificate, made with openssl."""
    folder = tmp_path_factory.mktemp("pem")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test ca")
    for name in ("localhost", "client"):
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("req", *new, "-keyout", f"{name}.key", "-out", "csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", "csr", *signing, "-extfile", "ext", "-out", f"{name}.pem")
    return folder


def test_with_tls_only_clients_that_trust_the_certificate_get_through(pem):
    settings = ServerSettings(
        "0.0.0.0:0",
        "",
        tls_cert=f"{pem}/localhost.pem",
        tls_key=f"{pem}/localhost.key",
        open_to_all=True,
    )
    with running(settings) as daemon:
        address = "127.0.0.1:" + daemon.server.address.rpartition(":")[2]
        trusting = ClientTls(f"{pem}/ca.pem", server_name="localhost")
        with Client(address, tls=trusting) as client:
            assert client.status() == STATUS
        with Client(address) as client, pytest.raises(RemoteError):
            client.status(timeout_s=5)
        stranger = ClientTls(f"{pem}/client.pem", server_name="localhost")
        with Client(address, tls=stranger) as client, pytest.raises(RemoteError):
            client.status(timeout_s=5)


@pytest.mark.parametrize("fence", ["tokens_file", "tls_client_ca", "open_to_all"])
@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_an_address_that_others_reach_wants_tokens_certificates_or_a_word(
    pem, tmp_path, listen, fence
):
    tokens = tmp_path / "tokens.toml"
    tokens.touch(0o600)
    tls = ServerSettings(listen, "", f"{pem}/localhost.pem", f"{pem}/localhost.key")
    with pytest.raises(ConfigError, match="everybody there could read and write") as caught:
        check_server(tls)
    assert caught.value.key == "listen"
    values = {"tokens_file": str(tokens), "tls_client_ca": f"{pem}/ca.pem", "open_to_all": True}
    assert check_server(replace(tls, **{fence: values[fence]})) is not None


def test_a_file_of_credentials_is_checked_before_anything_is_bound(tmp_path):
    settings = ServerSettings("127.0.0.1:0", "", tokens_file=str(tmp_path / "t.toml"))
    with pytest.raises(ConfigError, match="cannot be read"), running(settings):
        pass


def test_a_local_address_asks_for_tokens_where_there_is_a_file(tmp_path):
    path = tmp_path / "t.toml"
    path.touch(0o600)
    for address in ("127.0.0.1:0", f"unix:{tmp_path}/dejalog.sock"):
        settings = ServerSettings(address, "", tokens_file=str(path))
        with running(settings) as daemon, grpc.insecure_channel(daemon.server.address) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                admin_pb2_grpc.AdminServiceStub(channel).Status(admin_pb2.StatusRequest())
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            check = health_pb2_grpc.HealthStub(channel).Check
            assert check(health_pb2.HealthCheckRequest()).status


def test_with_a_client_ca_clients_must_show_a_certificate(pem):
    settings = ServerSettings(
        "127.0.0.1:0", "", f"{pem}/localhost.pem", f"{pem}/localhost.key", f"{pem}/ca.pem"
    )
    with running(settings) as daemon:
        known = ClientTls(f"{pem}/ca.pem", f"{pem}/client.pem", f"{pem}/client.key", "localhost")
        with Client(daemon.server.address, tls=known) as client:
            assert client.status() == STATUS
        unknown = ClientTls(f"{pem}/ca.pem", server_name="localhost")
        with Client(daemon.server.address, tls=unknown) as client, pytest.raises(RemoteError):
            client.status(timeout_s=5)


def test_health_names_each_service_and_turns_to_not_serving_when_stopping():
    with running() as daemon, grpc.insecure_channel(daemon.server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def health(name: str) -> int:
            return stub.Check(health_pb2.HealthCheckRequest(service=name)).status

        names = ("", "dejalog.v1.SearchService", "dejalog.v1.IngestService")
        assert {health(name) for name in names} == {health_pb2.HealthCheckResponse.SERVING}
        with pytest.raises(grpc.RpcError) as caught:
            health("dejalog.v1.NoService")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        # The budget is long and the watch open: stopping waits for calls, not for watchers.
        daemon.call(daemon.server.stop(600))
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING


def test_stopping_cuts_off_what_outlasts_the_budget():
    with running() as daemon, grpc.insecure_channel(daemon.server.address) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        call = stub.Search.future(search_pb2.SearchRequest(query="block"))
        assert daemon.searcher.has_started.wait(20)
        daemon.call(daemon.server.stop(0.2))
        with pytest.raises(grpc.RpcError):
            call.result()


def test_stopping_lets_a_running_search_end():
    with running() as daemon, grpc.insecure_channel(daemon.server.address) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        call = stub.Search.future(search_pb2.SearchRequest(query="block"))
        assert daemon.searcher.has_started.wait(20)
        stopping = asyncio.run_coroutine_threadsafe(daemon.server.stop(20), daemon.loop)
        daemon.searcher.gate.set()
        assert call.result().events_total == 1
        stopping.result(20)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (
            "address",
            {
                "dejalog.v1.SearchService": "dejalog.v1.SearchResponse",
                "dejalog.v1.IngestService": "dejalog.v1.AppendRequest",
                "dejalog.v1.AdminService": "dejalog.v1.StatusResponse",
            },
        ),
        (
            "otlp_address",
            {
                "opentelemetry.proto.collector.logs.v1.LogsService": (
                    "opentelemetry.proto.logs.v1.LogRecord"
                )
            },
        ),
    ],
)
def test_reflection_lists_the_services_and_describes_their_messages(key, names):
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
    asked += [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=each)
        for each in names.values()
    ]
    with running() as daemon, grpc.insecure_channel(getattr(daemon.server, key)) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        listed, *described = stub.ServerReflectionInfo(iter(asked))
    assert {each.name for each in listed.list_services_response.service} >= names.keys()
    assert all(each.file_descriptor_response.file_descriptor_proto for each in described)


def test_broken_tls_files_are_named_before_anything_is_bound(pem, tmp_path):
    def refused(cert: str = "", key: str = "", client_ca: str = "") -> str:
        with pytest.raises(ConfigError) as caught:
            server_credentials(ServerSettings(tls_cert=cert, tls_key=key, tls_client_ca=client_ca))
        return caught.value.key

    cert, key, empty = f"{pem}/localhost.pem", f"{pem}/localhost.key", tmp_path / "empty"
    empty.touch()
    assert refused(cert) == "tls_key"
    assert refused("", key) == "tls_cert"
    assert refused(f"{pem}/missing", key) == "tls_cert"
    assert refused(cert, f"{pem}/client.key") == "tls_cert"
    # Nobody sits in front of a daemon to type a passphrase: it waited for one, or ended with a
    # traceback where it had no terminal.
    locking = ["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", key, "-out", tmp_path / "k"]
    subprocess.run(locking, check=True, capture_output=True)
    assert refused(cert, f"{tmp_path}/k") == "tls_cert"
    assert refused(cert, key, str(empty)) == "tls_client_ca"
    assert refused(client_ca=cert) == "tls_client_ca"
    assert server_credentials(ServerSettings()) is None


def test_a_process_without_a_pipeline_offers_search_alone():
    async def run() -> tuple[set[str], str]:
        server = Server(
            LOCAL,
            answers=Searcher(),
            push_source=None,
            status=lambda: STATUS,
            on_fault=lambda _: None,
        )
        await server.start()
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            async for response in stub.ServerReflectionInfo(iter([asked])):
                names = {each.name for each in response.list_services_response.service}
        await server.stop(1.0)
        return names, server.otlp_address

    names, otlp_address = asyncio.run(run())
    assert "dejalog.v1.SearchService" in names
    assert "dejalog.v1.IngestService" not in names
    assert otlp_address == ""


def test_stopping_waits_for_a_search_whose_call_is_over():
    """The caller's deadline ends the call but not its search, which went on reading an index that
    was being closed."""
    with running() as served:
        with Client(served.server.address) as client, pytest.raises(TimeoutError):
            client.search(SearchRequest("pump"), timeout_s=1.0)
        assert served.searcher.has_started.is_set()
        stopping = asyncio.run_coroutine_threadsafe(served.server.stop(20.0), served.loop)
        opening = threading.Timer(0.5, served.searcher.gate.set)
        opening.start()
        stopping.result(30)
        assert not served.server._pool._running
