"""Patterns by the million, made from real ones: the data of growth measurements.

The growth is synthetic. Each pattern is one of the real patterns, drawn at random with replacement,
whose token vectors got independent Gaussian noise and were normalised again. So lengths and the
spread of the vectors are real, but no new words come with size, as they do in a real stream, and
the noise, having no direction, is harder to compress than language is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.quantize import quantize_rows

#: Expected cosine of a noisy token vector and the real one. For 120 patterns of the corpus, the
#: MaxSim per row with the most similar other pattern is 0.89 in the median, 0.71 to 0.99 in nine of
#: ten: a synthetic pattern is as far from its origin as real neighbours are from each other.
COSINE = 0.89

#: Patterns in a chunk: 25 tokens each make float32 temporaries of 150 MB at 96 dims.
CHUNK_PATTERNS = 16_384


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive patterns as fresh shards keep them: row = code * scale.

    lengths uint32[patterns], codes int8[tokens, dim], scales float32[tokens]; origins
    uint32[patterns] are the numbers of the real patterns that they were made from.
    """

    lengths: NDArray[np.uint32]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    origins: NDArray[np.uint32]


def synthetic(
    vectors: NDArray[np.float32], lengths: NDArray[np.uint32], count: int, seed: int
) -> Iterator[Chunk]:
    """Yields `count` patterns made from real ones, CHUNK_PATTERNS at a time.

    `vectors` float32[tokens, dim], L2-normalised, of consecutive real patterns of `lengths`
    uint32[n]. A prefix is the same for every count, so a larger index contains the smaller ones.
    """
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    for number, first in enumerate(range(0, count, CHUNK_PATTERNS)):
        # A generator of its own for each chunk; the whole chunk is drawn and then cut, so that a
        # last, shorter one begins like a full one.
        random = np.random.default_rng((seed, number))
        origins = random.integers(len(lengths), size=CHUNK_PATTERNS)[: count - first]
        yield _noisy(vectors, starts[origins], lengths[origins], origins, random)


def _noisy(
    vectors: NDArray[np.float32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.uint32],
    origins: NDArray[np.int64],
    random: np.random.Generator,
) -> Chunk:
    ends = np.cumsum(lengths, dtype=np.int64)
    within = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    rows = vectors[np.repeat(starts, lengths) + within]
    dim = rows.shape[1]
    deviation = np.float32(np.sqrt((COSINE**-2 - 1) / dim))
    noise = random.standard_normal(rows.shape, np.float32)
    noise *= deviation
    rows += noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    codes, scales = quantize_rows(rows)
    return Chunk(lengths, codes, scales, origins.astype(np.uint32))
