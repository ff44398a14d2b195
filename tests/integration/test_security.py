"""Every wrong credential on every method of every service, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

from dejalog.daemon.audit import AuditLog
from dejalog.daemon.auth import METHOD_ROLES, Role, needed_role, new_token, token_hash
from dejalog.daemon.server import Server, ServerSettings
from dejalog.daemon.sources.push import PushSource
from dejalog.indexer.errors import QueryError
from dejalog.indexer.letters import LetterFilter, RetryReport
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import admin_pb2, ingest_pb2, search_pb2

STATUS = IndexStatus("/data", "1.2.3", "f00d", 7, 3, 40, 1, 2, 4096, 5, None, 6, 0.5, 0.25)
FILES = (search_pb2, ingest_pb2, admin_pb2, logs_service_pb2, health_pb2, reflection_pb2)
#: Every method of every service that the daemon offers.
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
CLOSED = [name for name in METHODS if needed_role(name) is not None]
OPEN = [name for name in METHODS if needed_role(name) is None]
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)

TOKENS = {name: new_token() for name in ("read", "write", "admin", "expired", "read write")}
FILE = "".join(
    f'[[token]]\nname = "{name}"\nsha256 = "{token_hash(token)}"\n'
    + (
        'roles = ["admin"]\nexpires = 2020-01-01T00:00:00Z\n'
        if name == "expired"
        else f"roles = {name.split()}\n"
    )
    for name, token in TOKENS.items()
)
CERTIFICATES = """
[[certificate]]
name = "reader"
subject = "reader.plant"
roles = ["read"]
[[certificate]]
name = "writer"
subject = "writer"
roles = ["write"]
"""


class Answers:
    """Understands no question."""

    def __getattr__(self, name: str) -> Any:
        def refuse(request: object, patience: object) -> None:
            raise QueryError("no question is understood here")

        return refuse


class Served:
    """A server on a loop in its own thread, with an audit log."""

    def __init__(self, settings: ServerSettings, folder: Path) -> None:
        self.audit = AuditLog(folder)
        self.faults: list[BaseException] = []
        self.retries: list[LetterFilter] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="loop")
        self.thread.start()
        self.server = Server(
            settings,
            answers=Answers(),
            push_source=PushSource(),
            status=lambda: STATUS,
            on_fault=self.faults.append,
            retry=self.retry,
            audit=self.audit,
        )

    def retry(self, wanted: LetterFilter, is_over: object) -> RetryReport:
        self.retries.append(wanted)
        return RetryReport(3, 2, 0, 0, 0, 1)

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.call(self.server.stop(1.0))
        self.call(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def address_of(self, method: str) -> str:
        is_otlp = method.startswith("/opentelemetry")
        address = self.server.otlp_address if is_otlp else self.server.address
        return "localhost:" + address.rpartition(":")[2]


@contextmanager
def serving(settings: ServerSettings, folder: Path) -> Iterator[Served]:
    served = Served(settings, folder)
    try:
        served.call(served.server.start())
        yield served
    finally:
        served.close()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with certificates of a server and of clients, and a stranger's."""
    folder = tmp_path_factory.mktemp("pem")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        authority = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
        openssl("req", "-x509", *new, *authority)
    # Name, common name, alternative names, days, authority. One has the right common name beside
    # another alternative one, which is the one that counts.
    for name, common_name, names, days, authority in (
        ("server", "server", "DNS:localhost", 2, "ca"),
        ("reader", "Reader", "DNS:reader.plant,IP:10.0.0.7", 2, "ca"),
        ("writer", "writer", "", 2, "ca"),
        ("unknown", "unknown", "DNS:unknown.plant", 2, "ca"),
        ("posing", "writer", "DNS:posing.plant", 2, "ca"),
        ("old", "writer", "", -1, "ca"),
        ("foreign", "writer", "", 2, "other"),
    ):
        made = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={common_name}")
        openssl("req", *new, *made)
        (folder / "ext").write_text(f"subjectAltName={names}\n" if names else "")
        signed = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial")
        request = ("-req", "-in", f"{name}.csr", "-days", str(days), "-out", f"{name}.pem")
        openssl("x509", *request, *signed, "-extfile", "ext")
    alone = ("-keyout", "alone.key", "-out", "alone.pem", "-subj", "/CN=writer")
    openssl("req", "-x509", *new, *alone)
    return folder


def settings_of(folder: Path, pem: Path, text: str, **changes: Any) -> ServerSettings:
    path = folder / "tokens.toml"
    path.write_text(text)
    path.chmod(0o600)
    return ServerSettings(
        "127.0.0.1:0",
        "127.0.0.1:0",
        tls_cert=f"{pem}/server.pem",
        tls_key=f"{pem}/server.key",
        tokens_file=str(path),
        **changes,
    )


@pytest.fixture(scope="module")
def tokens_only(pem: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tokens")
    with serving(settings_of(folder, pem, FILE), folder) as served:
        yield served
        assert served.faults == []


@pytest.fixture(scope="module")
def certificates(pem: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("certificates")
    settings = settings_of(folder, pem, FILE + CERTIFICATES, tls_client_ca=f"{pem}/ca.pem")
    with serving(settings, folder) as served:
        yield served
        assert served.faults == []


def outcome(
    served: Served, pem: Path, method: str, metadata: Any = (), *, client: str = "", content=b""
) -> grpc.RpcError:
    """Calls a method with an empty request and returns how that ended, as a call or an error."""
    kept = [(pem / f"{client}.{kind}").read_bytes() for kind in ("key", "pem")] if client else []
    credentials = grpc.ssl_channel_credentials((pem / "ca.pem").read_bytes(), *kept)
    described = METHODS[method]
    with grpc.secure_channel(served.address_of(method), credentials) as channel:
        ways = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }
        call = ways[described.client_streaming, described.server_streaming](method)
        request = iter([content]) if described.client_streaming else content
        try:
            if not described.server_streaming:
                return call.with_call(request, metadata=metadata, timeout=10)[1]
            answered = call(request, metadata=metadata, timeout=2)
            for _ in answered:
                answered.cancel()
            return answered
        except grpc.RpcError as error:
            return error


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


READ = TOKENS["read"]
WRONG: dict[str, tuple[tuple[str, str], ...]] = {
    "none": (),
    "no scheme": (("authorization", TOKENS["admin"]),),
    "another scheme": (("authorization", f"Basic {TOKENS['admin']}"),),
    "the scheme alone": (("authorization", "Bearer"),),
    "an empty token": (("authorization", "Bearer "),),
    "two words": (("authorization", f"Bearer {TOKENS['admin']} x"),),
    "given twice": bearer(TOKENS["admin"]) * 2,
    "another name": (("x-authorization", f"Bearer {TOKENS['admin']}"),),
    "unknown": bearer(new_token()),
    "expired": bearer(TOKENS["expired"]),
    "the wrong case": bearer(TOKENS["admin"].swapcase()),
    "cut": bearer(TOKENS["admin"][:-1]),
    "longer": bearer(TOKENS["admin"] + "A"),
    "the hash": bearer(token_hash(TOKENS["admin"])),
    "endless": bearer("A" * 5_000),
}


def test_every_method_says_which_role_it_needs():
    assert METHODS.keys() == METHOD_ROLES.keys()
    assert needed_role("/dejalog.v1.AdminService/NotWrittenYet") is Role.ADMIN
    assert all(name.startswith("/grpc.health.v1.Health/") for name in OPEN)


def test_the_manuals_table_has_every_method_with_its_role():
    text = (Path(__file__).parents[2] / "docs" / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    for method in CLOSED:
        service, name = method.split("/")[1].rpartition(".")[2], method.split("/")[2]
        if service == "ServerReflection":
            continue
        (role,) = {row[1].strip(" |") for row in rows if f"`{service}" in row[0] and name in row[0]}
        assert role == needed_role(method), method


@pytest.mark.parametrize("method", CLOSED)
def test_every_wrong_token_is_refused_on_every_method_in_the_same_words(tokens_only, pem, method):
    said = set()
    for kind, metadata in WRONG.items():
        error = outcome(tokens_only, pem, method, metadata)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED, kind
        info = ErrorInfo()
        assert rpc_status.from_call(error).details[0].Unpack(info)
        said.add((info.reason, error.details()))
    assert len(said) == 1
    ((reason, sentence),) = said
    assert reason == "BAD_CREDENTIALS"
    assert not any(token in sentence for token in TOKENS.values())


@pytest.mark.parametrize("method", CLOSED)
@pytest.mark.parametrize("name", ["read", "write", "admin", "read write"])
def test_a_token_opens_the_methods_of_its_roles_and_no_other(tokens_only, pem, method, name):
    error = outcome(tokens_only, pem, method, bearer(TOKENS[name]))
    roles = {Role(each) for each in name.split()}
    if Role.ADMIN in roles or needed_role(method) in roles:
        assert error.code() not in REFUSED, error.details()
    else:
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert error.details().endswith(f"this call needs {needed_role(method)}")


@pytest.mark.parametrize("method", OPEN)
def test_health_is_open_to_all(tokens_only, pem, method):
    assert outcome(tokens_only, pem, method).code() not in REFUSED
    assert outcome(tokens_only, pem, method, WRONG["unknown"]).code() not in REFUSED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("client", ["", "foreign", "alone", "old"])
def test_without_a_good_certificate_nobody_gets_as_far_as_a_method(
    certificates, pem, method, client
):
    error = outcome(certificates, pem, method, bearer(TOKENS["admin"]), client=client)
    assert error.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("method", CLOSED)
def test_a_certificate_opens_the_methods_of_its_roles_and_no_other(certificates, pem, method):
    for client, role in (("reader", Role.READ), ("writer", Role.WRITE)):
        code = outcome(certificates, pem, method, client=client).code()
        if needed_role(method) is role:
            assert code not in REFUSED
        else:
            assert code is grpc.StatusCode.PERMISSION_DENIED
    for client in ("unknown", "posing"):
        code = outcome(certificates, pem, method, client=client).code()
        assert code is grpc.StatusCode.UNAUTHENTICATED
    # A wrong token is not made up for by a good certificate, and a good one has its own roles.
    for metadata in (WRONG["unknown"], WRONG["expired"], WRONG["two words"]):
        code = outcome(certificates, pem, method, metadata, client="reader").code()
        assert code is grpc.StatusCode.UNAUTHENTICATED
    admin = outcome(certificates, pem, method, bearer(TOKENS["admin"]), client="reader")
    assert admin.code() not in REFUSED


def test_unknown_methods_are_unimplemented_with_and_without_a_credential(tokens_only, pem):
    credentials = grpc.ssl_channel_credentials((pem / "ca.pem").read_bytes())
    address = tokens_only.address_of("")
    with grpc.secure_channel(address, credentials) as channel:
        for method in ("/dejalog.v1.SearchService/Nothing", "/no.Service/At", "/dejalog"):
            for metadata in ((), bearer(TOKENS["admin"])):
                for call in (channel.unary_unary(method), channel.stream_unary(method)):
                    request = b"" if isinstance(call, grpc.UnaryUnaryMultiCallable) else iter([])
                    with pytest.raises(grpc.RpcError) as caught:
                        call(request, metadata=metadata, timeout=10)
                    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_admin_calls_and_their_refusals_are_written_down(pem, tmp_path):
    method = "/dejalog.v1.AdminService/RetryDeadLetters"
    content = admin_pb2.RetryDeadLettersRequest(reason="bad-json").SerializeToString()
    with serving(settings_of(tmp_path, pem, FILE), tmp_path) as served:
        for metadata in (bearer(TOKENS["admin"]), bearer(READ), ()):
            outcome(served, pem, method, metadata, content=content)
        outcome(served, pem, "/dejalog.v1.AdminService/Status", bearer(READ))
        assert served.retries == [LetterFilter(reason="bad-json")]
    text = served.audit.path.read_text()
    lines = [line.split('"event":"')[1] for line in text.splitlines()]
    assert [line.split('"')[0] for line in lines] == ["begin", "end", "refused", "refused"]
    assert '"who":"admin"' in lines[0]
    assert '"changed":{"retried":3,"events":2,"resolved":1}' in lines[1]
    assert '"code":"PERMISSION_DENIED"' in lines[2]
    assert '"who":"read"' in lines[2]
    assert '"who":"anyone"' in lines[3]
    assert not any(token in text for token in TOKENS.values())


def test_an_admin_call_that_cannot_be_written_down_is_not_made(pem, tmp_path):
    method = "/dejalog.v1.AdminService/RetryDeadLetters"
    content = admin_pb2.RetryDeadLettersRequest(reason="bad-json").SerializeToString()
    # A folder in its place cannot be written to, whoever runs the test.
    with serving(settings_of(tmp_path, pem, FILE), tmp_path) as served:
        served.audit.path.mkdir()
        error = outcome(served, pem, method, bearer(TOKENS["admin"]), content=content)
        assert served.retries == []
        assert outcome(served, pem, "/dejalog.v1.AdminService/Status", bearer(READ)).code() is (
            grpc.StatusCode.OK
        )
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "audit log" in error.details()
    assert served.faults == []


def test_a_token_that_is_taken_out_of_the_file_stops_working(pem, tmp_path, monkeypatch):
    monkeypatch.setattr("dejalog.daemon.credentials.LOOK_INTERVAL_S", 0.0)
    method = "/dejalog.v1.AdminService/Status"
    settings = settings_of(tmp_path, pem, FILE)
    with serving(settings, tmp_path) as served:
        assert outcome(served, pem, method, bearer(READ)).code() is grpc.StatusCode.OK
        path = Path(settings.tokens_file)
        path.write_text("[[token]]\n")
        assert outcome(served, pem, method, bearer(READ)).code() is grpc.StatusCode.OK
        path.write_text("")
        error = outcome(served, pem, method, bearer(READ))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "not used" in served.audit.path.read_text()
