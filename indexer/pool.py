"""Fewer token vectors for each pattern: the two that are most alike become their mean, again and
again, until one in `factor` is left (Clavie et al., arXiv 2409.14683).

Merged rows no longer stand for one token each, so evidence needs `owners` to find their tokens.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.quantize import dequantize_rows, quantize_rows

#: Below every similarity: a pair that cannot be merged.
_NEVER = -9.0


class Pooled(NamedTuple):
    """Pooled rows of consecutive patterns.

    codes int8[p, dim], scales float32[p], offsets int64[n + 1]; owners int64[t] is the row, counted
    from the pattern's first, that each of the original tokens went into.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    offsets: NDArray[np.int64]
    owners: NDArray[np.int64]


def pool_tokens(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    offsets: NDArray[np.int64] | NDArray[np.uint32],
    factor: float,
) -> Pooled:
    """Returns the patterns with ceil(tokens / factor) rows each, L2-normalised.

    codes int8[t, dim]; scales float32[t]; offsets [n + 1]. A factor of 1 changes nothing. Raises
    ValueError below 1.
    """
    if factor < 1:
        raise ValueError(f"a pool factor is 1 or more, not {factor}")
    bounds = offsets.astype(np.int64)
    if factor == 1:
        owners = np.arange(len(codes)) - np.repeat(bounds[:-1], np.diff(bounds))
        return Pooled(codes, scales, bounds, owners)
    rows = [np.zeros((0, codes.shape[1]), np.float32)]
    owned = [np.zeros(0, np.int64)]
    for start, end in pairwise(bounds.tolist()):
        values = dequantize_rows(codes[start:end], scales[start:end])
        merged, owners = _pool_pattern(values, int(np.ceil((end - start) / factor)))
        rows.append(merged)
        owned.append(owners)
    lengths = [len(part) for part in rows[1:]]
    return Pooled(
        *quantize_rows(np.concatenate(rows)),
        np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))),
        np.concatenate(owned),
    )


def _pool_pattern(
    values: NDArray[np.float32], wanted: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns float32[wanted, dim] and which of them each row went into; changes `values`."""
    count = len(values)
    owners = np.arange(count)
    sizes = np.ones(count, np.float32)
    similarities = values @ values.T
    np.fill_diagonal(similarities, _NEVER)
    for _ in range(count - wanted):
        kept, gone = divmod(int(similarities.argmax()), count)
        mean = values[kept] * sizes[kept] + values[gone] * sizes[gone]
        values[kept] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        sizes[kept] += sizes[gone]
        owners[owners == gone] = kept
        similarities[gone] = similarities[:, gone] = _NEVER
        fresh = np.where(similarities[kept] == _NEVER, _NEVER, values @ values[kept])
        similarities[kept] = similarities[:, kept] = fresh
    left, numbers = np.unique(owners, return_inverse=True)
    return values[left], numbers.astype(np.int64)
