"""The gRPC servers of the daemon: ours, and one for OpenTelemetry exporters.

1. `start` checks the settings, binds both addresses (a taken port is an error) and serves.
2. `stop` reports NOT_SERVING, lets running calls end within the budget, then cuts them off and
   waits for the searches that they had begun.

Without TLS only loopback addresses and Unix sockets are bound: logs are nobody else's business.
With TLS an address that others reach also wants tokens or client certificates (docs/SECURITY.md).
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]
from grpc_reflection.v1alpha import reflection

from dejalog.daemon.answers import Answers
from dejalog.daemon.audit import AuditLog
from dejalog.daemon.credentials import CredentialsFile, read_credentials
from dejalog.daemon.guard import OPEN_CALLS_MAX, Guard, open_credentials
from dejalog.daemon.interceptor import CallInterceptor
from dejalog.daemon.search_pool import SearchPool
from dejalog.daemon.service_admin import AdminService, Retry
from dejalog.daemon.service_ingest import IngestService
from dejalog.daemon.service_otlp import SERVICE_NAME as OTLP_NAME
from dejalog.daemon.service_otlp import OtlpLogsService
from dejalog.daemon.service_search import Follower, SearchService
from dejalog.daemon.sources.push import MIB, PushSource
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.status import IndexStatus
from dejalog.proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)

#: A response that was just returned is on its way to the client.
SEND_TIME_S = 0.2

#: A client whose cable was pulled is noticed after 80 s, and its streams end.
KEEPALIVE = (("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000))

SEARCH_NAME = search_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name
INGEST_NAME = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name
ADMIN_NAME = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where and how to serve.

    Addresses are `host:port`, `[ipv6]:port` or `unix:/path`; an empty one switches its server off.
    TLS is on once `tls_cert` and `tls_key` (PEM files) are set; with `tls_client_ca` clients must
    show a certificate that it signed. `tokens_file` names who may do what (credentials.py); without
    it whoever can connect may do everything, which `open_to_all` allows beyond this machine.
    `search_timeout_s` bounds searches without a deadline.
    """

    listen: str = "127.0.0.1:7040"
    otlp_listen: str = "127.0.0.1:4317"
    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    tokens_file: str = ""
    open_to_all: bool = False
    search_threads: int = 2
    search_queue_max: int = 64
    search_timeout_s: float = 30.0
    rpcs_max: int = 256
    rpcs_per_connection_max: int = 100
    message_bytes_max: int = 16 * MIB
    stop_grace_s: float = 10.0


class Server:
    """Both gRPC servers; leave out `answers` or `push_source` for a process that lacks it.

    `on_fault` is called, on the loop, with every exception that a client cannot be blamed for.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        answers: Answers | None,
        push_source: PushSource | None,
        status: Callable[[], IndexStatus],
        on_fault: Callable[[BaseException], None],
        retry: Retry | None = None,
        audit: AuditLog | None = None,
        follower: Follower | None = None,
    ) -> None:
        self._settings = settings
        self._audit = audit
        self._follower = follower
        self._credentials: CredentialsFile | None = None
        self._retry = retry
        self._answers = answers
        self._push_source = push_source
        self._status = status
        self._on_fault = on_fault
        self._pool = SearchPool(settings.search_threads, settings.search_queue_max)
        self._servers: list[tuple[grpc.aio.Server, CallInterceptor]] = []
        self._healths: list[health_aio.HealthServicer] = []
        self.address = ""
        self.otlp_address = ""

    async def start(self) -> None:
        """Binds and serves; raises ConfigError on an unusable address or TLS file.

        `address` and `otlp_address` then name what was bound, with the real port for port 0.
        """
        settings = self._settings
        credentials = check_server(settings)
        self._credentials = open_credentials(settings.tokens_file, self._audit)
        try:
            if settings.listen:
                self.address = await self._serve_own(credentials)
            if settings.otlp_listen and self._push_source is not None:
                self.otlp_address = await self._serve_otlp(self._push_source, credentials)
        except BaseException:
            await self.stop(0.0)
            raise

    async def stop(self, grace_s: float | None = None) -> None:
        """Ends serving within `grace_s` seconds, by default the settings' budget.

        Then waits, as long again at most, for searches whose calls were cut off: what they read
        must not be closed under them.
        """
        grace_s = self._settings.stop_grace_s if grace_s is None else grace_s
        for health in self._healths:
            await health.enter_graceful_shutdown()
        for _, interceptor in self._servers:
            interceptor.end_streams()
        await asyncio.gather(*(_drain(*each, grace_s) for each in self._servers))
        await asyncio.to_thread(self._pool.close, grace_s)

    async def _serve_own(self, credentials: grpc.ServerCredentials | None) -> str:
        server = self._new_server()
        names = [ADMIN_NAME]
        admin_pb2_grpc.add_AdminServiceServicer_to_server(
            AdminService(self._status, self._retry), server
        )
        if self._answers is not None:
            timeout_s = self._settings.search_timeout_s
            service = SearchService(
                self._answers, self._pool, timeout_s=timeout_s, follower=self._follower
            )
            search_pb2_grpc.add_SearchServiceServicer_to_server(service, server)
            names.append(SEARCH_NAME)
        if self._push_source is not None:
            ingest_pb2_grpc.add_IngestServiceServicer_to_server(
                IngestService(self._push_source), server
            )
            names.append(INGEST_NAME)
        return await self._serve(server, "listen", self._settings.listen, names, credentials)

    async def _serve_otlp(
        self, push_source: PushSource, credentials: grpc.ServerCredentials | None
    ) -> str:
        server = self._new_server()
        server.add_generic_rpc_handlers((OtlpLogsService(push_source).handler(),))
        listen = self._settings.otlp_listen
        return await self._serve(server, "otlp_listen", listen, [OTLP_NAME], credentials)

    def _new_server(self) -> grpc.aio.Server:
        calls_max = self._settings.rpcs_max
        guard = Guard(
            calls_max,
            connection_calls_max=self._settings.rpcs_per_connection_max,
            credentials=self._credentials,
            audit=self._audit,
        )
        interceptor = CallInterceptor(self._on_fault, guard)
        server = grpc.aio.server(
            interceptors=[interceptor],
            options=[
                # The default lets a second process take half of the connections in silence.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self._settings.message_bytes_max),
                *KEEPALIVE,
            ],
            # The guard refuses before, and says when to come back, which this bound does not.
            maximum_concurrent_rpcs=2 * calls_max + 2 * OPEN_CALLS_MAX,
        )
        self._servers.append((server, interceptor))
        return server

    async def _serve(
        self,
        server: grpc.aio.Server,
        key: str,
        listen: str,
        names: Sequence[str],
        credentials: grpc.ServerCredentials | None,
    ) -> str:
        health = health_aio.HealthServicer()
        self._healths.append(health)
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        reflected = (*names, HEALTH_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(reflected, server)
        address = _bind(server, key, listen, credentials)
        await server.start()
        for name in ("", *names):
            await health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return address


def check_listen(key: str, listen: str, *, has_tls: bool) -> None:
    """Raises ConfigError unless the address is well formed and, without TLS, local."""
    if not listen or listen.startswith("unix:/"):
        return
    host, colon, port = listen.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 2**16):
        reason = f"{listen!r} is not host:port, [ipv6]:port or unix:/path"
        raise ConfigError("server", key, reason)
    if not has_tls and not _is_local(listen):
        raise ConfigError(
            "server",
            key,
            f"{listen!r} can be reached from other machines, and TLS is off: set tls_cert and"
            " tls_key, or listen on 127.0.0.1",
        )


def check_server(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """Returns the TLS credentials, None without TLS; raises ConfigError where it cannot serve."""
    credentials = server_credentials(settings)
    is_fenced = bool(settings.tokens_file or settings.tls_client_ca or settings.open_to_all)
    for key in ("listen", "otlp_listen"):
        listen = getattr(settings, key)
        check_listen(key, listen, has_tls=credentials is not None)
        if listen and not is_fenced and not _is_local(listen):
            raise ConfigError("server", key, f"{listen!r} {_OPEN}")
    if settings.tokens_file:
        read_credentials(Path(settings.tokens_file).expanduser())
    return credentials


_OPEN = (
    "can be reached from other machines, and everybody there could read and write: set"
    " tokens_file or tls_client_ca (docs/SECURITY.md), or open_to_all = true if that is meant"
)


def server_credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """Returns the TLS credentials, or None where TLS is off; raises ConfigError on a bad file."""
    if not settings.tls_cert and not settings.tls_key:
        if settings.tls_client_ca:
            raise ConfigError("server", "tls_client_ca", "needs tls_cert and tls_key")
        return None
    for key in ("tls_cert", "tls_key"):
        if not getattr(settings, key):
            raise ConfigError("server", key, "must be set where the other of the two is")
    cert = _read_pem("tls_cert", settings.tls_cert)
    private_key = _read_pem("tls_key", settings.tls_key)
    client_ca = None
    if settings.tls_client_ca:
        client_ca = _read_pem("tls_client_ca", settings.tls_client_ca)
    _check_tls(settings)
    return grpc.ssl_server_credentials(
        [(private_key, cert)],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )


def _check_tls(settings: ServerSettings) -> None:
    # gRPC would only fail at the first handshake, in its own log.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty passphrase, or OpenSSL would ask for one at the terminal, which gRPC never has.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except ssl.SSLError as error:
        reason = (
            f"{settings.tls_cert} and {settings.tls_key} are not a pair in PEM form without a "
            f"passphrase: {error}"
        )
        raise ConfigError("server", "tls_cert", reason) from error
    if not settings.tls_client_ca:
        return
    try:
        context.load_verify_locations(settings.tls_client_ca)
    except ssl.SSLError as error:
        reason = f"{settings.tls_client_ca} holds no certificates in PEM form: {error}"
        raise ConfigError("server", "tls_client_ca", reason) from error


def _read_pem(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError("server", key, f"cannot read {path}: {error.strerror}") from error


def _is_local(listen: str) -> bool:
    """Whether only this machine's users reach the address."""
    host = listen.rpartition(":")[0]
    if host == "localhost" or listen.startswith("unix:/"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


async def _drain(server: grpc.aio.Server, interceptor: CallInterceptor, grace_s: float) -> None:
    # A health watch never ends by itself and must not use up the whole budget.
    stopping = asyncio.ensure_future(server.stop(grace_s))
    idle = asyncio.ensure_future(interceptor.idle.wait())
    await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({stopping}, timeout=SEND_TIME_S)
    idle.cancel()
    await server.stop(None)
    await stopping


def _bind(
    server: grpc.aio.Server, key: str, listen: str, credentials: grpc.ServerCredentials | None
) -> str:
    try:
        if credentials is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise ConfigError(
            "server",
            key,
            f"cannot listen on {listen}: another process, perhaps a second daemon, has it, or the"
            " address is not this machine's; stop the other one or choose another port",
        ) from error
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
