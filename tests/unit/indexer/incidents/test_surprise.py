from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.incidents.surprise import (
    PRIOR_CELLS,
    count_cells,
    places_of,
    rarity_bits,
    surprises,
    unusual_bits,
)

events = st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), max_size=40)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return array[:, 0].copy(), array[:, 1].copy()


@given(events)
def test_cells_are_counted_as_a_dictionary_would(pairs: list[tuple[int, int]]) -> None:
    cells = count_cells(*columns(pairs))
    counted: dict[tuple[int, int], int] = {}
    for pair in pairs:
        counted[pair] = counted.get(pair, 0) + 1
    assert list(zip(cells.owners, cells.stretches, cells.counts, strict=True)) == [
        (*cell, count) for cell, count in sorted(counted.items())
    ]


def test_cells_far_apart_are_counted_as_those_close_together_are() -> None:
    """Two assets with a century between their events have a billion empty cells."""
    near, far = np.array([0, 1, 0, 1]), np.array([0, 10**12, 0, 10**12])
    close = count_cells(np.array([0, 1, 0, 1]), near)
    apart = count_cells(np.array([0, 1, 0, 1]), far)
    assert close.owners.tolist() == apart.owners.tolist() == [0, 1]
    assert close.counts.tolist() == apart.counts.tolist() == [2, 2]
    assert apart.stretches.tolist() == [0, 10**12]
    doubled = count_cells(apart.owners, apart.stretches, apart.counts)
    assert doubled.counts.tolist() == [2, 2]


@given(events, events)
def test_cells_of_two_shards_add_up(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    parts = [count_cells(*columns(pairs)) for pairs in (first, second)]
    together = count_cells(
        np.concatenate([part.owners for part in parts]),
        np.concatenate([part.stretches for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )
    whole = count_cells(*columns(first + second))
    assert together.owners.tolist() == whole.owners.tolist()
    assert together.stretches.tolist() == whole.stretches.tolist()
    assert together.counts.tolist() == whole.counts.tolist()


@given(events.filter(bool))
def test_every_event_finds_its_cell_again(pairs: list[tuple[int, int]]) -> None:
    cells = count_cells(*columns(pairs))
    places = places_of(cells, *columns(pairs))
    assert list(zip(cells.owners[places], cells.stretches[places], strict=True)) == pairs


def by_hand(inside: int, outside: int, total_in: int, total_out: int) -> float:
    """The ratio of two binomial likelihoods against one, term by term."""
    if total_out == 0 or inside * total_out <= outside * total_in:
        return 0.0

    def bits(count: int, total: int, share: float) -> float:
        hit = count * math.log2(share) if count else 0.0
        return hit + ((total - count) * math.log2(1 - share) if total > count else 0.0)

    share = (inside + outside) / (total_in + total_out)
    return (
        bits(inside, total_in, inside / total_in)
        + bits(outside, total_out, outside / total_out)
        - bits(inside, total_in, share)
        - bits(outside, total_out, share)
    )


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_unusual_bits_are_the_log_likelihood_ratio(
    inside: int, outside: int, others_in: int, others_out: int
) -> None:
    total_in, total_out = inside + others_in, outside + others_out
    if total_in == 0:
        return
    bits = unusual_bits(
        np.array([inside]), np.array([outside]), total_in=total_in, total_out=total_out
    )
    assert bits[0] == pytest.approx(by_hand(inside, outside, total_in, total_out), abs=1e-9)


def test_a_pattern_that_every_cell_has_tells_nothing_and_a_rare_one_does() -> None:
    with_pattern, with_any = np.array([100, 1]), np.array([100, 100])
    everywhere = np.array([1.0, 0.001])
    everyday, rare = rarity_bits(with_pattern, with_any, everywhere)
    assert everyday == pytest.approx(0.0, abs=1e-9)
    assert rare == pytest.approx(-math.log2(PRIOR_CELLS * 0.001 / (99 + PRIOR_CELLS)))


def test_an_asset_with_one_event_has_the_surprises_of_all_others() -> None:
    """A work order's asset may have no other event: its share of all assets is what is known."""
    bits = rarity_bits(np.array([1]), np.array([1]), np.array([0.25]))
    assert bits[0] == pytest.approx(2.0)


def test_a_burst_of_an_everyday_pattern_surprises_in_its_own_cell_only() -> None:
    # One asset, ten stretches with one event of the pattern each, and the last one with forty.
    stretches = np.concatenate([np.arange(10), np.full(39, 9)])
    others = np.repeat(np.arange(10), 20)
    pattern = count_cells(np.zeros(len(stretches), np.int64), stretches)
    owners = np.zeros(len(stretches) + len(others), np.int64)
    totals = count_cells(owners, np.concatenate([stretches, others]))
    bits = surprises(pattern, totals, 1)
    assert bits[-1] > 4
    assert bits[:-1].max() < 0.2


def test_an_asset_new_to_a_pattern_is_more_surprised_than_one_that_has_it_daily() -> None:
    daily, other = np.arange(20), np.array([3])
    # The pattern on asset 0 every day, on asset 1 once; both log something else daily.
    pattern = count_cells(np.array([0] * 20 + [1]), np.concatenate([daily, other]))
    owners = np.array([0] * 40 + [1] * 21)
    totals = count_cells(owners, np.concatenate([daily, daily, daily, other]))
    bits = surprises(pattern, totals, 2)
    assert bits[-1] > bits[:-1].max() + 1
