"""`dejalog restore`: a backup -> a data directory."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dejalog.daemon.commands.backup import Steps
from dejalog.daemon.commands.status import size
from dejalog.daemon.engine import data_path
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.flags import load_settings
from dejalog.daemon.human_time import format_time
from dejalog.indexer.restore import restore

NAME = "restore"
HELP = "make a data directory from a backup, every byte of it verified"
EXAMPLE = "dejalog restore /mnt/disk/dejalog --data /var/lib/dejalog"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "backup", type=Path, metavar="BACKUP_DIR", help="what 'dejalog backup' has made"
    )


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    path = data_path(load_settings(parsed).settings)
    steps = Steps("copying")
    restored = restore(parsed.backup, path, on_progress=steps.show, on_step=_say)
    sys.stdout.write(
        f"restored {path} as of {format_time(restored.backup_created_ns, None)}: "
        f"{restored.shards} shards ({size(restored.copied_bytes)}), "
        f"{grouped(restored.report.events)} events, verified\n"
    )
    return 0


def _say(name: str) -> None:
    sys.stderr.write(f"checking {name}\n")
