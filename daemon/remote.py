"""The flags with which a command asks a running daemon instead of opening the index itself."""

from __future__ import annotations

import argparse

from dejalog.daemon.client import Client, ClientTls
from dejalog.indexer.errors import ConfigError


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that name a daemon."""
    group = parser.add_argument_group("asking a running daemon")
    group.add_argument("--server", metavar="HOST:PORT", help="ask the daemon that listens there")
    group.add_argument("--tls-ca", metavar="FILE", help="use TLS and trust this CA (PEM)")
    group.add_argument("--tls-cert", metavar="FILE", default="", help="client certificate (PEM)")
    group.add_argument("--tls-key", metavar="FILE", default="", help="its key (PEM)")


def open_client(parsed: argparse.Namespace) -> Client | None:
    """Returns a connection to the daemon that the flags name, or None if they name none."""
    if not parsed.server:
        if parsed.tls_ca or parsed.tls_cert or parsed.tls_key:
            raise ConfigError("flags", "--tls-ca, --tls-cert, --tls-key", "go with --server only")
        return None
    if not parsed.tls_ca:
        if parsed.tls_cert or parsed.tls_key:
            raise ConfigError("flags", "--tls-cert, --tls-key", "go with --tls-ca only")
        return Client(parsed.server)
    return Client(parsed.server, tls=ClientTls(parsed.tls_ca, parsed.tls_cert, parsed.tls_key))
