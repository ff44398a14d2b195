"""`dejalog precedents`: has this happened before, and what fixed it?

Asked with words, with log lines, or with the number of an event: by --event, or as the only
argument, if it is a number and there is such an event. Exit codes: 0 precedents, 1 none, 2 the call
was wrong or there is no such event, 3 it failed, 4 not everything was looked at.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime

from dejalog.client import Answer, UnknownEventError
from dejalog.daemon.asking import Answerer, open_answerer
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.filter_flags import Filter, add_filter_flags, read_filter, take_times
from dejalog.daemon.hit_json import to_line
from dejalog.daemon.human_time import format_time
from dejalog.daemon.precedent_view import PrecedentPrinter, PrecedentView, precedent_to_json
from dejalog.daemon.question_flags import (
    EACH_MAX,
    Number,
    Seconds,
    add_question_flags,
    elapsed,
    event_id,
)
from dejalog.daemon.remote import add_server_flags
from dejalog.daemon.terminal import open_console
from dejalog.indexer.answer import PrecedentsResult
from dejalog.indexer.errors import QueryError
from dejalog.indexer.query import is_pasted, parse_text
from dejalog.indexer.request import Mode, PrecedentsRequest

NAME = "precedents"
HELP = "has this happened before, and what fixed it: earlier incidents and the notes that followed"
EXAMPLE = """dejalog precedents "pump trips after start" --since "last year"
         dejalog precedents --event 18204
         tail -n 5 plant.log | dejalog precedents - --asset-label machine -o json"""

EXIT_FOUND, EXIT_NONE, EXIT_PARTIAL = 0, 1, 4
#: As much of the event as says which one it is.
_EVENT_CHARACTERS = 200
#: What fits into 63 bits whatever its digits.
_EVENT_NUMBER = re.compile(r"[0-9]{1,18}")
_YEAR_S = 365 * 86_400.0
_DEFAULTS = PrecedentsRequest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help="words, log lines, or the number of an event; - reads standard input",
    )
    parser.add_argument("--event", type=event_id, metavar="ID", help="ask with this event")
    add_filter_flags(parser)
    _add_incidents(parser)
    _add_output(parser)
    add_question_flags(parser)
    add_server_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    now = datetime.now(UTC)
    text = sys.stdin.read().strip() if parsed.text == ["-"] else " ".join(parsed.text)
    # Half a character that a shell handed over becomes a question mark.
    text = text.encode("utf-8", "replace").decode()
    text, given = take_times(text, read_filter(parsed, now), now)
    if bool(text.strip()) == (parsed.event is not None):
        raise QueryError(
            'say what happened, for example: dejalog precedents "motor overload"; or name one '
            "event with --event"
        )
    with open_answerer(parsed) as answerer:
        answer = _ask(answerer, parsed, text, given)
        view = _view(answerer, parsed, answer.result, text, given)
    _show(parsed, answer.result, view)
    sys.stdout.flush()
    _say_the_rest(parsed, given, answer)
    if answer.result.coverage.is_partial:
        return EXIT_PARTIAL
    return EXIT_FOUND if answer.result.precedents else EXIT_NONE


def _ask(
    answerer: Answerer, parsed: argparse.Namespace, text: str, given: Filter
) -> Answer[PrecedentsResult]:
    number = parsed.event
    if number is None and _EVENT_NUMBER.fullmatch(text.strip()):
        try:
            return _ask_with(answerer, parsed, "", int(text), given)
        except UnknownEventError:
            pass  # A code that is made of digits.
    return _ask_with(answerer, parsed, "" if number is not None else text, number, given)


def _ask_with(
    answerer: Answerer, parsed: argparse.Namespace, text: str, number: int | None, given: Filter
) -> Answer[PrecedentsResult]:
    labels = tuple(parsed.asset_label) or _DEFAULTS.asset_labels
    request = PrecedentsRequest(
        text=text,
        event_id=number,
        limit=parsed.limit,
        course=parsed.course,
        notes=parsed.notes,
        occurrences=parsed.occurrences,
        since_ns=given.since_ns,
        until_ns=given.until_ns,
        where=given.where,
        mode=Mode(parsed.mode),
        asset_labels=labels,
        gap_s=parsed.gap,
        horizon_s=parsed.horizon,
    )
    return answerer.precedents(request, timeout_s=parsed.timeout)


def _view(
    answerer: Answerer,
    parsed: argparse.Namespace,
    result: PrecedentsResult,
    text: str,
    given: Filter,
) -> PrecedentView:
    if result.event is not None or is_pasted(text):
        return PrecedentView(zone=given.zone, is_full=parsed.full)
    query = parse_text(text, known_labels=answerer.label_names() or frozenset())
    return PrecedentView(query.words, query.exact, zone=given.zone, is_full=parsed.full)


def _show(parsed: argparse.Namespace, result: PrecedentsResult, view: PrecedentView) -> None:
    printer = PrecedentPrinter(open_console(sys.stdout), view)
    best = max((each.score for each in result.precedents), default=0.0)
    for rank, precedent in enumerate(result.precedents, 1):
        if parsed.output == "json":
            sys.stdout.write(to_line(precedent_to_json(rank, precedent)) + "\n")
        else:
            printer.print_precedent(rank, precedent, best=best)


def _say_the_rest(
    parsed: argparse.Namespace, given: Filter, answer: Answer[PrecedentsResult]
) -> None:
    result, coverage = answer.result, answer.result.coverage
    console = open_console(sys.stderr)

    def say(text: str) -> None:
        console.print(text, style="dim", soft_wrap=True)

    if answer.is_cut:
        say("long texts were shortened by the daemon to fit into one message")
    if coverage.events_total == 0:
        say("the index holds no events yet; add some with 'dejalog index PATH'")
    elif not result.precedents:
        say("no earlier incident is like it; 'dejalog search' shows single events")
    elif _has_no_asset(parsed, result):
        names = parsed.asset_label or _DEFAULTS.asset_labels
        say(
            f"none of these has a label that names its asset ({', '.join(names)}), which ties "
            f"notes to logs: give it with 'dejalog index PATH --label {names[0]}=NAME' "
            "(docs/INGEST.md)"
        )
    if result.event is None and _EVENT_NUMBER.fullmatch(" ".join(parsed.text).strip()):
        say("no event has this number, so it was read as a code")
    if not parsed.quiet:
        if result.event is not None:
            event = result.event.event
            shown = visible_line(event.text.strip())[:_EVENT_CHARACTERS]
            when = format_time(event.time_ns, given.zone)
            say(f"asked with event {result.event.event_id}, {when}: {shown}")
        say(
            f"{grouped(len(result.precedents))} of {grouped(result.incidents_total)} incidents, "
            f"{grouped(coverage.events_total)} events searched in {elapsed(coverage.elapsed_s)}"
        )
    for damaged in coverage.damaged_shards:
        say(f"not searched: {damaged}")
    if coverage.is_partial:
        say("partial, not everything was looked at")


def _has_no_asset(parsed: argparse.Namespace, result: PrecedentsResult) -> bool:
    is_of_interest = parsed.output == "text" and parsed.notes > 0
    return is_of_interest and not any(each.asset_label for each in result.precedents)


def _add_incidents(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what an incident is")
    names = ", ".join(_DEFAULTS.asset_labels)
    group.add_argument(
        "--asset-label",
        action="append",
        default=[],
        metavar="LABEL",
        help=f"label that names an asset; may be repeated, the first one counts ({names})",
    )
    group.add_argument(
        "--gap",
        type=Seconds(_YEAR_S),
        default=_DEFAULTS.gap_s,
        metavar="S",
        help="hits on one asset with less time between them are one incident (600)",
    )
    group.add_argument(
        "--horizon",
        type=Seconds(10 * _YEAR_S, has_zero=True),
        default=_DEFAULTS.horizon_s,
        metavar="S",
        help="how long after an incident's start notes count as what followed (14 days: 1209600)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is shown")
    each = Number(0, EACH_MAX)
    group.add_argument(
        "-n", "--limit", type=Number(1, EACH_MAX), default=5, metavar="N", help="incidents (5)"
    )
    group.add_argument(
        "--course", type=each, default=8, metavar="N", help="unusual patterns of each (8)"
    )
    group.add_argument("--notes", type=each, default=3, metavar="N", help="notes of each (3)")
    group.add_argument(
        "--occurrences", type=each, default=1, metavar="N", help="events of each hit (1)"
    )
    group.add_argument("--full", action="store_true", help="show everything, long texts whole")
    group.add_argument("-o", "--output", choices=["text", "json"], default="text")
    group.add_argument("-q", "--quiet", action="store_true", help="no summary")
