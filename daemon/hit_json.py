"""Results as JSON lines: the contract that docs/CLI_JSON.md states, field by field.

Numbers that JSON readers round (64-bit times and event numbers) are written as strings. Text is
kept whole, control characters included; those that could steer a terminal are escaped by JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TypeAlias

from dejalog.daemon.human_time import to_rfc3339
from dejalog.indexer.answer import Context
from dejalog.indexer.event import Labels, TimeOrigin
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores
from dejalog.indexer.status import IndexStatus

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

#: JSON escapes the characters below 0x20 by itself. These are allowed in it as they are, but steer
#: terminals too, cannot be written as UTF-8, or end a line in the eyes of some readers.
_ESCAPED = re.compile(
    "[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def to_line(value: dict[str, Json]) -> str:
    """Returns the object on one line, without the newline."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def hit_to_json(
    rank: int, hit: Hit, query_text: str, context: Context | None = None
) -> dict[str, Json]:
    """Returns one hit; `context` is that of its first occurrence, where it was asked for."""
    text = hit.occurrences[0].event.text if hit.occurrences else ""
    value: dict[str, Json] = {
        "rank": rank,
        "pattern_id": hit.pattern_id,
        "pattern": hit.pattern,
        "scores": scores_to_json(hit.scores),
        "count": hit.count,
        **time_to_json("first_seen", hit.first_seen_ns),
        **time_to_json("last_seen", hit.last_seen_ns),
        "occurrences": _occurrences(hit.occurrences),
        "evidence": [evidence_to_json(each, query_text, text) for each in hit.evidence],
    }
    if context is not None:
        value["context"] = {
            "before": _occurrences(context.before),
            "after": _occurrences(context.after),
            "is_complete": context.is_complete,
        }
    return value


def scores_to_json(scores: Scores) -> dict[str, Json]:
    """Returns a hit's scores; `reranked` is null where no reranking model looked."""
    return {
        "total": rounded(scores.total),
        "semantic": rounded(scores.semantic),
        "pooled": rounded(scores.pooled),
        "lexical": rounded(scores.lexical),
        "exact": rounded(scores.exact),
        "marks": rounded(scores.marks),
        "reranked": None if scores.reranked is None else rounded(scores.reranked),
    }


def occurrence_to_json(occurrence: Occurrence) -> dict[str, Json]:
    """Returns one event with its number."""
    event = occurrence.event
    return {
        "event_id": str(occurrence.event_id),
        **time_to_json("time", event.time_ns),
        "time_origin": "event" if event.time_origin is TimeOrigin.EVENT else "received",
        "kind": event.kind.name.lower(),
        "text": event.text,
        "source": event.source,
        "partition": event.partition,
        "offset": event.offset,
        "sub": event.sub,
        "labels": _labels(event.labels),
        "attributes": _labels(event.attributes),
    }


def evidence_to_json(evidence: Evidence, query_text: str, text: str) -> dict[str, Json]:
    """Returns one pair, with the parts of the query and of the occurrence's text."""
    return {
        "query": query_text[evidence.query_start : evidence.query_end],
        "text": text[evidence.text_start : evidence.text_end],
        "similarity": rounded(evidence.similarity),
        "share": rounded(evidence.share),
        "query_start": evidence.query_start,
        "query_end": evidence.query_end,
        "text_start": evidence.text_start,
        "text_end": evidence.text_end,
    }


def time_to_json(name: str, time_ns: int) -> dict[str, Json]:
    """Returns a time under its name and, as a string of nanoseconds, its name with a suffix."""
    return {name: to_rfc3339(time_ns), f"{name}_unix_nano": str(time_ns)}


def rounded(value: float) -> float:
    """Returns a score as far as it means anything: single precision ends at the seventh digit."""
    return round(value, 6)


def status_to_json(status: IndexStatus, *, is_daemon: bool) -> dict[str, Json]:
    """Returns an index's state; without a daemon nobody knows the ingest rate."""
    value: dict[str, Json] = {
        "data_directory": status.data_directory,
        "version": status.version,
        "encoder_fingerprint": status.encoder_fingerprint,
        "events": status.events,
        "patterns": status.patterns,
        "tokens": status.tokens,
        "dead_letters": status.dead_letters,
        "shards": status.shards,
        "bytes_on_disk": status.bytes_on_disk,
        "lexical_lag_events": status.lexical_lag_events,
        "ingest_rate": status.ingest_rate if is_daemon else None,
        "pattern_hit_ratio": status.pattern_hit_ratio,
    }
    for name, time_ns in (("oldest", status.oldest_ns), ("newest", status.newest_ns)):
        value |= {name: None, f"{name}_unix_nano": None}
        if time_ns is not None:
            value |= time_to_json(name, time_ns)
    value["partitions"] = [asdict(each) for each in status.partitions] if is_daemon else None
    return value


def _occurrences(occurrences: Sequence[Occurrence]) -> list[Json]:
    return [occurrence_to_json(each) for each in occurrences]


def _labels(labels: Labels) -> dict[str, Json]:
    return dict(labels)
