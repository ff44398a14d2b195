"""The flags that say which events are meant: by time and by label."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import datetime, tzinfo

from dejalog.daemon.human_time import format_time, named_zone, parse_time
from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import Condition
from dejalog.indexer.query import parse_condition


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
        parts = [f"{c.label}{c.operator}{c.value}" for c in self.conditions]
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
        help="from this time on: 15m, '2h ago', yesterday, 'today 06:00', 2022-08-22 ...",
    )
    group.add_argument(
        "--until", metavar="TIME", help="before this time; of a whole day, to the end of that day"
    )
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
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise QueryError(
            f"--since ({format_time(since_ns, zone)}) is not before "
            f"--until ({format_time(until_ns, zone)})"
        )
    conditions = tuple(parse_condition(text) for text in where)
    return Filter(where, conditions, since_ns, until_ns, zone)
