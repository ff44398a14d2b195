"""Prepared events -> the shard, one LMDB transaction a batch.

A transaction holds everything that the batch means: its events, the patterns that are new with
their vectors, its dead letters and the positions its sources have reached. So after any crash the
positions say exactly what is stored, and a source that seeks to them loses and repeats nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import ConfigError
from dejalog.indexer.event import DeadLetter, Event, Labels, Position
from dejalog.indexer.mask import MASK_VERSION
from dejalog.indexer.quantize import quantize_patterns
from dejalog.indexer.store.directory import DataDirectory, check_encoder
from dejalog.indexer.store.environment import SHARD_BYTES_MAX
from dejalog.indexer.store.layout import Columns, Counters, TextBlock, digest
from dejalog.indexer.store.shard import Shard, new_header
from dejalog.indexer.store.transaction import ShardWrite

#: A block of texts is what one look at one event has to decompress: 128 KiB take about 0.2 ms.
TEXT_BLOCK_BYTES = 128 * 1024
#: Short lines: no more than this many in a block, whose columns are decoded with it.
TEXT_BLOCK_EVENTS = 512

#: Digests kept in memory so that a repeated pattern costs no LMDB look-up; about 10 MB.
_KNOWN_PATTERNS_MAX = 65_536


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """An event with its pattern."""

    event: Event
    pattern: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be stored together; the positions are where its sources go on afterwards."""

    events: Sequence[PreparedEvent]
    dead_letters: Sequence[DeadLetter]
    positions: Sequence[Position]


@dataclass(frozen=True, slots=True)
class Appended:
    """What one batch added."""

    events: int
    dead_letters: int
    new_patterns: int


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """When the shard that is appended to is left alone and a new one begun.

    Until it is compacted a fresh shard is searched exactly and in memory, hence the bounds on
    events and patterns; its label sets are in memory, too, and a label with a value of its own in
    each event makes one a line. The bound on bytes keeps it far below LMDB's map. Raises
    ConfigError where that bound is too near to the map.
    """

    events_max: int = 4_000_000
    patterns_max: int = 50_000
    bytes_max: int = 8 << 30
    age_max_s: float = 7 * 24 * 3600.0
    labelsets_max: int = 200_000

    def __post_init__(self) -> None:
        if self.bytes_max > SHARD_BYTES_MAX:
            raise ConfigError("shard", "bytes_max", f"must be at most {SHARD_BYTES_MAX}")


class Appender:
    """The one writer of a data directory."""

    def __init__(
        self,
        directory: DataDirectory,
        encoder: Encoder,
        *,
        limits: ShardLimits | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._directory = directory
        self._encoder = encoder
        self._limits = limits or ShardLimits()
        self._clock = clock
        self._counters = Counters()
        self._known: dict[bytes, int] = {}
        self._labelsets: dict[Labels, int] = {}
        # Several sources may feed one writer; a transaction belongs to the thread that began it.
        self._lock = Lock()
        if directory.shards:
            check_encoder(directory.shards, encoder.fingerprint)
            self._adopt(directory.shards[-1])
        else:
            self._begin_shard(0, 0, ())

    def positions(self) -> list[Position]:
        """How far every source partition is stored."""
        with self._shard.snapshot() as snapshot:
            return snapshot.positions()

    def append(self, batch: Batch) -> Appended:
        """Stores the batch, durably when this returns; raises StorageError."""
        with self._lock:
            return self._append(batch)

    def roll_if_due(self) -> bool:
        """Begins a new shard if the present one has reached a bound; returns whether it did.

        An append does so by itself; this is for a shard that has grown old and gets nothing more.
        """
        with self._lock:
            # Empty shards that follow each other would be of no use to anybody.
            is_due = self._is_filled() and self._is_full()
            if is_due:
                self._roll()
            return is_due

    def seal(self) -> bool:
        """Leaves the present shard alone and begins a new one, unless it is empty.

        Returns whether it did.
        """
        with self._lock:
            is_filled = self._is_filled()
            if is_filled:
                self._roll()
            return is_filled

    def _append(self, batch: Batch) -> Appended:
        if self._is_full():
            self._roll()
        digests = [digest(event.pattern) for event in batch.events]
        new_texts, new_digests = self._unknown(batch.events, digests)
        encoded = self._encoder.encode_patterns(new_texts)
        vectors = quantize_patterns(
            encoded, dim=self._encoder.dim, pooled_dim=self._encoder.pooled_dim
        )
        before = self._counters
        numbers = {d: n for n, d in enumerate(new_digests, before.patterns)}
        new_labelsets = self._new_labelsets(batch.events)
        with self._shard.write() as write:
            write.put_patterns(before.patterns, new_texts, new_digests)
            write.put_vectors(before.patterns, vectors)
            for labels, number in new_labelsets.items():
                write.put_labelset(number, labels)
            columns = self._columns(batch.events, digests, numbers, new_labelsets)
            self._put_events(write, batch.events, columns)
            for number, letter in enumerate(batch.dead_letters, self._next_dead_letter()):
                write.put_dead_letter(number, letter)
            write.put_positions(batch.positions)
            after = Counters(
                events=before.events + len(batch.events),
                patterns=before.patterns + len(new_texts),
                tokens=before.tokens + len(vectors.codes),
                labelsets=before.labelsets + len(new_labelsets),
                dead_letters=before.dead_letters + len(batch.dead_letters),
                truncated_patterns=before.truncated_patterns + sum(e.is_truncated for e in encoded),
                oldest_ns=_oldest(before, columns),
                newest_ns=max([before.newest_ns, *columns.times.tolist()]),
            )
            write.put_counters(after)
        self._counters = after
        self._labelsets.update(new_labelsets)
        self._remember(numbers)
        return Appended(len(batch.events), len(batch.dead_letters), len(new_texts))

    def _adopt(self, shard: Shard) -> None:
        self._shard = shard
        with shard.snapshot() as snapshot:
            self._counters = snapshot.counters()
            self._labelsets = {
                tuple((name, value) for name, value in labels): number
                for number, labels in snapshot.labelsets_from(0)
            }
        self._known = {}

    def _begin_shard(
        self, first_event: int, first_dead_letter: int, positions: Sequence[Position]
    ) -> None:
        header = new_header(
            shard=0,  # The directory gives it its number.
            created_ns=self._clock(),
            first_event=first_event,
            first_dead_letter=first_dead_letter,
            encoder_fingerprint=self._encoder.fingerprint,
            mask_version=MASK_VERSION,
            dim=self._encoder.dim,
            pooled_dim=self._encoder.pooled_dim,
        )
        self._adopt(self._directory.add_shard(header, positions))

    def _is_filled(self) -> bool:
        return self._counters.events + self._counters.dead_letters > 0

    def _is_full(self) -> bool:
        age_s = (self._clock() - self._shard.header.created_ns) / 1e9
        return (
            self._counters.events >= self._limits.events_max
            or self._counters.patterns >= self._limits.patterns_max
            or self._counters.labelsets >= self._limits.labelsets_max
            or self._shard.bytes_on_disk() >= self._limits.bytes_max
            or (age_s >= self._limits.age_max_s and self._counters.events > 0)
            or self._shard.header.mask_version != MASK_VERSION
        )

    def _roll(self) -> None:
        header = self._shard.header
        self._begin_shard(
            header.first_event + self._counters.events,
            header.first_dead_letter + self._counters.dead_letters,
            self.positions(),
        )

    def _next_dead_letter(self) -> int:
        return self._shard.header.first_dead_letter + self._counters.dead_letters

    def _unknown(
        self, events: Sequence[PreparedEvent], digests: Sequence[bytes]
    ) -> tuple[list[str], list[bytes]]:
        """The patterns of the batch that the shard does not have, each once, in order."""
        texts: dict[bytes, str] = {}
        with self._shard.snapshot() as snapshot:
            for event, name in zip(events, digests, strict=True):
                if name in self._known or name in texts:
                    continue
                number = snapshot.find_pattern(name)
                if number is None:
                    texts[name] = event.pattern
                else:
                    self._known[name] = number
        return list(texts.values()), list(texts)

    def _remember(self, numbers: dict[bytes, int]) -> None:
        self._known.update(numbers)
        if len(self._known) > _KNOWN_PATTERNS_MAX:
            # The newest half stays; what is dropped by mistake costs one look-up.
            keep = list(self._known.items())[-_KNOWN_PATTERNS_MAX // 2 :]
            self._known = dict(keep)

    def _new_labelsets(self, events: Sequence[PreparedEvent]) -> dict[Labels, int]:
        found: dict[Labels, int] = {}
        for prepared in events:
            labels = prepared.event.labels
            if labels not in self._labelsets and labels not in found:
                found[labels] = self._counters.labelsets + len(found)
        return found

    def _columns(
        self,
        events: Sequence[PreparedEvent],
        digests: Sequence[bytes],
        new_patterns: dict[bytes, int],
        new_labelsets: dict[Labels, int],
    ) -> Columns:
        known, labelsets = self._known, self._labelsets
        return Columns(
            times=np.array([p.event.time_ns for p in events], np.int64),
            patterns=np.array(
                [known[d] if d in known else new_patterns[d] for d in digests], np.uint32
            ),
            labelsets=np.array(
                [
                    labelsets[p.event.labels]
                    if p.event.labels in labelsets
                    else new_labelsets[p.event.labels]
                    for p in events
                ],
                np.uint32,
            ),
            kinds=np.array([p.event.kind for p in events], np.uint8),
        )

    def _put_events(
        self, write: ShardWrite, events: Sequence[PreparedEvent], columns: Columns
    ) -> None:
        if not events:
            return
        first = self._shard.header.first_event + self._counters.events
        write.put_columns(first, columns)
        for start, block in text_blocks([prepared.event for prepared in events]):
            write.put_texts(first + start, block)


def text_blocks(events: Sequence[Event]) -> Iterator[tuple[int, TextBlock]]:
    """Yields blocks bounded in bytes and events, each with the index of its first event."""
    start, size = 0, 0
    texts: list[bytes] = []
    for index, event in enumerate(events):
        text = event.text.encode()
        is_full = size + len(text) > TEXT_BLOCK_BYTES or len(texts) == TEXT_BLOCK_EVENTS
        if texts and is_full:
            yield start, _text_block(events[start:index], texts)
            start, size, texts = index, 0, []
        texts.append(text)
        size += len(text)
    if texts:
        yield start, _text_block(events[start:], texts)


def _text_block(events: Sequence[Event], texts: Sequence[bytes]) -> TextBlock:
    origins: dict[tuple[str, str], int] = {}
    index = [origins.setdefault((e.source, e.partition), len(origins)) for e in events]
    return TextBlock(
        origins=list(origins),
        origin_index=np.array(index, "<u4").tobytes(),
        offsets=np.array([e.offset for e in events], "<i8").tobytes(),
        subs=np.array([e.sub for e in events], "<u4").tobytes(),
        time_origins=bytes(e.time_origin for e in events),
        attributes=[list(e.attributes) for e in events],
        text_lengths=np.array([len(t) for t in texts], "<u4").tobytes(),
        texts=b"".join(texts),
    )


def _oldest(before: Counters, columns: Columns) -> int:
    times = columns.times.tolist()
    if before.events:
        times.append(before.oldest_ns)
    return min(times, default=0)
