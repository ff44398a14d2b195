"""`dejalog worker`: takes events and stores them, and leaves searches to other processes."""

from __future__ import annotations

import argparse

from dejalog.daemon.commands.run import add_source_flag, serve
from dejalog.daemon.flags import load_settings
from dejalog.daemon.runner import Parts

NAME = "worker"
HELP = "take events from Kafka and the other sources and store them, without answering searches"
EXAMPLE = "dejalog worker --source kafka --config /etc/dejalog/dejalog.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags; everything else is in the configuration."""
    add_source_flag(parser)


def run(parsed: argparse.Namespace) -> int:
    """Runs until SIGINT or SIGTERM."""
    settings = load_settings(parsed).settings
    return serve(settings, Parts(frozenset(parsed.source), is_searched=False))
