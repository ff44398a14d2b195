from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.kernel.queries import quantize_int8
from dejalog.indexer.kernel.reference import best_rows, maxsim


def by_definition(query, codes, scales, offsets):
    """Sum over query rows of the largest dot product, one loop at a time."""
    numbers, row_scales = quantize_int8(query)
    query = numbers * row_scales[:, None].astype(np.float64)
    scores = []
    for start, end in pairwise(offsets):
        rows = [codes[i].astype(np.float64) * float(scales[i]) for i in range(start, end)]
        scores.append(sum(max((float(q @ row) for row in rows), default=0.0) for q in query))
    return np.array(scores)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 6), max_size=12),
    st.integers(1, 5),
    st.sampled_from([1, 48, 96]),
    st.integers(0, 2**32 - 1),
)
def test_maxsim_is_its_definition(lengths: list[int], rows: int, dim: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = int(offsets[-1])
    codes = random.integers(-127, 128, (tokens, dim)).astype(np.int8)
    scales = random.random(tokens).astype(np.float32) / 127
    query = random.standard_normal((rows, dim)).astype(np.float32)
    expected = by_definition(query, codes, scales, offsets)
    np.testing.assert_allclose(maxsim(query, codes, scales, offsets), expected, atol=1e-3)


def test_patterns_larger_than_a_block_are_scored_whole() -> None:
    lengths = [3, 40_000, 2, 20_000]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    codes = np.zeros((int(offsets[-1]), 4), np.int8)
    codes[offsets[1:] - 1, 0] = [1, 2, 3, 4]  # only each pattern's last row is not zero
    scales = np.ones(len(codes), np.float32)
    query = np.array([[1, 0, 0, 0]], np.float32)
    np.testing.assert_array_equal(maxsim(query, codes, scales, offsets), [1, 2, 3, 4])


def test_the_best_row_is_the_one_whose_product_maxsim_adds() -> None:
    random = np.random.default_rng(7)
    codes = random.integers(-127, 128, (9, 16)).astype(np.int8)
    scales = random.random(9).astype(np.float32)
    query = random.standard_normal((5, 16)).astype(np.float32)
    rows, products = best_rows(query, codes, scales)
    numbers, row_scales = quantize_int8(query)
    similarities = (numbers * row_scales[:, None]) @ (codes * scales[:, None]).T
    np.testing.assert_array_equal(rows, similarities.argmax(axis=1))
    whole = maxsim(query, codes, scales, np.array([0, 9]))
    np.testing.assert_allclose(products.sum(), whole[0], rtol=1e-5)
