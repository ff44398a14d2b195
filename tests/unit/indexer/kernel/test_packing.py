from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.kernel import Codebook, CodedRows, decode, pack, unpack


@given(st.sampled_from([1, 2, 4]), st.integers(0, 9), st.integers(1, 12), st.integers(0, 99))
def test_packed_buckets_come_back(bits: int, tokens: int, eighths: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    buckets = random.integers(0, 1 << bits, (tokens, 8 * eighths)).astype(np.uint8)
    packed = pack(buckets, bits)
    assert packed.shape == (tokens, eighths * bits)
    np.testing.assert_array_equal(unpack(packed, bits), buckets)


def test_the_low_bits_of_a_byte_are_the_first_dimensions() -> None:
    buckets = np.arange(8, dtype=np.uint8)[None]
    assert pack(buckets, 4).tolist() == [[0x40, 0x51, 0x62, 0x73]]


@pytest.mark.parametrize(("dim", "bits"), [(8, 3), (12, 4)])
def test_what_cannot_be_packed_is_refused(dim: int, bits: int) -> None:
    with pytest.raises(ValueError, match=r"bits|multiple of 8"):
        pack(np.zeros((1, dim), np.uint8), bits)


def test_a_code_stands_for_centroid_and_residual_made_one_long() -> None:
    codebook = Codebook(
        bits=1,
        centroids=np.array([[100, 0, 0, 0, 0, 0, 0, 0]], np.int8),
        centroid_scales=np.array([0.01], np.float32),
        deviations=np.full(8, 0.5, np.float32),
        weights=np.array([0, 100], np.uint8),
        zero=50,
        weight_step=0.02,
        cutoffs=np.zeros(1, np.float32),
        norm_low=0.5,
        norm_step=0.01,
    )
    rows = CodedRows(
        offsets=np.array([0, 2], np.uint32),
        centroid_ids=np.array([0, 9], np.uint16),
        norms=np.array([50, 0], np.uint8),
        residuals=np.array([[0b00000011], [0b11111111]], np.uint8),
    )
    expected = [[1.5, 0.5, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5], [0.25] * 8]
    np.testing.assert_allclose(decode(rows, codebook), expected, rtol=1e-6)
