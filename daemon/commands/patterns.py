"""`dejalog patterns`: which patterns occur, how often, and since when.

Exit codes: 0 patterns, 1 none, 2 the call was wrong, 3 it failed, 4 not everything was counted.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from dejalog.daemon.asking import open_answerer
from dejalog.daemon.count_flags import (
    Asked,
    Teller,
    add_buckets,
    add_output_flags,
    add_text,
    read_asked,
    showing,
)
from dejalog.daemon.count_json import pattern_to_json
from dejalog.daemon.count_view import CountPrinter, CountView, format_width
from dejalog.daemon.filter_flags import add_filter_flags
from dejalog.daemon.hit_json import to_line
from dejalog.daemon.human_time import format_time
from dejalog.daemon.terminal import open_console
from dejalog.indexer.answer import PatternsResult
from dejalog.indexer.errors import QueryError
from dejalog.indexer.request import PatternOrder, PatternsRequest

NAME = "patterns"
HELP = "list which patterns occur, how often, and since when; or only the new ones"
EXAMPLE = """dejalog patterns --since yesterday
         dejalog patterns --new --since 24h --where severity>=warn
         dejalog patterns host=gw7 -healthcheck --order newest -o json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    add_text(parser)
    add_filter_flags(parser)
    parser.add_argument(
        "--new", action="store_true", help="only patterns that no event had before --since"
    )
    parser.add_argument(
        "--order",
        choices=[order.value for order in PatternOrder],
        default=PatternOrder.COUNT.value,
        help="the most frequent first, the last seen, or the one first seen last",
    )
    add_buckets(parser)
    add_output_flags(parser, has_limit=True)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    asked = read_asked(parsed, datetime.now(UTC))
    if parsed.new and asked.given.since_ns is None:
        raise QueryError("--new needs --since: the time before which a pattern is not new")
    request = _request(parsed, asked)
    teller = Teller(parsed)
    with open_answerer(parsed) as answerer:
        answer = answerer.patterns(request, timeout_s=parsed.timeout)
        result = answer.result
        _show(parsed, asked, result)
        if not result.coverage.events_matched:
            teller.explain_nothing(asked, result.coverage, answerer)
    if result.coverage.events_matched and not result.patterns_total:
        since = format_time(request.since_ns or 0, asked.given.zone)
        teller.say(f"no pattern of these events is new: all were seen before {since} too")
    teller.sum_up(_summary(result), result.coverage)
    return teller.finish(result.coverage, is_cut=answer.is_cut, is_any=bool(result.patterns))


def _request(parsed: argparse.Namespace, asked: Asked) -> PatternsRequest:
    return PatternsRequest(
        text=asked.text,
        limit=parsed.limit,
        since_ns=asked.given.since_ns,
        until_ns=asked.given.until_ns,
        where=asked.given.where,
        is_new=parsed.new,
        order=PatternOrder(parsed.order),
        buckets=parsed.buckets,
    )


def _show(parsed: argparse.Namespace, asked: Asked, result: PatternsResult) -> None:
    if parsed.output == "json":
        for rank, pattern in enumerate(result.patterns, 1):
            value = pattern_to_json(
                rank, pattern, start_ns=result.start_ns, width_ns=result.width_ns
            )
            sys.stdout.write(to_line(value) + "\n")
    else:
        printer = CountPrinter(open_console(sys.stdout), CountView(asked.given.zone, parsed.full))
        # Where only new ones are listed, there is nothing to mark.
        new_since_ns = None if parsed.new else asked.given.since_ns
        printer.print_patterns(result, new_since_ns=new_since_ns)
    sys.stdout.flush()


def _summary(result: PatternsResult) -> list[str]:
    shown = [showing(len(result.patterns), result.patterns_total, "patterns")]
    return [*shown, f"a mark is {format_width(result.width_ns)}"] if result.patterns else shown
