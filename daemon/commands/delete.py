"""`dejalog delete`: deletes events by time and label."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from dejalog.daemon.engine import data_path
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.filter_flags import add_filter_flags, read_filter
from dejalog.daemon.flags import load_settings
from dejalog.indexer.errors import QueryError
from dejalog.indexer.retain import count_events, delete_events
from dejalog.indexer.store.directory import DataDirectory

NAME = "delete"
HELP = "delete events by time and label: gone from every search at once, from disk when compacted"
EXAMPLE = "dejalog delete --until 2022-01-01 -l site=lodz"

EXIT_NONE = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    add_filter_flags(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(parsed: argparse.Namespace) -> int:
    """Does it; 1 if no event is meant, or the answer was no."""
    wanted = read_filter(parsed, datetime.now(UTC))
    if wanted.is_empty:
        raise QueryError(
            "say which events to delete, for example: dejalog delete --until 2022-01-01; "
            "to delete all of them, remove the data directory"
        )
    path = data_path(load_settings(parsed).settings)
    since_ns, until_ns = wanted.since_ns, wanted.until_ns
    with DataDirectory.open(path, is_writable=False) as directory:
        count = count_events(directory, wanted.conditions, since_ns=since_ns, until_ns=until_ns)
        events = f"{grouped(count)} event{'' if count == 1 else 's'} ({visible_line(str(wanted))})"
        if count == 0:
            sys.stderr.write(f"no event is meant: {visible_line(str(wanted))}\n")
            return EXIT_NONE
        if not parsed.yes and not _is_confirmed(events):
            sys.stderr.write("nothing was deleted\n")
            return EXIT_NONE
        delete_events(directory, wanted.conditions, since_ns=since_ns, until_ns=until_ns)
    sys.stderr.write(f"deleted {events}; 'dejalog compact' takes them out of the files\n")
    return 0


def _is_confirmed(events: str) -> bool:
    if not sys.stdin.isatty():
        raise QueryError(f"{events} would be deleted, and nobody can be asked: add --yes")
    sys.stderr.write(f"delete {events}? It cannot be undone. [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
