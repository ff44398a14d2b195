"""What a query becomes before it is scored: integer rows, and the units that they are in.

These small steps are NumPy for every kernel, so that all kernels start from the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.kernel.codes import QUERY_ROWS, SHORT_QUERY_ROWS, Codebook, PreparedQuery
from dejalog.indexer.kernel.tables import new_table

#: The largest |dot| then stays below 2**24.6, so that hardly a bit is lost as float32. It is
#: reached only where centroids weigh 66,000 times as much as residuals.
SHIFT_MAX = 8

#: Largest magnitudes of the quantized numbers; -128 and -32768 are left out for symmetry.
INT8_MAX, INT16_MAX = 127, 32_767


@dataclass(frozen=True, slots=True)
class Probes:
    """Which centroids a prepared query looks up, and what each is worth.

    centroids uint16[count, p], best first; gains int32[count, p], the table's value over that of
    the best centroid that is left out.
    """

    centroids: NDArray[np.uint16]
    gains: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TablePlan:
    """How to fill a table from int16 query rows.

    table[k, r] = clip(rint(float32(rows[r] . centroids[k]) * centroid_scales[k] * factors[r])),
    all in float32. rows int16[b * r, dim]; factors float32[b * r], where r is a block's rows.
    """

    rows: NDArray[np.int16]
    factors: NDArray[np.float32]


def block_shape(count: int) -> tuple[int, int]:
    """Returns how many blocks a query of `count` rows fills, and the rows of each of them."""
    for rows in SHORT_QUERY_ROWS:
        if count <= rows:
            return 1, rows
    return -(-count // QUERY_ROWS), QUERY_ROWS


def quantize_int8(query: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Returns int8[q, dim] and float32[q], whose product is about `query` float32[q, dim]."""
    rows, scales = _quantize(query, INT8_MAX)
    return rows.astype(np.int8), scales


def quantize_int16(query: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Returns int16[q, dim] and float32[q], whose product is about `query` float32[q, dim].

    A dot product with int8[512] still fits int32.
    """
    rows, scales = _quantize(query, INT16_MAX)
    return rows.astype(np.int16), scales


def _quantize(
    query: NDArray[np.float32], largest: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scales = np.abs(query).max(axis=1) / np.float32(largest)
    divisors = np.where(scales > 0, scales, np.float32(1))
    return np.clip(np.rint(query / divisors[:, None]), -largest, largest), scales


def centroid_norm(codebook: Codebook) -> float:
    """Returns the largest norm of a centroid."""
    numbers = codebook.centroids.astype(np.float32)
    squares = np.einsum("kd,kd->k", numbers, numbers).astype(np.float64)
    scales = codebook.centroid_scales.astype(np.float64)
    return float(np.sqrt((squares * (scales * scales)).max()))


def plan_query(
    query: NDArray[np.float32], codebook: Codebook, largest_norm: float
) -> tuple[PreparedQuery, TablePlan]:
    """Returns the query in units of its own, with a table to be filled, and how.

    The unit makes the largest product of query and deviation 127, so that a row's rounding moves a
    dot product by a standard deviation of about unit * sqrt(dim / 12) * rms(weights - zero). The
    shift is the smallest that no dot product with a centroid, by its Cauchy-Schwarz bound
    `largest_norm` * |row|, can leave; the table's rounding is at most unit * 2**shift / 2.
    """
    count, dim = query.shape
    shares = query.astype(np.float64) * codebook.deviations.astype(np.float64)
    shares *= codebook.weight_step
    bound = largest_norm * float(np.sqrt((query.astype(np.float64) ** 2).sum(axis=1).max()))
    unit = max(float(np.abs(shares).max()) / INT8_MAX, bound / (INT16_MAX << SHIFT_MAX)) or 1.0
    shift = 0
    while shift < SHIFT_MAX and bound > INT16_MAX * unit * (1 << shift):
        shift += 1

    blocks, block_rows = block_shape(count)
    rows = np.zeros((blocks * block_rows, dim), np.int8)
    rows[:count] = np.clip(np.rint(shares / unit), -INT8_MAX, INT8_MAX)
    wide = np.zeros((blocks * block_rows, dim), np.int16)
    factors = np.zeros(blocks * block_rows, np.float32)
    wide[:count], scales = quantize_int16(query)
    factors[:count] = scales.astype(np.float64) / (unit * (1 << shift))
    prepared = PreparedQuery(
        count=count,
        centroids=len(codebook.centroids),
        table=new_table(blocks, block_rows, len(codebook.centroids)),
        rows=rows,
        bias=-codebook.zero * rows.sum(axis=1, dtype=np.int32),
        weights=codebook.weights,
        bits=codebook.bits,
        shift=shift,
        unit=unit,
        norm_low=codebook.norm_low,
        norm_step=codebook.norm_step,
    )
    return prepared, TablePlan(wide, factors)


def norm_values(prepared: PreparedQuery) -> NDArray[np.float32]:
    """Returns float32[256], what each stored inverse norm stands for."""
    return (prepared.norm_low + prepared.norm_step * np.arange(256)).astype(np.float32)
