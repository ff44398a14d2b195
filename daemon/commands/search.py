"""`dejalog search`: asks the index, or a running daemon, and shows the hits.

Hits go to standard output and everything else to standard error. Exit codes: 0 hits, 1 none,
2 the call was wrong, 3 it failed, 4 hits, but not everything was searched or shown.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from dejalog.daemon.asking import Answerer, open_answerer
from dejalog.daemon.count_flags import label_advice
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.filter_flags import Filter, add_filter_flags, read_filter, take_times
from dejalog.daemon.hit_json import hit_to_json, to_line
from dejalog.daemon.human_time import format_time
from dejalog.daemon.question_flags import (
    EACH_MAX,
    LIMIT_MAX,
    Number,
    add_question_flags,
    elapsed,
)
from dejalog.daemon.remote import add_server_flags
from dejalog.daemon.terminal import HitPrinter, View, open_console
from dejalog.indexer.answer import Context
from dejalog.indexer.errors import QueryError
from dejalog.indexer.hit import Hit, Scores, SearchResult
from dejalog.indexer.pasted import as_pasted
from dejalog.indexer.query import Query, is_pasted, parse_query
from dejalog.indexer.request import ContextRequest, Mode, SearchRequest

NAME = "search"
HELP = "find what happened before: in words, by a code, or by a raw log line"
EXAMPLE = """dejalog search "pump trips after start" --since "last monday" -C 3
         dejalog search "E-1034 kind=note since:2h -heartbeat"
         tail -n 1 plant.log | dejalog search - -o json"""

EXIT_HITS, EXIT_NONE, EXIT_PARTIAL = 0, 1, 4
#: Without a common word, hits below this mean of both channels of meaning are by chance: 2 to 17 of
#: 1,000 unrelated texts reach it (docs/ALERTS.md). It only decides what is said about them.
FAR_MEANING = 0.45
#: Lines around a hit are for reading; whoever needs more wants the source itself.
CONTEXT_MAX = 1_000

#: Pieces that a message names; a pasted line may have a hundred.
_NAMED = 3
_LABEL_NAME = re.compile(r"(?<!\S)-?([A-Za-z_][\w.\-/]*)(?:!=|>=|<=|=)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help='words, a code or a raw log line; "quoted strings" must occur, -words must not (put '
        "quotes around it all), label=value and since:TIME filter; - alone reads standard input",
    )
    add_filter_flags(parser)
    _add_output(parser)
    add_question_flags(parser)
    add_server_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    now = datetime.now(UTC)
    text, given = take_times(_text(parsed), read_filter(parsed, now), now)
    call = _Call(
        parsed=parsed,
        request=_request(parsed, text, given),
        given=given,
        before=parsed.context if parsed.before_context is None else parsed.before_context,
        after=parsed.context if parsed.after_context is None else parsed.after_context,
    )
    with open_answerer(parsed) as answerer:
        return _Answer(call, answerer).show()


@dataclass(frozen=True, slots=True)
class _Call:
    """What the command line said."""

    parsed: argparse.Namespace
    request: SearchRequest
    given: Filter
    before: int
    after: int

    @property
    def zone(self) -> tzinfo | None:
        return self.given.zone

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
        answer = self._answerer.search(self._call.request, timeout_s=timeout_s)
        result, query = answer.result, self._query()
        try:
            self._show_hits(result, query)
            sys.stdout.flush()
        except KeyboardInterrupt:
            self._say("partial: interrupted, not all hits are shown")
            return EXIT_PARTIAL
        if not result.hits:
            self._explain_nothing(result, query)
        for remark in _how_near(result.hits, query):
            self._say(remark)
        if answer.is_cut:
            self._say("long hits were shortened by the daemon to fit into one message")
        if query.literal:
            self._say(_read_as_words(query) + self._did_you_mean(query))
        if result.misspellings:
            self._say(_read_as_others(result))
        if not self._call.parsed.quiet:
            self._say(_summary(result, self._call))
        for damaged in result.damaged_shards:
            self._say(f"not searched: {damaged}")
        if result.is_partial:
            return EXIT_PARTIAL
        return EXIT_HITS if result.hits else EXIT_NONE

    def _query(self) -> Query:
        """What whoever answered has made of the text; a daemon's labels can only be guessed."""
        text = self._call.request.text
        names = self._answerer.label_names()
        if names is None:
            names = frozenset(_LABEL_NAME.findall(text))
        return parse_query(self._call.request, names)

    def _show_hits(self, result: SearchResult, query: Query) -> None:
        printer = HitPrinter(self._out, self._view(query))
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
        request = ContextRequest(hit.occurrences[0].event_id, before, after)
        return self._answerer.context(request, timeout_s=self._call.parsed.timeout).result

    def _view(self, query: Query) -> View:
        return View(
            query=query.words,
            quoted=query.exact,
            zone=self._call.zone,
            is_full=self._call.parsed.full,
            is_verbose=self._call.parsed.verbose > 0,
        )

    def _explain_nothing(self, result: SearchResult, query: Query) -> None:
        """Says why there is no hit, and shows the best one without the filters."""
        if result.events_total == 0:
            self._say("the index holds no events yet; add some with 'dejalog index PATH'")
            return
        if result.events_matched > 0:
            self._say("no event has any of these words; the other modes also find their meaning")
            return
        known = self._answerer.label_names()
        for advice in label_advice(query.conditions, known) if known is not None else ():
            self._say(advice)
        total = grouped(result.events_total)
        self._say(f"0 of {total} events passed the filters: {self._filters(query)}")
        if self._call.is_json or not query.words.strip():
            return
        unfiltered = SearchRequest(as_pasted(query.words), limit=1, occurrences=1)
        timeout_s = self._call.parsed.timeout
        nearest = self._answerer.search(unfiltered, timeout_s=timeout_s).result
        if nearest.hits:
            self._say("the nearest hit without them is:\n")
            best = nearest.hits[0].scores.total
            HitPrinter(self._err, self._view(query)).print_hit(1, nearest.hits[0], best=best)

    def _filters(self, query: Query) -> str:
        """Everything that an event had to pass, as it would be written."""
        parts = [f'"{text}"' for text in query.exact]
        parts += [str(condition) for condition in query.conditions]
        parts += [f'-"{text}"' if " " in text else f"-{text}" for text in query.excluded]
        since_ns, until_ns = self._call.given.since_ns, self._call.given.until_ns
        if since_ns is not None:
            parts.append(f"since {format_time(since_ns, self._call.zone)}")
        if until_ns is not None:
            parts.append(f"until {format_time(until_ns, self._call.zone)}")
        return visible_line(", ".join(parts))

    def _did_you_mean(self, query: Query) -> str:
        known = sorted((self._answerer.label_names() or frozenset()) | {"severity", "kind"})
        names = [piece.lstrip("-").partition("=")[0] for piece in query.literal[:_NAMED]]
        near = [m for name in names for m in difflib.get_close_matches(name, known, n=1)]
        is_misspelt = near and not is_pasted(query.words)
        return f"; did you mean {near[0]}=?" if is_misspelt else ""

    def _say(self, text: str) -> None:
        self._err.print(text, style="dim", soft_wrap=True)


def _text(parsed: argparse.Namespace) -> str:
    return sys.stdin.read().strip() if parsed.text == ["-"] else " ".join(parsed.text)


def _request(parsed: argparse.Namespace, text: str, given: Filter) -> SearchRequest:
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
    text += f" searched in {elapsed(result.elapsed_s)}"
    if call.request.since_ns is not None:
        text += f", since {format_time(call.request.since_ns, call.zone)}"
    if call.request.until_ns is not None:
        text += f", until {format_time(call.request.until_ns, call.zone)}"
    if result.is_partial:
        text = f"partial, not everything was searched: {text}"
    return text


def _how_near(hits: Sequence[Hit], query: Query) -> Iterator[str]:
    """What a full bar does not say: it compares hits with the best one, not with the question."""
    exact = sum(hit.scores.exact > 0 for hit in hits)
    if 0 < exact < len(hits) and not is_pasted(query.words):
        has = "1 hit has" if exact == 1 else f"{exact} hits have"
        yield f"{has} the question's code letter for letter, the others only look or mean like it"
    if hits and query.words.strip() and all(_is_far(hit.scores) for hit in hits):
        yield "none of this is near: no hit has a word of the question, or means much the same"


def _is_far(scores: Scores) -> bool:
    is_wordless = scores.lexical <= 0 and scores.exact <= 0 and scores.reranked is None
    return is_wordless and (scores.semantic + scores.pooled) / 2 < FAR_MEANING


def _read_as_others(result: SearchResult) -> str:
    read = ", ".join(f"{each.typed} as {each.read}" for each in result.misspellings)
    return f"read {read}: no event has the word as typed; in quotes it would have to occur"


def _read_as_words(query: Query) -> str:
    pieces = visible_line(", ".join(query.literal[:_NAMED]))
    if len(query.literal) > _NAMED:
        pieces += f" and {len(query.literal) - _NAMED} more"
    if is_pasted(query.words):
        return (
            f"{pieces}: read as words, because a text with a time of day or several lines is taken "
            "for a pasted log line; filters go into --where then"
        )
    return f"{pieces}: read as words, because no event has such a label and value"


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is shown")
    hits, occurrences = Number(1, LIMIT_MAX), Number(0, EACH_MAX)
    lines = Number(0, CONTEXT_MAX)
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
