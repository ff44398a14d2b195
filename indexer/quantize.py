"""Token vectors -> int8 with one scale per row, and back.

Fresh shards keep this form: nothing is trained, so nothing can drift. With values rounded to
1/127 of the row's largest, the cosine between a row and its int8 form is above 0.9999 at 96 dims.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.encode import Encoded
from dejalog.indexer.store.layout import Vectors

#: The largest magnitude used; -128 is left out so that negation is exact.
CODE_MAX = 127


def quantize_rows(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Returns int8[n, dim] codes and float32[n] scales; row = code * scale. Zero rows stay zero."""
    peaks = np.abs(rows).max(axis=1, initial=0.0)
    scales = (peaks / CODE_MAX).astype(np.float32)
    divisors = np.where(scales > 0, scales, np.float32(1))
    codes = np.rint(rows / divisors[:, None]).astype(np.int8)
    return codes, scales


def dequantize_rows(codes: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the float32[n, dim] rows that the codes stand for."""
    return codes.astype(np.float32) * scales[:, None]


def quantize_patterns(encoded: Sequence[Encoded], *, dim: int, pooled_dim: int) -> Vectors:
    """Returns the stored form of newly encoded patterns, in the same order."""
    rows = [e.vectors for e in encoded] or [np.zeros((0, dim), np.float32)]
    pooled = [e.pooled[None, :] for e in encoded] or [np.zeros((0, pooled_dim), np.float32)]
    codes, scales = quantize_rows(np.concatenate(rows))
    pooled_codes, pooled_scales = quantize_rows(np.concatenate(pooled))
    return Vectors(
        lengths=np.array([len(e.vectors) for e in encoded], np.uint32),
        codes=codes,
        scales=scales,
        pooled_codes=pooled_codes,
        pooled_scales=pooled_scales,
    )
