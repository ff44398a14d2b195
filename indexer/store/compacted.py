"""The arrays of a compacted shard: their names, how they are written, and how they are mapped.

Vectors lie in blocks of at most BLOCK_PATTERNS_MAX patterns and about BLOCK_TOKENS tokens, each
with its own sections, so that writing needs the memory of one block. Events lie in columns, as in
a fresh shard, and besides in the order of their patterns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.kernel.codes import Codebook, CodedRows, Postings
from dejalog.indexer.store.layout import BlockShape, Coded, Columns
from dejalog.indexer.store.shard import Shard
from dejalog.indexer.store.transaction import ShardWrite, Snapshot

#: Tokens after which a block ends: 100 MB of int8 originals at 96 dims are in memory while it is
#: written, and 50 MB of codes.
BLOCK_TOKENS: Final = 1 << 20

#: The kind of event whose content is gone; its other columns are 0.
DELETED_KIND: Final = 0

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Originals:
    """The int8 vectors that a block was coded from: codes int8[tokens, dim], scales float32."""

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CodedBlock:
    """Consecutive patterns of a compacted shard, from pattern `first` on.

    pooled_codes int8[n, pooled_dim], pooled_scales float32[n].
    """

    first: int
    rows: CodedRows
    postings: Postings
    pooled_codes: NDArray[np.int8]
    pooled_scales: NDArray[np.float32]
    originals: Originals | None = None

    def __len__(self) -> int:
        return len(self.pooled_scales)


@dataclass(frozen=True, slots=True)
class CodedVectors:
    """All token vectors of a compacted shard.

    `nominating` is the codebook with every centroid as long as the longest. A centroid is shorter
    the wider its tokens are spread, and token vectors are not: with all of one length, the best
    1,024 of 51,729 texts by centroids alone hold .997 of the exact ten best instead of .990.
    """

    codebook: Codebook
    coded: Coded
    blocks: tuple[CodedBlock, ...]
    nominating: Codebook = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nominating", _of_one_length(self.codebook))


@dataclass(frozen=True, slots=True)
class EventOrder:
    """Events by pattern: those of pattern i are rows[starts[i] : starts[i + 1]], growing.

    rows uint32[events that are not deleted]; starts uint32[patterns + 1]; newest int64[patterns],
    the time of each pattern's newest event.
    """

    rows: NDArray[np.uint32]
    starts: NDArray[np.uint32]
    newest: NDArray[np.int64]


def rows_of_ranges(
    starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the rows of ranges, one range after another, and where each begins among them.

    starts int64[n], lengths int64[n]; rows int64[sum of lengths], offsets int64[n + 1].
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    # Row r of the result is row r + (start of its range there and here).
    rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return rows, offsets


def order_events(columns: Columns, patterns: int) -> EventOrder:
    """Returns the events of each of `patterns` patterns; every pattern has one at least."""
    rows = np.flatnonzero(columns.kinds != DELETED_KIND)
    numbers = columns.patterns[rows]
    order = np.argsort(numbers, kind="stable")
    starts = np.zeros(patterns + 1, np.uint32)
    starts[1:] = np.cumsum(np.bincount(numbers, minlength=patterns))
    newest = np.full(patterns, np.iinfo(np.int64).min)
    np.maximum.at(newest, numbers, columns.times[rows])
    return EventOrder(rows[order].astype(np.uint32), starts, newest)


_CODEBOOK_NAMES: Final = ("centroids", "centroid_scales", "deviations", "weights", "cutoffs")
_BLOCK_NAMES: Final = (
    "offsets",
    "centroid_ids",
    "norms",
    "residuals",
    "posting_starts",
    "postings",
    "pooled_codes",
    "pooled_scales",
)
_ORIGINAL_NAMES: Final = ("original_codes", "original_scales")
_EVENT_NAMES: Final = (
    "times",
    "patterns",
    "labelsets",
    "kinds",
    "event_rows",
    "event_starts",
    "event_newest",
)


def section_names(coded: Coded) -> set[str]:
    """Returns the names of the sections that a compacted shard has to have."""
    names = {*_CODEBOOK_NAMES, *_EVENT_NAMES}
    for shape in coded.blocks:
        of_block = (*_BLOCK_NAMES, *_ORIGINAL_NAMES) if shape.has_originals else _BLOCK_NAMES
        names |= {f"{_block_name(shape.first)}/{name}" for name in of_block}
    return names


def put_codebook(write: ShardWrite, codebook: Codebook) -> None:
    """Writes the arrays of a codebook; its numbers are in `Coded`."""
    write.put_section("centroids", codebook.centroids)
    write.put_section("centroid_scales", codebook.centroid_scales)
    write.put_section("deviations", codebook.deviations)
    write.put_section("weights", codebook.weights)
    write.put_section("cutoffs", codebook.cutoffs)


def put_block(write: ShardWrite, block: CodedBlock) -> None:
    """Writes the arrays of a block."""
    name = _block_name(block.first)
    write.put_section(f"{name}/offsets", block.rows.offsets)
    write.put_section(f"{name}/centroid_ids", block.rows.centroid_ids)
    write.put_section(f"{name}/norms", block.rows.norms)
    write.put_section(f"{name}/residuals", block.rows.residuals)
    write.put_section(f"{name}/posting_starts", block.postings.starts)
    write.put_section(f"{name}/postings", block.postings.patterns)
    write.put_section(f"{name}/pooled_codes", block.pooled_codes)
    write.put_section(f"{name}/pooled_scales", block.pooled_scales)
    if block.originals is not None:
        write.put_section(f"{name}/original_codes", block.originals.codes)
        write.put_section(f"{name}/original_scales", block.originals.scales)


def put_events(write: ShardWrite, columns: Columns, order: EventOrder) -> None:
    """Writes the columns of all events, and their order by pattern."""
    write.put_section("times", columns.times)
    write.put_section("patterns", columns.patterns)
    write.put_section("labelsets", columns.labelsets)
    write.put_section("kinds", columns.kinds)
    write.put_section("event_rows", order.rows)
    write.put_section("event_starts", order.starts)
    write.put_section("event_newest", order.newest)


def shape_of(block: CodedBlock) -> BlockShape:
    """Returns what `Coded` says of a block."""
    tokens = len(block.rows.centroid_ids)
    return BlockShape(block.first, len(block), tokens, block.originals is not None)


class SectionMap:
    """The arrays of an open compacted shard, in the map; raises CorruptShardError for wrong sizes.

    Arrays are read-only and keep the map for as long as they live.
    """

    def __init__(self, shard: Shard, coded: Coded) -> None:
        self._shard = shard
        self._coded = coded
        self._dim = shard.header.dim
        self._pooled_dim = shard.header.pooled_dim

    @classmethod
    def open(cls, shard: Shard, snapshot: Snapshot) -> SectionMap:
        """Returns the arrays of a compacted shard."""
        return cls(shard, snapshot.coded())

    def vectors(self) -> CodedVectors:
        """The codebook and all blocks."""
        blocks = tuple(self._block(shape) for shape in self._coded.blocks)
        return CodedVectors(self._codebook(), self._coded, blocks)

    def columns(self, events: int) -> Columns:
        """The columns of all events."""
        return Columns(
            times=self._array("times", np.int64, events),
            patterns=self._array("patterns", np.uint32, events),
            labelsets=self._array("labelsets", np.uint32, events),
            kinds=self._array("kinds", np.uint8, events),
        )

    def event_order(self, events: int, patterns: int) -> EventOrder:
        """Which events each pattern has; `events` are those that are not deleted."""
        return EventOrder(
            rows=self._array("event_rows", np.uint32, events),
            starts=self._array("event_starts", np.uint32, patterns + 1),
            newest=self._array("event_newest", np.int64, patterns),
        )

    def _codebook(self) -> Codebook:
        coded, count = self._coded, self._coded.centroids
        return Codebook(
            bits=coded.bits,
            centroids=self._array("centroids", np.int8, count, self._dim),
            centroid_scales=self._array("centroid_scales", np.float32, count),
            deviations=self._array("deviations", np.float32, self._dim),
            weights=self._array("weights", np.uint8, 1 << coded.bits),
            zero=coded.zero,
            weight_step=coded.weight_step,
            cutoffs=self._array("cutoffs", np.float32, (1 << coded.bits) - 1),
            norm_low=coded.norm_low,
            norm_step=coded.norm_step,
        )

    def _block(self, shape: BlockShape) -> CodedBlock:
        name, count, tokens = _block_name(shape.first), shape.patterns, shape.tokens
        width = self._dim * self._coded.bits // 8
        starts = self._array(f"{name}/posting_starts", np.uint32, self._coded.centroids + 1)
        return CodedBlock(
            first=shape.first,
            rows=CodedRows(
                offsets=self._array(f"{name}/offsets", np.uint32, count + 1),
                centroid_ids=self._array(f"{name}/centroid_ids", np.uint16, tokens),
                norms=self._array(f"{name}/norms", np.uint8, tokens),
                residuals=self._array(f"{name}/residuals", np.uint8, tokens, width),
            ),
            postings=Postings(starts, self._array(f"{name}/postings", np.uint16, int(starts[-1]))),
            pooled_codes=self._array(f"{name}/pooled_codes", np.int8, count, self._pooled_dim),
            pooled_scales=self._array(f"{name}/pooled_scales", np.float32, count),
            originals=self._originals(shape) if shape.has_originals else None,
        )

    def _originals(self, shape: BlockShape) -> Originals:
        name, tokens = _block_name(shape.first), shape.tokens
        return Originals(
            codes=self._array(f"{name}/original_codes", np.int8, tokens, self._dim),
            scales=self._array(f"{name}/original_scales", np.float32, tokens),
        )

    def _array(self, name: str, dtype: type[Scalar], *shape: int) -> NDArray[Scalar]:
        data: NDArray[Any] = self._shard.section(name)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if data.size != size:
            raise CorruptShardError(
                self._shard.path, f"section {name} has {data.size} bytes instead of {size}"
            )
        return data.view(dtype).reshape(shape)


def _of_one_length(codebook: Codebook) -> Codebook:
    numbers = codebook.centroids.astype(np.float32)
    lengths = np.sqrt(np.einsum("kd,kd->k", numbers, numbers)) * codebook.centroid_scales
    stretch = np.divide(
        lengths.max(initial=0), lengths, out=np.ones_like(lengths), where=lengths > 0
    )
    return replace(codebook, centroid_scales=codebook.centroid_scales * stretch)


def _block_name(first: int) -> str:
    return f"{first:08d}"
