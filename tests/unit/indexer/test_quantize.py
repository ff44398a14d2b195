from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dejalog.indexer.encode import Encoded
from dejalog.indexer.quantize import dequantize_rows, quantize_patterns, quantize_rows

ROWS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 6), st.integers(1, 9)),
    elements=st.floats(-1, 1, width=32),
)


@given(ROWS)
def test_no_value_is_off_by_more_than_half_a_step(rows: np.ndarray) -> None:
    codes, scales = quantize_rows(rows)
    error = np.abs(dequantize_rows(codes, scales) - rows)
    assert (error <= scales[:, None] * 0.5 + 1e-6).all()


def test_normalised_rows_keep_their_direction() -> None:
    random = np.random.default_rng(3)
    rows = random.standard_normal((500, 96)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    back = dequantize_rows(*quantize_rows(rows))
    cosine = (back * rows).sum(axis=1) / np.linalg.norm(back, axis=1)
    assert cosine.min() > 0.9999


def test_patterns_keep_their_order_and_lengths() -> None:
    encoded = [
        Encoded(np.full((n, 4), 1 / n, np.float32), np.full(2, 1 / n, np.float32), False)
        for n in (3, 1, 2)
    ]
    vectors = quantize_patterns(encoded, dim=4, pooled_dim=2)
    assert vectors.lengths.tolist() == [3, 1, 2]
    assert vectors.codes.shape == (6, 4)
    np.testing.assert_allclose(
        dequantize_rows(vectors.pooled_codes, vectors.pooled_scales)[:, 0], [1 / 3, 1, 1 / 2]
    )


def test_no_patterns_are_no_rows() -> None:
    vectors = quantize_patterns([], dim=4, pooled_dim=2)
    assert vectors.codes.shape == (0, 4)
    assert vectors.pooled_codes.shape == (0, 2)
