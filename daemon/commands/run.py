"""`dejalog run`: the daemon."""

from __future__ import annotations

import argparse
import sys

from dejalog.daemon.config import Settings
from dejalog.daemon.engine import data_path
from dejalog.daemon.excerpt import visible_line
from dejalog.daemon.flags import load_settings
from dejalog.daemon.runner import SOURCES, Parts, run_daemon
from dejalog.daemon.server import Server

NAME = "run"
HELP = "run the daemon: take events from files, Kafka, gRPC and OTLP, and answer searches"
EXAMPLE = "dejalog run --config /etc/dejalog/dejalog.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags; everything else is in the configuration."""
    add_source_flag(parser)


def add_source_flag(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that chooses among the sources that are configured."""
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        choices=SOURCES,
        help="take events from this source only; may be repeated (default: all configured)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM."""
    return serve(load_settings(parsed).settings, Parts(frozenset(parsed.source)))


def serve(settings: Settings, parts: Parts) -> int:
    """Runs these parts of the daemon, and says when they are ready."""

    def ready(server: Server) -> None:
        addresses = [f"gRPC on {server.address}"] if server.address else []
        if server.otlp_address:
            addresses.append(f"OTLP on {server.otlp_address}")
        listening = ", ".join(addresses) or "no listener"
        folder = visible_line(str(data_path(settings)))
        sys.stderr.write(f"dejalog: ready, {listening}, data in {folder}\n")
        sys.stderr.flush()

    run_daemon(settings, parts, on_ready=ready)
    return 0
