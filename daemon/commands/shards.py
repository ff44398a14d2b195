"""`dejalog shards`: every shard, its time window, what it holds and how its codebook fits."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import tzinfo

from dejalog.daemon.commands.status import size
from dejalog.daemon.engine import data_path
from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.flags import load_settings
from dejalog.daemon.hit_json import Json, to_line
from dejalog.daemon.human_time import format_time, named_zone, to_rfc3339
from dejalog.indexer.compaction.describe import describe_shards
from dejalog.indexer.compaction.plan import ShardInfo
from dejalog.indexer.store.directory import DataDirectory

NAME = "shards"
HELP = "show every shard: time window, tier, events, patterns, tokens, bytes, codebook, drift"
EXAMPLE = "dejalog shards -o json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own flags."""
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument(
        "--timezone", metavar="ZONE", help="zone of times shown (default: this system's)"
    )


def run(parsed: argparse.Namespace) -> int:
    """Does it and returns the exit code."""
    zone = named_zone(parsed.timezone) if parsed.timezone else None
    settings = load_settings(parsed).settings
    expire_before_ns = settings.retain.expire_before_ns(time.time_ns())
    with DataDirectory.open(data_path(settings), is_writable=False) as directory:
        infos = describe_shards(directory, expire_before_ns=expire_before_ns)
    if parsed.output == "json":
        for info in infos:
            sys.stdout.write(to_line(shard_to_json(info)) + "\n")
        return 0
    rows = [_HEADINGS, *(_row(info, zone) for info in infos)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [
            cell.ljust(width) if column in _LEFT else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    return 0


_HEADINGS = (
    "shard", "oldest event", "newest event", "tier", "events", "patterns", "tokens", "size",
    "bytes/token", "codebook", "drift", "state",
)  # fmt: skip
#: Columns that hold text.
_LEFT = {1, 2, 3, 9, 11}


def _row(info: ShardInfo, zone: tzinfo | None) -> tuple[str, ...]:
    has_events = info.events > info.deleted
    return (
        str(info.number),
        format_time(info.oldest_ns, zone)[:19] if has_events else "-",
        format_time(info.newest_ns, zone)[:19] if has_events else "-",
        info.tier.value,
        grouped(info.events - info.deleted),
        grouped(info.patterns),
        grouped(info.tokens),
        size(info.bytes),
        f"{info.bytes / info.tokens:.0f}" if info.tokens else "-",
        _codebook(info),
        # 0.25 is none; a codebook without one before it has nothing to be compared with.
        f"{info.drift:.2f}" if info.drift else "-",
        _state(info),
    )


def _codebook(info: ShardInfo) -> str:
    if not info.bits:
        return "-"
    return f"v{info.codebook_version}, {grouped(info.centroids)} x {info.bits} bits"


def _state(info: ShardInfo) -> str:
    if info.damage:
        return f"damaged: {visible_line(info.damage)}"
    states = ["appended to"] if info.is_active else []
    if not info.is_indexed:
        states.append("word index incomplete")
    if info.pending_events:
        states.append(f"{grouped(info.pending_events)} deleted events to take out")
    if info.expired_events:
        states.append(f"{grouped(info.expired_events)} expired events")
    return ", ".join(states)


def shard_to_json(info: ShardInfo) -> dict[str, Json]:
    """Returns a shard as docs/CLI_JSON.md says."""
    value: dict[str, Json] = {
        "shard": info.number,
        "tier": info.tier.value,
        "state": "damaged" if info.damage else "active" if info.is_active else "at rest",
        "damage": info.damage or None,
        "first_event": str(info.first_event),
        "events": info.events - info.deleted,
        "deleted_events": info.deleted,
        "pending_deletions": info.pending_deletions,
        "pending_deleted_events": info.pending_events,
        "expired_events": info.expired_events,
        "patterns": info.patterns,
        "tokens": info.tokens,
        "labelsets": info.labelsets,
        "dead_letters": info.dead_letters,
        "bytes": info.bytes,
        "bytes_per_token": round(info.bytes / info.tokens, 2) if info.tokens else None,
        "originals_bytes": info.originals_bytes,
        "bits": info.bits or None,
        "centroids": info.centroids or None,
        "codebook_version": info.codebook_version or None,
        "drift": round(info.drift, 6) if info.drift else None,
        "is_word_index_complete": info.is_indexed,
    }
    for name, time_ns in (("oldest", info.oldest_ns), ("newest", info.newest_ns)):
        has_events = info.events > info.deleted
        value[name] = to_rfc3339(time_ns) if has_events else None
        value[f"{name}_unix_nano"] = str(time_ns) if has_events else None
    return value
