from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.pool import pool_tokens
from dejalog.indexer.quantize import dequantize_rows, quantize_rows


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 9), max_size=6),
    st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    st.integers(0, 2**32 - 1),
)
def test_every_token_goes_into_one_row_and_rows_are_their_means(
    lengths: list[int], factor: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = unit(random.standard_normal((int(offsets[-1]), 8)))
    pooled = pool_tokens(*quantize_rows(rows), offsets, factor)
    assert np.diff(pooled.offsets).tolist() == [int(np.ceil(n / factor)) for n in lengths]
    assert len(pooled.owners) == len(rows)
    values = dequantize_rows(pooled.codes, pooled.scales)
    for number in range(len(lengths)):
        mine = slice(offsets[number], offsets[number + 1])
        got = values[pooled.offsets[number] : pooled.offsets[number + 1]]
        owners = pooled.owners[mine]
        assert set(owners.tolist()) == set(range(len(got)))
        for row, value in enumerate(got):
            members = rows[mine][owners == row]
            if len(members) <= 2:
                np.testing.assert_allclose(
                    value, unit(members.sum(axis=0, keepdims=True))[0], atol=0.1
                )


def test_the_tokens_that_are_most_alike_are_merged_first() -> None:
    rows = np.eye(8, dtype=np.float32)[[0, 1, 0, 3]]
    rows[2, 1] = 0.1
    pooled = pool_tokens(*quantize_rows(unit(rows)), np.array([0, 4]), 1.3)
    assert pooled.offsets.tolist() == [0, 4]
    pooled = pool_tokens(*quantize_rows(unit(rows)), np.array([0, 4]), 1.5)
    assert pooled.owners.tolist() == [0, 1, 0, 2]


def test_a_factor_of_one_changes_nothing() -> None:
    codes, scales = quantize_rows(unit(np.random.default_rng(1).standard_normal((5, 8))))
    pooled = pool_tokens(codes, scales, np.array([0, 2, 5], np.uint32), 1)
    np.testing.assert_array_equal(pooled.codes, codes)
    np.testing.assert_array_equal(pooled.scales, scales)
    assert pooled.owners.tolist() == [0, 1, 0, 1, 2]


def test_a_factor_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        pool_tokens(np.zeros((1, 8), np.int8), np.ones(1, np.float32), np.array([0, 1]), 0.5)
