from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dejalog.indexer.codebook import CodebookRules
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.compaction.learn import describe_book, learn, stored_book
from dejalog.indexer.compaction.recode import VectorReader
from dejalog.indexer.compaction.rewrite import number_patterns, read_source
from dejalog.indexer.store.layout import BlockShape


def reader_of(shard, folder: Path) -> VectorReader:
    source = read_source(shard, [], None)
    everything = np.ones(source.counters.patterns, np.bool_)
    numbering = number_patterns([source.digests], [everything], [everything])

    def no_encoder():
        raise AssertionError("the vectors are there")

    return VectorReader([source], numbering, encoder_factory=no_encoder, spool_path=folder / "s")


HALLS = [f"pump tripped in hall {chr(65 + n)} line {n % 7}" for n in range(26)]
NOTES = [f"note {n}: oil changed, {n} litres of grade {chr(70 + n)}" for n in range(12)]


def test_a_codebook_is_stored_so_that_the_next_one_can_start_from_it(
    make_index, encoder, tmp_path: Path
) -> None:
    maker = make_index()
    maker.add(*HALLS)
    maker.appender.seal()
    compact_directory(maker.directory, lambda: encoder, CompactRules(write_bytes_per_s=0))
    coded = read_source(maker.directory.shards[0], [], None).coded
    assert coded is not None
    earlier = stored_book(coded)
    assert earlier.version == 1
    assert earlier.drift.residual_threshold == coded.coded.residual_threshold > 0
    maker.add(*HALLS)
    maker.appender.seal()
    maker.add(*NOTES)
    shares = []
    for shard in maker.directory.shards[1:]:
        book = learn(
            reader_of(shard, tmp_path), bits=4, seed=7, version=2, previous=earlier, threads=1
        )
        assert book.trained.warm_centroids > 0
        assert book.trained.version == 2
        shares.append(book.share_beyond)
    # The same patterns again are no drift, and patterns of another kind are.
    assert shares[0] == pytest.approx(0.25, abs=0.05)
    assert shares[1] > shares[0] + 0.2


def test_a_sample_is_all_that_is_read_of_many_vectors(make_index, tmp_path: Path) -> None:
    maker = make_index()
    maker.add(*HALLS)
    rules = CodebookRules(centroids_per_root=0.1, centroids_min=2, tokens_per_centroid=5)
    book = learn(
        reader_of(maker.directory.shards[0], tmp_path),
        bits=1, seed=1, version=5, previous=None, threads=1, rules=rules,
    )  # fmt: skip
    assert book.share_beyond == 0.0
    assert book.trained.trained_tokens <= 2 * 5 / 0.9 + 1
    assert len(book.trained.codebook.centroids) == 2
    shapes = [BlockShape(0, 26, 200)]
    coded = describe_book(book.trained, shapes, share_beyond=0.5, sources=[3, 4])
    assert (coded.bits, coded.centroids, coded.codebook_version) == (1, 2, 5)
    assert (coded.blocks, coded.sources, coded.share_beyond) == (tuple(shapes), (3, 4), 0.5)
