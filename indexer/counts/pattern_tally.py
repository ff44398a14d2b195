"""Counts by pattern over all shards: numbers are a shard's own, names are the same everywhere.

1. Each shard counts by its own pattern numbers.
2. Patterns of several shards are brought together by their digests.
3. Of the patterns that are shown, the newest events are read, and when they were first seen at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.counts.tally import CountedShard, Part, Tally
from dejalog.indexer.hit import Occurrence
from dejalog.indexer.opened import HeldShard
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.layout import digest
from dejalog.indexer.store.transaction import Snapshot
from dejalog.indexer.store.view import NEVER_NS, ShardArrays

#: The time of the oldest event of a pattern that has none.
NOT_YET_NS: Final = np.iinfo(np.int64).max

#: Looking one pattern up costs as much as walking over about this many of them.
_WALKED_PER_LOOKUP: Final = 8

#: A digest; it always fills the 16 bytes, so that the zeros which NumPy cuts off do not matter.
_NAME: Final = np.dtype("S16")


@dataclass(frozen=True, slots=True)
class PatternTally:
    """One shard's patterns with a counted event, by growing number.

    numbers, counts, oldest and newest are int64[patterns]; the latter two are times.
    """

    numbers: NDArray[np.int64]
    counts: NDArray[np.int64]
    oldest: NDArray[np.int64]
    newest: NDArray[np.int64]


def tally_patterns(counted: CountedShard, check: Callable[[], None]) -> PatternTally:
    """Returns a shard's counts by pattern."""
    size = counted.shard.state.counters.patterns
    counts = np.zeros(size, np.int64)
    oldest, newest = np.full(size, NOT_YET_NS), np.full(size, NEVER_NS)
    for chunk in counted.chunks(check):
        np.minimum.at(oldest, chunk.patterns, chunk.times)
        np.maximum.at(newest, chunk.patterns, chunk.times)
        np.add.at(counts, chunk.patterns, 1)
    numbers = np.flatnonzero(counts)
    return PatternTally(numbers, counts[numbers], oldest[numbers], newest[numbers])


@dataclass(frozen=True, slots=True)
class Member:
    """One shard's patterns as members of the merged ones.

    numbers int64[n] are the shard's, growing; merged int64[n] says which merged pattern each is.
    """

    shard: HeldShard
    numbers: NDArray[np.int64]
    merged: NDArray[np.int64]

    def picked(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns int64[patterns of the shard]: the slot of each, -1 for those without one.

        slots int64[merged patterns] are the slots of these, -1 for none.
        """
        table = np.full(self.shard.state.counters.patterns, -1)
        table[self.numbers] = slots[self.merged]
        return table


@dataclass(frozen=True, slots=True)
class MergedPatterns:
    """The patterns of all shards, each once; `members` go with the parts."""

    size: int
    members: tuple[Member, ...]

    def names(self, chosen: NDArray[np.int64]) -> NDArray[np.bytes_]:
        """Returns S16[n]: the digests of some merged patterns."""
        slots = _slots(chosen, self.size)
        names = np.zeros(len(chosen), _NAME)
        for member in self.members:
            places = slots[member.merged]
            is_chosen = places >= 0
            if is_chosen.any():
                with member.shard.reading() as snapshot:
                    own = names_of(snapshot, member.shard.state, member.numbers[is_chosen])
                names[places[is_chosen]] = own
        return names


def merge_patterns(numbers: Sequence[tuple[HeldShard, NDArray[np.int64]]]) -> MergedPatterns:
    """Brings together the patterns of several shards, given by their numbers."""
    if len(numbers) == 1:
        shard, own = numbers[0]
        return MergedPatterns(len(own), (Member(shard, own, np.arange(len(own))),))
    names = []
    for shard, own in numbers:
        with shard.reading() as snapshot:
            names.append(names_of(snapshot, shard.state, own))
    every = np.concatenate([np.zeros(0, _NAME), *names])
    unique, merged = np.unique(every, return_inverse=True)
    ends = np.cumsum([len(own) for _, own in numbers])[:-1]
    split = np.split(merged.astype(np.int64), ends) if numbers else []
    members = (Member(*each, at) for each, at in zip(numbers, split, strict=True))
    return MergedPatterns(len(unique), tuple(members))


def names_of(
    snapshot: Snapshot, state: ShardArrays, numbers: NDArray[np.int64]
) -> NDArray[np.bytes_]:
    """Returns S16[n]: the digests of a shard's patterns of these numbers."""
    size = state.counters.patterns
    if len(numbers) * _WALKED_PER_LOOKUP < size:
        return np.array([digest(snapshot.pattern(n)) for n in numbers.tolist()], _NAME)
    names, at = _walked(snapshot, size)
    table = np.zeros(size, _NAME)
    table[at] = names
    return table[numbers]


def numbers_of(
    snapshot: Snapshot, state: ShardArrays, names: NDArray[np.bytes_]
) -> NDArray[np.int64]:
    """Returns int64[n]: the numbers of a shard's patterns with these digests, -1 for none."""
    size = state.counters.patterns
    numbers = np.full(len(names), -1)
    if len(names) * _WALKED_PER_LOOKUP < size:
        for place, name in enumerate(names.tolist()):
            number = snapshot.find_pattern(name.ljust(_NAME.itemsize, b"\0"))
            numbers[place] = -1 if number is None or number >= size else number
        return numbers
    walked, at = _walked(snapshot, size)  # The database walks in the order of digests.
    places = np.searchsorted(walked, names)
    is_within = places < len(walked)
    is_found = is_within.copy()
    is_found[is_within] = walked[places[is_within]] == names[is_within]
    numbers[is_found] = at[places[is_found]]
    return numbers


def _walked(snapshot: Snapshot, size: int) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """All digests, growing, and the numbers of their patterns, below `size`."""
    pairs = list(snapshot.pattern_digests())
    names = np.array([name for name, _ in pairs], _NAME)
    at = np.array([number for _, number in pairs], np.int64)
    is_there = at < size  # The writer may have added patterns since.
    return names[is_there], at[is_there]


def _slots(chosen: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    slots = np.full(size, -1)
    slots[chosen] = np.arange(len(chosen))
    return slots


def read_texts(merged: MergedPatterns, chosen: NDArray[np.int64]) -> list[str]:
    """Returns the texts of some merged patterns."""
    slots = _slots(chosen, merged.size)
    texts = [""] * len(chosen)
    for member in merged.members:
        places = slots[member.merged]
        with member.shard.reading() as snapshot:
            for at in np.flatnonzero(places >= 0).tolist():
                place = int(places[at])
                texts[place] = texts[place] or snapshot.pattern(int(member.numbers[at]))
    return texts


@dataclass(frozen=True, slots=True)
class SlotChunk:
    """Counted events of the chosen patterns; slot i is chosen[i]. All int64[n]."""

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    slots: NDArray[np.int64]


class ChosenPatterns:
    """Reads, of all shards, the counted events of a few of the merged patterns."""

    def __init__(
        self, parts: Sequence[Part[Tally]], merged: MergedPatterns, chosen: NDArray[np.int64]
    ) -> None:
        self._parts = [part.counted for part in parts]
        self._merged = merged
        self._chosen = chosen
        self._newest: list[tuple[int, int, CountedShard] | None] = [None] * len(chosen)

    def read(self, use: Callable[[SlotChunk], None] | None = None) -> None:
        """Reads the events, and hands each chunk to `use`."""
        slots = _slots(self._chosen, self._merged.size)
        for counted, member in zip(self._parts, self._merged.members, strict=True):
            table = member.picked(slots)
            with counted.shard.reading():
                for chunk in counted.chunks():
                    own = table[chunk.patterns]
                    kept = np.flatnonzero(own >= 0)
                    picked = SlotChunk(chunk.rows[kept], chunk.times[kept], own[kept])
                    self._renew_newest(counted, picked)
                    if use is not None:
                        use(picked)

    def examples(self) -> list[Occurrence]:
        """The newest counted event of each chosen pattern; of equally new ones the last."""
        readers: dict[int, EventReader] = {}
        found = []
        for newest in self._newest:
            assert newest is not None, "a merged pattern has a counted event"
            _, number, counted = newest
            shard = counted.shard
            with shard.reading() as snapshot:
                reader = readers.setdefault(id(shard), EventReader(snapshot, shard.state))
                found.append(Occurrence(number, reader.event(number)))
        return found

    def _renew_newest(self, counted: CountedShard, chunk: SlotChunk) -> None:
        newest = np.full(len(self._chosen), NEVER_NS)
        np.maximum.at(newest, chunk.slots, chunk.times)
        is_newest = chunk.times == newest[chunk.slots]
        rows = np.full(len(self._chosen), -1)
        rows[chunk.slots[is_newest]] = chunk.rows[is_newest]  # Rows grow, and the last one stays.
        first_event = counted.shard.state.header.first_event
        for slot in np.flatnonzero(rows >= 0).tolist():
            own = (int(newest[slot]), first_event + int(rows[slot]), counted)
            known = self._newest[slot]
            if known is None or own[:2] > known[:2]:
                self._newest[slot] = own
