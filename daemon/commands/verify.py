"""`dejalog verify`: walks every byte of the index."""

from __future__ import annotations

import argparse
import sys

from dejalog.daemon.engine import data_path
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.flags import load_settings
from dejalog.indexer.store.directory import DataDirectory, is_being_written
from dejalog.indexer.verify import verify

NAME = "verify"
HELP = "walk every byte of the index: LMDB pages, checksums, invariants, word index"
EXAMPLE = "dejalog verify --data /var/lib/dejalog"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no flags of its own."""


def run(parsed: argparse.Namespace) -> int:
    """Does it; 0 if the index is clean, 3 if not."""
    path = data_path(load_settings(parsed).settings)
    is_quiet = not is_being_written(path)
    if not is_quiet:
        sys.stderr.write(
            "dejalog: the index is being written; LMDB's page structure is not walked this time\n"
        )
    with DataDirectory.open(path, is_writable=False) as directory:
        report = verify(
            directory,
            is_quiet=is_quiet,
            on_progress=_say,
        )
    for problem in report.problems:
        sys.stdout.write(problem + "\n")
    sys.stdout.write(
        f"{'clean' if report.is_clean else f'{len(report.problems)} problems'}: "
        f"{report.shards} shards, {grouped(report.events)} events, "
        f"{grouped(report.patterns)} patterns, {grouped(report.dead_letters)} dead letters\n"
    )
    return 0 if report.is_clean else 3


def _say(name: str) -> None:
    sys.stderr.write(f"verifying {name}\n")
