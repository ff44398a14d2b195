from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.event import DeadLetter
from dejalog.indexer.letters import LetterFilter, NumberRanges

RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)).map(lambda r: (r[0], sum(r))))


def numbers_of(ranges: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(RANGES, st.lists(st.integers(0, 50)), st.integers(0, 50))
def test_ranges_are_the_set_of_their_numbers(
    ranges: list[tuple[int, int]], more: list[int], first: int
) -> None:
    expected = numbers_of(ranges)
    found = NumberRanges.of(ranges)
    assert {number for number in range(60) if number in found} == expected
    assert len(found) == len(expected)
    added = found.add(more)
    assert numbers_of(list(added.ranges)) == expected | set(more)
    kept = added.since(first)
    assert numbers_of(list(kept.ranges)) == {n for n in expected | set(more) if n >= first}


@given(RANGES)
def test_equal_sets_are_equal_ranges_with_a_gap_between_any_two(
    ranges: list[tuple[int, int]],
) -> None:
    found = NumberRanges.of(ranges)
    assert found == NumberRanges().add(sorted(numbers_of(ranges), reverse=True))
    assert all(
        before[1] + 1 < after[0]
        for before, after in zip(found.ranges, found.ranges[1:], strict=False)
    )


def test_a_filter_means_what_meets_all_of_it() -> None:
    letter = DeadLetter("bad-json", "not JSON", b"{", 1, 100, "kafka:logs", "0", 7)
    assert LetterFilter().passes(letter)
    assert LetterFilter().is_empty
    assert LetterFilter(reason="bad-json", source="kafka:logs", since_ns=100).passes(letter)
    assert not LetterFilter(since_ns=100).is_empty
    assert not LetterFilter(reason="empty").passes(letter)
    assert not LetterFilter(reason="bad-json", source="kafka:log").passes(letter)
    assert not LetterFilter(since_ns=101).passes(letter)
    assert not LetterFilter(until_ns=100).passes(letter)
    assert LetterFilter(until_ns=101).passes(letter)
