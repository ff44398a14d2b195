"""`dejalog histogram`: how many events there are in each part of the time.

Exit codes: 0 events, 1 none, 2 the call was wrong, 3 it failed, 4 not everything was counted.
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
)
from dejalog.daemon.count_json import series_to_json
from dejalog.daemon.count_view import CountPrinter, CountView, format_width
from dejalog.daemon.filter_flags import add_filter_flags
from dejalog.daemon.hit_json import to_line
from dejalog.daemon.human_time import format_span
from dejalog.daemon.question_flags import Number
from dejalog.daemon.terminal import open_console
from dejalog.indexer.answer import HistogramResult
from dejalog.indexer.histogram import VALUES_MAX
from dejalog.indexer.request import HistogramRequest

NAME = "histogram"
HELP = "show how many events there are over time, in all or by the values of a label"
EXAMPLE = """dejalog histogram "E-1034" --since 7d --buckets 7
         dejalog histogram --by host --where severity>=error --since yesterday"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    add_text(parser)
    add_filter_flags(parser)
    parser.add_argument(
        "--by",
        metavar="LABEL",
        default="",
        help="a row for each value of a label, kind or severity",
    )
    parser.add_argument(
        "--values",
        type=Number(1, VALUES_MAX),
        default=10,
        metavar="N",
        help="with --by: rows for the N most frequent values, one for all others (10)",
    )
    add_buckets(parser)
    add_output_flags(parser, has_limit=False)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    asked = read_asked(parsed, datetime.now(UTC))
    request = HistogramRequest(
        text=asked.text,
        since_ns=asked.given.since_ns,
        until_ns=asked.given.until_ns,
        where=asked.given.where,
        buckets=parsed.buckets,
        by=parsed.by,
        values=parsed.values,
    )
    teller = Teller(parsed)
    with open_answerer(parsed) as answerer:
        answer = answerer.histogram(request, timeout_s=parsed.timeout)
        result = answer.result
        _show(parsed, asked, result)
        if not result.coverage.events_matched:
            teller.explain_nothing(asked, result.coverage, answerer)
    teller.sum_up(_summary(result, asked), result.coverage)
    return teller.finish(result.coverage, is_cut=answer.is_cut, is_any=bool(result.series))


def _show(parsed: argparse.Namespace, asked: Asked, result: HistogramResult) -> None:
    if parsed.output == "json":
        for series in result.series:
            value = series_to_json(
                series, by=parsed.by, start_ns=result.start_ns, width_ns=result.width_ns
            )
            sys.stdout.write(to_line(value) + "\n")
    else:
        printer = CountPrinter(open_console(sys.stdout), CountView(asked.given.zone))
        printer.print_histogram(result, by=parsed.by)
    sys.stdout.flush()


def _summary(result: HistogramResult, asked: Asked) -> list[str]:
    if not result.series:
        return []
    end = result.start_ns + result.width_ns * len(result.series[0].counts)
    return [
        format_span(result.start_ns, end, asked.given.zone),
        f"a part is {format_width(result.width_ns)}",
    ]
