from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.codebook import train
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.compaction import recode
from dejalog.indexer.compaction.recode import (
    CHUNK_PATTERNS,
    VectorReader,
    coded_blocks,
    fill_blocks,
    has_originals,
    kept_blocks,
    token_lengths,
)
from dejalog.indexer.compaction.rewrite import Source, number_patterns, read_source
from dejalog.indexer.store.layout import Vectors

DIM, POOLED_DIM = 8, 4


def vectors_of(lengths: Sequence[int], *, first: int = 0) -> Vectors:
    """Vectors that tell which pattern and token they are."""
    tokens = sum(lengths)
    numbers = np.arange(first, first + len(lengths))
    return Vectors(
        lengths=np.array(lengths, np.uint32),
        codes=np.random.default_rng(first).integers(-127, 128, (tokens, DIM)).astype(np.int8),
        scales=np.repeat(numbers, lengths).astype(np.float32) + 1,
        pooled_codes=np.repeat(numbers[:, None] % 127, POOLED_DIM, axis=1).astype(np.int8),
        pooled_scales=numbers.astype(np.float32),
    )


@given(
    st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=20), max_size=6),
    st.integers(5, 20),
    st.integers(1, 9),
)
def test_blocks_are_full_within_both_bounds_and_lose_nothing(
    chunk_lengths: list[list[int]], tokens_max: int, patterns_max: int
) -> None:
    chunks, first = [], 0
    for lengths in chunk_lengths:
        chunks.append(vectors_of(lengths, first=first))
        first += len(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recode, "BLOCK_TOKENS", tokens_max)
        patch.setattr(recode, "BLOCK_PATTERNS_MAX", patterns_max)
        blocks = list(fill_blocks(iter(chunks)))
    for field in ("lengths", "codes", "scales", "pooled_codes", "pooled_scales"):
        before = [getattr(chunk, field) for chunk in chunks]
        after = [getattr(block, field) for block in blocks]
        assert len(before) == 0 or (np.concatenate(after) == np.concatenate(before)).all()
    for block in blocks:
        assert 0 < len(block.lengths) <= patterns_max
        assert len(block.codes) == block.lengths.sum() <= tokens_max
    for block, following in pairwise(blocks):
        is_full = len(block.lengths) == patterns_max
        assert is_full or len(block.codes) + following.lengths[0] > tokens_max


def test_originals_are_kept_as_far_as_the_budget_reaches(monkeypatch) -> None:
    monkeypatch.setattr(recode, "BLOCK_TOKENS", 100)
    chunks = [vectors_of([10] * 10, first=first) for first in (0, 10, 20)]
    codes = np.concatenate([chunk.codes for chunk in chunks])
    scales = np.ones(len(codes), np.float32)
    trained = train(codes, scales, bits=4, tokens_total=len(codes), seed=1)
    budget = 2 * 100 * (DIM + 4)
    blocks = list(coded_blocks(iter(chunks), trained, originals_bytes_max=budget, threads=1))
    assert [block.first for block in blocks] == [0, 10, 20]
    assert [block.originals is not None for block in blocks] == [True, True, False]
    originals = blocks[1].originals
    assert originals is not None
    assert (originals.codes == chunks[1].codes).all()


def source_of(directory, index: int) -> Source:
    return read_source(directory.shards[index], [], None)


def whole(source: Source):
    everything = np.ones(source.counters.patterns, np.bool_)
    return number_patterns([source.digests], [everything], [everything])


def some(source: Source, numbers: Sequence[int]):
    used = np.zeros(source.counters.patterns, np.bool_)
    used[list(numbers)] = True
    return number_patterns([source.digests], [used], [used])


def no_encoder():
    raise AssertionError("the vectors are there")


def joined(reader: VectorReader) -> Vectors:
    return next(fill_blocks(reader.chunks()))


@pytest.fixture
def compacted(make_index, encoder):
    """A function that makes a compacted shard of 10 patterns, with its fresh vectors."""

    def make(**changes: object):
        maker = make_index()
        maker.add(*[f"pump in hall {chr(65 + n)}" for n in range(10)])
        fresh = source_of(maker.directory, 0)
        before = joined(reader_of(fresh, whole(fresh), maker.path))
        maker.appender.seal()
        rules = CompactRules(write_bytes_per_s=0, **changes)  # type: ignore[arg-type]
        compact_directory(maker.directory, lambda: encoder, rules)
        return source_of(maker.directory, 0), before, maker

    return make


def reader_of(source, numbering, folder: Path, encoder_factory=no_encoder) -> VectorReader:
    return VectorReader(
        [source], numbering, encoder_factory=encoder_factory, spool_path=folder / "spool"
    )


def same(left: Vectors, right: Vectors) -> bool:
    return all(
        (getattr(left, name) == getattr(right, name)).all()
        for name in ("lengths", "codes", "scales", "pooled_codes", "pooled_scales")
    )


def test_originals_come_back_as_they_were(compacted, tmp_path: Path) -> None:
    source, before, _ = compacted()
    reader = reader_of(source, whole(source), tmp_path)
    assert reader.tokens_total() == len(before.codes)
    assert same(joined(reader), before)
    assert has_originals(source).all()
    assert token_lengths(source).tolist() == before.lengths.tolist()
    part = joined(reader_of(source, some(source, [2, 7]), tmp_path))
    assert part.lengths.tolist() == before.lengths[[2, 7]].tolist()
    assert (part.pooled_codes == before.pooled_codes[[2, 7]]).all()


def test_what_has_no_originals_is_encoded_once_and_read_from_a_file_then(
    compacted, encoder, tmp_path: Path, monkeypatch
) -> None:
    source, before, _ = compacted(originals_bytes_max=0)
    assert not has_originals(source).any()
    monkeypatch.setattr(recode, "CHUNK_PATTERNS", 3)
    reader = reader_of(source, whole(source), tmp_path, lambda: encoder)
    first, second = joined(reader), joined(reader)
    assert reader.reencoded_patterns == 10
    assert same(first, second)
    assert first.lengths.tolist() == before.lengths.tolist()
    # Pooled vectors are those that were stored; the others depend a little on batch mates.
    assert (first.pooled_codes == before.pooled_codes).all()
    cosines = (first.codes.astype(float) * before.codes).sum(axis=1) / (
        np.linalg.norm(first.codes.astype(float), axis=1)
        * np.linalg.norm(before.codes.astype(float), axis=1)
    )
    assert cosines.mean() > 0.95
    assert CHUNK_PATTERNS > 3


def test_another_model_cannot_encode_again(compacted, encoder, tmp_path: Path) -> None:
    source, _, _ = compacted(originals_bytes_max=0)
    other = type("Other", (), {"fingerprint": "another"})()
    with pytest.raises(AssertionError, match="another model"):
        joined(reader_of(source, whole(source), tmp_path, lambda: other))


def test_patterns_that_stay_keep_their_very_codes(compacted) -> None:
    source, _, _ = compacted(bits=2)
    assert source.coded is not None
    (block,) = source.coded.blocks
    taken = np.array([1, 4, 5, 9])
    (kept,) = kept_blocks(source.coded, taken)
    for new, old in enumerate(taken.tolist()):
        now = slice(*kept.rows.offsets[new : new + 2].tolist())
        then = slice(*block.rows.offsets[old : old + 2].tolist())
        for field in ("centroid_ids", "norms", "residuals"):
            assert (getattr(kept.rows, field)[now] == getattr(block.rows, field)[then]).all()
        of_centroids = {int(c) for c in kept.rows.centroid_ids[now]}
        lists = [
            kept.postings.patterns[kept.postings.starts[c] : kept.postings.starts[c + 1]]
            for c in of_centroids
        ]
        assert all(new in found for found in lists)
    assert (kept.pooled_codes == block.pooled_codes[taken]).all()
    assert kept.originals is not None
    shifted = replace(source.coded, blocks=(replace(block, first=100),))
    assert list(kept_blocks(shifted, taken)) == []
