"""One file per command, in the order in which `dejalog --help` lists them."""

from __future__ import annotations

import argparse
from typing import Protocol

from dejalog.daemon.commands import (
    backup,
    compact,
    config,
    deadletters,
    delete,
    demo,
    doctor,
    evaluate,
    index,
    kafka,
    restore,
    run,
    search,
    shards,
    status,
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
    status,
    run,
    worker,
    shards,
    compact,
    delete,
    deadletters,
    kafka,
    verify,
    backup,
    restore,
    doctor,
    config,
    evaluate,
)
