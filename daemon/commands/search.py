"""`dejalog search`: asks the index, or a running daemon, and shows the hits.

Hits go to standard output and everything else to standard error. Exit codes: 0 hits, 1 none,
2 the call was wrong, 3 it failed, 4 hits, but not everything was searched or shown.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from dejalog.daemon.asking import (
    NO_REMOTE_CONTEXT,
    Answerer,
    LocalAnswerer,
    RemoteAnswerer,
)
from dejalog.daemon.engine import open_searcher
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.filter_flags import Filter, add_filter_flags, read_filter
from dejalog.daemon.flags import load_settings
from dejalog.daemon.hit_json import hit_to_json, to_line
from dejalog.daemon.human_time import format_time
from dejalog.daemon.remote import add_server_flags, open_client
from dejalog.daemon.terminal import HitPrinter, View, open_console
from dejalog.indexer.context import Context
from dejalog.indexer.errors import QueryError
from dejalog.indexer.hit import Hit, SearchResult
from dejalog.indexer.query import Mode, SearchRequest, parse_condition, parse_query

NAME = "search"
HELP = "find what happened before: in words, by a code, or by a raw log line"
EXAMPLE = """dejalog search "pump trips after start" --since "last monday" -C 3
         dejalog search E-1034 --kind note --where site=lodz
         tail -n 1 plant.log | dejalog search - -o json"""

EXIT_HITS, EXIT_NONE, EXIT_PARTIAL = 0, 1, 4
LIMIT_MAX = 1_000
OCCURRENCES_MAX = 100
#: Lines around a hit are for reading; whoever needs more wants the source itself.
CONTEXT_MAX = 1_000

_LABEL_NAME = re.compile(r"([A-Za-z_][\w.\-/]*)(?:!=|>=|<=|=)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help='words, a code or a raw log line; "quoted strings" must occur; - reads standard input',
    )
    add_filter_flags(parser)
    _add_output(parser)
    parser.add_argument("--mode", choices=[m.value for m in Mode], default=Mode.HYBRID.value)
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="S",
        help="seconds after which what was found is shown as partial (default: 30)",
    )
    add_server_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    given = read_filter(parsed, datetime.now(UTC))
    call = _Call(
        parsed=parsed,
        request=_request(parsed, given),
        zone=given.zone,
        before=parsed.context if parsed.before_context is None else parsed.before_context,
        after=parsed.context if parsed.after_context is None else parsed.after_context,
    )
    if parsed.server and call.before + call.after > 0:
        raise QueryError(NO_REMOTE_CONTEXT)
    with _answerer(parsed) as answerer:
        return _Answer(call, answerer).show()


@dataclass(frozen=True, slots=True)
class _Call:
    """What the command line said."""

    parsed: argparse.Namespace
    request: SearchRequest
    zone: tzinfo | None
    before: int
    after: int

    @property
    def is_json(self) -> bool:
        return bool(self.parsed.output == "json")


class _Answer:
    """Searches once and shows what came of it."""

    def __init__(self, call: _Call, answerer: Answerer) -> None:
        self._call = call
        self._answerer = answerer
        self._out = open_console(sys.stdout)
        self._err = open_console(sys.stderr)

    def show(self) -> int:
        timeout_s = self._call.parsed.timeout
        result, is_cut = self._answerer.search(self._call.request, timeout_s=timeout_s)
        try:
            self._show_hits(result)
            sys.stdout.flush()
        except KeyboardInterrupt:
            self._say("partial: interrupted, not all hits are shown")
            return EXIT_PARTIAL
        if not result.hits:
            self._explain_nothing(result)
        if is_cut:
            self._say("long hits were shortened by the daemon to fit into one message")
        if not self._call.parsed.quiet:
            self._say(_summary(result, self._call))
        for damaged in result.damaged_shards:
            self._say(f"not searched: {damaged}")
        if result.is_partial:
            return EXIT_PARTIAL
        return EXIT_HITS if result.hits else EXIT_NONE

    def _show_hits(self, result: SearchResult) -> None:
        printer = HitPrinter(self._out, self._view())
        best = max((hit.scores.total for hit in result.hits), default=0.0)
        for rank, hit in enumerate(result.hits, 1):
            context = self._context(hit)
            if self._call.is_json:
                line = to_line(hit_to_json(rank, hit, self._call.request.text, context))
                sys.stdout.write(line + "\n")
            else:
                printer.print_hit(rank, hit, best=best, context=context)

    def _context(self, hit: Hit) -> Context | None:
        before, after = self._call.before, self._call.after
        if before + after == 0 or not hit.occurrences:
            return None
        return self._answerer.context(hit.occurrences[0], before=before, after=after)

    def _view(self) -> View:
        parsed, text = self._call.parsed, self._call.request.text
        return View(
            query=text,
            quoted=parse_query(SearchRequest(text)).exact,
            zone=self._call.zone,
            is_full=parsed.full,
            is_verbose=parsed.verbose > 0,
        )

    def _explain_nothing(self, result: SearchResult) -> None:
        """Says why there is no hit, and shows the best one without the filters."""
        if result.events_total == 0:
            self._say("the index holds no events yet; add some with 'dejalog index PATH'")
            return
        if result.events_matched > 0:
            self._say("no event has any of these words; the other modes also find their meaning")
            return
        for advice in self._label_advice():
            self._say(advice)
        words = self._words()
        if self._call.is_json or not words.strip():
            return
        unfiltered = replace(SearchRequest(words, limit=1, occurrences=1), mode=Mode.HYBRID)
        nearest, _ = self._answerer.search(unfiltered, timeout_s=self._call.parsed.timeout)
        if nearest.hits:
            self._say("no event passed the filters; the nearest hit without them is:\n")
            best = nearest.hits[0].scores.total
            HitPrinter(self._err, self._view()).print_hit(1, nearest.hits[0], best=best)

    def _label_advice(self) -> Iterator[str]:
        known = self._answerer.label_names()
        if known is None:
            return
        names = known | {"severity", "kind"}
        for condition in map(parse_condition, self._call.request.where):
            if condition.label not in names:
                near = difflib.get_close_matches(condition.label, sorted(names), n=1)
                also = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(names))}"
                yield f"no event has a label {condition.label!r}; {visible_line(also)}"

    def _words(self) -> str:
        """The request's text without its filters."""
        text = self._call.request.text
        names = self._answerer.label_names()
        if names is None:
            names = frozenset(_LABEL_NAME.findall(text))
        try:
            return parse_query(SearchRequest(text), names).words
        except QueryError:
            return text

    def _say(self, text: str) -> None:
        self._err.print(text, style="dim", soft_wrap=True)


@contextmanager
def _answerer(parsed: argparse.Namespace) -> Iterator[Answerer]:
    client = open_client(parsed)
    if client is not None:
        with client:
            yield RemoteAnswerer(client)
        return
    with open_searcher(load_settings(parsed).settings) as (_, searcher):
        yield LocalAnswerer(searcher)


def _request(parsed: argparse.Namespace, given: Filter) -> SearchRequest:
    text = sys.stdin.read().strip() if parsed.text == ["-"] else " ".join(parsed.text)
    if not text.strip() and given.is_empty:
        raise QueryError('say what to look for, for example: dejalog search "motor overload"')
    return SearchRequest(
        text=text,
        limit=parsed.limit,
        occurrences=parsed.occurrences,
        since_ns=given.since_ns,
        until_ns=given.until_ns,
        where=given.where,
        mode=Mode(parsed.mode),
    )


def _summary(result: SearchResult, call: _Call) -> str:
    """One sentence: how much of what was searched, in which time range, how fast."""
    events = f"{grouped(result.events_total)} events"
    if result.events_matched != result.events_total:
        events = f"{grouped(result.events_matched)} of {events} passed the filters,"
    text = f"{grouped(len(result.hits))} of {grouped(result.patterns_scored)} patterns, {events}"
    text += f" searched in {_elapsed(result.elapsed_s)}"
    if call.request.since_ns is not None:
        text += f", since {format_time(call.request.since_ns, call.zone)}"
    if call.request.until_ns is not None:
        text += f", until {format_time(call.request.until_ns, call.zone)}"
    if result.is_partial:
        text = f"partial, not everything was searched: {text}"
    return text


def _elapsed(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is shown")
    hits, occurrences = _Number(1, LIMIT_MAX), _Number(0, OCCURRENCES_MAX)
    lines = _Number(0, CONTEXT_MAX)
    group.add_argument("-n", "--limit", type=hits, default=10, metavar="N", help="hits (10)")
    group.add_argument(
        "--occurrences", type=occurrences, default=3, metavar="N", help="events of each hit (3)"
    )
    group.add_argument(
        "-C", "--context", type=lines, default=0, metavar="N", help="lines of the same source"
    )
    group.add_argument("-A", "--after-context", type=lines, metavar="N", help="lines after")
    group.add_argument("-B", "--before-context", type=lines, metavar="N", help="lines before")
    group.add_argument("--full", action="store_true", help="show long texts whole")
    group.add_argument("-o", "--output", choices=["text", "json"], default="text")
    group.add_argument("-v", "--verbose", action="count", default=0, help="say why it matched")
    group.add_argument("-q", "--quiet", action="store_true", help="no summary")


class _Number:
    """Reads a whole number within bounds."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or not self._low <= int(text) <= self._high:
            raise argparse.ArgumentTypeError(f"{text!r} is not {self._low} to {self._high}")
        return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
