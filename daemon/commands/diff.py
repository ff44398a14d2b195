"""`dejalog diff`: which patterns appeared, vanished or changed their rate between two windows.

Exit codes: 0 changes, 1 none, 2 the call was wrong, 3 it failed, 4 not everything was counted.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, tzinfo

from dejalog.daemon.asking import open_answerer
from dejalog.daemon.count_flags import (
    Asked,
    Teller,
    add_output_flags,
    add_text,
    read_asked,
    showing,
)
from dejalog.daemon.count_json import change_to_json
from dejalog.daemon.count_view import CountPrinter, CountView
from dejalog.daemon.excerpt import grouped
from dejalog.daemon.hit_json import to_line
from dejalog.daemon.human_time import format_span
from dejalog.daemon.terminal import open_console
from dejalog.daemon.window_flags import Windows, add_window_flags, read_windows
from dejalog.indexer.answer import DiffResult
from dejalog.indexer.errors import QueryError
from dejalog.indexer.request import DiffRequest, Window

NAME = "diff"
HELP = "compare two windows of time: patterns that appeared, vanished or changed their rate"
EXAMPLE = """dejalog diff --at "today 06:30" --for 30m
         dejalog diff --before yesterday..today --after "today 06:00..now" --where site=lodz"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    add_text(parser)
    add_window_flags(parser)
    parser.add_argument(
        "--false-share",
        type=_share,
        default=0.01,
        metavar="F",
        help="how many of the changes may be none, as a share to be expected (default: 0.01)",
    )
    add_output_flags(parser, has_limit=True)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    now = datetime.now(UTC)
    asked = read_asked(parsed, now)
    if asked.given.since_ns is not None or asked.given.until_ns is not None:
        raise QueryError("since: and until: say nothing here; give the windows, --before, --after")
    windows = read_windows(parsed, now, asked.given.zone)
    request = DiffRequest(
        before=windows.before,
        after=windows.after,
        text=asked.text,
        where=asked.given.where,
        limit=parsed.limit,
        false_share=parsed.false_share,
    )
    teller = Teller(parsed)
    with open_answerer(parsed) as answerer:
        answer = answerer.diff(request, timeout_s=parsed.timeout)
        result = answer.result
        _show(parsed, asked, result)
        if not result.coverage.events_matched:
            teller.explain_nothing(asked, result.coverage, answerer)
    if result.coverage.events_matched and not result.changes_total:
        teller.say(_why_none(result))
    _sum_up(teller, windows, result, asked.given.zone)
    return teller.finish(result.coverage, is_cut=answer.is_cut, is_any=bool(result.changes))


def _show(parsed: argparse.Namespace, asked: Asked, result: DiffResult) -> None:
    if parsed.output == "json":
        for rank, change in enumerate(result.changes, 1):
            sys.stdout.write(to_line(change_to_json(rank, change)) + "\n")
    else:
        printer = CountPrinter(open_console(sys.stdout), CountView(asked.given.zone, parsed.full))
        printer.print_changes(result.changes)
    sys.stdout.flush()


def _why_none(result: DiffResult) -> str:
    if not result.patterns_compared:
        return (
            "no pattern has enough events to compare; longer windows have more, and 'dejalog "
            "patterns --new --since TIME' lists what is new, however rare"
        )
    return (
        "no pattern's rate differs by more than chance and bursts explain; 'dejalog patterns "
        "--new --since TIME' lists what is new, however rare"
    )


def _sum_up(teller: Teller, windows: Windows, result: DiffResult, zone: tzinfo | None) -> None:
    changes = showing(len(result.changes), result.changes_total, "changes")
    if windows.is_cut:
        changes += ", up to now"
    texts = [
        f"{changes}, {grouped(result.patterns_compared)} patterns compared",
        f"before: {_window(windows.before, zone)} with {grouped(result.events_before)} events",
        f"after: {_window(windows.after, zone)} with {grouped(result.events_after)} events",
    ]
    teller.sum_up(texts, result.coverage)


def _window(window: Window, zone: tzinfo | None) -> str:
    return format_span(window.since_ns, window.until_ns, zone)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share above 0 and up to 1")
    return share
