"""`dejalog tail`: shows new events that match a query as they are stored, until Ctrl-C.

Matches go to standard output, each at once, and everything else to standard error. Exit codes:
0 there were matches, 1 none, 2 the call was wrong, 3 it failed, 4 some events could not be looked
at.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dejalog.daemon.filter_flags import Filter, add_filter_flags, read_filter
from dejalog.daemon.flags import load_settings
from dejalog.daemon.hit_json import to_line
from dejalog.daemon.remote import add_server_flags, open_client
from dejalog.indexer.answer import Match
from dejalog.indexer.errors import QueryError
from dejalog.indexer.request import FollowRequest, Mode

if TYPE_CHECKING:  # gRPC and the index are loaded where they are used.
    from dejalog.daemon.watching import Watch

NAME = "tail"
HELP = "show new events that match a query, as they come"
EXAMPLE = """dejalog tail "motor overload" --where line=3
         dejalog tail E-1034 -n 20 --server 127.0.0.1:7040
         dejalog tail --new --where 'severity>=error' -o json"""

EXIT_MATCHES, EXIT_NONE, EXIT_PARTIAL = 0, 1, 4
#: Matches shown of what is there already, as `tail` does.
LAST_DEFAULT = 10
LAST_MAX = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help='words or a code; "quoted strings" must occur; without any, every event',
    )
    add_filter_flags(parser)
    group = parser.add_argument_group("what is shown")
    group.add_argument(
        "-n",
        "--last",
        type=_last,
        metavar="N",
        help=f"matches of what is there already, before the new ones ({LAST_DEFAULT})",
    )
    group.add_argument("--new", action="store_true", help="only patterns never seen before")
    group.add_argument(
        "--score-min",
        type=_score,
        metavar="S",
        help="the least score of a match, 0 to 1 (default: 0.5, in mode lexical 1)",
    )
    group.add_argument("--mode", choices=[m.value for m in Mode], default=Mode.HYBRID.value)
    group.add_argument("--full", action="store_true", help="show long texts whole")
    group.add_argument("-o", "--output", choices=["text", "json"], default="text")
    group.add_argument("-v", "--verbose", action="count", default=0, help="say why it matched")
    add_server_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    given = read_filter(parsed, datetime.now(UTC))
    if given.until_ns is not None:
        raise QueryError("tail goes on until Ctrl-C; for a range of time use 'dejalog search'")
    request = FollowRequest(
        text=" ".join(parsed.text),
        where=given.where,
        mode=Mode(parsed.mode),
        score_min=parsed.score_min,
        is_explained=parsed.output == "json" or sys.stdout.isatty() or parsed.verbose > 0,
    )
    with _ended_by_signals(), _watch(parsed, request) as watch:
        tail = _Tail(parsed, request, given)
        with suppress(KeyboardInterrupt):  # It is how a tail ends.
            tail.show(watch)
        sys.stdout.flush()
        return tail.exit_code


class _Tail:
    """Shows what is there, then what comes."""

    def __init__(self, parsed: argparse.Namespace, request: FollowRequest, given: Filter) -> None:
        from dejalog.daemon.tail_view import MatchPrinter
        from dejalog.daemon.terminal import View, open_console
        from dejalog.indexer.query import parse_text

        self._parsed = parsed
        self._request = request
        self._given = given
        self._matches = 0
        self._is_partial = False
        view = View(
            query=request.text,
            quoted=parse_text(request.text).exact,
            zone=given.zone,
            is_full=parsed.full,
            is_verbose=parsed.verbose > 0,
        )
        self._printer = MatchPrinter(open_console(sys.stdout), view)

    @property
    def exit_code(self) -> int:
        if self._is_partial:
            return EXIT_PARTIAL
        return EXIT_MATCHES if self._matches else EXIT_NONE

    def show(self, watch: Watch) -> None:
        """Returns never, but for KeyboardInterrupt."""
        from dejalog.daemon.watching import last_matches, start_of

        newest = start = watch.newest()
        since_ns, last = self._given.since_ns, self._parsed.last
        if last is None:
            last = LAST_DEFAULT if since_ns is None else LAST_MAX + 1
        if since_ns is not None and last > LAST_MAX:
            start = start_of(watch, newest, since_ns)
        elif last:
            for match in last_matches(watch, newest, last):
                self._show(match)
        if sys.stderr.isatty():
            sys.stderr.write("dejalog: waiting for new events; Ctrl-C ends\n")
        for update in watch.updates(start):
            if update.is_partial:
                self._is_partial = True
                sys.stderr.write(
                    "dejalog: some events were deleted or dropped before they were looked at\n"
                )
            for match in update.matches:
                self._show(match)

    def _show(self, match: Match) -> None:
        from dejalog.daemon.match_json import match_to_json

        since_ns = self._given.since_ns
        if since_ns is not None and match.occurrence.event.time_ns < since_ns:
            return
        self._matches += 1
        if self._parsed.output == "json":
            sys.stdout.write(to_line(match_to_json(match, self._request.text)) + "\n")
        else:
            self._printer.print_match(match)
        # Whoever reads from a pipe is to have it now.
        sys.stdout.flush()


@contextmanager
def _watch(parsed: argparse.Namespace, request: FollowRequest) -> Iterator[Watch]:
    client = open_client(parsed)
    if client is not None:
        from dejalog.daemon.watching import RemoteWatch

        with client:
            yield RemoteWatch(client, request, is_new=parsed.new)
        return
    from dejalog.daemon.engine import open_searcher
    from dejalog.daemon.watching import LocalWatch

    with open_searcher(load_settings(parsed).settings) as (_, searcher):
        yield LocalWatch(searcher, request, is_new=parsed.new)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _last(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 to {LAST_MAX}")
    return int(text)


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not within 0 to 1")
    return score
