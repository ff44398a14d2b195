from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.kernel import Codebook
from dejalog.indexer.kernel.queries import (
    SHIFT_MAX,
    block_shape,
    centroid_norm,
    plan_query,
    quantize_int8,
    quantize_int16,
)


def make_codebook(random: np.random.Generator, deviation: float) -> Codebook:
    return Codebook(
        bits=4,
        centroids=random.integers(-127, 128, (20, 16)).astype(np.int8),
        centroid_scales=np.full(20, 0.002, np.float32),
        deviations=np.full(16, deviation, np.float32),
        weights=np.linspace(0, 127, 16).astype(np.uint8),
        zero=64,
        weight_step=0.03,
        cutoffs=np.linspace(-1, 1, 15).astype(np.float32),
        norm_low=0.9,
        norm_step=0.002,
    )


@given(st.integers(0, 999), st.floats(1e-30, 1e30))
def test_quantized_rows_are_within_half_a_step(seed: int, size: float) -> None:
    query = np.random.default_rng(seed).standard_normal((3, 8)).astype(np.float32)
    query *= np.float32(size)
    for rows, scales in (quantize_int8(query), quantize_int16(query)):
        error = np.abs(rows * scales[:, None].astype(np.float64) - query)
        assert (error <= scales[:, None] * 0.51).all()


def test_a_row_of_zeros_stays_one() -> None:
    rows, scales = quantize_int8(np.zeros((1, 8), np.float32))
    assert not rows.any()
    assert scales.tolist() == [0]


@given(st.integers(0, 999), st.sampled_from([0.0, 1e-9, 0.001, 0.05, 1.0, 50.0]))
def test_no_dot_product_leaves_the_table_and_no_row_its_bytes(seed: int, deviation: float) -> None:
    random = np.random.default_rng(seed)
    codebook = make_codebook(random, deviation)
    query = random.standard_normal((3, 16)).astype(np.float32)
    norm = centroid_norm(codebook)
    prepared, _ = plan_query(query, codebook, norm)
    step = prepared.unit * (1 << prepared.shift)
    centroids = codebook.centroids * codebook.centroid_scales[:, None]
    assert np.abs(query @ centroids.T).max() <= 32_767.5 * step
    shares = query * codebook.deviations * codebook.weight_step
    np.testing.assert_allclose(prepared.rows[:3] * prepared.unit, shares, atol=prepared.unit * 0.51)
    assert 0 <= prepared.shift <= SHIFT_MAX


@pytest.mark.parametrize(
    ("count", "blocks", "rows"),
    [(1, 1, 8), (8, 1, 8), (9, 1, 16), (16, 1, 16), (17, 1, 32), (32, 1, 32), (33, 2, 32)],
)
def test_a_query_is_padded_to_the_smallest_block_or_to_whole_ones(
    count: int, blocks: int, rows: int
) -> None:
    codebook = make_codebook(np.random.default_rng(0), 0.05)
    query = np.ones((count, 16), np.float32)
    prepared, plan = plan_query(query, codebook, centroid_norm(codebook))
    assert block_shape(count) == (blocks, rows)
    assert prepared.table.shape == (blocks, 65_536, rows)
    assert prepared.rows.shape == plan.rows.shape == (blocks * rows, 16)
    assert prepared.rows[:count].all()
    assert not prepared.rows[count:].any()
    assert not plan.factors[count:].any()


@pytest.mark.parametrize("deviation", [0.0, 0.05])
def test_a_query_of_zeros_can_be_planned(deviation: float) -> None:
    codebook = make_codebook(np.random.default_rng(0), deviation)
    prepared, _ = plan_query(np.zeros((1, 16), np.float32), codebook, centroid_norm(codebook))
    assert prepared.unit > 0
    assert not prepared.rows.any()
