"""How many events there are in each part of a time range, in all or by the values of a label.

1. Each shard says how many events count, from when to when, and how many have which value.
2. The range is divided, the most frequent values are chosen, and events are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import HistogramResult, Series
from dejalog.indexer.counts.buckets import Buckets, check_count, divide_range
from dejalog.indexer.counts.tally import Chunk, CountedShard, Part, Parts, Question, answer_question
from dejalog.indexer.errors import QueryError
from dejalog.indexer.event import Kind
from dejalog.indexer.filter import TimeRange
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.patience import ENDLESS, Patience
from dejalog.indexer.request import HistogramRequest
from dejalog.indexer.search import label_names
from dejalog.indexer.store.view import ShardArrays

#: Series on their own; more cannot be told apart.
VALUES_MAX: Final = 100

_KINDS: Final = tuple("" if n not in set(Kind) else Kind(n).name.lower() for n in range(256))


def count_events(
    shards: OpenShards, request: HistogramRequest, patience: Patience = ENDLESS
) -> HistogramResult:
    """Returns counts by time, with no series where no event passed the filters.

    When the patience is over, no further shard is read, and what the others hold is returned as
    partial. Raises QueryError, TimeoutError if nothing was read in time, and CorruptShardError if
    no shard can be read.
    """
    check_count(request.buckets)
    if not 1 <= request.values <= VALUES_MAX:
        raise QueryError(f"{request.values} values were asked for; 1 to {VALUES_MAX} are possible")
    question = Question(request.text, request.where, TimeRange(request.since_ns, request.until_ns))

    def tally(counted: CountedShard, check: Callable[[], None]) -> _ShardTally:
        return _tally(counted, request.by, check)

    return answer_question(shards, question, patience, tally, lambda p: _answer(request, p))


@dataclass(frozen=True, slots=True)
class _Groups:
    """Which group each event of a shard is in: a row of `values`, by kind or by label set.

    `values` holds None for events without the label. `table` int64[kinds or label sets].
    """

    values: tuple[str | None, ...]
    table: NDArray[np.int64]
    is_by_kind: bool

    def of(self, state: ShardArrays, chunk: Chunk) -> NDArray[np.int64]:
        columns = state.columns
        keys = columns.kinds if self.is_by_kind else columns.labelsets
        return self.table[keys[chunk.rows]]


@dataclass(frozen=True, slots=True)
class _ShardTally:
    """How many events of a shard count, the oldest and newest time, and counts int64[groups]."""

    events: int
    oldest_ns: int
    newest_ns: int
    groups: _Groups
    counts: NDArray[np.int64]


def _tally(counted: CountedShard, by: str, check: Callable[[], None]) -> _ShardTally:
    state = counted.shard.state
    groups = _groups(state, by)
    counts = np.zeros(len(groups.values), np.int64)
    oldest, newest = [], []
    for chunk in counted.chunks(check):
        oldest.append(int(chunk.times.min()))
        newest.append(int(chunk.times.max()))
        np.add.at(counts, groups.of(state, chunk), 1)
    events = int(counts.sum())
    return _ShardTally(events, min(oldest, default=0), max(newest, default=0), groups, counts)


def _groups(state: ShardArrays, by: str) -> _Groups:
    if by in {"", "kind"}:
        values: list[str | None] = [*_KINDS] if by else [""]
        table = np.arange(len(_KINDS)) if by else np.zeros(len(_KINDS), np.int64)
        return _Groups(tuple(values), table, is_by_kind=True)
    # The list of a fresh shard may grow meanwhile; no event of this state is in what is added.
    found = [dict(labels).get(by) for labels in tuple(state.labelsets)]
    values = list(dict.fromkeys(found))
    places = {value: place for place, value in enumerate(values)}
    return _Groups(tuple(values), np.array([places[v] for v in found], np.int64), is_by_kind=False)


def _answer(request: HistogramRequest, parts: Parts[_ShardTally]) -> HistogramResult:
    _check_label(request.by, parts)
    filled = [part for part in parts.parts if part.tally.events]
    matched = sum(part.tally.events for part in filled)
    if not matched:
        return HistogramResult((), 0, 0, parts.coverage(0))
    times = TimeRange(request.since_ns, request.until_ns)
    oldest = min(part.tally.oldest_ns for part in filled)
    newest = max(part.tally.newest_ns for part in filled)
    buckets = divide_range(times, oldest, newest, request.buckets)
    shown = _most_frequent(filled, request.values)
    counts = np.zeros((len(shown) + 1, buckets.count), np.int64)
    for part in filled:
        counts += _counts(part, shown, buckets)
    series = [Series(v, tuple(row.tolist())) for v, row in zip(shown, counts[:-1], strict=True)]
    if counts[-1].any():
        series.append(Series("", tuple(counts[-1].tolist()), is_rest=True))
    return HistogramResult(
        series=tuple(series),
        start_ns=buckets.start_ns,
        width_ns=buckets.width_ns,
        coverage=parts.coverage(matched),
    )


def _check_label(by: str, parts: Parts[_ShardTally]) -> None:
    """Raises QueryError where no event has the label: one series of the rest says nothing."""
    states = [shard.state for shard in parts.asked if len(shard.state.columns.times)]
    known = label_names(states)
    if states and by not in {"", "kind", "severity", *known}:
        names = ", ".join(sorted(known | {"kind", "severity"}))
        raise QueryError(f"no event has a label {by!r} to count by; there are: {names}")


def _most_frequent(parts: Sequence[Part[_ShardTally]], limit: int) -> list[str]:
    totals: Counter[str] = Counter()
    for part in parts:
        for value, count in zip(part.tally.groups.values, part.tally.counts.tolist(), strict=True):
            if value is not None and count:
                totals[value] += count
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return [value for value, _ in ordered[:limit]]


def _counts(part: Part[_ShardTally], shown: Sequence[str], buckets: Buckets) -> NDArray[np.int64]:
    """int64[shown values and the rest, buckets]: one shard's counts."""
    state, groups = part.shard.state, part.tally.groups
    rows = {value: row for row, value in enumerate(shown)}
    rest = len(shown)
    table = np.array(
        [rest if value is None else rows.get(value, rest) for value in groups.values], np.int64
    )
    counts = np.zeros((rest + 1) * buckets.count, np.int64)
    with part.shard.reading():
        for chunk in part.counted.chunks():
            places = table[groups.of(state, chunk)] * buckets.count + buckets.of(chunk.times)
            np.add.at(counts, places, 1)
    return counts.reshape(rest + 1, buckets.count)
