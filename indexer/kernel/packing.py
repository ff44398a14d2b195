"""Buckets in bytes and back, and what codes stand for. NumPy: these are not in any hot loop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.kernel.codes import Codebook, CodedRows


def pack(buckets: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Returns uint8[tokens, dim * bits // 8], the buckets uint8[tokens, dim] in `bits` each.

    Raises ValueError unless bits is 1, 2 or 4 and dim a multiple of 8.
    """
    _check(buckets, bits, buckets.shape[-1] % 8 == 0)
    width = buckets.shape[1] * bits // 8
    packed = np.zeros((len(buckets), width), np.uint8)
    for field in range(8 // bits):
        packed |= buckets[:, field * width : (field + 1) * width] << (field * bits)
    return packed


def unpack(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Returns the buckets uint8[tokens, dim] of residuals uint8[tokens, dim * bits // 8].

    Raises ValueError unless bits is 1, 2 or 4.
    """
    _check(packed, bits, True)
    mask = (1 << bits) - 1
    fields = [packed >> (field * bits) & mask for field in range(8 // bits)]
    return np.concatenate(fields, axis=1)


def _check(array: NDArray[np.uint8], bits: int, is_whole: bool) -> None:
    if bits not in (1, 2, 4):
        raise ValueError(f"a bucket of {bits} bits: 1, 2 and 4 are known")
    if array.ndim != 2 or array.dtype != np.uint8 or not is_whole:
        raise ValueError(
            f"buckets are uint8[tokens, dim], dim a multiple of 8, not {array.dtype}{array.shape}"
        )


def decode(rows: CodedRows, codebook: Codebook) -> NDArray[np.float32]:
    """Returns float32[tokens, dim], the vectors that the codes stand for, about 1 long.

    A centroid that the codebook lacks counts as zero, as it does in the kernels.
    """
    centroids = codebook.centroids * codebook.centroid_scales[:, None]
    padded = np.concatenate([centroids, np.zeros((1, centroids.shape[1]), np.float32)])
    steps = (codebook.weights.astype(np.float32) - codebook.zero) * np.float32(codebook.weight_step)
    vectors = padded[np.minimum(rows.centroid_ids, len(centroids))]
    vectors += steps[unpack(rows.residuals, codebook.bits)] * codebook.deviations
    norms = codebook.norm_low + codebook.norm_step * rows.norms.astype(np.float64)
    vectors *= norms.astype(np.float32)[:, None]
    return vectors
