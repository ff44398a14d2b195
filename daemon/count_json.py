"""Patterns, changes and histograms as JSON lines; docs/CLI_JSON.md is the contract."""

from __future__ import annotations

import math

from dejalog.daemon.hit_json import Json, occurrence_to_json, time_to_json
from dejalog.indexer.answer import PatternChange, PatternSummary, Series


def pattern_to_json(
    rank: int, pattern: PatternSummary, *, start_ns: int, width_ns: int
) -> dict[str, Json]:
    """Returns one pattern; bucket i of its counts begins at `start_ns` + i * `width_ns`."""
    return {
        "rank": rank,
        "pattern_id": pattern.pattern_id,
        "pattern": pattern.pattern,
        "count": pattern.count,
        **time_to_json("first_seen", pattern.first_seen_ns),
        **time_to_json("last_seen", pattern.last_seen_ns),
        **time_to_json("first_ever", pattern.first_ever_ns),
        "buckets": _buckets(pattern.counts, start_ns, width_ns),
        "example": occurrence_to_json(pattern.example),
    }


def change_to_json(rank: int, change: PatternChange) -> dict[str, Json]:
    """Returns one change; the ratio is null where there was nothing before."""
    ratio = change.rate_ratio
    return {
        "rank": rank,
        "pattern_id": change.pattern_id,
        "pattern": change.pattern,
        "change": change.change.value,
        "count_before": change.count_before,
        "count_after": change.count_after,
        "rate_ratio": ratio if math.isfinite(ratio) else None,
        "p_value": change.p_value,
        **time_to_json("first_ever", change.first_ever_ns),
        "example": occurrence_to_json(change.example),
    }


def series_to_json(series: Series, *, by: str, start_ns: int, width_ns: int) -> dict[str, Json]:
    """Returns one series; `value` is null where it is no value's own."""
    return {
        "by": by or None,
        "value": series.value if by and not series.is_rest else None,
        "is_rest": series.is_rest,
        "count": sum(series.counts),
        "buckets": _buckets(series.counts, start_ns, width_ns),
    }


def _buckets(counts: tuple[int, ...], start_ns: int, width_ns: int) -> dict[str, Json]:
    return {
        **time_to_json("start", start_ns),
        "width_nano": str(width_ns),
        "counts": list(counts),
    }
