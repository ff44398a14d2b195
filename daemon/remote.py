"""The flags with which a command asks a running daemon instead of opening the index itself."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from dejalog.client import Client, ClientTls
from dejalog.indexer.errors import ConfigError

#: Holds the bearer token where no file does. A flag for it would show it to every user of the
#: machine, in the list of processes and in the shell's history.
TOKEN_VARIABLE = "DEJALOG_TOKEN"
#: Longer than any token; a file that is larger is another file.
_TOKEN_BYTES_MAX = 4096


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that name a daemon."""
    group = parser.add_argument_group("asking a running daemon")
    group.add_argument("--server", metavar="HOST:PORT", help="ask the daemon that listens there")
    group.add_argument(
        "--token-file",
        metavar="FILE",
        default="",
        help=f"file with the bearer token (default: the environment's {TOKEN_VARIABLE})",
    )
    group.add_argument("--tls-ca", metavar="FILE", help="use TLS and trust this CA (PEM)")
    group.add_argument("--tls-cert", metavar="FILE", default="", help="client certificate (PEM)")
    group.add_argument("--tls-key", metavar="FILE", default="", help="its key (PEM)")


def open_client(
    parsed: argparse.Namespace, environment: Mapping[str, str] = os.environ
) -> Client | None:
    """Returns a connection to the daemon that the flags name, or None if they name none."""
    if not parsed.server:
        if parsed.tls_ca or parsed.tls_cert or parsed.tls_key or parsed.token_file:
            flags = "--token-file, --tls-ca, --tls-cert, --tls-key"
            raise ConfigError("flags", flags, "go with --server only")
        return None
    return Client(parsed.server, tls=_tls(parsed), token=_token(parsed, environment))


def _tls(parsed: argparse.Namespace) -> ClientTls | None:
    if parsed.tls_ca:
        return ClientTls(parsed.tls_ca, parsed.tls_cert, parsed.tls_key)
    if parsed.tls_cert or parsed.tls_key:
        raise ConfigError("flags", "--tls-cert, --tls-key", "go with --tls-ca only")
    return None


def _token(parsed: argparse.Namespace, environment: Mapping[str, str]) -> str:
    if not parsed.token_file:
        return environment.get(TOKEN_VARIABLE, "").strip()
    path = Path(parsed.token_file)
    try:
        with path.open("rb") as file:
            content = file.read(_TOKEN_BYTES_MAX + 1)
    except OSError as error:
        reason = f"cannot read {path}: {error.strerror}"
        raise ConfigError("flags", "--token-file", reason) from error
    if len(content) > _TOKEN_BYTES_MAX or not content.isascii() or not content.strip():
        raise ConfigError("flags", "--token-file", f"{path} does not hold one token in ASCII")
    return content.decode().strip()
