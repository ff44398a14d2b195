"""What the commands that count events share: their flags, their messages and their exit codes."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from dejalog.daemon.asking import Answerer
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.filter_flags import Filter, read_filter, take_times
from dejalog.daemon.question_flags import LIMIT_MAX, Number, Seconds, elapsed
from dejalog.daemon.remote import add_server_flags
from dejalog.daemon.terminal import open_console
from dejalog.indexer.answer import Coverage
from dejalog.indexer.counts.buckets import BUCKETS_MAX
from dejalog.indexer.filter import Condition
from dejalog.indexer.query import parse_filter_text

EXIT_SOME, EXIT_NONE, EXIT_PARTIAL = 0, 1, 4
#: Two dozen marks stand beside a time range in a terminal of 80 columns.
BUCKETS = 24


def add_text(parser: argparse.ArgumentParser) -> None:
    """Adds the text, which only filters."""
    parser.add_argument(
        "text",
        nargs="*",
        metavar="FILTER",
        help='"quoted strings" that must occur, -words that must not, label=value; no free words',
    )


def add_output_flags(parser: argparse.ArgumentParser, *, has_limit: bool) -> None:
    """Adds what is shown, how long to wait, and whom to ask."""
    group = parser.add_argument_group("what is shown")
    if has_limit:
        number = Number(1, LIMIT_MAX)
        group.add_argument("-n", "--limit", type=number, default=50, metavar="N", help="rows (50)")
        group.add_argument("--full", action="store_true", help="show long patterns whole")
    group.add_argument("-o", "--output", choices=["text", "json"], default="text")
    group.add_argument("-q", "--quiet", action="store_true", help="no summary")
    parser.add_argument(
        "--timeout",
        type=Seconds(86_400),
        default=30.0,
        metavar="S",
        help="seconds after which what was counted is shown as partial (default: 30)",
    )
    add_server_flags(parser)


def add_buckets(parser: argparse.ArgumentParser) -> None:
    """Adds the number of parts."""
    parser.add_argument(
        "--buckets",
        type=Number(1, BUCKETS_MAX),
        default=BUCKETS,
        metavar="N",
        help=f"parts of the time that are counted on their own ({BUCKETS})",
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events the command line means; `text` is without its times."""

    text: str
    given: Filter


def read_asked(parsed: argparse.Namespace, now: datetime) -> Asked:
    """Returns which events are meant; raises QueryError."""
    return Asked(*take_times(" ".join(parsed.text), read_filter(parsed, now), now))


class Teller:
    """Says on standard error what is not the answer itself."""

    def __init__(self, parsed: argparse.Namespace) -> None:
        self._is_quiet = parsed.quiet
        self._console = open_console(sys.stderr)

    def say(self, text: str) -> None:
        """Says one thing."""
        self._console.print(text, style="dim", soft_wrap=True)

    def sum_up(self, texts: Sequence[str], coverage: Coverage) -> None:
        """Says what was counted, in one sentence, unless it is not wanted."""
        if self._is_quiet:
            return
        total, matched = grouped(coverage.events_total), grouped(coverage.events_matched)
        is_all = coverage.events_total == coverage.events_matched
        events = f"{total} events" if is_all else f"{matched} of {total} events"
        taken = f"counted in {elapsed(coverage.elapsed_s)}"
        self.say(", ".join([*texts, f"{events} {taken}"]))

    def finish(self, coverage: Coverage, *, is_cut: bool, is_any: bool) -> int:
        """Says what is missing, and returns the exit code."""
        if is_cut:
            self.say("long texts were shortened by the daemon to fit into one message")
        for damaged in coverage.damaged_shards:
            self.say(f"not counted: {damaged}")
        if coverage.is_partial:
            self.say("partial: not everything was counted, so all numbers may be too low")
            return EXIT_PARTIAL
        return EXIT_SOME if is_any else EXIT_NONE

    def explain_nothing(self, asked: Asked, coverage: Coverage, answerer: Answerer) -> None:
        """Says why no event counts."""
        if coverage.events_total == 0:
            self.say("the index holds no events yet; add some with 'dejalog index PATH'")
            return
        known = answerer.label_names()
        conditions = asked.given.conditions
        if known is not None:
            query = parse_filter_text(asked.text, asked.given.where, known)
            conditions = query.conditions
            for advice in label_advice(conditions, known):
                self.say(advice)
        filters = visible_line(", ".join(filter(None, [asked.text.strip(), str(asked.given)])))
        total = grouped(coverage.events_total)
        self.say(f"0 of {total} events passed the filters{': ' if filters else ''}{filters}")


def label_advice(conditions: Sequence[Condition], known: frozenset[str]) -> Iterator[str]:
    """Yields a sentence for each label that no event has."""
    names = known | {"severity", "kind"}
    for condition in conditions:
        if condition.label not in names:
            near = difflib.get_close_matches(condition.label, sorted(names), n=1)
            also = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(names))}"
            yield f"no event has a label {condition.label!r}; {visible_line(also)}"


def showing(shown: int, total: int, what: str) -> str:
    """Returns `showing 50 of 1 204 patterns`, or how many there are where all are shown."""
    if shown == total:
        return f"{grouped(total)} {what}"
    return f"showing {grouped(shown)} of {grouped(total)} {what}, -n shows more"
