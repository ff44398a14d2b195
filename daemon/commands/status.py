"""`dejalog status`: what an index holds, whether it keeps up, and how far back it reaches."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import tzinfo

from rich.text import Text

from dejalog.daemon.alerts.deliveries import name_of
from dejalog.daemon.alerts.state import AlertState
from dejalog.daemon.config import Settings
from dejalog.daemon.engine import data_path, index_status
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.flags import load_settings
from dejalog.daemon.hit_json import status_to_json, to_line
from dejalog.daemon.human_time import format_age, format_time, named_zone
from dejalog.daemon.remote import add_server_flags, open_client
from dejalog.daemon.terminal import open_console
from dejalog.indexer.status import IndexStatus, PartitionLag
from dejalog.indexer.store.directory import DataDirectory

NAME = "status"
HELP = "say what the index holds, whether it keeps up, and how far back it reaches"
EXAMPLE = "dejalog status --server 127.0.0.1:7040 -o json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument(
        "--timezone", metavar="ZONE", help="zone of times shown (default: this system's)"
    )
    add_server_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    zone = named_zone(parsed.timezone) if parsed.timezone else None
    settings: Settings | None = None
    client = open_client(parsed)
    if client is not None:
        with client:
            status = client.status()
    else:
        settings = load_settings(parsed).settings
        with DataDirectory.open(data_path(settings), is_writable=False) as directory:
            status = index_status(directory)
    if parsed.output == "json":
        line = to_line(status_to_json(status, is_daemon=client is not None))
        sys.stdout.write(line + "\n")
        return 0
    console = open_console(sys.stdout)
    for row in _rows(status, settings, zone):
        console.print(row, soft_wrap=True)
    return 0


def _rows(status: IndexStatus, settings: Settings | None, zone: tzinfo | None) -> list[Text]:
    """The report, a line each; `settings` are those of an index on this machine."""
    return [
        Text(f"dejalog {status.version}, index in {visible_line(status.data_directory)}", "bold"),
        Text(
            f"{grouped(status.events)} events are {grouped(status.patterns)} patterns "
            f"({grouped(status.tokens)} token vectors) in {_counted(status.shards, 'shard')}; "
            f"{_counted(status.dead_letters, 'dead letter')}"
        ),
        _row("lag", _lag(status)),
        *([_row("kafka", _kafka(status.partitions))] if status.partitions else []),
        *(_row("alerts", text) for text in _alerts(settings)),
        _row("ingest rate", _ingest_rate(status, is_daemon=settings is None)),
        _row("known patterns", _known_patterns(status)),
        _row("on disk", _on_disk(status, settings)),
        _row("oldest event", _when(status.oldest_ns, zone)),
        _row("newest event", _when(status.newest_ns, zone)),
    ]


def _row(name: str, value: str) -> Text:
    return Text().append(f"  {name:<16}", "cyan").append(value)


def _lag(status: IndexStatus) -> str:
    if status.lexical_lag_events == 0:
        return "none: every stored event can be found by its words"
    waiting = _counted(status.lexical_lag_events, "event")
    return f"{waiting} stored and found by meaning, but not yet by words"


def _kafka(partitions: Sequence[PartitionLag]) -> str:
    """How far the broker's logs are ahead, the partition that is furthest behind, what is lost."""
    lag, lost = sum(each.lag for each in partitions), sum(each.lost for each in partitions)
    text = f"{_counted(len(partitions), 'partition')} read here, "
    if lag:
        last = max(partitions, key=lambda each: each.lag)
        text += f"{_counted(lag, 'record')} behind (most in {last.source} {last.partition})"
    else:
        text += "up to date"
    if lost:
        text += f"; {_counted(lost, 'record')} deleted by the broker before being read"
    return text


def _alerts(settings: Settings | None) -> Iterator[str]:
    """How alerts fare, in an index of this machine that has had rules for them."""
    state = AlertState.open_existing(data_path(settings)) if settings is not None else None
    if state is None:
        return
    with closing(state):
        rules, down = state.rules(), state.down()
    waiting, lost = sum(rule.waiting for rule in rules), sum(rule.lost for rule in rules)
    text = f"{grouped(waiting)} waiting, {grouped(lost)} dropped"
    names = ", ".join(visible_line(name_of(each.target)) for each in down)
    yield f"{text}; not reached: {names}" if names else text


def _ingest_rate(status: IndexStatus, *, is_daemon: bool) -> str:
    if not is_daemon:
        return "only the daemon knows; ask it with --server 127.0.0.1:7040"
    return f"{status.ingest_rate:,.1f} events/s over the last minute".replace(",", " ")


def _known_patterns(status: IndexStatus) -> str:
    if not status.events:
        return "no events yet"
    share = 100 * status.pattern_hit_ratio
    return f"{share:.1f} % of events needed no encoding, as their pattern was known"


def _on_disk(status: IndexStatus, settings: Settings | None) -> str:
    text = size(status.bytes_on_disk)
    if status.events:
        text += f", {status.bytes_on_disk / status.events:.0f} bytes an event"
    if settings is not None and os.path.isdir(data_path(settings)):
        free = shutil.disk_usage(data_path(settings)).free
        text += f"; {size(free)} free, ingest stops at {size(settings.data.disk_free_bytes_min)}"
    return text


def _when(time_ns: int | None, zone: tzinfo | None) -> str:
    if time_ns is None:
        return "no events yet"
    now_ns = time.time_ns()
    text = f"{format_time(time_ns, zone)}, {format_age(time_ns, now_ns)}"
    return text + (": a clock is ahead" if time_ns > now_ns else "")


def _counted(count: int, name: str) -> str:
    return f"{grouped(count)} {name}{'' if count == 1 else 's'}"


def size(size_bytes: int) -> str:
    """Returns a number of bytes in the largest unit of which there is at least one."""
    value, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
