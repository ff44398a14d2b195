"""Which patterns appeared, vanished or changed their rate between two windows.

The windows may differ in length; `counts/rates.py` is the test. A pattern with too few events for
any change of it to be told from chance is not compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import Change, DiffResult, PatternChange
from dejalog.indexer.counts.first_seen import first_seen
from dejalog.indexer.counts.pattern_tally import (
    NOT_YET_NS,
    ChosenPatterns,
    MergedPatterns,
    merge_patterns,
    read_texts,
)
from dejalog.indexer.counts.rates import (
    BinCounts,
    WindowPair,
    can_differ,
    corrected,
    dispersions,
    p_values,
)
from dejalog.indexer.counts.tally import CountedShard, Parts, Question, answer_question
from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import TimeRange
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.indexer.request import DiffRequest, Window

#: Up to so many keys, a counter for each is faster than sorting, and 8 MB.
_DENSE_KEYS_MAX: Final = 1 << 20


def diff_patterns(
    shards: OpenShards, request: DiffRequest, patience: Patience = ENDLESS
) -> DiffResult:
    """Returns the changes, the least likely to be chance first.

    A window that begins before the oldest event of the index counts from there on. When the
    patience is over, no further shard is read, and what the others hold is returned as partial.
    Raises QueryError, TimeoutError if nothing was read in time, and CorruptShardError if no shard
    can be read.
    """
    _check(request)
    windows = _known_part(shards, request)
    since = min(windows.before.since_ns, windows.after.since_ns)
    until = max(windows.before.until_ns, windows.after.until_ns)
    question = Question(request.text, request.where, TimeRange(since, until))

    def tally(counted: CountedShard, check: Callable[[], None]) -> _ShardBins:
        return _tally(counted, windows, check)

    def answer(parts: Parts[_ShardBins]) -> DiffResult:
        return _answer(request, windows, parts)

    return answer_question(shards, question, patience, tally, answer)


def _check(request: DiffRequest) -> None:
    for name, window in (("before", request.before), ("after", request.after)):
        if window.since_ns >= window.until_ns:
            raise QueryError(
                f"the window {name} is empty: it ends ({window.until_ns} ns) no later than it "
                f"begins ({window.since_ns} ns); give its earlier time first"
            )
        if window.until_ns - window.since_ns >= 2**63:
            raise QueryError(f"the window {name} is longer than 292 years; give a shorter one")
    if _overlap(request.before, request.after):
        raise QueryError(
            "the windows overlap, so that events would be compared with themselves; "
            "let one end before the other begins"
        )
    if not 0 < request.false_share <= 1:
        raise QueryError(
            f"the share of false changes is {request.false_share:g}; it must be above 0 and at "
            "most 1"
        )


def _overlap(one: Window, other: Window) -> bool:
    return one.since_ns < other.until_ns and other.since_ns < one.until_ns


def _known_part(shards: OpenShards, request: DiffRequest) -> WindowPair:
    """The windows from the index's oldest event on: before it, silence says nothing."""
    states = shards.states()
    oldest = [s.counters.oldest_ns for s in states if s.counters.events > s.counters.deleted]
    windows = []
    for name, window in (("before", request.before), ("after", request.after)):
        start = max(window.since_ns, min(oldest, default=window.since_ns))
        if start >= window.until_ns:
            raise QueryError(
                f"the window {name} ends before the oldest event of the index, so there is nothing "
                "to compare with; give a later one (dejalog status shows the oldest event)"
            )
        windows.append(Window(start, window.until_ns))
    return WindowPair(*windows)


@dataclass(frozen=True, slots=True)
class _ShardBins:
    """Events of a shard by pattern and bin; `numbers` int64[patterns], growing, are those there.

    keys int64[n], growing, are pattern number * bins + bin; counts int64[n] their events.
    """

    numbers: NDArray[np.int64]
    keys: NDArray[np.int64]
    counts: NDArray[np.int64]


def _tally(counted: CountedShard, windows: WindowPair, check: Callable[[], None]) -> _ShardBins:
    times = counted.shard.state.columns.times
    # What lies between the windows does not count.
    is_inside = np.zeros(len(times), np.bool_)
    keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for chunk in counted.chunks(check):
        bins = windows.of(chunk.times)
        inside = np.flatnonzero(bins >= 0)
        is_inside[chunk.rows[inside]] = True
        own = chunk.patterns[inside].astype(np.int64) * windows.bins + bins[inside]
        unique, events = _counted(own, windows.bins * counted.shard.state.counters.patterns)
        keys.append(unique)
        counts.append(events)
    counted.events = is_inside
    merged, added = _added_up(np.concatenate(keys), np.concatenate(counts))
    return _ShardBins(np.unique(merged // windows.bins), merged, added)


def _counted(keys: NDArray[np.int64], end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each key once, growing, and how often it occurs; all are below `end`."""
    if end <= _DENSE_KEYS_MAX:
        every = np.bincount(keys, minlength=1)
        unique = np.flatnonzero(every)
        return unique, every[unique]
    unique, counts = np.unique(keys, return_counts=True)
    return unique, counts.astype(np.int64)


def _added_up(
    keys: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each key once, growing, with the sum of its counts."""
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[starts], np.add.reduceat(counts, starts) if len(starts) else counts


@dataclass(frozen=True, slots=True)
class _Compared:
    """Every pattern of the windows: before and after int64[patterns] are events.

    p is float64[patterns], infinite for those that are not compared.
    """

    merged: MergedPatterns
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    p: NDArray[np.float64]


def _answer(request: DiffRequest, windows: WindowPair, parts: Parts[_ShardBins]) -> DiffResult:
    compared = _compare(request, windows, parts)
    is_change = compared.p <= request.false_share
    changed = np.flatnonzero(is_change)
    events = compared.before + compared.after
    ordered = changed[np.lexsort((-events[changed], compared.p[changed]))]
    chosen = ordered[request.skip : request.skip + request.limit]
    return DiffResult(
        changes=_changes(compared, chosen, windows, parts),
        changes_total=len(changed),
        patterns_compared=int(np.count_nonzero(np.isfinite(compared.p))),
        events_before=int(compared.before.sum()),
        events_after=int(compared.after.sum()),
        coverage=parts.coverage(int(events.sum())),
    )


def _compare(request: DiffRequest, windows: WindowPair, parts: Parts[_ShardBins]) -> _Compared:
    merged = merge_patterns([(part.shard, part.tally.numbers) for part in parts.parts])
    counted = _merged_bins(merged, windows, parts)
    is_after = counted.bins >= windows.bins_before
    before = _by_pattern(counted, ~is_after, merged.size)
    after = _by_pattern(counted, is_after, merged.size)
    p = np.full(merged.size, np.inf)
    some = np.flatnonzero(can_differ(before + after, windows.share_after, request.false_share))
    spread = dispersions(counted, merged.size, windows)
    p[some] = corrected(p_values(before[some], after[some], spread[some], windows.share_after))
    return _Compared(merged, before, after, p)


def _merged_bins(
    merged: MergedPatterns, windows: WindowPair, parts: Parts[_ShardBins]
) -> BinCounts:
    keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for part, member in zip(parts.parts, merged.members, strict=True):
        numbers, bins = np.divmod(part.tally.keys, windows.bins)
        places = np.searchsorted(member.numbers, numbers)
        keys.append(member.merged[places] * windows.bins + bins)
        counts.append(part.tally.counts)
    every, added = _added_up(np.concatenate(keys), np.concatenate(counts))
    patterns, bins = np.divmod(every, windows.bins)
    return BinCounts(patterns, bins, added)


def _by_pattern(counted: BinCounts, chosen: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    sums = np.bincount(counted.patterns[chosen], counted.counts[chosen], size)
    return sums.astype(np.int64)


def _changes(
    compared: _Compared,
    chosen: NDArray[np.int64],
    windows: WindowPair,
    parts: Parts[_ShardBins],
) -> tuple[PatternChange, ...]:
    reading = ChosenPatterns(parts.parts, compared.merged, chosen)
    reading.read()
    examples = reading.examples()
    names = compared.merged.names(chosen)
    first = first_seen(parts.asked, names, np.full(len(chosen), NOT_YET_NS))
    texts = read_texts(compared.merged, chosen)
    changes = []
    for place, each in enumerate(chosen.tolist()):
        before, after = int(compared.before[each]), int(compared.after[each])
        ratio = _rate_ratio(before, after, windows.share_after)
        changes.append(
            PatternChange(
                pattern_id=names[place].ljust(16, b"\0").hex(),
                pattern=texts[place],
                change=_change(before, after, ratio),
                count_before=before,
                count_after=after,
                rate_ratio=ratio,
                p_value=float(compared.p[each]),
                first_ever_ns=int(first[place]),
                example=examples[place],
            )
        )
    return tuple(changes)


def _rate_ratio(before: int, after: int, share_after: float) -> float:
    return math.inf if before == 0 else after * (1 - share_after) / (before * share_after)


def _change(before: int, after: int, ratio: float) -> Change:
    if before == 0:
        return Change.APPEARED
    if after == 0:
        return Change.VANISHED
    return Change.MORE if ratio > 1 else Change.LESS
