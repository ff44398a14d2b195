from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dejalog.indexer.kernel.codes import Codebook, CodedRows, Postings
from dejalog.indexer.store.compacted import (
    CodedBlock,
    Originals,
    order_events,
    put_block,
    put_codebook,
    put_events,
    shape_of,
)
from dejalog.indexer.store.layout import Coded, Columns, Counters, Header
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.store.shard import Shard, new_header

DIM, POOLED_DIM = 16, 8


@dataclass(frozen=True)
class Compacted:
    """What was written into a compacted shard: random, but of the right shapes."""

    path: Path
    header: Header
    codebook: Codebook
    blocks: tuple[CodedBlock, ...]
    columns: Columns
    counters: Counters


def random_codebook(random: np.random.Generator, bits: int, centroids: int) -> Codebook:
    return Codebook(
        bits=bits,
        centroids=random.integers(-127, 128, (centroids, DIM)).astype(np.int8),
        centroid_scales=random.random(centroids, np.float32),
        deviations=random.random(DIM, np.float32),
        weights=np.arange(1 << bits, dtype=np.uint8),
        zero=1,
        weight_step=0.5,
        cutoffs=random.random((1 << bits) - 1, np.float32),
        norm_low=0.5,
        norm_step=0.01,
    )


def random_block(
    random: np.random.Generator, first: int, lengths: list[int], codebook: Codebook
) -> CodedBlock:
    count, tokens = len(lengths), sum(lengths)
    centroids = len(codebook.centroids)
    listed = np.sort(random.integers(0, max(tokens, 1) + 1, centroids - 1)) if tokens else None
    starts = np.zeros(centroids + 1, np.uint32)
    if listed is not None:
        starts[1:-1], starts[-1] = listed, tokens
    return CodedBlock(
        first=first,
        rows=CodedRows(
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32),
            centroid_ids=random.integers(0, centroids, tokens).astype(np.uint16),
            norms=random.integers(0, 256, tokens).astype(np.uint8),
            residuals=random.integers(0, 256, (tokens, DIM * codebook.bits // 8)).astype(np.uint8),
        ),
        postings=Postings(starts, random.integers(0, max(count, 1), tokens).astype(np.uint16)),
        pooled_codes=random.integers(-127, 128, (count, POOLED_DIM)).astype(np.int8),
        pooled_scales=random.random(count, np.float32),
        originals=Originals(
            random.integers(-127, 128, (tokens, DIM)).astype(np.int8),
            random.random(tokens, np.float32),
        )
        if random.random() < 0.5
        else None,
    )


def random_columns(random: np.random.Generator, patterns: int, events: int) -> Columns:
    """At least one event of each pattern; the last one is hollow if there are more than that."""
    numbers = np.concatenate(
        [np.arange(patterns), random.integers(0, max(patterns, 1), events - patterns)]
    )
    columns = Columns(
        times=random.integers(1, 1000, events),
        patterns=numbers.astype(np.uint32),
        labelsets=np.zeros(events, np.uint32),
        kinds=random.integers(1, 3, events).astype(np.uint8),
    )
    hollow = slice(events - 1 if patterns else 0, events) if events > patterns else slice(0, 0)
    for column in (columns.times, columns.patterns, columns.labelsets, columns.kinds):
        column[hollow] = 0
    return columns


def write_compacted(
    path: Path,
    lengths: list[list[int]],
    *,
    bits: int = 2,
    centroids: int = 5,
    events: int | None = None,
    shard: int = 1,
    seed: int = 0,
) -> Compacted:
    """Writes a compacted shard with a block of patterns for each list of token counts."""
    random = np.random.default_rng(seed)
    codebook = random_codebook(random, bits, centroids)
    blocks, first = [], 0
    for of_block in lengths:
        blocks.append(random_block(random, first, of_block, codebook))
        first += len(of_block)
    columns = random_columns(random, first, first + 3 if events is None else events)
    deleted = int((columns.kinds == 0).sum())
    header = new_header(
        shard=shard,
        created_ns=1,
        first_event=100,
        first_dead_letter=0,
        encoder_fingerprint="model",
        mask_version=1,
        dim=DIM,
        pooled_dim=POOLED_DIM,
    )
    tokens = sum(map(sum, lengths))
    counters = Counters(events=len(columns.times), patterns=first, tokens=tokens, deleted=deleted)
    coded = Coded(
        bits=bits,
        centroids=centroids,
        zero=codebook.zero,
        weight_step=codebook.weight_step,
        norm_low=codebook.norm_low,
        norm_step=codebook.norm_step,
        blocks=tuple(shape_of(block) for block in blocks),
    )
    made = Shard.create(path, header, [], Tier.COMPACTED)
    with made.write() as write:
        put_codebook(write, codebook)
        for block in blocks:
            put_block(write, block)
        put_events(write, columns, order_events(columns, first))
        write.put_labelset(0, [("host", "gw7")])
        write.put_coded(coded)
        write.put_counters(counters)
    made.close()
    return Compacted(path, header, codebook, tuple(blocks), columns, counters)


@pytest.fixture(scope="session")
def make_compacted() -> Callable[..., Compacted]:
    return write_compacted
