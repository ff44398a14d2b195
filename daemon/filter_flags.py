"""Which events are meant, by time and by label: flags, and the times inside of a question's text.

`since:TIME` and `until:TIME` in a text are read here and not in the index, which knows no clock
and no zone.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from dejalog.daemon.human_time import format_time, named_zone, parse_time
from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import Condition
from dejalog.indexer.query import is_pasted, parse_condition

_TIME = re.compile(
    r'(?<!\S)(?P<edge>since|until):(?:"(?P<quoted>[^"]+)"|(?P<time>[^\s"]\S*))(?!\S)'
)
_OTHER_QUOTED = re.compile(r'(?<!\S)-?"[^"]+"(?!\S)')


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are meant; times are ns since 1970 UTC, `until_ns` is not included.

    `where` are the conditions as they were written.
    """

    where: tuple[str, ...]
    conditions: tuple[Condition, ...]
    since_ns: int | None
    until_ns: int | None
    zone: tzinfo | None

    @property
    def is_empty(self) -> bool:
        """Whether it means every event."""
        return not self.conditions and self.since_ns is None and self.until_ns is None

    def __str__(self) -> str:
        parts = [str(condition) for condition in self.conditions]
        if self.since_ns is not None:
            parts.append(f"since {format_time(self.since_ns, self.zone)}")
        if self.until_ns is not None:
            parts.append(f"until {format_time(self.until_ns, self.zone)}")
        return ", ".join(parts)


def add_filter_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags."""
    group = parser.add_argument_group("which events are meant")
    group.add_argument(
        "--since",
        metavar="TIME",
        help="from this time on: 15m, '2h ago', yesterday, 'today 06:00', 'last month', 2022-08-22",
    )
    group.add_argument(
        "--until", metavar="TIME", help="before this time; of a whole day, to the end of that day"
    )
    add_label_flags(group)


def add_label_flags(group: argparse._ArgumentGroup) -> None:
    """Adds the flags that do not depend on how times are given."""
    group.add_argument(
        "-l",
        "--where",
        action="append",
        default=[],
        metavar="LABEL=VALUE",
        help="label=value, label!=value or severity>=warn; may be repeated, all must hold",
    )
    group.add_argument("--kind", choices=["log", "note"], help="only log lines, or only notes")
    group.add_argument(
        "--timezone", metavar="ZONE", help="zone of times given and shown (default: this system's)"
    )


def read_filter(parsed: argparse.Namespace, now: datetime) -> Filter:
    """Returns the filter that the flags give; raises QueryError."""
    zone = named_zone(parsed.timezone) if parsed.timezone else None
    where = (*parsed.where, *([f"kind={parsed.kind}"] if parsed.kind else []))
    since_ns = until_ns = None
    if parsed.since is not None:
        since_ns = parse_time(parsed.since, now=now, zone=zone)
    if parsed.until is not None:
        until_ns = parse_time(parsed.until, now=now, zone=zone, is_end=True)
    conditions = tuple(parse_condition(text) for text in where)
    return _checked(Filter(where, conditions, since_ns, until_ns, zone))


def take_times(text: str, given: Filter, now: datetime) -> tuple[str, Filter]:
    """Returns the text with its `since:TIME` and `until:TIME` blanked out, and the narrower filter.

    They are read outside of quoted strings, and not in a pasted log line. Raises QueryError.
    """
    blanked = _OTHER_QUOTED.sub(_blanks, text)
    times = list(_TIME.finditer(text))
    times = [match for match in times if blanked[match.start() : match.end()] == match[0]]
    without = text
    for match in times:
        without = without[: match.start()] + _blanks(match) + without[match.end() :]
    if not times or is_pasted(without):
        return text, given
    for match in times:
        value = match["quoted"] or match["time"]
        is_end = match["edge"] == "until"
        try:
            time_ns = parse_time(value, now=now, zone=given.zone, is_end=is_end)
        except QueryError as error:
            raise QueryError(f"{match[0]} in the text: {error}") from error
        if is_end and (given.until_ns is None or time_ns < given.until_ns):
            given = replace(given, until_ns=time_ns)
        elif not is_end and (given.since_ns is None or time_ns > given.since_ns):
            given = replace(given, since_ns=time_ns)
    return without, _checked(given)


def _checked(given: Filter) -> Filter:
    since_ns, until_ns = given.since_ns, given.until_ns
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise QueryError(
            f"since ({format_time(since_ns, given.zone)}) is not before "
            f"until ({format_time(until_ns, given.zone)})"
        )
    return given


def _blanks(match: re.Match[str]) -> str:
    return " " * len(match[0])
