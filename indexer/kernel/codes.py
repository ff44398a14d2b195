"""What a code is: the data that kernels score, and the arithmetic that defines a score.

A token vector x is stored as the centroid that is nearest to it (L2), a residual of 1, 2 or 4 bits
per dimension, and the inverse norm of what these two stand for:

    reconstruction[i] = centroid[i] + deviations[i] * weight_step * (weights[bucket[i]] - zero)
    x                ~= reconstruction * (norm_low + norm_step * norm)

L2 k-means does not change when all vectors are shifted, so centroids need no separate mean.
Buckets are packed `8 // bits` to a byte: field m (counted from the lowest bits) of byte j is the
bucket of dimension j + m * (dim * bits // 8).

A score is integer arithmetic up to the last step, so that every kernel gives the same bits (for the
table, query[r] is rounded to int16 times a scale of its own; queries.TablePlan has the steps):

    table[k, r] = clip(rint(query[r] . centroid[k] / (unit * 2**shift)), -32767, 32767)   int16
    dot[t, r]   = table[centroid_id[t], r] * 2**shift + sum_i rows[r, i] * weights[bucket[t, i]]
                  + bias[r]                                                              int32
    similarity  = float32(dot) * float32(norm_low + norm_step * norm[t])                 float32
    score       = float32(unit * sum_r float64(max_t similarity[t, r]))

The residual's share follows Santhanam et al., ColBERTv2, NAACL 2022; scoring a compressed residual
without restoring it follows Scheerer et al., WARP, SIGIR 2025.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Query rows in a block: two AVX-512 registers of int32. Queries are padded with zero rows.
QUERY_ROWS = 32

#: Rows of the only block of a short query, which is most of them: half of the searches that were
#: recorded have at most four rows, and scoring takes time by rows, padding included.
SHORT_QUERY_ROWS = (8, 16)

#: A centroid's number is a uint16; a table always has rows for all of them, so that no damaged
#: number can lead outside of it (rows that are never touched cost no memory).
TABLE_ROWS = 1 << 16

#: Weights are 7 bits, so that AVX2's 8 bit products of pairs fit 16 bits.
WEIGHT_MAX = 127

#: A pattern's number within its block is a uint16 in the posting lists.
BLOCK_PATTERNS_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Codebook:
    """What the codes of one shard mean.

    centroids int8[k, dim], where centroid i is centroids[i] * centroid_scales[i]; centroid_scales
    float32[k]; deviations float32[dim]; weights uint8[2**bits], growing, at most WEIGHT_MAX; zero
    is one of 0 to WEIGHT_MAX; cutoffs float32[2**bits - 1]: bucket j holds the residuals /
    deviations from cutoffs[j - 1] (included) to cutoffs[j].
    """

    bits: int
    centroids: NDArray[np.int8]
    centroid_scales: NDArray[np.float32]
    deviations: NDArray[np.float32]
    weights: NDArray[np.uint8]
    zero: int
    weight_step: float
    cutoffs: NDArray[np.float32]
    norm_low: float
    norm_step: float


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Codes of consecutive patterns: pattern i has the rows offsets[i] to offsets[i + 1].

    offsets uint32[n + 1]; centroid_ids uint16[tokens]; norms uint8[tokens]; residuals
    uint8[tokens, dim * bits // 8].
    """

    offsets: NDArray[np.uint32]
    centroid_ids: NDArray[np.uint16]
    norms: NDArray[np.uint8]
    residuals: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Postings:
    """Which patterns of a block have a token of a centroid: an inverted list for each centroid.

    starts uint32[k + 1]; patterns uint16[starts[k]], growing within a list, each at most once.
    """

    starts: NDArray[np.uint32]
    patterns: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A query as one codebook's kernels take it; b blocks of r rows (queries.block_shape).

    table int16[b, TABLE_ROWS, r], zeros beyond `centroids`; rows int8[b * r, dim], the query times
    the deviations in units of its own; bias int32[b * r]; `count` rows are real.
    """

    count: int
    centroids: int
    table: NDArray[np.int16]
    rows: NDArray[np.int8]
    bias: NDArray[np.int32]
    weights: NDArray[np.uint8]
    bits: int
    shift: int
    unit: float
    norm_low: float
    norm_step: float
