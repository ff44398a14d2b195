"""`dejalog run`: the daemon."""

from __future__ import annotations

import argparse
import sys

from dejalog.daemon.engine import data_path
from dejalog.daemon.flags import load_settings
from dejalog.daemon.runner import run_daemon
from dejalog.daemon.server import Server

NAME = "run"
HELP = "run the daemon: follow files, take events over gRPC and OTLP, answer searches"
EXAMPLE = "dejalog run --config /etc/dejalog/dejalog.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no flags of its own; everything is in the configuration."""


def run(parsed: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM."""
    settings = load_settings(parsed).settings

    def ready(server: Server) -> None:
        addresses = [f"gRPC on {server.address}"] if server.address else []
        if server.otlp_address:
            addresses.append(f"OTLP on {server.otlp_address}")
        listening = ", ".join(addresses) or "no listener"
        sys.stderr.write(f"dejalog: ready, {listening}, data in {data_path(settings)}\n")
        sys.stderr.flush()

    run_daemon(settings, on_ready=ready)
    return 0
