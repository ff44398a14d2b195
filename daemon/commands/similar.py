"""`dejalog similar`: what is like an event, its own pattern first.

Hits are shown as by `dejalog search`. Exit codes: 0 hits, 1 none, 2 the call was wrong or there is
no such event, 3 it failed, 4 hits, but not everything was searched.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from dejalog.client import Answer
from dejalog.daemon.asking import open_answerer
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.filter_flags import Filter, add_filter_flags, read_filter
from dejalog.daemon.hit_json import hit_to_json, to_line
from dejalog.daemon.human_time import format_time
from dejalog.daemon.question_flags import (
    EACH_MAX,
    LIMIT_MAX,
    Number,
    add_question_flags,
    elapsed,
    event_id,
)
from dejalog.daemon.remote import add_server_flags
from dejalog.daemon.terminal import HitPrinter, View, open_console
from dejalog.indexer.answer import SimilarResult
from dejalog.indexer.request import Mode, SimilarRequest

NAME = "similar"
HELP = "find what is like an event: its own pattern first, then what means the same"
EXAMPLE = """dejalog similar 18204
         dejalog similar 18204 --since "last month" --kind note -o json"""

EXIT_HITS, EXIT_NONE, EXIT_PARTIAL = 0, 1, 4
#: As much of the event as says which one it is.
_EVENT_CHARACTERS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "event",
        type=event_id,
        metavar="EVENT_ID",
        help="the event's number, as 'search -v' and -o json show it",
    )
    add_filter_flags(parser)
    group = parser.add_argument_group("what is shown")
    hits, occurrences = Number(1, LIMIT_MAX), Number(0, EACH_MAX)
    group.add_argument("-n", "--limit", type=hits, default=10, metavar="N", help="hits (10)")
    group.add_argument(
        "--occurrences", type=occurrences, default=3, metavar="N", help="events of each hit (3)"
    )
    group.add_argument("--full", action="store_true", help="show long texts whole")
    group.add_argument("-o", "--output", choices=["text", "json"], default="text")
    group.add_argument("-v", "--verbose", action="count", default=0, help="say why it matched")
    group.add_argument("-q", "--quiet", action="store_true", help="no summary")
    add_question_flags(parser)
    add_server_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    given = read_filter(parsed, datetime.now(UTC))
    request = SimilarRequest(
        event_id=parsed.event,
        limit=parsed.limit,
        occurrences=parsed.occurrences,
        since_ns=given.since_ns,
        until_ns=given.until_ns,
        where=given.where,
        mode=Mode(parsed.mode),
    )
    with open_answerer(parsed) as answerer:
        answer = answerer.similar(request, timeout_s=parsed.timeout)
    _show_hits(parsed, given, answer.result)
    sys.stdout.flush()
    _say_the_rest(parsed, given, answer)
    if answer.result.result.is_partial:
        return EXIT_PARTIAL
    return EXIT_HITS if answer.result.result.hits else EXIT_NONE


def _show_hits(parsed: argparse.Namespace, given: Filter, result: SimilarResult) -> None:
    text = result.event.event.text
    view = View(text, zone=given.zone, is_full=parsed.full, is_verbose=parsed.verbose > 0)
    printer = HitPrinter(open_console(sys.stdout), view)
    best = max((hit.scores.total for hit in result.result.hits), default=0.0)
    for rank, hit in enumerate(result.result.hits, 1):
        if parsed.output == "json":
            sys.stdout.write(to_line(hit_to_json(rank, hit, text)) + "\n")
        else:
            printer.print_hit(rank, hit, best=best)


def _say_the_rest(parsed: argparse.Namespace, given: Filter, answer: Answer[SimilarResult]) -> None:
    event, result = answer.result.event, answer.result.result
    console = open_console(sys.stderr)

    def say(text: str) -> None:
        console.print(text, style="dim", soft_wrap=True)

    if answer.is_cut:
        say("long hits were shortened by the daemon to fit into one message")
    if not result.hits:
        say("no event that is like it passed the filters")
    if not parsed.quiet:
        shown = visible_line(event.event.text.strip())[:_EVENT_CHARACTERS]
        say(f"like event {event.event_id}, {format_time(event.event.time_ns, given.zone)}: {shown}")
        say(
            f"{grouped(len(result.hits))} of {grouped(result.patterns_scored)} patterns, "
            f"{grouped(result.events_total)} events searched in {elapsed(result.elapsed_s)}"
        )
    for damaged in result.damaged_shards:
        say(f"not searched: {damaged}")
    if result.is_partial:
        say("partial, not everything was searched")
