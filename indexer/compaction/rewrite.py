"""Several shards -> one: which events stay, under which numbers, and everything but the vectors.

1. Events that are deleted or expired become hollow rows; those at both ends are trimmed away.
2. A pattern or label set that several sources have becomes one; without an event it is dropped.
3. Patterns are numbered in the order in which their vectors are read: source by source, and within
   one as before. A pattern that several sources have is taken from one that still has its vectors.
4. Text blocks are copied as they are stored, except where events of theirs have become hollow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.compaction.describe import read_columns, read_labelsets
from dejalog.indexer.deletion import deleted_events
from dejalog.indexer.event import Labels
from dejalog.indexer.store import layout
from dejalog.indexer.store.compacted import DELETED_KIND, CodedVectors, SectionMap
from dejalog.indexer.store.events import open_block
from dejalog.indexer.store.layout import Columns, Counters, TextBlock
from dejalog.indexer.store.manifest import Deletion, Tier
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import PATTERN_BLOCK, ShardWrite, Snapshot

#: Bytes of a pattern's digest.
DIGEST_BYTES: Final = 16

#: Rows without an event in one block of texts; nothing of them is left but their columns' zeros.
HOLLOW_BLOCK_EVENTS: Final = 4_096

#: Patterns written in one transaction: a few MB of texts and digests.
PATTERNS_PER_STEP: Final = 256 * PATTERN_BLOCK

_HOLLOW_ORIGIN = ("", "")


@dataclass(frozen=True, slots=True)
class Source:
    """A shard that is read: digests uint8[patterns, 16], is_kept bool[events]; coded if it is."""

    shard: Shard
    counters: Counters
    columns: Columns
    labelsets: Sequence[Labels]
    digests: NDArray[np.uint8]
    is_kept: NDArray[np.bool_]
    coded: CodedVectors | None

    @property
    def first_event(self) -> int:
        """The number of its first row."""
        return self.shard.header.first_event

    @property
    def end_event(self) -> int:
        """The number behind its last row."""
        return self.first_event + self.counters.events

    @property
    def used(self) -> NDArray[np.bool_]:
        """bool[patterns], those that have an event that stays."""
        counts = np.bincount(self.columns.patterns[self.is_kept], minlength=self.counters.patterns)
        return counts > 0

    @property
    def is_whole(self) -> bool:
        """Whether every event stays that was there."""
        return int(np.count_nonzero(self.is_kept)) == self.counters.events - self.counters.deleted


@dataclass(frozen=True, slots=True)
class Numbering:
    """New numbers of patterns or label sets.

    `taken` are the numbers int64[n], growing, that are taken from each source; the new numbers
    count through them. `maps` uint32[old] lead from each source's numbers to the new ones.
    """

    taken: tuple[NDArray[np.int64], ...]
    maps: tuple[NDArray[np.uint32], ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(numbers) for numbers in self.taken)


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of the new shard: events `first` up to `end`, not included."""

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


def read_source(
    shard: Shard, deletions: Sequence[Deletion], expire_before_ns: int | None
) -> Source:
    """Reads everything but texts and vectors; raises CorruptShardError.

    Every checksum of a compacted shard's sections is compared, since a map does not do that.
    """
    columns, labelsets = read_columns(shard), read_labelsets(shard)
    is_kept = columns.kinds != DELETED_KIND
    is_kept &= ~deleted_events(columns, labelsets, shard.header.first_event, deletions)
    if expire_before_ns is not None:
        is_kept &= columns.times >= expire_before_ns
    with shard.snapshot() as snapshot:
        counters = snapshot.counters()
        coded = None
        if shard.tier is Tier.COMPACTED:
            for name in snapshot.section_names():
                snapshot.section(name)
            coded = SectionMap.open(shard, snapshot).vectors()
        digests = _read_digests(snapshot, counters.patterns)
    return Source(shard, counters, columns, labelsets, digests, is_kept, coded)


def number_patterns(
    digests: Sequence[NDArray[np.uint8]],
    used: Sequence[NDArray[np.bool_]],
    preferred: Sequence[NDArray[np.bool_]],
) -> Numbering:
    """Returns the numbering of all patterns that are used, each digest once.

    All three are a sequence over sources, of uint8[n, 16], bool[n] and bool[n]. Of those with the
    same digest a preferred one is taken, otherwise the first.
    """
    numbers = [np.flatnonzero(each) for each in used]
    sources = np.repeat(np.arange(len(used)), [len(each) for each in numbers])
    chosen = [d[n] for d, n in zip(digests, numbers, strict=True)]
    keys = np.concatenate(chosen).view(">u8").reshape(-1, DIGEST_BYTES // 8)
    is_second = ~np.concatenate([p[n] for p, n in zip(preferred, numbers, strict=True)])
    # Stable: among equal ones the order is that of the sources.
    order = np.lexsort((is_second, keys[:, 1], keys[:, 0]))
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(is_new) - 1
    taken = np.sort(order[is_new])
    new_of_group = np.empty(len(taken), np.uint32)
    new_of_group[group[taken]] = np.arange(len(taken), dtype=np.uint32)
    maps, parts = [], []
    flat = np.concatenate(numbers)
    for index, each in enumerate(used):
        of_source = np.flatnonzero(sources == index)
        new = np.zeros(len(each), np.uint32)
        new[flat[of_source]] = new_of_group[group[of_source]]
        maps.append(new)
        parts.append(flat[taken[sources[taken] == index]])
    return Numbering(tuple(parts), tuple(maps))


def number_labelsets(sources: Sequence[Source]) -> tuple[list[Labels], Numbering]:
    """Returns the label sets that are used, each once, and their numbering."""
    found: dict[Labels, int] = {}
    taken, maps = [], []
    for source in sources:
        used = np.unique(source.columns.labelsets[source.is_kept])
        new = np.zeros(len(source.labelsets), np.uint32)
        first_here = []
        for number in used.tolist():
            labels = source.labelsets[number]
            if labels not in found:
                found[labels] = len(found)
                first_here.append(number)
            new[number] = found[labels]
        taken.append(np.array(first_here, np.int64))
        maps.append(new)
    return list(found), Numbering(tuple(taken), tuple(maps))


def kept_window(sources: Sequence[Source]) -> Window:
    """Returns the rows from the first to the last event that stays."""
    kept = [source for source in sources if source.is_kept.any()]
    if not kept:
        return Window(sources[0].first_event, sources[0].first_event)
    last = kept[-1]
    return Window(
        kept[0].first_event + int(np.argmax(kept[0].is_kept)),
        last.end_event - int(np.argmax(last.is_kept[::-1])),
    )


def join_columns(
    sources: Sequence[Source], window: Window, patterns: Numbering, labelsets: Numbering
) -> Columns:
    """Returns the columns of the window's rows, hollow ones 0 throughout."""
    size = len(window)
    joined = Columns(
        np.zeros(size, np.int64),
        np.zeros(size, np.uint32),
        np.zeros(size, np.uint32),
        np.zeros(size, np.uint8),
    )
    for index, source in enumerate(sources):
        rows = np.flatnonzero(source.is_kept)
        if not len(rows):
            continue
        places = rows + (source.first_event - window.first)
        columns = source.columns
        joined.times[places] = columns.times[rows]
        joined.patterns[places] = patterns.maps[index][columns.patterns[rows]]
        joined.labelsets[places] = labelsets.maps[index][columns.labelsets[rows]]
        joined.kinds[places] = columns.kinds[rows]
    return joined


def new_patterns(
    sources: Sequence[Source], numbering: Numbering
) -> Iterator[tuple[int, list[str], list[bytes]]]:
    """Yields first number, texts and digests of consecutive new patterns."""
    first = 0
    for source, taken in zip(sources, numbering.taken, strict=True):
        texts = pattern_texts(source.shard, taken)
        at = 0
        while some := list(islice(texts, PATTERNS_PER_STEP)):
            digests = [source.digests[n].tobytes() for n in taken[at : at + len(some)].tolist()]
            yield first, some, digests
            at, first = at + len(some), first + len(some)


def pattern_texts(shard: Shard, numbers: NDArray[np.int64]) -> Iterator[str]:
    """Yields the texts of these patterns; the numbers int64[n] grow."""
    with shard.snapshot() as snapshot:
        at = 0
        # Blocks are found by the number that they begin with only.
        for first, texts in snapshot.patterns_from(0):
            while at < len(numbers) and numbers[at] < first + len(texts):
                yield texts[int(numbers[at]) - first]
                at += 1
            if at == len(numbers):
                return


def new_texts(sources: Sequence[Source], window: Window) -> Iterator[tuple[bytes, bytes]]:
    """Yields the sealed text blocks of the window's rows, with their keys."""
    reached = window.first
    for source in sources:
        for first, count, value in _stored_texts(source):
            start, end = max(first, window.first), min(first + count, window.end)
            if start >= end:
                continue
            yield from _hollow_texts(reached, start)
            rows = slice(start - source.first_event, end - source.first_event)
            is_emptied = ~source.is_kept[rows] & (source.columns.kinds[rows] != DELETED_KIND)
            if end - start == count and not is_emptied.any():
                layout.unseal(value)  # What is damaged must not be handed on.
                yield layout.key_u64(first), value
            else:
                block = layout.unseal_compressed(value, TextBlock)
                kept = hollowed(first, block, source.is_kept[rows], skipped=start - first)
                yield layout.key_u64(start), layout.seal_compressed(kept)
            reached = end
    yield from _hollow_texts(reached, window.end)


def hollowed(
    first: int, block: TextBlock, is_kept: NDArray[np.bool_], *, skipped: int = 0
) -> TextBlock:
    """Returns the block's events from index `skipped` on, those that do not stay without content.

    is_kept bool[n] is about the events that are returned.
    """
    opened = open_block(first, block)
    part = slice(skipped, skipped + len(is_kept))
    origin_index = opened.origin_index[part]
    used, kept_index = np.unique(origin_index[is_kept], return_inverse=True)
    origins = [block.origins[int(index)] for index in used]
    new_index = np.full(len(is_kept), len(origins), "<u4")
    new_index[is_kept] = kept_index
    lengths = np.frombuffer(block.text_lengths, "<u4")
    is_shown = np.zeros(len(lengths), np.bool_)
    is_shown[part] = is_kept
    texts = np.frombuffer(block.texts, np.uint8)[np.repeat(is_shown, lengths)]
    attributes = block.attributes[part]
    return TextBlock(
        origins=origins if is_kept.all() else [*origins, _HOLLOW_ORIGIN],
        origin_index=new_index.tobytes(),
        offsets=np.where(is_kept, opened.offsets[part], 0).astype("<i8").tobytes(),
        subs=np.where(is_kept, opened.subs[part], 0).astype("<u4").tobytes(),
        time_origins=np.where(
            is_kept, np.frombuffer(block.time_origins, np.uint8)[part], np.uint8(0)
        ).tobytes(),
        attributes=[a if kept else [] for a, kept in zip(attributes, is_kept, strict=True)],
        text_lengths=np.where(is_kept, lengths[part], 0).astype("<u4").tobytes(),
        texts=texts.tobytes(),
    )


def dead_letters(source: Source) -> Iterator[tuple[bytes, bytes]]:
    """Yields every dead letter as it is stored, with its key."""
    with source.shard.snapshot() as snapshot:
        for key, value in snapshot.sealed(b"dead_letters"):
            layout.unseal(value)
            yield key, value


def put_labelsets(write: ShardWrite, labelsets: Sequence[Labels]) -> None:
    """Writes label sets, numbered from 0 on."""
    for number, labels in enumerate(labelsets):
        write.put_labelset(number, labels)


def _read_digests(snapshot: Snapshot, patterns: int) -> NDArray[np.uint8]:
    found = list(snapshot.pattern_digests())
    digests = np.zeros((patterns, DIGEST_BYTES), np.uint8)
    numbers = np.array([number for _, number in found], np.int64)
    names = np.frombuffer(b"".join(name for name, _ in found), np.uint8)
    digests[numbers] = names.reshape(-1, DIGEST_BYTES)
    return digests


def _stored_texts(source: Source) -> Iterator[tuple[int, int, bytes]]:
    """Yields first event, number of events and sealed value of a shard's text blocks."""
    with source.shard.snapshot() as snapshot:
        held: tuple[int, bytes] | None = None
        for key, value in snapshot.sealed(b"texts"):
            number = layout.number_of(key)
            if held is not None:
                yield held[0], number - held[0], held[1]
            held = number, value
        if held is not None:
            yield held[0], source.end_event - held[0], held[1]


def _hollow_texts(start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Blocks for rows whose shard was trimmed or removed before."""
    for first in range(start, end, HOLLOW_BLOCK_EVENTS):
        count = min(HOLLOW_BLOCK_EVENTS, end - first)
        block = TextBlock(
            origins=[_HOLLOW_ORIGIN],
            origin_index=bytes(4 * count),
            offsets=bytes(8 * count),
            subs=bytes(4 * count),
            time_origins=bytes(count),
            attributes=[[] for _ in range(count)],
            text_lengths=bytes(4 * count),
            texts=b"",
        )
        yield layout.key_u64(first), layout.seal_compressed(block)
