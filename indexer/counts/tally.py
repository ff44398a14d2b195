"""Reads what counts for a question without free words, shard by shard, and says what was read.

1. Every shard's events are filtered and tallied, until all are done or the patience is over.
2. An answer is made of the tallies.

A shard that turns out to be damaged at either step is left out and named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import Coverage
from dejalog.indexer.counting import counted_events
from dejalog.indexer.errors import CorruptShardError, QueryError
from dejalog.indexer.filter import TimeRange
from dejalog.indexer.opened import Held, HeldShard, OpenShards
from dejalog.indexer.patience import Patience
from dejalog.indexer.query import Query, parse_filter_text
from dejalog.indexer.search import label_names

#: Events looked at in one go, so that what is made of them stays in the processor's cache: a
#: million events in one piece take three times as long (bench/patterns.py).
CHUNK_EVENTS: Final = 1 << 17

Tally = TypeVar("Tally")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Question:
    """Which events count: filters and quoted strings in `text`, conditions, and a time range."""

    text: str
    where: tuple[str, ...]
    times: TimeRange


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive counted events of a shard; all arrays have one element for each.

    rows int64, growing, of the shard's columns; times int64, patterns uint32.
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    patterns: NDArray[np.uint32]


@dataclass(slots=True)
class CountedShard:
    """A shard with the events that count; `events` bool[events] is None if all do."""

    shard: HeldShard
    events: NDArray[np.bool_] | None

    def chunks(self, check: Callable[[], None] | None = None) -> Iterator[Chunk]:
        """Yields the counted events; `check` is called before each chunk, and may raise."""
        columns = self.shard.state.columns
        for start in range(0, len(columns.times), CHUNK_EVENTS):
            if check is not None:
                check()
            end = min(start + CHUNK_EVENTS, len(columns.times))
            times, patterns = columns.times[start:end], columns.patterns[start:end]
            if self.events is None:
                yield Chunk(np.arange(start, end), times, patterns)
                continue
            rows = np.flatnonzero(self.events[start:end])
            if len(rows):
                yield Chunk(rows + start, times[rows], patterns[rows])


@dataclass(frozen=True, slots=True)
class Part(Generic[Tally]):
    """One shard's counted events, and what they came to."""

    counted: CountedShard
    tally: Tally

    @property
    def shard(self) -> HeldShard:
        """The shard."""
        return self.counted.shard


@dataclass(slots=True)
class Parts(Generic[Tally]):
    """The shards that were tallied, oldest first.

    One whose times miss the range is `asked`, but no part. Others may not be used any more.
    """

    held: Held
    started: float
    asked: list[HeldShard] = field(default_factory=list)
    parts: list[Part[Tally]] = field(default_factory=list)
    is_partial: bool = False

    def coverage(self, events_matched: int) -> Coverage:
        """Returns what was looked at."""
        folders = {shard.state.shard.path.parent for shard in self.held.shards}
        return Coverage(
            events_total=sum(_events(shard) for shard in self.asked),
            events_matched=events_matched,
            shards_searched=len(self.asked),
            elapsed_s=time.monotonic() - self.started,
            is_partial=self.is_partial or bool(self.held.damaged),
            damaged_shards=tuple(r for folder in folders for r in self.held.reasons(folder)),
        )

    def leave_out(self, error: CorruptShardError) -> None:
        """Goes on without a damaged shard; raises the error if it is of none."""
        sound = [shard for shard in self.asked if shard.state.shard.path != error.path]
        if len(sound) == len(self.asked) and error.path in self.held.damaged:
            raise error
        self.held.set_aside(error)
        self.asked = sound
        self.parts = [p for p in self.parts if p.shard.state.shard.path != error.path]
        self.held.check_any(is_any=bool(self.asked))


def answer_question(
    shards: OpenShards,
    question: Question,
    patience: Patience,
    tally: Callable[[CountedShard, Callable[[], None]], Tally],
    answer: Callable[[Parts[Tally]], Result],
) -> Result:
    """Returns the answer of all shards' tallies.

    `tally` gets a check to call now and then. Raises QueryError, TimeoutError if no shard was
    tallied in time, and CorruptShardError if none can be read.
    """
    started = time.monotonic()
    _check_times(question.times)
    with shards.held() as held:
        known = label_names([shard.state for shard in held.shards])
        query = parse_filter_text(question.text, question.where, known)
        parts: Parts[Tally] = Parts(held, started)
        _tally_all(parts, query, question.times, patience, tally)
        while True:
            try:
                return answer(parts)
            except CorruptShardError as error:
                parts.leave_out(error)


def _tally_all(
    parts: Parts[Tally],
    query: Query,
    times: TimeRange,
    patience: Patience,
    tally: Callable[[CountedShard, Callable[[], None]], Tally],
) -> None:
    held = parts.held
    for shard in held.shards:
        try:
            patience.check()
            if not times.misses(shard.state.counters):
                counted, is_partial = counted_events(
                    query,
                    shard,
                    since_ns=times.since_ns,
                    until_ns=times.until_ns,
                    set_aside=held.set_aside,
                    check=patience.check,
                )
                part = CountedShard(shard, counted.events)
                with shard.reading():
                    parts.parts.append(Part(part, tally(part, patience.check)))
                parts.is_partial |= is_partial
            parts.asked.append(shard)
        except TimeoutError:
            parts.is_partial = True
            break
        except CorruptShardError as error:
            held.set_aside(error)
    if parts.is_partial and not parts.asked:
        raise TimeoutError("the deadline passed before the first shard was searched")
    held.check_any(is_any=bool(parts.asked))


def _check_times(times: TimeRange) -> None:
    since, until = times.since_ns, times.until_ns
    if since is not None and until is not None and since >= until:
        raise QueryError(
            f"the time range ends ({until} ns) before it begins ({since} ns); "
            "give the earlier time first"
        )


def _events(shard: HeldShard) -> int:
    state = shard.state
    deleted = 0 if state.deleted is None else int(np.count_nonzero(state.deleted))
    return len(state.columns.times) - deleted
