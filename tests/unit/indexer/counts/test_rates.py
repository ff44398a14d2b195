from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dejalog.indexer.counts import rates
from dejalog.indexer.counts.rates import (
    BINS,
    LENGTHS,
    BinCounts,
    WindowPair,
    can_differ,
    corrected,
    dispersions,
    p_values,
)
from dejalog.indexer.request import Window

PAIR = WindowPair(Window(0, 6400), Window(10_000, 16_400))


def binned(matrix: np.ndarray) -> BinCounts:
    """matrix int[patterns, bins of both windows]."""
    patterns, bins = np.nonzero(matrix)
    return BinCounts(patterns, bins, matrix[patterns, bins])


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=20),
       st.floats(0.01, 0.99))  # fmt: skip
def test_without_bursts_it_is_the_exact_binomial_test(
    counts: list[tuple[int, int]], share: float
) -> None:
    before, after = np.array(counts).T
    got = p_values(before, after, np.ones(len(counts)), share)
    for b, a, p in zip(before.tolist(), after.tolist(), got, strict=True):
        upper, lower = stats.binom.sf(a - 1, a + b, share), stats.binom.cdf(a, a + b, share)
        assert p == pytest.approx(min(1.0, 2 * min(upper, lower)), rel=1e-8)


def test_windows_of_different_lengths_are_compared_by_rate() -> None:
    once, ten_times = np.array([10]), np.array([100])
    assert p_values(ten_times, once, np.ones(1), 1 / 11)[0] > 0.9
    assert p_values(once, once, np.ones(1), 1 / 11)[0] < 1e-5


def test_a_percent_of_a_frequent_pattern_is_no_change() -> None:
    frequent, ones = np.array([10**9]), np.ones(1)
    assert p_values(frequent, frequent * 101 // 100, ones, 0.5)[0] > 0.1
    assert p_values(frequent, frequent * 12 // 10, ones, 0.5)[0] < 1e-15


def test_a_burst_is_worth_one_event() -> None:
    matrix = np.zeros((4, PAIR.bins), np.int64)
    matrix[0, BINS + 7] = 50  # One burst of fifty lines ...
    matrix[1, [BINS + 7, BINS + 40]] = 25  # ... two of them ...
    matrix[2, BINS : 2 * BINS] = 1  # ... and a steady trickle.
    matrix[3, BINS : BINS + 4] = 12  # A burst over four bins is one, too.
    spread = dispersions(binned(matrix), 4, PAIR)
    assert spread[0] == pytest.approx(50)
    assert spread[1] == pytest.approx(25, rel=0.1)
    assert spread[2] == 1
    assert spread[3] == pytest.approx(48, rel=0.1)
    p = p_values(*(np.array(n) for n in ([0, 0, 0, 0], [50, 50, 64, 48])), spread, PAIR.share_after)
    assert p[0] == pytest.approx(1.0)
    assert p[1] > 0.3
    assert p[2] < 1e-15
    assert p[3] > 0.9


def test_dispersion_is_pearsons_over_all_bins_also_empty_ones() -> None:
    rng = np.random.default_rng(3)
    print("seed 3")
    pair = WindowPair(Window(0, 6400 * 3), Window(20_000, 26_400))
    assert (pair.bins_before, pair.bins_after) == (3 * BINS, BINS)
    matrix = rng.poisson(rng.exponential(2, (30, 1)) * rng.integers(0, 3, (30, pair.bins)))
    got = dispersions(binned(matrix), 30, pair)
    for row, spread in zip(matrix, got, strict=True):
        expected = 1.0
        for window in (row[: pair.bins_before], row[pair.bins_before :]):
            for length in LENGTHS:
                sums = window.reshape(-1, length).sum(axis=1)
                if sums.any():
                    expected = max(expected, sums.var(ddof=1) / sums.mean())
        assert spread == pytest.approx(expected)


@pytest.mark.parametrize("lengths", [(6400, 6400), (64_000, 6400), (6400, 640_000)])
@pytest.mark.parametrize("burst", [1, 10])
def test_bursts_at_one_rate_are_seldom_called_a_change(
    lengths: tuple[int, int], burst: int
) -> None:
    """Of patterns whose bursts have one rate everywhere, one in a hundred may have p < 0.01."""
    pair = WindowPair(Window(0, lengths[0]), Window(10**6, 10**6 + lengths[1]))
    rng = np.random.default_rng(11)
    print("seed 11")
    patterns = 2000
    matrix = np.zeros((patterns, pair.bins), np.int64)
    bursts = rng.poisson(20 * pair.bins / BINS, patterns)
    rows = np.repeat(np.arange(patterns), bursts)
    np.add.at(
        matrix, (rows, rng.integers(0, pair.bins, len(rows))), rng.geometric(1 / burst, len(rows))
    )
    before, after = matrix[:, : pair.bins_before].sum(1), matrix[:, pair.bins_before :].sum(1)
    called = p_values(before, after, dispersions(binned(matrix), patterns, pair), pair.share_after)
    naive = p_values(before, after, np.ones(patterns), pair.share_after)
    assert (called < 0.01).mean() < 0.013
    if burst > 1:
        assert (naive < 0.01).mean() > 0.2


def test_correction_is_benjamini_hochberg() -> None:
    rng = np.random.default_rng(2)
    print("seed 2")
    p = np.concatenate([rng.random(300), rng.random(30) * 1e-4, [0.0, 1.0]])
    np.testing.assert_allclose(corrected(p), stats.false_discovery_control(p, method="bh"))
    assert corrected(np.zeros(0)).shape == (0,)


def test_totals_that_can_never_be_a_change_are_known() -> None:
    for share in (0.5, 0.1, 0.97):
        for total in range(1, 30):
            after = np.arange(total + 1)
            least = p_values(total - after, after, np.ones(total + 1), share).min()
            is_possible = bool(can_differ(np.array([total]), share, 0.01)[0])
            assert is_possible == (least <= 0.01)


@given(st.integers(1, 10**15), st.integers(1, 10**15), st.integers(-(10**17), 10**17))
def test_every_time_of_a_window_has_a_bin_of_that_window(
    length: int, other: int, start: int
) -> None:
    pair = WindowPair(Window(start, start + length), Window(start - other, start))
    times = [start, start + length // 3, start + length - 1]
    bins = pair.of(np.array([*times, start - 1, start - other, start - other - 1, start + length]))
    assert ((bins[:3] >= 0) & (bins[:3] < pair.bins_before)).all()
    assert ((bins[3:5] >= pair.bins_before) & (bins[3:5] < pair.bins)).all()
    assert (bins[5:] == -1).all()
    assert pair.bins_before % LENGTHS[-1] == pair.bins_after % LENGTHS[-1] == 0
    assert min(pair.bins_before, pair.bins_after) >= BINS
    assert max(pair.bins_before, pair.bins_after) <= rates._BINS_MAX
