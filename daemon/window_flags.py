"""The flags that say which two windows are compared, `A..B` each, or the time on either side.

Both ends of `A..B` are moments, a day being where it begins, so that `yesterday..today` is
yesterday; without dots a day, week or month is meant as a whole. A missing B is now.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

from dejalog.daemon.filter_flags import add_label_flags
from dejalog.daemon.human_time import format_time, parse_time
from dejalog.indexer.errors import QueryError
from dejalog.indexer.request import Window

_EXAMPLE = "for example: --before yesterday --after 'today 06:00..now', or --at 06:30 --for 30m"
_DURATION = re.compile(r"\s*(?:\d{1,9}\s*[a-z]+\s*)+", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Windows:
    """The two windows; `is_cut` where the later one would have reached beyond now."""

    before: Window
    after: Window
    is_cut: bool


def add_window_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for times and labels."""
    group = parser.add_argument_group("what is compared")
    group.add_argument(
        "--before",
        metavar="A..B",
        help="from A until B, as yesterday..today or '06:00..06:30'; or a whole day, as yesterday",
    )
    group.add_argument("--after", metavar="C..D", help="likewise; 'today 06:00..' ends now")
    group.add_argument("--at", metavar="TIME", help="instead of both: compare what lies before ...")
    group.add_argument("--for", dest="length", metavar="30m", help="... and after it, so long")
    add_label_flags(group)
    # The windows are the times; what reads filters finds none besides.
    parser.set_defaults(since=None, until=None)


def read_windows(parsed: argparse.Namespace, now: datetime, zone: tzinfo | None) -> Windows:
    """Returns the windows that the flags give; raises QueryError."""
    now_ns = parse_time("now", now=now, zone=zone)
    if parsed.at is not None or parsed.length is not None:
        before, after = _around(parsed, now, zone)
    elif parsed.before is None or parsed.after is None:
        raise QueryError(f"say what to compare, {_EXAMPLE}")
    else:
        before = _window("--before", parsed.before, now, zone)
        after = _window("--after", parsed.after, now, zone)
    shown = []
    for window in (before, after):
        # What has not happened yet would look like silence.
        if window.since_ns >= now_ns:
            begin = format_time(window.since_ns, zone)
            raise QueryError(f"a window that begins at {begin} lies in the future")
        shown.append(Window(window.since_ns, min(window.until_ns, now_ns)))
    return Windows(shown[0], shown[1], is_cut=shown != [before, after])


def _around(
    parsed: argparse.Namespace, now: datetime, zone: tzinfo | None
) -> tuple[Window, Window]:
    if parsed.at is None or parsed.length is None or parsed.before or parsed.after:
        raise QueryError(f"--at and --for go together, without --before and --after; {_EXAMPLE}")
    if not _DURATION.fullmatch(parsed.length):
        raise QueryError(f"--for {parsed.length!r} is not a length of time; write 30m, 2h or 1d")
    at_ns = parse_time(parsed.at, now=now, zone=zone)
    now_ns = parse_time("now", now=now, zone=zone)
    length_ns = now_ns - parse_time(parsed.length, now=now, zone=zone)
    if length_ns <= 0:
        raise QueryError(f"--for {parsed.length!r} is no time at all; write 30m, 2h or 1d")
    return Window(at_ns - length_ns, at_ns), Window(at_ns, at_ns + length_ns)


def _window(flag: str, text: str, now: datetime, zone: tzinfo | None) -> Window:
    begin, dots, end = text.partition("..")
    try:
        since_ns = parse_time(begin, now=now, zone=zone)
        if dots:
            until_ns = parse_time(end.strip() or "now", now=now, zone=zone)
        else:
            until_ns = parse_time(begin, now=now, zone=zone, is_end=True)
    except QueryError as error:
        raise QueryError(f"{flag} {text!r}: {error}") from error
    if since_ns < until_ns:
        return Window(since_ns, until_ns)
    if not dots:
        raise QueryError(f"{flag} {text!r} is a moment; write from when until when, {_EXAMPLE}")
    raise QueryError(
        f"{flag} {text!r} ends ({format_time(until_ns, zone)}) no later than it begins "
        f"({format_time(since_ns, zone)}); a day stands for where it begins"
    )
