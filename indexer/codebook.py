"""Codebooks: what a shard's codes are trained on, and how well they still fit.

Training, on a bounded random sample of a shard's int8 token vectors:

1. A coarse k-means, of a few centroids, tells how far each token is from what is frequent.
2. k-means (`k_means.py`) runs on tokens drawn by the square of that distance, started from the last
   codebook's centroids where there are any. A uniform draw spends the centroids on frequent words,
   but what a search looks for are the rare ones: drawn so, the same number of centroids finds more
   (figures: bench/README.md) at the same squared error.
3. Residuals of held-out tokens give the deviation of each dimension, one table of Lloyd-Max levels
   for all dimensions, the range of inverse norms, and the statistics that drift is judged by.

L2 k-means does not change when all vectors are shifted, so nothing is centred before it.
Everything is deterministic by its seed, for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer import kernel
from dejalog.indexer.k_means import (
    Rows,
    for_each_slice,
    k_means,
    nearest,
    residual_norms,
    residuals,
    slices,
    starting_centroids,
)
from dejalog.indexer.kernel.codes import (
    BLOCK_PATTERNS_MAX,
    WEIGHT_MAX,
    Codebook,
    CodedRows,
    Postings,
)
from dejalog.indexer.quantize import dequantize_rows

#: A residual counts as far from its centroid beyond this quantile of the held-out ones, so that
#: one token in four does where nothing has changed.
THRESHOLD_QUANTILE = 0.75

#: Every tenth token of a sample is held out of k-means and judges its result, because residuals
#: of tokens that moved the centroids are too small; with fewer than the least all tokens judge.
HELD_OUT_SHARE = 0.1
HELD_OUT_MIN = 1_000
HELD_OUT_MAX = 50_000

#: A sample has so many tokens for each that k-means runs on, to have some to choose from.
SAMPLE_FACTOR = 4

#: The coarse k-means: its centroids are a 16th as many, and learn from 32 tokens each.
COARSE_SHARE = 16
COARSE_TOKENS = 32
COARSE_STEPS = 3

#: What a token at its coarse centroid still counts for in the draw, of the mean squared distance.
UNIFORM_SHARE = 0.1

#: Residuals beyond so many deviations count as that many when levels are chosen: one far outlier
#: must not spread 127 steps thin.
LEVEL_RANGE = 4.0

#: Residuals that levels are fitted to; a million take 0.1 s.
LEVEL_VALUES_MAX = 1_000_000

#: Shares of inverse norms that are cut off at both ends of the stored range.
NORM_TAIL = 0.0005

#: Lloyd's algorithm on 16 levels has settled after so many steps, of 20 us each; after 40 the
#: squared error is still 5 % too large.
LEVEL_STEPS = 500
NORMAL_VALUES = 1_024


@dataclass(frozen=True, slots=True)
class CodebookRules:
    """How large a codebook becomes and how long it is trained.

    K is the power of two that is nearest to centroids_per_root * sqrt(tokens), within bounds.
    k-means runs on tokens_per_centroid * K tokens, of a sample of SAMPLE_FACTOR as many.
    """

    centroids_per_root: float = 8.0
    centroids_min: int = 16
    centroids_max: int = 16_384
    tokens_per_centroid: int = 16
    iterations: int = 3
    warm_iterations: int = 2


@dataclass(frozen=True, slots=True)
class Drift:
    """How well a codebook fitted when it was trained: what drift is judged by.

    residual_threshold is the THRESHOLD_QUANTILE of the residuals' norms, residual_mean their mean,
    cosine_mean the mean cosine between token vectors and their reconstructions.
    """

    residual_threshold: float
    residual_mean: float
    cosine_mean: float

    def share_beyond(self, residual_norms: NDArray[np.float32]) -> float:
        """Returns the share of residuals beyond the threshold: 0.25 where nothing has changed.

        Judge it as a ratio to 0.25; the threshold itself is never adapted to later data.
        """
        if not len(residual_norms):
            return 0.0
        return float(np.mean(residual_norms > np.float32(self.residual_threshold)))


@dataclass(frozen=True, slots=True)
class Trained:
    """A codebook and how it came about.

    version counts a data directory's codebooks; trained_tokens is the size of the sample,
    warm_centroids how many centroids the last codebook gave.
    """

    codebook: Codebook
    version: int
    seed: int
    tokens_total: int
    trained_tokens: int
    iterations: int
    warm_centroids: int
    drift: Drift


class TokenCodes(NamedTuple):
    """Codes of consecutive tokens: uint16[t], uint8[t] and uint8[t, dim * bits // 8]."""

    centroid_ids: NDArray[np.uint16]
    norms: NDArray[np.uint8]
    residuals: NDArray[np.uint8]


def centroid_count(tokens_total: int, rules: CodebookRules) -> int:
    """Returns how many centroids a shard of so many tokens gets; never more than tokens."""
    wanted = rules.centroids_per_root * max(tokens_total, 1) ** 0.5
    power = 1 << round(log2(max(wanted, 1.0)))
    return min(max(power, rules.centroids_min), rules.centroids_max, max(tokens_total, 1))


def sample_tokens(tokens_total: int, *, seed: int, rules: CodebookRules) -> NDArray[np.int64]:
    """Returns the tokens to train on, as growing int64 indices into all of a shard's tokens."""
    wanted = centroid_count(tokens_total, rules) * rules.tokens_per_centroid * SAMPLE_FACTOR
    if wanted >= tokens_total:
        return np.arange(tokens_total, dtype=np.int64)
    random = np.random.default_rng(seed)
    return np.sort(random.choice(tokens_total, wanted, replace=False)).astype(np.int64)


def train(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    *,
    bits: int,
    tokens_total: int,
    seed: int,
    warm_start: Codebook | None = None,
    rules: CodebookRules | None = None,
    version: int = 1,
    threads: int = 1,
) -> Trained:
    """Trains a codebook on a sample of a shard's tokens, such as sample_tokens names.

    codes int8[t, dim], scales float32[t]. A sample without a row that differs from zero gives one
    centroid at zero. Raises ValueError if bits is not 1, 2 or 4, or warm_start has other dims.
    """
    if bits not in {1, 2, 4}:
        raise ValueError(f"codes have 1, 2 or 4 bits for a dimension, not {bits}")
    if warm_start is not None and warm_start.centroids.shape[1] != codes.shape[1]:
        raise ValueError(
            f"the last codebook has {warm_start.centroids.shape[1]} dims, the vectors have "
            f"{codes.shape[1]}: train without it"
        )
    rules = rules or CodebookRules()
    random = np.random.default_rng(seed)
    sample = Rows(codes, scales).take(np.flatnonzero(scales > 0))
    held_out, rest = _split(sample, random)
    earlier = None if warm_start is None else _centroids(warm_start)
    steps = rules.iterations if warm_start is None else rules.warm_iterations
    fitted, centroids, warm_centroids = rest, _nothing(codes.shape[1]), 0
    if len(rest.codes):
        count = min(centroid_count(tokens_total, rules), len(rest.codes))
        fitted = _drawn(rest, count, rules.tokens_per_centroid, random, threads)
        centroids, warm_centroids = starting_centroids(
            fitted, min(count, len(fitted.codes)), earlier=earlier, random=random, threads=threads
        )
        centroids = k_means(fitted, centroids, steps=steps, random=random, threads=threads)
    codebook, drift = _finish(held_out, centroids, bits, threads)
    return Trained(
        codebook=codebook,
        version=version,
        seed=seed,
        tokens_total=tokens_total,
        trained_tokens=len(fitted.codes),
        iterations=steps,
        warm_centroids=warm_centroids,
        drift=drift,
    )


def encode_tokens(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    codebook: Codebook,
    *,
    threads: int = 1,
) -> TokenCodes:
    """Returns the codes of int8[t, dim] token vectors with their float32[t] scales."""
    ids = nearest(Rows(codes, scales), _centroids(codebook), threads=threads)
    residuals = np.empty((len(codes), codes.shape[1] * codebook.bits // 8), np.uint8)
    norms = np.empty(len(codes), np.uint8)

    def encode(part: slice) -> None:
        residuals[part], norms[part] = kernel.encode(codes[part], scales[part], codebook, ids[part])

    for_each_slice(encode, len(codes), threads=threads)
    return TokenCodes(ids, norms, residuals)


def measure_drift(
    codes: NDArray[np.int8], scales: NDArray[np.float32], trained: Trained, *, threads: int = 1
) -> float:
    """Returns the share of tokens beyond the training threshold: 0.25 where nothing has changed."""
    rows, centroids = Rows(codes, scales), _centroids(trained.codebook)
    ids = nearest(rows, centroids, threads=threads)
    return trained.drift.share_beyond(residual_norms(rows, centroids, ids))


def build_postings(
    centroid_ids: NDArray[np.uint16], offsets: NDArray[np.uint32], centroids: int
) -> Postings:
    """Returns which patterns of a block have a token of each of so many centroids.

    centroid_ids uint16[t]; offsets uint32[n + 1], where pattern i has the tokens offsets[i] to
    offsets[i + 1]. Raises ValueError beyond BLOCK_PATTERNS_MAX patterns.
    """
    if len(offsets) - 1 > BLOCK_PATTERNS_MAX:
        raise ValueError(f"a block has {BLOCK_PATTERNS_MAX} patterns at most, not more")
    lengths = (offsets[1:] - offsets[:-1]).astype(np.int64)
    patterns = np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)
    # Sorting one number of both parts is several times faster than sorting by two keys.
    pairs = np.sort((centroid_ids.astype(np.uint32) << 16) | patterns)
    is_first = np.ones(len(pairs), np.bool_)
    is_first[1:] = pairs[1:] != pairs[:-1]
    pairs = pairs[is_first]
    starts = np.zeros(centroids + 1, np.uint32)
    np.cumsum(np.bincount(pairs >> 16, minlength=centroids), out=starts[1:])
    return Postings(starts, (pairs & 0xFFFF).astype(np.uint16))


def _split(sample: Rows, random: np.random.Generator) -> tuple[Rows, Rows]:
    """Returns the tokens to judge by and those to fit: all for both if there are few."""
    held_out = min(int(len(sample.codes) * HELD_OUT_SHARE), HELD_OUT_MAX)
    if held_out < HELD_OUT_MIN:
        return sample, sample
    is_held_out = np.zeros(len(sample.codes), np.bool_)
    is_held_out[random.choice(len(is_held_out), held_out, replace=False)] = True
    return sample.take(np.flatnonzero(is_held_out)), sample.take(np.flatnonzero(~is_held_out))


def _drawn(
    rows: Rows, count: int, tokens_per_centroid: int, random: np.random.Generator, threads: int
) -> Rows:
    """Returns the tokens that so many centroids are fitted to, at most half of the rows.

    All rows are returned if half would be too few.
    """
    wanted = min(count * tokens_per_centroid, len(rows.codes) // 2)
    if wanted < 2 * count:
        return rows
    coarse = max(count // COARSE_SHARE, 1)
    some = random.choice(len(rows.codes), min(coarse * COARSE_TOKENS, wanted), replace=False)
    learnt = rows.take(np.sort(some))
    centroids, _ = starting_centroids(learnt, coarse, earlier=None, random=random)
    centroids = k_means(learnt, centroids, steps=COARSE_STEPS, random=random, threads=threads)
    squares = residual_norms(rows, centroids, nearest(rows, centroids, threads=threads)) ** 2
    # The smallest float keeps tokens that are all alike from having no chance at all.
    chances = squares.astype(np.float64) + max(UNIFORM_SHARE * float(squares.mean()), 1e-12)
    picked = random.choice(len(chances), wanted, replace=False, p=chances / chances.sum())
    return rows.take(np.sort(picked))


def _finish(rows: Rows, centroids: Rows, bits: int, threads: int) -> tuple[Codebook, Drift]:
    """Returns the codebook of these centroids, and how well it serves the rows."""
    ids = nearest(rows, centroids, threads=threads)
    deviations = _deviations(rows, centroids, ids)
    some = np.arange(0, len(ids), max(1, len(ids) * len(deviations) // LEVEL_VALUES_MAX))
    left = residuals(rows.take(some), centroids, ids[some])
    is_used = deviations > 0
    weights, zero, step = fit_levels((left[:, is_used] / deviations[is_used]).ravel(), bits)
    levels = (weights.astype(np.float32) - zero) * np.float32(step)
    plain = Codebook(
        bits=bits,
        centroids=centroids.codes,
        centroid_scales=centroids.scales,
        deviations=deviations,
        weights=weights,
        zero=zero,
        weight_step=step,
        cutoffs=((levels[1:] + levels[:-1]) / 2).astype(np.float32),
        norm_low=1.0,
        norm_step=0.0,
    )
    low, norm_step, cosine = _norm_range(rows.take(some), plain, ids[some])
    norms = residual_norms(rows, centroids, ids)
    drift = Drift(
        residual_threshold=float(np.quantile(norms, THRESHOLD_QUANTILE)) if len(norms) else 0.0,
        residual_mean=float(norms.mean()) if len(norms) else 0.0,
        cosine_mean=cosine,
    )
    return replace(plain, norm_low=low, norm_step=norm_step), drift


def fit_levels(values: NDArray[np.float32], bits: int) -> tuple[NDArray[np.uint8], int, float]:
    """Returns weights, zero and weight_step of the levels with the least squared error.

    values float32[n] are residuals in deviations. Lloyd's algorithm in one dimension (Max, 1960),
    over sorted values and their running sums. A normal distribution's values are mixed in: they
    are nothing beside a real sample, and give a tiny one a table that is fit for use.
    """
    count = 1 << bits
    places = (np.arange(NORMAL_VALUES) + 0.5) / NORMAL_VALUES
    normal = np.array([NormalDist().inv_cdf(place) for place in places])
    ordered = np.sort(np.concatenate((values.astype(np.float64), normal)))
    np.clip(ordered, -LEVEL_RANGE, LEVEL_RANGE, out=ordered)
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    levels = np.quantile(ordered, (np.arange(count) + 0.5) / count)
    for _ in range(LEVEL_STEPS):
        inner = np.searchsorted(ordered, (levels[1:] + levels[:-1]) / 2)
        edges = np.concatenate(([0], inner, [len(ordered)]))
        members = np.diff(edges)
        levels = np.where(members > 0, np.diff(sums[edges]) / np.maximum(members, 1), levels)
    step = float(np.float32((levels[-1] - levels[0]) / WEIGHT_MAX))
    zero = min(max(round(-levels[0] / step), 0), WEIGHT_MAX)
    # Levels that round to one weight are pushed apart: a table has to grow.
    spread = np.arange(count)
    weights = np.maximum.accumulate(np.rint(levels / step).astype(np.int64) + zero - spread)
    weights = np.minimum(np.maximum(weights, 0), WEIGHT_MAX - count + 1) + spread
    return weights.astype(np.uint8), zero, step


def _norm_range(rows: Rows, plain: Codebook, ids: NDArray[np.uint16]) -> tuple[float, float, float]:
    """Returns norm_low, norm_step and the mean cosine of reconstructions."""
    if not len(ids):
        return 1.0, 0.0, 1.0
    residuals, norms = kernel.encode(rows.codes, rows.scales, plain, ids)
    offsets = np.array([0, len(ids)], np.uint32)
    # The inverse norm of a codebook without a range is 1: this is the bare reconstruction.
    restored = kernel.decode(CodedRows(offsets, ids, norms, residuals), plain)
    lengths = np.maximum(np.linalg.norm(restored, axis=1), 1e-6)
    originals = dequantize_rows(*rows)
    own_lengths = np.maximum(np.linalg.norm(originals, axis=1), 1e-6)
    cosines = (originals * restored).sum(axis=1) / (lengths * own_lengths)
    low, high = np.quantile(1 / lengths, [NORM_TAIL, 1 - NORM_TAIL])
    return float(low), float(high - low) / 255, float(cosines.mean())


def _deviations(rows: Rows, centroids: Rows, ids: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Returns the float32[dim] root mean square of residuals."""
    squares = np.zeros(rows.codes.shape[1], np.float64)
    for part in slices(len(ids)):
        squares += (residuals(rows.take(part), centroids, ids[part]) ** 2).sum(axis=0)
    return np.sqrt(squares / max(len(ids), 1)).astype(np.float32)


def _nothing(dim: int) -> Rows:
    return Rows(np.zeros((1, dim), np.int8), np.zeros(1, np.float32))


def _centroids(codebook: Codebook) -> Rows:
    return Rows(codebook.centroids, codebook.centroid_scales)
