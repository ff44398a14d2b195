from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer import kernel
from dejalog.indexer.codebook import (
    CodebookRules,
    Trained,
    build_postings,
    centroid_count,
    encode_tokens,
    fit_levels,
    measure_drift,
    sample_tokens,
    train,
)
from dejalog.indexer.k_means import (
    Rows,
    k_means,
    nearest,
    residual_norms,
    starting_centroids,
)
from dejalog.indexer.kernel.codes import BLOCK_PATTERNS_MAX, WEIGHT_MAX, Codebook, CodedRows
from dejalog.indexer.quantize import dequantize_rows, quantize_rows

Int8 = tuple[np.ndarray, np.ndarray]


def token_vectors(
    tokens: int, dim: int = 96, *, centres: int = 40, noise: float = 0.5, seed: int = 1
) -> Int8:
    """Unit vectors around `centres` places, as uneven in size as words are."""
    random = np.random.default_rng(seed)
    places = random.standard_normal((centres, dim)) / np.sqrt(dim)
    chances = 1 / np.arange(1, centres + 1)
    which = random.choice(centres, tokens, p=chances / chances.sum())
    # Real residuals are wider in some dimensions than in others.
    widths = noise * random.uniform(0.4, 1.6, dim) / np.sqrt(dim)
    rows = places[which] + widths * random.standard_normal((tokens, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return quantize_rows(rows.astype(np.float32))


def trained_on(rows: Int8, *, bits: int = 4, seed: int = 1, **more: object) -> Trained:
    return train(*rows, bits=bits, tokens_total=len(rows[0]), seed=seed, **more)


def restored(rows: Int8, codebook: Codebook) -> np.ndarray:
    codes = encode_tokens(*rows, codebook)
    offsets = np.array([0, len(rows[0])], np.uint32)
    coded = CodedRows(offsets, codes.centroid_ids, codes.norms, codes.residuals)
    return kernel.decode(coded, codebook)


def cosines(rows: Int8, codebook: Codebook) -> np.ndarray:
    originals, back = dequantize_rows(*rows), restored(rows, codebook)
    lengths = np.linalg.norm(originals, axis=1) * np.linalg.norm(back, axis=1)
    return (originals * back).sum(axis=1) / lengths


def is_equal(one: Codebook, two: Codebook) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name)) for name in Codebook.__slots__
    )


@pytest.mark.parametrize("dim", [48, 96, 128])
@pytest.mark.parametrize(("bits", "least"), [(4, 0.99), (2, 0.95), (1, 0.87)])
def test_codes_keep_directions_and_lengths(bits: int, least: float, dim: int) -> None:
    rows = token_vectors(4_000, dim)
    trained = trained_on(rows, bits=bits)
    assert cosines(rows, trained.codebook).mean() > least
    lengths = np.linalg.norm(restored(rows, trained.codebook), axis=1)
    # Some inverse norms lie beyond the range that is stored; the others differ by half a step.
    assert (np.abs(lengths - 1) < 0.01).mean() > 0.99
    codes = encode_tokens(*rows, trained.codebook)
    assert codes.residuals.shape == (4_000, dim * bits // 8)
    assert codes.centroid_ids.max() < len(trained.codebook.centroids)


def test_more_bits_are_nearer() -> None:
    rows = token_vectors(3_000)
    means = [cosines(rows, trained_on(rows, bits=bits).codebook).mean() for bits in (1, 2, 4)]
    assert means[0] < means[1] < means[2]


def test_the_same_seed_gives_the_same_codebook_with_any_number_of_threads() -> None:
    rows = token_vectors(20_000, 48)
    one, two = trained_on(rows), trained_on(rows, threads=2)
    assert is_equal(one.codebook, two.codebook)
    assert one.drift == two.drift
    assert not is_equal(one.codebook, trained_on(rows, seed=2).codebook)
    for left, right in zip(
        encode_tokens(*rows, one.codebook),
        encode_tokens(*rows, one.codebook, threads=2),
        strict=True,
    ):
        np.testing.assert_array_equal(left, right)


def test_a_warm_start_on_unchanged_data_keeps_its_centroids_in_place() -> None:
    rows = token_vectors(20_000, 48)
    rules = CodebookRules(centroids_max=32, tokens_per_centroid=200, iterations=12)
    first = trained_on(rows, rules=rules)
    again = trained_on(rows, seed=9, warm_start=first.codebook, rules=rules)
    before, after = (
        dequantize_rows(trained.codebook.centroids, trained.codebook.centroid_scales)
        for trained in (first, again)
    )
    assert again.warm_centroids == len(before)
    distances = np.linalg.norm(before[:, None] - after[None], axis=2)
    # Cold starts with two seeds are 0.2 apart.
    assert np.median(distances.min(axis=1)) < 0.05
    assert again.drift.residual_mean < first.drift.residual_mean * 1.02


def test_a_warm_start_follows_data_that_has_changed() -> None:
    first = trained_on(token_vectors(20_000, 48))
    changed = token_vectors(20_000, 48, seed=77)
    warm = trained_on(changed, warm_start=first.codebook)
    cold = trained_on(changed)
    assert measure_drift(*changed, first) > 0.6
    assert measure_drift(*changed, warm) < 0.35
    assert warm.drift.residual_mean < cold.drift.residual_mean * 1.1


def test_a_larger_shard_keeps_the_last_centroids_and_gets_more() -> None:
    small, large = token_vectors(2_000, 48), token_vectors(20_000, 48)
    first = trained_on(small)
    second = trained_on(large, warm_start=first.codebook)
    assert second.warm_centroids == len(first.codebook.centroids)
    assert len(second.codebook.centroids) == centroid_count(20_000, CodebookRules())
    third = trained_on(small, warm_start=second.codebook)
    assert len(third.codebook.centroids) == len(first.codebook.centroids)


def test_a_warm_start_of_other_dims_is_refused() -> None:
    first = trained_on(token_vectors(500, 48))
    with pytest.raises(ValueError, match="48 dims, the vectors have 96"):
        trained_on(token_vectors(500, 96), warm_start=first.codebook)


@pytest.mark.parametrize("bits", [0, 3, 8])
def test_other_bits_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="1, 2 or 4 bits"):
        trained_on(token_vectors(50), bits=bits)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("tokens", [1, 2, 5, 17])
def test_few_tokens_are_their_own_centroids(tokens: int, bits: int) -> None:
    rows = token_vectors(tokens, 48)
    trained = train(*rows, bits=bits, tokens_total=tokens, seed=1)
    assert len(trained.codebook.centroids) <= tokens
    assert cosines(rows, trained.codebook).min() > (0.999 if tokens < 16 else 0.7)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_identical_tokens_share_one_centroid_and_come_back(bits: int) -> None:
    codes, scales = token_vectors(1)
    rows = np.repeat(codes, 3_000, axis=0), np.repeat(scales, 3_000)
    trained = trained_on(rows, bits=bits)
    assert len(trained.codebook.centroids) == 1
    np.testing.assert_allclose(restored(rows, trained.codebook), dequantize_rows(*rows), atol=1e-3)


def test_rows_of_zeros_train_nothing_and_break_nothing() -> None:
    filled = token_vectors(2_000, 48)
    empty = np.zeros((300, 48), np.int8), np.zeros(300, np.float32)
    mixed = tuple(np.concatenate(pair) for pair in zip(filled, empty, strict=True))
    trained = train(*mixed, bits=4, tokens_total=2_000, seed=1)
    assert is_equal(trained.codebook, trained_on(filled).codebook)
    assert np.isfinite(restored(mixed, trained.codebook)).all()


@pytest.mark.parametrize("tokens", [0, 40])
def test_a_shard_without_a_vector_gets_a_codebook_that_gives_zeros(tokens: int) -> None:
    rows = np.zeros((tokens, 48), np.int8), np.zeros(tokens, np.float32)
    trained = trained_on(rows)
    np.testing.assert_array_equal(restored(rows, trained.codebook), np.zeros((tokens, 48)))
    assert measure_drift(*rows, trained) == 0


def test_a_token_in_four_is_beyond_the_threshold_until_the_data_change() -> None:
    seen = token_vectors(40_000, 48)
    trained = train(seen[0][:30_000], seen[1][:30_000], bits=4, tokens_total=30_000, seed=1)
    assert measure_drift(seen[0][30_000:], seen[1][30_000:], trained) == pytest.approx(
        0.25, abs=0.03
    )
    assert measure_drift(*token_vectors(5_000, 48, seed=5), trained) > 0.7


def test_drift_statistics_tell_the_truth() -> None:
    rows = token_vectors(30_000, 48)
    trained = trained_on(rows)
    assert trained.drift.cosine_mean == pytest.approx(
        cosines(rows, trained.codebook).mean(), abs=0.002
    )
    assert trained.drift.residual_mean < trained.drift.residual_threshold
    norms = np.array([0, 1, 1, 1], np.float32) * np.float32(trained.drift.residual_threshold * 2)
    assert trained.drift.share_beyond(norms) == 0.75


def test_a_sample_is_bounded_and_random() -> None:
    rules = CodebookRules(centroids_max=64, tokens_per_centroid=10)
    picked = sample_tokens(1_000_000, seed=3, rules=rules)
    assert len(picked) == 64 * 10 * 4
    assert (np.diff(picked) > 0).all()
    assert abs(picked.mean() / 500_000 - 1) < 0.1
    np.testing.assert_array_equal(picked, sample_tokens(1_000_000, seed=3, rules=rules))
    np.testing.assert_array_equal(sample_tokens(50, seed=3, rules=rules), np.arange(50))
    assert len(sample_tokens(0, seed=3, rules=rules)) == 0


def test_a_sample_that_is_too_large_is_cut() -> None:
    rows = token_vectors(5_000, 48)
    rules = CodebookRules(centroids_max=16, tokens_per_centroid=20)
    trained = trained_on(rows, rules=rules)
    assert trained.trained_tokens == 320
    assert len(trained.codebook.centroids) == 16


def test_rare_words_are_nearer_to_a_centroid_than_after_a_uniform_draw() -> None:
    # Searches ask for rare words. Frequent ones took all centroids when tokens were drawn evenly.
    frequent = token_vectors(40_000, 48, centres=20, noise=0.4)
    rare = token_vectors(400, 48, centres=100, noise=0.1, seed=8)
    rows = Rows(*frequent).joined(Rows(*rare))
    rules = CodebookRules(centroids_max=256)
    trained = trained_on(rows, rules=rules)
    random = np.random.default_rng(1)
    drawn = rows.take(random.choice(len(rows.codes), trained.trained_tokens, replace=False))
    start, _ = starting_centroids(drawn, 256, earlier=None, random=random)
    uniform = k_means(drawn, start, steps=rules.iterations, random=random)
    own = Rows(trained.codebook.centroids, trained.codebook.centroid_scales)
    mean, uniform_mean = (
        residual_norms(Rows(*rare), found, nearest(Rows(*rare), found)).mean()
        for found in (own, uniform)
    )
    assert mean < 0.8 * uniform_mean


@pytest.mark.parametrize(
    ("tokens", "count"), [(0, 1), (1, 1), (10, 10), (50, 32), (10_000, 512), (10**9, 16_384)]
)
def test_centroids_are_a_power_of_two_that_grows_with_the_root(tokens: int, count: int) -> None:
    rules = CodebookRules(centroids_per_root=4, centroids_min=16, centroids_max=16_384)
    assert centroid_count(tokens, rules) == count


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_levels_of_a_normal_distribution_are_the_known_ones(bits: int) -> None:
    # Max, Quantizing for minimum distortion, IRE Transactions 1960, table I: the mean squared
    # error of the best 2, 4 and 16 levels.
    distortion = {1: 0.3634, 2: 0.1175, 4: 0.009497}[bits]
    values = np.random.default_rng(1).standard_normal(400_000).astype(np.float32)
    weights, zero, step = fit_levels(values, bits)
    levels = (weights.astype(float) - zero) * step
    nearest = np.abs(values[:, None] - levels).min(axis=1)
    assert (nearest**2).mean() == pytest.approx(distortion, rel=0.03)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize(
    "values",
    [
        np.zeros(10_000),
        np.full(10_000, 1e-7),
        np.r_[np.zeros(100_000), 1e6],
        np.r_[np.full(100_000, 0.01), np.full(100, -500.0)],
        np.full(5_000, 300.0),
    ],
    ids=["zeros", "tiny", "one outlier", "two places", "one-sided"],
)
def test_a_table_grows_whatever_the_values(values: np.ndarray, bits: int) -> None:
    weights, zero, step = fit_levels(values.astype(np.float32), bits)
    assert weights.dtype == np.uint8
    assert len(weights) == 2**bits
    assert (np.diff(weights.astype(int)) > 0).all()
    assert weights.max() <= WEIGHT_MAX
    assert 0 <= zero <= WEIGHT_MAX
    assert step > 0


def test_cutoffs_lie_between_the_levels_that_are_stored() -> None:
    codebook = trained_on(token_vectors(3_000)).codebook
    levels = (codebook.weights.astype(float) - codebook.zero) * codebook.weight_step
    assert (levels[:-1] < codebook.cutoffs).all()
    assert (codebook.cutoffs < levels[1:]).all()
    assert codebook.cutoffs.dtype == np.float32


def test_postings_of_a_full_block_reach_its_last_pattern() -> None:
    offsets = np.arange(BLOCK_PATTERNS_MAX + 1, dtype=np.uint32)
    ids = np.zeros(BLOCK_PATTERNS_MAX, np.uint16)
    ids[-1] = 65_535
    postings = build_postings(ids, offsets, 65_536)
    assert postings.patterns[-1] == BLOCK_PATTERNS_MAX - 1
    assert postings.starts[-2:].tolist() == [BLOCK_PATTERNS_MAX - 1, BLOCK_PATTERNS_MAX]
    with pytest.raises(ValueError, match="65536 patterns at most"):
        build_postings(ids, np.append(offsets, offsets[-1]), 65_536)
