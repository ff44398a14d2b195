"""MaxSim in NumPy: the definition of correct that every native kernel is compared with.

MaxSim(query, pattern) = sum over query rows of the largest dot product with any of the pattern's
rows (Khattab and Zaharia, ColBERT, SIGIR 2020, equation 3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Rows scored at once: 2 k rows of 96 dims are 0.8 MB as float32, which stays in the L2 cache.
_BLOCK_ROWS = 2_048


def maxsim(
    query: NDArray[np.float32],
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    offsets: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Returns float32[n], the MaxSim of each of n patterns.

    query float32[q, dim]; codes int8[tokens, dim]; scales float32[tokens]; offsets int64[n + 1],
    where pattern i has the rows offsets[i] to offsets[i + 1]. A pattern without rows scores 0.
    """
    count = len(offsets) - 1
    scores = np.zeros(count, np.float32)
    first = 0
    while first < count:
        end = int(np.searchsorted(offsets, offsets[first] + _BLOCK_ROWS, side="right")) - 1
        end = max(end, first + 1)
        scores[first:end] = _maxsim_block(query, codes, scales, offsets[first : end + 1])
        first = end
    return scores


def _maxsim_block(
    query: NDArray[np.float32],
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    offsets: NDArray[np.int64],
) -> NDArray[np.float32]:
    start, end = int(offsets[0]), int(offsets[-1])
    is_filled = offsets[1:] > offsets[:-1]
    scores = np.zeros(len(offsets) - 1, np.float32)
    if start == end:
        return scores
    similarities = codes[start:end].astype(np.float32) @ query.T
    similarities *= scales[start:end, None]
    best = np.maximum.reduceat(similarities, (offsets[:-1] - start)[is_filled], axis=0)
    scores[is_filled] = best.sum(axis=1)
    return scores


def best_rows(
    query: NDArray[np.float32], codes: NDArray[np.int8], scales: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Returns, for each query row, the index of one pattern's best row and its dot product.

    query float32[q, dim]; codes int8[tokens, dim]; scales float32[tokens], tokens >= 1. The first
    of equal rows wins. Both results have q elements.
    """
    similarities = (query @ codes.astype(np.float32).T) * scales
    rows = similarities.argmax(axis=1)
    return rows, similarities[np.arange(len(query)), rows]
