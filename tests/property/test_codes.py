from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.codebook import CodebookRules, build_postings, encode_tokens, fit_levels, train
from dejalog.indexer.kernel.codes import WEIGHT_MAX
from dejalog.indexer.quantize import quantize_rows


@given(
    st.lists(st.lists(st.integers(0, 20), max_size=9), max_size=30),
    st.integers(21, 70),
)
def test_postings_are_each_centroids_patterns_once_and_growing(
    patterns: list[list[int]], centroids: int
) -> None:
    ids = np.array([number for pattern in patterns for number in pattern], np.uint16)
    offsets = np.cumsum([0, *map(len, patterns)]).astype(np.uint32)
    postings = build_postings(ids, offsets, centroids)
    assert postings.starts.dtype == np.uint32
    assert postings.patterns.dtype == np.uint16
    assert len(postings.starts) == centroids + 1
    for centroid in range(centroids):
        found = postings.patterns[postings.starts[centroid] : postings.starts[centroid + 1]]
        expected = [number for number, pattern in enumerate(patterns) if centroid in pattern]
        assert found.tolist() == expected
    assert postings.starts[-1] == len(postings.patterns)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 60),
    st.sampled_from([8, 48, 96, 128]),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 80),
    st.integers(0, 2**32 - 1),
)
def test_any_tokens_give_a_codebook_that_kernels_can_take(
    tokens: int, dim: int, bits: int, tokens_total: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    # Heavy tails, rows of zeros and repeated rows.
    rows = random.standard_t(2, (tokens, dim)) * 10 ** random.uniform(-3, 3)
    rows[random.random(tokens) < 0.1] = 0
    rows = np.repeat(rows, random.integers(1, 4, tokens), axis=0)
    codes, scales = quantize_rows(rows.astype(np.float32))
    rules = CodebookRules(centroids_min=8, iterations=2)
    trained = train(codes, scales, bits=bits, tokens_total=tokens_total, seed=seed, rules=rules)
    codebook = trained.codebook
    assert 1 <= len(codebook.centroids) <= max(tokens_total, 1)
    assert codebook.centroids.dtype == np.int8
    assert codebook.centroids.min(initial=0) >= -127
    assert codebook.deviations.dtype == np.float32
    assert (codebook.deviations >= 0).all()
    assert (np.diff(codebook.cutoffs) > 0).all()
    assert np.isfinite([codebook.norm_low, codebook.norm_step, codebook.weight_step]).all()
    assert codebook.norm_low > 0
    assert codebook.norm_step >= 0
    assert np.isfinite([trained.drift.residual_threshold, trained.drift.cosine_mean]).all()
    found = encode_tokens(codes, scales, codebook)
    assert len(found.centroid_ids) == len(found.norms) == len(found.residuals) == len(codes)
    assert found.centroid_ids.max(initial=0) < len(codebook.centroids)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), max_size=200),
    st.integers(1, 500),
    st.sampled_from([1, 2, 4]),
)
def test_level_tables_always_grow_within_seven_bits(
    values: list[float], times: int, bits: int
) -> None:
    weights, zero, step = fit_levels(np.repeat(np.array(values, np.float32), times), bits)
    assert (np.diff(weights.astype(int)) > 0).all()
    assert weights.max() <= WEIGHT_MAX
    assert 0 <= zero <= WEIGHT_MAX
    assert step > 0
