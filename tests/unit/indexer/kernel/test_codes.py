"""The formulas of codes.py, one number at a time, are what the twin computes with arrays."""

from __future__ import annotations

import numpy as np

from dejalog.indexer.kernel import Codebook, CodedRows, Kernel, PreparedQuery, reference

TWIN = Kernel(reference)


def bucket(residual: np.ndarray, dimension: int, bits: int) -> int:
    """Field m of byte j is the bucket of dimension j + m * width, as codes.py says."""
    width = len(residual)
    field, byte = divmod(dimension, width)
    return int(residual[byte]) >> (bits * field) & ((1 << bits) - 1)


def similarity(prepared: PreparedQuery, rows: CodedRows, token: int, row: int) -> np.float32:
    block_rows = prepared.table.shape[2]
    entry = prepared.table[row // block_rows, rows.centroid_ids[token], row % block_rows]
    dot = int(entry) * 2**prepared.shift + int(prepared.bias[row])
    for i in range(prepared.rows.shape[1]):
        weight = prepared.weights[bucket(rows.residuals[token], i, prepared.bits)]
        dot += int(prepared.rows[row, i]) * int(weight)
    norm = np.float32(prepared.norm_low + prepared.norm_step * int(rows.norms[token]))
    return np.float32(dot) * norm


def make(bits: int, dim: int, count: int) -> tuple[PreparedQuery, CodedRows]:
    random = np.random.default_rng(bits)
    buckets = 1 << bits
    codebook = Codebook(
        bits=bits,
        centroids=random.integers(-127, 128, (5, dim)).astype(np.int8),
        centroid_scales=np.full(5, 0.001, np.float32),
        deviations=random.random(dim).astype(np.float32),
        weights=np.linspace(0, 127, buckets).astype(np.uint8),
        zero=60,
        weight_step=0.03,
        cutoffs=np.linspace(-1, 1, buckets - 1).astype(np.float32),
        norm_low=0.9,
        norm_step=0.002,
    )
    rows = CodedRows(
        offsets=np.array([0, 3, 3, 7], np.uint32),
        centroid_ids=random.integers(0, 5, 7).astype(np.uint16),
        norms=random.integers(0, 256, 7).astype(np.uint8),
        residuals=random.integers(0, 256, (7, dim * bits // 8)).astype(np.uint8),
    )
    query = random.standard_normal((count, dim)).astype(np.float32)
    return TWIN.prepare(query, codebook), rows


def test_a_score_is_the_sum_of_its_similarities() -> None:
    for bits, count in ((1, 3), (2, 11), (4, 20), (4, 35)):
        prepared, rows = make(bits, 24, count)
        for pattern, score in enumerate(TWIN.code_maxsim(prepared, rows)):
            tokens = range(int(rows.offsets[pattern]), int(rows.offsets[pattern + 1]))
            best = [
                max((float(similarity(prepared, rows, token, row)) for token in tokens), default=0)
                for row in range(prepared.count)
            ]
            np.testing.assert_allclose(score, prepared.unit * sum(best), rtol=1e-6)


def test_the_bias_makes_up_for_the_zero_of_the_weights() -> None:
    prepared, _ = make(4, 16, 35)
    dots = prepared.rows.astype(np.int32) @ np.full(16, 60, np.int32) + prepared.bias
    np.testing.assert_array_equal(dots, 0)
