"""`dejalog backup`: copies the index while it is written and searched."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dejalog.daemon.commands.status import size
from dejalog.daemon.engine import data_path
from dejalog.daemon.flags import load_settings
from dejalog.indexer.backup import back_up
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.folders import COMPACT_LOCK_NAME, is_locked

NAME = "backup"
HELP = "copy the index to a directory, while it is in use; only what is new is copied"
EXAMPLE = "dejalog backup /mnt/disk/dejalog --data /var/lib/dejalog"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "directory",
        type=Path,
        metavar="DIR",
        help="where the backup lies: empty, not there yet, or an earlier backup of this index",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare the checksums of what was copied before, and copy again what differs",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long to wait for a compaction to end (default: 600)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    path = data_path(load_settings(parsed).settings)
    if parsed.wait > 0 and is_locked(path, COMPACT_LOCK_NAME):
        sys.stderr.write("dejalog: waiting for the compaction to end\n")
    steps = Steps("copying")
    with DataDirectory.open(path, is_writable=False) as directory:
        report = back_up(
            directory,
            parsed.directory,
            is_checked=parsed.check,
            wait_s=parsed.wait,
            on_progress=steps.show,
        )
    for note in report.notes:
        sys.stderr.write(f"dejalog: {note}\n")
    sys.stdout.write(
        f"backed up {report.copied + report.kept} shards: {report.copied} copied "
        f"({size(report.copied_bytes)}), {report.kept} were there\n"
    )
    return 0


class Steps:
    """Says on stderr which shard is being copied, once for each."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = ""

    def show(self, name: str, _done: int, total: int) -> None:
        """Takes the progress of one shard, in bytes."""
        if name != self._shown:
            self._shown = name
            sys.stderr.write(f"{self._what} shard {name} ({size(total)})\n")
