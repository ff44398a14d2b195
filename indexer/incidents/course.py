"""Which patterns are unusual for an asset in a stretch of its time: the course of an incident."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import CourseStep
from dejalog.indexer.incidents.surprise import unusual_bits
from dejalog.indexer.incidents.timeline import Part, Timeline
from dejalog.indexer.store.layout import digest

#: One in sixteen: what is less surprising comes and goes by itself.
UNUSUAL_BITS_MIN = 4.0
#: A pattern that the asset never had elsewhere needs less: a quiet asset has few lines to compare.
NEW_BITS_MIN = 1.0
#: Patterns of a shard whose texts are read to count them in the other shards.
CANDIDATES_MAX = 64


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of an asset's time, both ends included, in ns since 1970 UTC."""

    asset: int
    start_ns: int
    end_ns: int


def read_course(timeline: Timeline, stretch: Stretch, limit: int) -> tuple[CourseStep, ...]:
    """Returns the `limit` most unusual patterns of log lines, in the order of time."""
    counts = [_count(part, stretch) for part in timeline.parts] if limit else []
    total_in = sum(each.total_in for each in counts)
    total_out = sum(each.total_out for each in counts)
    found: dict[str, _Found] = {}
    for each in counts:
        rough = unusual_bits(each.inside, each.outside, total_in=total_in, total_out=total_out)
        for place in np.argsort(-rough, kind="stable")[: max(CANDIDATES_MAX, limit)]:
            text = each.part.pattern(int(each.patterns[place]))
            if text not in found:
                found[text] = _add_up(text, counts)
    texts = list(found)
    bits = unusual_bits(
        np.array([found[text].inside for text in texts], np.int64),
        np.array([found[text].outside for text in texts], np.int64),
        total_in=total_in,
        total_out=total_out,
    )
    order = [int(i) for i in np.argsort(-bits, kind="stable")[:limit]]
    best = [i for i in order if bits[i] >= _bits_min(found[texts[i]])]
    steps = [_step(timeline, texts[i], found[texts[i]], float(bits[i])) for i in best]
    return tuple(sorted(steps, key=lambda step: (step.first_seen_ns, step.example.event_id)))


@dataclass(frozen=True, slots=True)
class _Counts:
    """What a shard has of an asset: its `rows` in the stretch, and counts by pattern.

    inside and outside int64[n] are those of `patterns`, which occur in the stretch.
    """

    part: Part
    rows: NDArray[np.int64]
    patterns: NDArray[np.int64]
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    outside_of: NDArray[np.int64]

    @property
    def total_in(self) -> int:
        return len(self.rows)

    @property
    def total_out(self) -> int:
        return int(self.outside_of.sum())


@dataclass(frozen=True, slots=True)
class _Found:
    """A pattern over all shards."""

    inside: int
    outside: int
    first_seen_ns: int
    first_event: int


def _count(part: Part, stretch: Stretch) -> _Counts:
    with part.shard.reading():
        columns = part.state.columns
        rows = part.log_rows(stretch.asset)
        times = columns.times[rows]
        is_inside = (times >= stretch.start_ns) & (times <= stretch.end_ns)
        room = part.state.counters.patterns
        inside_of = np.bincount(columns.patterns[rows[is_inside]], minlength=room)
        outside_of = np.bincount(columns.patterns[rows[~is_inside]], minlength=room)
    patterns = np.flatnonzero(inside_of)
    return _Counts(
        part, rows[is_inside], patterns, inside_of[patterns], outside_of[patterns], outside_of
    )


def _add_up(text: str, counts: list[_Counts]) -> _Found:
    inside = outside = 0
    first: tuple[int, int] | None = None
    for each in counts:
        number = each.part.find(text)
        if number is None:
            continue
        columns = each.part.state.columns
        rows = each.rows[columns.patterns[each.rows] == number]
        inside += len(rows)
        outside += int(each.outside_of[number])
        if len(rows):
            at = int(rows[np.argmin(columns.times[rows])])
            own = (int(columns.times[at]), at + each.part.first_event)
            first = own if first is None else min(first, own)
    assert first is not None, "a pattern of the stretch has an event in it"
    return _Found(inside, outside, *first)


def _bits_min(found: _Found) -> float:
    return UNUSUAL_BITS_MIN if found.outside else NEW_BITS_MIN


def _step(timeline: Timeline, text: str, found: _Found, bits: float) -> CourseStep:
    return CourseStep(
        pattern_id=digest(text).hex(),
        pattern=text,
        count=found.inside,
        first_seen_ns=found.first_seen_ns,
        unusual=bits,
        example=timeline.occurrence(found.first_event),
    )
