"""Which patterns occur, how often, and since when.

A pattern that several shards have counts once. Events that were deleted count nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import PatternsResult, PatternSummary
from dejalog.indexer.counts.buckets import Buckets, check_count, divide_range
from dejalog.indexer.counts.first_seen import first_seen, seen_before
from dejalog.indexer.counts.pattern_tally import (
    NOT_YET_NS,
    ChosenPatterns,
    MergedPatterns,
    PatternTally,
    SlotChunk,
    merge_patterns,
    read_texts,
    tally_patterns,
)
from dejalog.indexer.counts.tally import Parts, Question, answer_question
from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import TimeRange
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.indexer.request import PatternOrder, PatternsRequest
from dejalog.indexer.store.view import NEVER_NS


def list_patterns(
    shards: OpenShards, request: PatternsRequest, patience: Patience = ENDLESS
) -> PatternsResult:
    """Returns patterns in the order asked for, with their counts by time.

    When the patience is over, no further shard is read, and what the others hold is returned as
    partial. Raises QueryError, TimeoutError if nothing was read in time, and CorruptShardError if
    no shard can be read.
    """
    check_count(request.buckets)
    if request.is_new and request.since_ns is None:
        raise QueryError("new since when? give the time before which a pattern is not new (since)")
    question = Question(request.text, request.where, TimeRange(request.since_ns, request.until_ns))
    return answer_question(
        shards, question, patience, tally_patterns, lambda parts: _answer(request, parts)
    )


@dataclass(frozen=True, slots=True)
class _Listed:
    """All patterns with a counted event: counts, oldest and newest are int64[patterns]."""

    merged: MergedPatterns
    counts: NDArray[np.int64]
    oldest: NDArray[np.int64]
    newest: NDArray[np.int64]


def _answer(request: PatternsRequest, parts: Parts[PatternTally]) -> PatternsResult:
    listed = _merge(parts)
    matched = int(listed.counts.sum())
    if not matched:
        return PatternsResult((), 0, 0, 0, parts.coverage(0))
    times = TimeRange(request.since_ns, request.until_ns)
    oldest, newest = int(listed.oldest.min()), int(listed.newest.max())
    buckets = divide_range(times, oldest, newest, request.buckets)
    candidates = np.arange(listed.merged.size)
    if request.is_new and request.since_ns is not None:
        names = listed.merged.names(candidates)
        candidates = candidates[~seen_before(parts.asked, names, request.since_ns)]
    ordered = _ordered(listed, candidates, request.order)
    chosen = ordered[request.skip : request.skip + request.limit]
    return PatternsResult(
        patterns=_summaries(listed, chosen, buckets, parts),
        patterns_total=len(candidates),
        start_ns=buckets.start_ns,
        width_ns=buckets.width_ns,
        coverage=parts.coverage(matched),
    )


def _merge(parts: Parts[PatternTally]) -> _Listed:
    merged = merge_patterns([(part.shard, part.tally.numbers) for part in parts.parts])
    counts = np.zeros(merged.size, np.int64)
    oldest, newest = np.full(merged.size, NOT_YET_NS), np.full(merged.size, NEVER_NS)
    for part, member in zip(parts.parts, merged.members, strict=True):
        # A shard has each pattern once, so that no index occurs twice.
        counts[member.merged] += part.tally.counts
        oldest[member.merged] = np.minimum(oldest[member.merged], part.tally.oldest)
        newest[member.merged] = np.maximum(newest[member.merged], part.tally.newest)
    return _Listed(merged, counts, oldest, newest)


def _ordered(
    listed: _Listed, candidates: NDArray[np.int64], order: PatternOrder
) -> NDArray[np.int64]:
    """The candidates in the order asked for; ties are broken by the other two orders."""
    counts, newest, first = (-each[candidates] for each in (
        listed.counts, listed.newest, listed.oldest,
    ))  # fmt: skip
    keys = {
        PatternOrder.COUNT: (first, newest, counts),
        PatternOrder.NEWEST: (first, counts, newest),
        PatternOrder.FIRST: (newest, counts, first),
    }
    return candidates[np.lexsort(keys[order])]


def _summaries(
    listed: _Listed,
    chosen: NDArray[np.int64],
    buckets: Buckets,
    parts: Parts[PatternTally],
) -> tuple[PatternSummary, ...]:
    counts = np.zeros((len(chosen), buckets.count), np.int64)

    def count(chunk: SlotChunk) -> None:
        places = chunk.slots * buckets.count + buckets.of(chunk.times)
        np.add.at(counts.reshape(-1), places, 1)

    reading = ChosenPatterns(parts.parts, listed.merged, chosen)
    reading.read(count)
    examples = reading.examples()
    names = listed.merged.names(chosen)
    # A shard all of whose events were counted has told already when its patterns were first seen.
    whole = {id(part.shard) for part in parts.parts if part.counted.events is None}
    others = [shard for shard in parts.asked if id(shard) not in whole]
    first = first_seen(others, names, listed.oldest[chosen])
    texts = read_texts(listed.merged, chosen)
    return tuple(
        PatternSummary(
            pattern_id=names[place].ljust(16, b"\0").hex(),
            pattern=texts[place],
            count=int(listed.counts[each]),
            first_seen_ns=int(listed.oldest[each]),
            last_seen_ns=int(listed.newest[each]),
            first_ever_ns=int(first[place]),
            counts=tuple(counts[place].tolist()),
            example=examples[place],
        )
        for place, each in enumerate(chosen.tolist())
    )
