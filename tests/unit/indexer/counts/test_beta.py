from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import special

from dejalog.indexer.counts.beta import incomplete_beta


def test_whole_numbers_give_exact_binomial_tails() -> None:
    for events in (1, 2, 7, 40):
        for share in (Fraction(1, 2), Fraction(1, 50), Fraction(9, 10)):
            for least in range(1, events + 1):
                tail = sum(
                    math.comb(events, k) * share**k * (1 - share) ** (events - k)
                    for k in range(least, events + 1)
                )
                a, b = np.array([float(least)]), np.array([float(events - least + 1)])
                got = incomplete_beta(a, b, np.array([float(share)]))[0]
                assert got == pytest.approx(float(tail), rel=1e-10)


def test_any_numbers_give_what_scipy_gives() -> None:
    rng = np.random.default_rng(8)
    print("seed 8")
    a, b = 10 ** rng.uniform(-2, 6, 4000), 10 ** rng.uniform(-2, 6, 4000)
    # Around the mean as well as anywhere.
    mean = a / (a + b)
    x = np.where(rng.random(4000) < 0.7, mean ** rng.uniform(0.9, 1.1, 4000), rng.random(4000))
    expected = special.betainc(a, b, x)
    got = incomplete_beta(a, b, x)
    is_normal = expected > 1e-300
    np.testing.assert_allclose(got[is_normal], expected[is_normal], rtol=2e-8, atol=0)
    assert (got[~is_normal] < 1e-290).all()


def test_the_ends_and_nothing_at_all() -> None:
    ones = np.ones(2)
    np.testing.assert_array_equal(incomplete_beta(ones, ones, np.array([0.0, 1.0])), [0.0, 1.0])
    assert incomplete_beta(np.zeros(0), np.zeros(0), np.zeros(0)).shape == (0,)
