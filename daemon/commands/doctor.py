"""`dejalog doctor`: checks everything that starting needs, and says what to do about the rest."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from dejalog.daemon import config
from dejalog.daemon.bundle import write_bundle
from dejalog.daemon.bundle_parts import bundle_parts
from dejalog.daemon.commands.shards import shard_to_json
from dejalog.daemon.credentials import is_readable_by_others, read_credentials
from dejalog.daemon.engine import data_path, index_status, open_encoder
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.flags import load_settings
from dejalog.daemon.secret_settings import secrets_of
from dejalog.daemon.server import check_server
from dejalog.indexer.errors import ConfigError, DejalogError
from dejalog.indexer.mask import mask
from dejalog.indexer.store.directory import DataDirectory, is_being_written

NAME = "doctor"
HELP = "check configuration, model, disk, clock, ports, access and index; collect for support"
EXAMPLE = "dejalog doctor --config /etc/dejalog/dejalog.toml"

#: A gateway whose clock says less than this has lost it (the day of this version's first commit).
_CLOCK_MIN_S = 1_790_000_000

#: Time enough to hand out a new credential before the old one ends.
_SOON = timedelta(days=14)

#: The bundle is there, but not all of it.
EXIT_PARTIAL = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome: `ok`, `warn` or `fail`."""

    name: str
    level: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE.tar.gz",
        help="also write what somebody who helps has to know: the report, settings without"
        " secrets, status, shards, audit log, journal; no events",
    )


def run(parsed: argparse.Namespace) -> int:
    """Prints one line per check; 3 if one failed."""
    if parsed.bundle is not None:
        return _bundle(parsed)
    findings = []
    for finding in _findings(load_settings(parsed).settings):
        sys.stdout.write(_line(finding))
        findings.append(finding)
    return 3 if any(f.level == "fail" for f in findings) else 0


def _bundle(parsed: argparse.Namespace) -> int:
    if parsed.bundle.exists():
        raise ConfigError("--bundle", str(parsed.bundle), "exists already; name another file")
    # Settings that cannot be read are a part's failure, not the bundle's.
    try:
        secrets = secrets_of(load_settings(parsed).settings)
    except ConfigError as error:
        secrets = []
        sys.stderr.write(f"dejalog: {error}\n")
    parts = bundle_parts(lambda: load_settings(parsed), _report, shard_to_json)
    report = write_bundle(parsed.bundle, parts, secrets=secrets)
    for name, size_bytes in report.sizes.items():
        sys.stdout.write(f"{name:18} {grouped(size_bytes)} bytes\n")
    for name, reason in report.missing.items():
        sys.stdout.write(f"{name:18} missing: {reason}\n")
    sys.stdout.write(f"written to {parsed.bundle}; look through it before you send it\n")
    return EXIT_PARTIAL if report.missing else 0


def _report(settings: config.Settings) -> str:
    return "".join(_line(finding) for finding in _findings(settings))


def _line(finding: Finding) -> str:
    return f"{finding.level:4}  {finding.name:9}  {finding.text}\n"


def _findings(settings: config.Settings) -> Iterator[Finding]:
    for name, check in _CHECKS.items():
        try:
            yield Finding(name, *check(settings))
        except (DejalogError, OSError) as error:
            yield Finding(name, "fail", str(error))


def _machine(settings: config.Settings) -> tuple[str, str]:
    cores = len(os.sched_getaffinity(0))
    text = f"dejalog {version('dejalog')}, Python {platform.python_version()}, "
    return "ok", text + f"{platform.machine()}, {cores} cores"


def _native(settings: config.Settings) -> tuple[str, str]:
    found = mask("up since 2022-08-22T05:18:16Z").pattern
    return ("ok", "native code works") if found != "" else ("fail", "the masker returned nothing")


def _model(settings: config.Settings) -> tuple[str, str]:
    started = time.perf_counter()
    encoder = open_encoder(settings)
    encoder.encode_query("bearing overheated")
    seconds = time.perf_counter() - started
    text = f"{encoder.fingerprint}, {encoder.dim} dims, loaded and tried in {seconds:.2f} s"
    return "ok", text


def _disk(settings: config.Settings) -> tuple[str, str]:
    path = data_path(settings)
    existing = next(p for p in (path, *path.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    text = f"{grouped(free >> 20)} MiB free at {existing}"
    if not os.access(existing, os.W_OK):
        return "fail", f"{existing} cannot be written by this user"
    if free < settings.data.disk_free_bytes_min:
        return "fail", f"{text}, less than data.disk_free_bytes_min: ingest would wait"
    return "ok", text


def _clock(settings: config.Settings) -> tuple[str, str]:
    now = time.time()
    written = time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(now))
    if now < _CLOCK_MIN_S:
        return "warn", f"it is {written} here; events without a time would get that"
    return "ok", written


def _ports(settings: config.Settings) -> tuple[str, str]:
    check_server(settings.server)
    taken = [listen for listen in _listens(settings) if not _is_free(listen)]
    if taken:
        return "warn", f"{', '.join(taken)} in use (by a running daemon?)"
    return "ok", ", ".join(_listens(settings)) or "no listener is configured"


def _access(settings: config.Settings) -> tuple[str, str]:
    server = settings.server
    if not server.tokens_file:
        if server.tls_client_ca:
            return "ok", "clients with a certificate of tls_client_ca may do everything"
        whoever = "whoever can connect may do everything"
        is_meant = not server.open_to_all
        return ("ok" if is_meant else "warn"), f"{whoever}; server.tokens_file gives roles"
    path = Path(server.tokens_file).expanduser()
    found = read_credentials(path)
    now = datetime.now(UTC)
    entries = (*found.tokens, *found.certificates)
    soon = [e.identity.name for e in entries if e.expires and e.expires <= now + _SOON]
    text = f"{len(found.tokens)} tokens, {len(found.certificates)} certificates"
    if soon:
        return "warn", f"{text}; expired, or within {_SOON.days} days: {', '.join(soon)}"
    if is_readable_by_others(path):
        return "warn", f"{text}; others can read {path}: chmod 600 it"
    return "ok", text


def _listens(settings: config.Settings) -> Iterator[str]:
    for listen in (settings.server.listen, settings.server.otlp_listen):
        if listen and not listen.startswith("unix:"):
            yield listen


def _is_free(listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


def _index(settings: config.Settings) -> tuple[str, str]:
    path = data_path(settings)
    if not (path / "manifest.json").is_file():
        return "warn", f"no index in {path} yet; 'dejalog index PATH' makes one"
    with DataDirectory.open(path, is_writable=False) as directory:
        status = index_status(directory)
    writer = "being written now" if is_being_written(path) else "nobody is writing"
    text = (
        f"{grouped(status.events)} events, {grouped(status.patterns)} patterns, "
        f"{status.shards} shards"
    )
    return "ok", f"{text}, {grouped(status.bytes_on_disk >> 20)} MiB, {writer}"


_CHECKS: dict[str, Callable[[config.Settings], tuple[str, str]]] = {
    "machine": _machine,
    "native": _native,
    "model": _model,
    "disk": _disk,
    "clock": _clock,
    "ports": _ports,
    "access": _access,
    "index": _index,
}
