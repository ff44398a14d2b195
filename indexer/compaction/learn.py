"""The codebook of a shard that is being made: trained, or taken over, and what is noted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dejalog.indexer.codebook import (
    CodebookRules,
    Drift,
    Trained,
    measure_drift,
    sample_tokens,
    train,
)
from dejalog.indexer.compaction.recode import VectorReader
from dejalog.indexer.store.compacted import CodedVectors
from dejalog.indexer.store.layout import BlockShape, Coded


@dataclass(frozen=True, slots=True)
class Book:
    """A codebook as trained, or as an earlier shard has it stored, and its drift there."""

    trained: Trained
    share_beyond: float


def learn(
    reader: VectorReader,
    *,
    bits: int,
    seed: int,
    version: int,
    previous: Trained | None,
    threads: int,
    rules: CodebookRules | None = None,
) -> Book:
    """Trains a codebook on a sample of the vectors; the drift is that against the previous one."""
    rules = rules or CodebookRules()
    total = reader.tokens_total()
    picked = sample_tokens(total, seed=seed, rules=rules)
    codes = np.empty((len(picked), reader.dim), np.int8)
    scales = np.empty(len(picked), np.float32)
    reached = taken = 0
    for vectors in reader.chunks():
        end = reached + len(vectors.codes)
        some = picked[np.searchsorted(picked, reached) : np.searchsorted(picked, end)] - reached
        codes[taken : taken + len(some)] = vectors.codes[some]
        scales[taken : taken + len(some)] = vectors.scales[some]
        reached, taken = end, taken + len(some)
    # Encoding again may have given fewer tokens than there were.
    codes, scales = codes[:taken], scales[:taken]
    share = 0.0
    if previous is not None and taken:
        share = measure_drift(codes, scales, previous, threads=threads)
    trained = train(
        codes,
        scales,
        bits=bits,
        tokens_total=reached,
        seed=seed,
        warm_start=None if previous is None else previous.codebook,
        rules=rules,
        version=version,
        threads=threads,
    )
    return Book(trained, share)


def stored_book(vectors: CodedVectors) -> Trained:
    """Returns the codebook of a compacted shard as it was trained, as far as that is stored."""
    coded = vectors.coded
    return Trained(
        codebook=vectors.codebook,
        version=coded.codebook_version,
        seed=0,
        tokens_total=sum(block.tokens for block in coded.blocks),
        trained_tokens=coded.trained_tokens,
        iterations=0,
        warm_centroids=0,
        drift=Drift(coded.residual_threshold, 0.0, coded.mean_cosine),
    )


def describe_book(
    book: Trained, shapes: Sequence[BlockShape], *, share_beyond: float, sources: Sequence[int]
) -> Coded:
    """Returns what a compacted shard says of its vectors."""
    codebook = book.codebook
    return Coded(
        bits=codebook.bits,
        centroids=len(codebook.centroids),
        zero=codebook.zero,
        weight_step=codebook.weight_step,
        norm_low=codebook.norm_low,
        norm_step=codebook.norm_step,
        blocks=tuple(shapes),
        codebook_version=book.version,
        trained_tokens=book.trained_tokens,
        residual_threshold=book.drift.residual_threshold,
        share_beyond=share_beyond,
        mean_cosine=book.drift.cosine_mean,
        sources=tuple(sources),
    )
