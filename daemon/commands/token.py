"""`dejalog token`: makes credentials for server.tokens_file, and lists them."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dejalog.daemon.auth import Credentials, Entry, Role, new_token, token_hash
from dejalog.daemon.config import to_toml
from dejalog.daemon.credentials import parse_credentials, read_credentials
from dejalog.daemon.flags import load_settings
from dejalog.daemon.hit_json import Json, to_line
from dejalog.daemon.human_time import to_rfc3339
from dejalog.indexer.errors import ConfigError

NAME = "token"
HELP = "make a token for clients, or list who may call the daemon"
EXAMPLE = "dejalog token new --name panel-7 --role read --expires-days 365"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "action",
        choices=("new", "list"),
        help="'new' prints a token on standard error and its entry for the file on standard"
        " output; 'list' prints names, roles and expiry of server.tokens_file",
    )
    parser.add_argument("--name", help="whose token it is; shown in the audit log")
    parser.add_argument(
        "--role",
        action="append",
        choices=[role.value for role in Role],
        help="what it is for; may be repeated, and admin includes the others",
    )
    parser.add_argument("--expires-days", type=int, metavar="DAYS", help="default: never")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    if parsed.action == "list":
        return _list(parsed)
    if not parsed.name or not parsed.role:
        raise ConfigError("flags", "--name and --role", "must be given for a new token")
    token = new_token()
    entry = _entry(parsed, token)
    # An entry that the daemon would refuse is refused here.
    parse_credentials(entry, "flags")
    sys.stdout.write(entry)
    sys.stdout.flush()
    sys.stderr.write(f"the token, which is not shown again: {token}\n")
    return 0


def _entry(parsed: argparse.Namespace, token: str) -> str:
    lines = ["[[token]]", f"name = {to_toml(parsed.name)}"]
    lines.append(f"roles = {to_toml(tuple(dict.fromkeys(parsed.role)))}")
    lines.append(f'sha256 = "{token_hash(token)}"')
    if parsed.expires_days is not None:
        lines.append(f"expires = {_expires(parsed.expires_days)}")
    return "\n".join(lines) + "\n"


def _expires(days: int) -> str:
    try:
        at = datetime.fromtimestamp(time.time(), UTC) + timedelta(days=days)
    except OverflowError as error:
        raise ConfigError("flags", "--expires-days", f"{days} days are too many") from error
    if days < 1:
        raise ConfigError("flags", "--expires-days", "must be at least 1")
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _list(parsed: argparse.Namespace) -> int:
    tokens_file = load_settings(parsed).settings.server.tokens_file
    if not tokens_file:
        raise ConfigError("server", "tokens_file", "is not set: nobody needs a credential")
    credentials = read_credentials(Path(tokens_file).expanduser())
    rows = _rows(credentials)
    for row in rows:
        if parsed.output == "json":
            sys.stdout.write(to_line(row) + "\n")
        else:
            sys.stdout.write(_line(row) + "\n")
    return 0 if rows else 1


def _rows(credentials: Credentials) -> list[dict[str, Json]]:
    kinds = (("token", credentials.tokens), ("certificate", credentials.certificates))
    return [_row(kind, entry) for kind, entries in kinds for entry in entries]


def _row(kind: str, entry: Entry) -> dict[str, Json]:
    expires = entry.expires
    expires_ns = None if expires is None else int(expires.timestamp()) * 10**9
    return {
        "kind": kind,
        "name": entry.identity.name,
        "roles": [str(role) for role in sorted(entry.identity.roles)],
        "expires": None if expires_ns is None else to_rfc3339(expires_ns),
        "expires_unix_nano": None if expires_ns is None else str(expires_ns),
        "is_expired": expires is not None and expires <= datetime.now(UTC),
    }


def _line(row: dict[str, Any]) -> str:
    when = "never expires"
    if row["expires"] is not None:
        when = f"{'expired' if row['is_expired'] else 'until'} {row['expires']}"
    return f"{row['kind']:11}  {row['name']:24}  {', '.join(row['roles']):18}  {when}"
