from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.incidents.grouping import (
    DEFAULT_RULES,
    POSSIBLE_BITS_MIN,
    HitEvents,
    Rules,
    answer_shares,
    describe,
    group,
    weighty,
)

Row = tuple[int, int, int, bool]

rows = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=40
)


def hit_events(given_rows: list[Row]) -> HitEvents:
    times, assets, hits, notes = zip(*given_rows, strict=True) if given_rows else ((), (), (), ())
    return HitEvents(
        times=np.array(times, np.int64),
        assets=np.array(assets, np.int64),
        hits=np.array(hits, np.int64),
        numbers=np.arange(len(given_rows)),
        is_note=np.array(notes, np.bool_),
    )


def grouped_by_hand(given_rows: list[Row], gap: int) -> set[frozenset[int]]:
    """Joins events pair by pair until nothing changes."""
    groups = [{i} for i in range(len(given_rows))]

    def belong(one: int, other: int) -> bool:
        a, b = given_rows[one], given_rows[other]
        return a[1] == b[1] and not a[3] and not b[3] and abs(a[0] - b[0]) < gap

    is_done = False
    while not is_done:
        is_done = True
        for left, right in itertools.combinations(groups, 2):
            if any(belong(a, b) for a in left for b in right):
                left.update(right)
                groups.remove(right)
                is_done = False
                break
    return {frozenset(each) for each in groups}


@given(rows, st.integers(1, 12))
def test_groups_are_those_of_joining_pair_by_pair(given_rows: list[Row], gap: int) -> None:
    numbers = group(hit_events(given_rows), gap)
    found: dict[int, set[int]] = {}
    for place, number in enumerate(numbers.tolist()):
        found.setdefault(number, set()).add(place)
    assert {frozenset(each) for each in found.values()} == grouped_by_hand(given_rows, gap)
    assert sorted(found) == list(range(len(found)))


@given(
    rows,
    st.integers(1, 12),
    st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=3),
    st.lists(st.floats(0, 9), min_size=40, max_size=40),
)
def test_scores_are_those_of_adding_up_one_by_one(
    given_rows: list[Row], gap: int, answers: list[list[float]], bits: list[float]
) -> None:
    events = hit_events(given_rows)
    numbers = group(events, gap)
    array = np.array(answers)
    own_bits = np.array(bits[: len(events)])
    incidents = describe(events, numbers, array, own_bits, DEFAULT_RULES)
    possible = 0.0
    sums = [0.0] * len(incidents)
    for answer in answers:
        line_best = 0.0
        for incident in range(len(incidents)):
            best: dict[int, float] = {}
            for place, row in enumerate(given_rows):
                if numbers[place] == incident:
                    best[row[2]] = max(best.get(row[2], 0.0), bits[place])
            weights = sorted((answer[hit] * most for hit, most in best.items()), reverse=True)
            sums[incident] += sum(
                weight * DEFAULT_RULES.further_share**rank for rank, weight in enumerate(weights)
            )
            answering = [most for hit, most in best.items() if answer[hit] > 0]
            line_best = max([line_best, *answering])
        possible += max(line_best, POSSIBLE_BITS_MIN) if line_best else 0.0
    expected = [each / possible if possible else each for each in sums]
    assert incidents.scores.tolist() == pytest.approx(expected)


@given(rows.filter(bool), st.integers(1, 12))
def test_an_incident_reaches_from_its_first_event_to_its_last(
    given_rows: list[Row], gap: int
) -> None:
    events = hit_events(given_rows)
    numbers = group(events, gap)
    incidents = describe(events, numbers, np.ones((1, 4)), np.ones(len(events)), DEFAULT_RULES)
    for incident in range(len(incidents)):
        own = [row for row, number in zip(given_rows, numbers, strict=True) if number == incident]
        assert incidents.start_ns[incident] == min(row[0] for row in own)
        assert incidents.end_ns[incident] == max(row[0] for row in own)
        assert incidents.counts[incident] == len(own)
        assert {row[1] for row in own} == {incidents.assets[incident]}
        assert {row[3] for row in own} == {bool(incidents.is_note[incident])}


def test_a_line_s_best_hit_answers_it_as_well_as_its_meaning_does() -> None:
    totals = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    shares = answer_shares(totals, np.array([0.9, 0.0]), Rules(sharpness=3.0))
    assert shares[0].tolist() == pytest.approx([0.9, 0.9 / 8, 0.0])
    assert not shares[1].any()


def test_events_that_weigh_little_make_no_incident() -> None:
    events = hit_events([(0, 0, 0, False), (1, 0, 1, False), (2, 0, 2, False)])
    answers = np.array([[1.0, 1.0, 0.1]])
    bits = np.array([8.0, 0.5, 8.0])
    assert weighty(events, answers, bits, Rules(weight_share_min=0.25)).tolist() == [
        True,
        False,
        False,
    ]


def test_each_line_keeps_what_weighs_most_for_it() -> None:
    events = hit_events([(0, 0, 0, False), (1, 0, 1, False)])
    answers = np.array([[1.0, 0.0], [0.0, 0.1]])
    assert weighty(events, answers, np.array([8.0, 8.0]), DEFAULT_RULES).all()
    assert weighty(events, answers, np.array([8.0, 0.5]), DEFAULT_RULES).tolist() == [True, False]


def test_what_tells_nothing_is_left_out_even_if_there_is_nothing_else() -> None:
    events = hit_events([(0, 0, 0, False)])
    assert not weighty(events, np.array([[1.0]]), np.array([0.0]), DEFAULT_RULES).any()


def test_of_equal_incidents_the_newest_comes_first() -> None:
    events = hit_events([(0, 0, 0, False), (100, 0, 0, False), (50, 0, 1, False)])
    numbers = group(events, 10)
    answers = np.array([[1.0, 0.5, 0.0, 0.0]])
    incidents = describe(events, numbers, answers, np.ones(3), DEFAULT_RULES)
    starts = incidents.start_ns[incidents.best_first()]
    assert starts.tolist() == [100, 0, 50]
