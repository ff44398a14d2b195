"""`dejalog verify`: walks every byte of the index, and with `--repair` mends what it finds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dejalog.daemon.engine import data_path
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.flags import load_settings
from dejalog.indexer.repair import repair
from dejalog.indexer.store.directory import DataDirectory, is_being_written
from dejalog.indexer.verify import Report, verify

NAME = "verify"
HELP = "walk every byte of the index: LMDB pages, checksums, invariants, word index"
EXAMPLE = "dejalog verify --data /var/lib/dejalog"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "--repair",
        action="store_true",
        help="make damaged word indexes anew, and move damaged shards to DATA/damaged/ so that "
        "the others can be written and searched; needs the daemon to be stopped",
    )


def run(parsed: argparse.Namespace) -> int:
    """Does it; 0 if the index is clean, or is so now, and 3 if not."""
    path = data_path(load_settings(parsed).settings)
    return _repair(path) if parsed.repair else _verify(path)


def _verify(path: Path) -> int:
    is_quiet = not is_being_written(path)
    if not is_quiet:
        sys.stderr.write(
            "dejalog: the index is being written; LMDB's page structure is not walked in the "
            "newest shard this time\n"
        )
    with DataDirectory.open(path, is_writable=False) as directory:
        report = verify(directory, is_quiet=is_quiet, on_progress=_say)
    _write(report.problems)
    for number in report.replaced:
        sys.stderr.write(
            f"dejalog: shard {number:06d} was compacted or removed meanwhile; what took its place "
            "was not verified\n"
        )
    sys.stdout.write(_summary(report))
    if report.damaged or report.damaged_words:
        sys.stderr.write("dejalog: stop the daemon and run 'dejalog verify --repair'\n")
    return 0 if report.is_clean else 3


def _repair(path: Path) -> int:
    repaired = repair(path, on_progress=_say)
    _write(repaired.report.problems)
    sys.stdout.write(_summary(repaired.report))
    _write([f"repaired: {line}" for line in repaired.done])
    if not repaired.remaining:
        if repaired.done:
            sys.stdout.write("the index is clean now\n")
        return 0
    if repaired.done:
        _write([f"remains: {problem}" for problem in repaired.remaining])
    sys.stderr.write(
        "dejalog: this cannot be repaired in place; 'dejalog restore' gets it from a backup\n"
    )
    return 3


def _summary(report: Report) -> str:
    return (
        f"{'clean' if report.is_clean else f'{len(report.problems)} problems'}: "
        f"{report.shards} shards, {grouped(report.events)} events, "
        f"{grouped(report.patterns)} patterns, {grouped(report.dead_letters)} dead letters\n"
    )


def _write(lines: list[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


def _say(name: str) -> None:
    sys.stderr.write(f"verifying {name}\n")
