"""One file per command, in the order in which `dejalog --help` lists them."""

from __future__ import annotations

import argparse
from typing import Protocol

from dejalog.daemon.commands import (
    alerts,
    backup,
    compact,
    config,
    context,
    deadletters,
    delete,
    demo,
    diff,
    doctor,
    evaluate,
    histogram,
    index,
    kafka,
    mcp,
    patterns,
    precedents,
    restore,
    run,
    search,
    shards,
    similar,
    status,
    tail,
    token,
    verify,
    worker,
)


class Command(Protocol):
    """What a command's module provides."""

    NAME: str
    HELP: str
    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the command's own flags."""

    def run(self, parsed: argparse.Namespace) -> int:
        """Does it and returns the exit code."""


COMMANDS: tuple[Command, ...] = (
    demo,
    index,
    search,
    precedents,
    similar,
    tail,
    context,
    patterns,
    diff,
    histogram,
    status,
    run,
    worker,
    shards,
    compact,
    delete,
    deadletters,
    kafka,
    alerts,
    mcp,
    verify,
    backup,
    restore,
    doctor,
    config,
    token,
    evaluate,
)
