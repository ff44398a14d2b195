from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dejalog.indexer.k_means import (
    SLICE_ROWS,
    Rows,
    k_means,
    nearest,
    residual_norms,
    residuals,
    starting_centroids,
)
from dejalog.indexer.quantize import dequantize_rows, quantize_rows


def rows_of(values: np.ndarray) -> Rows:
    return Rows(*quantize_rows(values.astype(np.float32)))


def around(centres: np.ndarray, each: int, noise: float, seed: int = 5) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows = np.repeat(centres, each, axis=0)
    return rows + noise * random.standard_normal(rows.shape)


def corners(dim: int) -> np.ndarray:
    return np.eye(dim, dtype=np.float32)


def clustered(rows: Rows, count: int, *, steps: int = 6, seed: int = 1, threads: int = 1) -> Rows:
    random = np.random.default_rng(seed)
    start, _ = starting_centroids(rows, count, earlier=None, random=random, threads=threads)
    return k_means(rows, start, steps=steps, random=random, threads=threads)


def error_of(rows: Rows, centroids: Rows) -> float:
    return float((residual_norms(rows, centroids, nearest(rows, centroids)) ** 2).mean())


def test_centroids_end_at_the_means_of_what_is_nearest_to_them() -> None:
    rows = rows_of(around(corners(16), 40, 0.02))
    centroids = clustered(rows, 16, steps=8)
    ids = nearest(rows, centroids)
    values, places = dequantize_rows(*rows), dequantize_rows(*centroids)
    for number in range(len(places)):
        mean = values[ids == number].mean(axis=0)
        np.testing.assert_allclose(places[number], mean, atol=np.abs(mean).max() / 127)


def test_every_step_serves_the_rows_better() -> None:
    random = np.random.default_rng(2)
    rows = rows_of(random.standard_normal((3_000, 24)))
    errors = [error_of(rows, clustered(rows, 64, steps=steps)) for steps in range(5)]
    assert all(after < before for before, after in pairwise(errors))


def test_centroids_without_rows_move_to_where_rows_are_badly_served() -> None:
    rows = rows_of(around(corners(8), 50, 0.01))
    # All but one centroid start where nothing is.
    start = rows_of(np.vstack([corners(8)[:1], -corners(8)[1:]]))
    centroids = k_means(rows, start, steps=10, random=np.random.default_rng(3))
    assert len(centroids.codes) == 8
    assert error_of(rows, centroids) < 8 * 0.01**2 * 2


def test_centroids_that_nothing_needs_are_given_up() -> None:
    rows = rows_of(np.repeat(corners(8)[:4], 25, axis=0))
    centroids = clustered(rows, 32, steps=4)
    assert len(centroids.codes) == 4
    assert error_of(rows, centroids) == pytest.approx(0, abs=1e-9)


def test_the_number_of_threads_changes_nothing() -> None:
    random = np.random.default_rng(4)
    rows = rows_of(random.standard_normal((SLICE_ROWS + 100, 8)))
    one, two = (clustered(rows, 16, steps=2, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.codes, two.codes)
    np.testing.assert_array_equal(one.scales, two.scales)


def test_means_do_not_depend_on_where_slices_end() -> None:
    # One cluster spans several slices: its sum is made of parts.
    random = np.random.default_rng(6)
    values = random.standard_normal((2 * SLICE_ROWS + 7, 8)) + 5
    rows = rows_of(values)
    start = rows_of(np.vstack([np.full(8, 5.0), np.full(8, -50.0)]))
    centroids = k_means(rows, start, steps=1, random=random)
    mean = dequantize_rows(*rows).mean(axis=0)
    np.testing.assert_allclose(dequantize_rows(*centroids)[0], mean, atol=mean.max() / 127)


def test_a_shift_of_all_rows_only_shifts_the_centroids() -> None:
    random = np.random.default_rng(7)
    values = around(corners(8), 100, 0.05)
    shift = 0.3 * random.standard_normal(8)
    places = [
        dequantize_rows(
            *k_means(rows_of(values + by), rows_of(values[::100] + by), steps=5, random=random)
        )
        for by in (np.zeros(8), shift)
    ]
    np.testing.assert_allclose(places[1] - shift, places[0], atol=0.02)


def test_too_many_earlier_centroids_leave_the_busiest() -> None:
    rows = rows_of(np.repeat(corners(8)[:4], [5, 50, 1, 20], axis=0))
    start, kept = starting_centroids(
        rows, 2, earlier=rows_of(corners(8)[:4]), random=np.random.default_rng(1)
    )
    assert kept == 2
    np.testing.assert_allclose(dequantize_rows(*start), corners(8)[:4][[1, 3]], atol=1e-6)


def test_too_few_earlier_centroids_are_filled_up_where_they_serve_badly() -> None:
    rows = rows_of(np.repeat(corners(8)[:4], 30, axis=0))
    start, kept = starting_centroids(
        rows, 3, earlier=rows_of(corners(8)[:4][:2]), random=np.random.default_rng(1)
    )
    assert kept == 2
    np.testing.assert_allclose(dequantize_rows(*start)[:2], corners(8)[:4][:2], atol=1e-6)
    assert dequantize_rows(*start)[2].argmax() in {2, 3}


def test_residuals_are_taken_from_the_rounded_centroids() -> None:
    rows, centroids = rows_of(around(corners(8), 3, 0.1)), rows_of(corners(8) * 0.9)
    ids = nearest(rows, centroids)
    left = residuals(rows, centroids, ids)
    np.testing.assert_allclose(
        dequantize_rows(*centroids)[ids] + left, dequantize_rows(*rows), atol=1e-6
    )
    np.testing.assert_allclose(
        residual_norms(rows, centroids, ids), np.linalg.norm(left, axis=1), rtol=1e-6
    )
