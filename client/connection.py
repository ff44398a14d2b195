"""Where the daemon is, how to reach it, and who asks.

A token is a password: it is sent over TLS, over loopback or over a Unix socket, and not otherwise.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from dejalog.indexer.errors import ConfigError

MIB = 1 << 20
#: Records of up to 1 MiB, and oversized ones that the server turns into dead letters.
SEND_BYTES_MAX = 16 * MIB
DEFAULT_ADDRESS = "127.0.0.1:7040"
#: What one question takes at most where the caller says nothing else.
DEFAULT_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class ClientTls:
    """PEM files: the CA to trust, and a certificate with its key where the daemon wants one.

    `server_name` is the name in the daemon's certificate where it is not the address's.
    """

    ca: str
    cert: str = ""
    key: str = ""
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files; raises ConfigError naming one that cannot be used."""
        ca = _read("ca", self.ca)
        cert = _read("cert", self.cert) if self.cert else None
        key = _read("key", self.key) if self.key else None
        self._check()
        return grpc.ssl_channel_credentials(ca, key, cert)

    def _check(self) -> None:
        # gRPC would fail at the first call, as if no daemon were there.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self.ca)
        except ssl.SSLError as error:
            reason = f"{self.ca} holds no certificates in PEM form"
            raise ConfigError("client", "ca", reason) from error
        if bool(self.cert) != bool(self.key):
            raise ConfigError("client", "cert", "a certificate and its key go together")
        if not self.cert:
            return
        try:
            # An empty passphrase, or OpenSSL would ask for one at the terminal, which gRPC cannot.
            context.load_cert_chain(self.cert, self.key, password="")
        except ssl.SSLError as error:
            reason = f"{self.cert} and {self.key} are not a pair in PEM form without a passphrase"
            raise ConfigError("client", "cert", reason) from error


@dataclass(frozen=True, slots=True)
class Connection:
    """`address` is host:port, [ipv6]:port or unix:/path; without `tls` nothing is encrypted.

    Raises ConfigError where a token would travel in the clear, or could not be sent at all.
    """

    address: str = DEFAULT_ADDRESS
    tls: ClientTls | None = None
    token: str = ""

    def __post_init__(self) -> None:
        if not self.token:
            return
        if not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise ConfigError("client", "token", "it must be printable ASCII without spaces")
        if self.tls is None and not is_local(self.address):
            raise ConfigError(
                "client",
                "token",
                f"it would be sent to {self.address} in the clear; use TLS with the CA's file",
            )

    def options(self) -> list[tuple[str, Any]]:
        """Returns the options of the channel."""
        options: list[tuple[str, Any]] = [("grpc.max_send_message_length", SEND_BYTES_MAX)]
        if is_local(self.address):
            # A proxy that the environment names is for other machines.
            options.append(("grpc.enable_http_proxy", 0))
        if self.tls is not None and self.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns what every call carries."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()


def is_local(address: str) -> bool:
    """Whether nothing leaves this machine on the way to an address."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError("client", key, f"cannot read {path}: {error.strerror}") from error
