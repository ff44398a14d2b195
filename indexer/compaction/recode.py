"""The vectors of the patterns that one shard takes over: read, and coded by a new codebook.

They are read twice, in the order of the new numbers, a chunk at a time: `learn.py` trains on a
sample of them, and then all are coded.

1. A fresh source has them as int8, and so has a compacted one in blocks that keep their originals.
2. Elsewhere the stored text is encoded again, the first time, into a file that is read the second
   time. Codes are never decoded and coded again: each time would add its own rounding
   (docs/adr/0002-merging-compacted-shards.md).

A single compacted source keeps its codebook, and of its codes those of the patterns that stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.codebook import Trained, build_postings, encode_tokens
from dejalog.indexer.compaction.rewrite import Numbering, Source, pattern_texts
from dejalog.indexer.encode import Encoder
from dejalog.indexer.kernel.codes import BLOCK_PATTERNS_MAX, CodedRows
from dejalog.indexer.quantize import quantize_patterns
from dejalog.indexer.store import layout
from dejalog.indexer.store.compacted import BLOCK_TOKENS, CodedBlock, CodedVectors, Originals
from dejalog.indexer.store.layout import Vectors

#: Patterns that are copied, or encoded and then looked at for a stop, in one go: encoding them
#: takes half a second on two cores.
CHUNK_PATTERNS: Final = 256


class VectorReader:
    """The int8 vectors of the patterns that are taken, in order, as often as they are asked for.

    The encoder is loaded only if a text has to be encoded again; `check` is called between chunks.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        numbering: Numbering,
        *,
        encoder_factory: Callable[[], Encoder],
        spool_path: Path,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._sources = sources
        self._taken = numbering.taken
        self._encoder_factory = encoder_factory
        self._encoder: Encoder | None = None
        self._spool_path = spool_path
        self._is_spooled = False
        self._check = check
        self.reencoded_patterns = 0
        self.dim = sources[0].shard.header.dim

    def tokens_total(self) -> int:
        """Returns how many token vectors there are; encoding again may give a few more or less."""
        return sum(
            int(token_lengths(source)[taken].sum())
            for source, taken in zip(self._sources, self._taken, strict=True)
        )

    def chunks(self) -> Iterator[Vectors]:
        """Yields the vectors of consecutive new patterns; must be read to its end."""
        spooled = _read_spool(self._spool_path) if self._is_spooled else None
        for source, taken in zip(self._sources, self._taken, strict=True):
            for vectors in self._of_source(source, taken, spooled):
                self._check()
                yield vectors
        self._is_spooled = True

    def _of_source(
        self, source: Source, taken: NDArray[np.int64], spooled: Iterator[Vectors] | None
    ) -> Iterator[Vectors]:
        if source.coded is None:
            yield from _fresh_vectors(source, taken)
            return
        for block in source.coded.blocks:
            numbers = _within(taken, block.first, len(block))
            if not len(numbers):
                continue
            if block.originals is not None:
                yield from _original_vectors(block, block.originals, numbers - block.first)
            else:
                yield from self._encoded(source, block, numbers, spooled)

    def _encoded(
        self,
        source: Source,
        block: CodedBlock,
        numbers: NDArray[np.int64],
        spooled: Iterator[Vectors] | None,
    ) -> Iterator[Vectors]:
        if spooled is not None:
            yield from islice(spooled, -(-len(numbers) // CHUNK_PATTERNS))
            return
        encoder = self._loaded(source)
        texts = pattern_texts(source.shard, numbers)
        for start in range(0, len(numbers), CHUNK_PATTERNS):
            encoded = encoder.encode_patterns(list(islice(texts, CHUNK_PATTERNS)))
            vectors = quantize_patterns(encoded, dim=encoder.dim, pooled_dim=encoder.pooled_dim)
            at = numbers[start : start + CHUNK_PATTERNS] - block.first
            # Pooled vectors are stored as they were, so they need not come from another run.
            vectors = replace(
                vectors,
                pooled_codes=block.pooled_codes[at],
                pooled_scales=block.pooled_scales[at],
            )
            self.reencoded_patterns += len(at)
            _append_spool(self._spool_path, vectors)
            yield vectors

    def _loaded(self, source: Source) -> Encoder:
        if self._encoder is None:
            self._encoder = self._encoder_factory()
        header = source.shard.header
        if self._encoder.fingerprint != header.encoder_fingerprint:
            raise AssertionError(f"{source.shard.path} was written with another model")
        return self._encoder


def coded_blocks(
    chunks: Iterator[Vectors], book: Trained, *, originals_bytes_max: int, threads: int
) -> Iterator[CodedBlock]:
    """Yields all vectors coded, a block at a time; the first ones keep their originals."""
    first = 0
    for vectors in fill_blocks(chunks):
        offsets = np.zeros(len(vectors.lengths) + 1, np.uint32)
        np.cumsum(vectors.lengths, out=offsets[1:])
        codes = encode_tokens(vectors.codes, vectors.scales, book.codebook, threads=threads)
        size = vectors.codes.nbytes + vectors.scales.nbytes
        is_original = size <= originals_bytes_max
        originals_bytes_max -= size if is_original else 0
        yield CodedBlock(
            first=first,
            rows=CodedRows(offsets, codes.centroid_ids, codes.norms, codes.residuals),
            postings=build_postings(codes.centroid_ids, offsets, len(book.codebook.centroids)),
            pooled_codes=vectors.pooled_codes,
            pooled_scales=vectors.pooled_scales,
            originals=Originals(vectors.codes, vectors.scales) if is_original else None,
        )
        first += len(vectors.lengths)


def kept_blocks(vectors: CodedVectors, taken: NDArray[np.int64]) -> Iterator[CodedBlock]:
    """Yields the blocks of a compacted shard with nothing but the patterns that are taken."""
    first = 0
    for block in vectors.blocks:
        at = _within(taken, block.first, len(block)) - block.first
        if not len(at):
            continue
        lengths = np.diff(block.rows.offsets)
        is_taken = np.zeros(len(block), np.bool_)
        is_taken[at] = True
        tokens = np.repeat(is_taken, lengths)
        offsets = np.zeros(len(at) + 1, np.uint32)
        np.cumsum(lengths[at], out=offsets[1:])
        ids = block.rows.centroid_ids[tokens]
        originals = block.originals
        if originals is not None:
            originals = Originals(originals.codes[tokens], originals.scales[tokens])
        yield CodedBlock(
            first=first,
            rows=CodedRows(offsets, ids, block.rows.norms[tokens], block.rows.residuals[tokens]),
            postings=build_postings(ids, offsets, len(vectors.codebook.centroids)),
            pooled_codes=block.pooled_codes[at],
            pooled_scales=block.pooled_scales[at],
            originals=originals,
        )
        first += len(at)


def has_originals(source: Source) -> NDArray[np.bool_]:
    """Returns bool[patterns], those whose int8 vectors are still there."""
    if source.coded is None:
        return np.ones(source.counters.patterns, np.bool_)
    parts = [np.full(len(block), block.originals is not None) for block in source.coded.blocks]
    return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def token_lengths(source: Source) -> NDArray[np.uint32]:
    """Returns uint32[patterns], the number of token vectors that each pattern has."""
    if source.coded is None:
        with source.shard.snapshot() as snapshot:
            parts = [vectors.lengths for _, vectors in snapshot.vectors_from(0)]
    else:
        parts = [np.diff(block.rows.offsets) for block in source.coded.blocks]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint32)


def fill_blocks(chunks: Iterator[Vectors]) -> Iterator[Vectors]:
    """Yields the same vectors in blocks, each as full as its bounds allow."""
    held: list[Vectors] = []
    patterns = tokens = 0
    for chunk in chunks:
        rest = chunk
        while (fit := _fitting(rest, BLOCK_PATTERNS_MAX - patterns, BLOCK_TOKENS - tokens)) < len(
            rest.lengths
        ):
            # A pattern is far smaller than a block, so an empty one takes one at least.
            head, rest = _cut(rest, fit or (0 if held else 1))
            held.append(head)
            yield _drained(held)
            patterns = tokens = 0
        held.append(rest)
        patterns, tokens = patterns + len(rest.lengths), tokens + len(rest.codes)
    if patterns:
        yield _drained(held)


def _fresh_vectors(source: Source, taken: NDArray[np.int64]) -> Iterator[Vectors]:
    with source.shard.snapshot() as snapshot:
        for first, vectors in snapshot.vectors_from(0):
            numbers = _within(taken, first, len(vectors.lengths)) - first
            if len(numbers):
                yield _select(vectors, numbers)


def _original_vectors(
    block: CodedBlock, originals: Originals, at: NDArray[np.int64]
) -> Iterator[Vectors]:
    offsets = block.rows.offsets.astype(np.int64)
    for start in range(0, len(at), CHUNK_PATTERNS):
        some = at[start : start + CHUNK_PATTERNS]
        low, high = int(some[0]), int(some[-1]) + 1
        rows = slice(int(offsets[low]), int(offsets[high]))
        part = Vectors(
            lengths=np.diff(offsets[low : high + 1]).astype(np.uint32),
            codes=originals.codes[rows],
            scales=originals.scales[rows],
            pooled_codes=block.pooled_codes[low:high],
            pooled_scales=block.pooled_scales[low:high],
        )
        yield _select(part, some - low)


def _select(vectors: Vectors, at: NDArray[np.int64]) -> Vectors:
    """The vectors of these patterns, whose indexes grow."""
    if len(at) == len(vectors.lengths):
        return vectors
    is_taken = np.zeros(len(vectors.lengths), np.bool_)
    is_taken[at] = True
    tokens = np.repeat(is_taken, vectors.lengths)
    return Vectors(
        lengths=vectors.lengths[at],
        codes=vectors.codes[tokens],
        scales=vectors.scales[tokens],
        pooled_codes=vectors.pooled_codes[at],
        pooled_scales=vectors.pooled_scales[at],
    )


def _cut(vectors: Vectors, count: int) -> tuple[Vectors, Vectors]:
    tokens = int(vectors.lengths[:count].sum())
    head, tail = (
        Vectors(
            lengths=vectors.lengths[of_patterns],
            codes=vectors.codes[of_tokens],
            scales=vectors.scales[of_tokens],
            pooled_codes=vectors.pooled_codes[of_patterns],
            pooled_scales=vectors.pooled_scales[of_patterns],
        )
        for of_patterns, of_tokens in (
            (slice(0, count), slice(0, tokens)),
            (slice(count, None), slice(tokens, None)),
        )
    )
    return head, tail


def _fitting(vectors: Vectors, patterns_max: int, tokens_max: int) -> int:
    ends = np.cumsum(vectors.lengths, dtype=np.int64)
    return min(int(np.searchsorted(ends, tokens_max, side="right")), patterns_max)


def _drained(parts: list[Vectors]) -> Vectors:
    """Joins the parts and lets go of them: a block is large enough to be in memory once only."""
    joined = Vectors(
        lengths=np.concatenate([part.lengths for part in parts]),
        codes=np.concatenate([part.codes for part in parts]),
        scales=np.concatenate([part.scales for part in parts]),
        pooled_codes=np.concatenate([part.pooled_codes for part in parts]),
        pooled_scales=np.concatenate([part.pooled_scales for part in parts]),
    )
    parts.clear()
    return joined


def _within(numbers: NDArray[np.int64], first: int, count: int) -> NDArray[np.int64]:
    low, high = np.searchsorted(numbers, [first, first + count])
    return numbers[low:high]


def _append_spool(path: Path, vectors: Vectors) -> None:
    value = layout.seal_vectors(vectors)
    with path.open("ab") as file:
        file.write(len(value).to_bytes(8, "little") + value)


def _read_spool(path: Path) -> Iterator[Vectors]:
    if not path.exists():
        return
    with path.open("rb") as file:
        while size := file.read(8):
            yield layout.unseal_vectors(file.read(int.from_bytes(size, "little")))
