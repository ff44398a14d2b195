"""Guesses at what a word was meant to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.spelling import NEAREST_MAX, distance, is_guessable, meant, nearest

words = st.text("abcde", max_size=7)


def slow_distance(left: str, right: str) -> int:
    """The definition, without a table."""
    if not left or not right:
        return len(left) + len(right)
    options = [
        slow_distance(left[:-1], right) + 1,
        slow_distance(left, right[:-1]) + 1,
        slow_distance(left[:-1], right[:-1]) + (left[-1] != right[-1]),
    ]
    if len(left) > 1 and left[-2:] == right[-2:][::-1] and len(right) > 1:
        options.append(slow_distance(left[:-2], right[:-2]) + 1)
    return min(options)


@given(st.text("abc", max_size=5), st.text("abc", max_size=5), st.integers(0, 3))
def test_the_distance_is_the_number_of_edits_up_to_the_bound(a: str, b: str, most: int) -> None:
    edits = slow_distance(a, b)
    assert distance(a, b, 9) == edits
    assert (distance(a, b, most) <= most) == (edits <= most)


@given(words, words)
def test_the_distance_is_the_same_both_ways(a: str, b: str) -> None:
    assert distance(a, b, 9) == distance(b, a, 9)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("repalce", "replace"),
        ("hydrulic", "hydraulic"),
        ("bearng", "bearing"),
        ("valvee", "valve"),
        ("temprature", "temperature"),
        ("hydrlc", "hydraulic"),
        ("vlve", "valve"),
        ("steering", "strng"),
    ],
)
def test_typos_and_left_out_vowels_find_the_word(typed: str, meant: str) -> None:
    known = [("pump", 9), ("oil", 99), (meant, 1), ("rope", 5), ("held", 4), ("stop", 3)]
    assert nearest(typed, known) == (meant,)


def test_fewer_edits_come_first_and_then_the_more_frequent() -> None:
    assert nearest("pumo", [("pump", 3), ("pum", 1)]) == ("pump",)
    assert nearest("leek", [("leak", 2), ("leed", 5)]) == ("leed", "leak")
    assert nearest("compresser", [("compress", 9), ("compressor", 1)]) == ("compressor",)


def test_guesses_are_few_and_never_the_word_itself_or_a_code() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    many = [(f"pum{letter}", 1) for letter in letters]
    assert len(nearest("pumq", many)) == NEAREST_MAX
    assert "pumq" not in nearest("pumq", many)
    assert nearest("p042", [("p0420", 3)]) == ()
    assert nearest("pump", [("dump", 3)]) == (), "the first letter has to be right"


@pytest.mark.parametrize("word", ["p0420", "e-1034", "oil", "", "10.0.0.7", "blk", "tr\u00e4ger"])
def test_codes_and_short_words_are_not_guessed_at(word: str) -> None:
    assert not is_guessable(word)


@given(st.text("bcdg", min_size=5, max_size=7), st.integers(1, 6), st.data())
def test_a_letter_left_out_is_found_again(word: str, place: int, data: st.DataObject) -> None:
    place = min(place, len(word) - 1)
    typed = word[:place] + word[place + 1 :]
    others = data.draw(st.lists(st.text("xyz", min_size=4, max_size=6), max_size=5))
    known = [(other, 9) for other in others]
    assert nearest(typed, [*known, (word, 1)]) == (() if typed == word else (word,))


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("hidraulic", "hydraulic"),
        ("hydralic", "hydraulic"),
        ("hydraulicc", "hydraulic"),
        ("hydrlc", "hydraulic"),
        ("leeking", "leaking"),
        ("senser", "sensor"),
        ("reapir", "repair"),
        ("blots", "bolts"),
        ("filte", None),
        ("lints", None),
        ("fittes", None),
        ("repairt", None),
        ("hidrolic", None),
        ("bltng", "bolting"),
        ("bltg", None),
        ("aydraulic", None),
    ],
)
def test_a_word_is_read_as_another_only_where_that_is_clear(typed: str, read: str | None) -> None:
    words = ["hydraulic", "leaking", "repair", "bolts", "filter", "lines", "fitted", "bolting"]
    words += ["sensor", "sender"]
    assert meant(typed, [(word, 3) for word in words], lambda word: True) == read


def test_swapped_letters_come_before_another_letter_and_that_before_what_is_more_frequent() -> None:
    known = [("cases", 9), ("causes", 2), ("carves", 7)]
    assert meant("casues", known, lambda word: True) == "causes"
    assert meant("caases", known, lambda word: True) == "cases"
    assert meant("brnger", [("bringer", 9), ("boringer", 20)], lambda word: True) == "bringer"
    assert meant("stanley", [("stanlex", 1), ("stawley", 2), ("stabley", 3)], lambda w: True) == (
        "stabley"
    )


def test_a_word_that_is_a_misspelling_itself_is_never_meant() -> None:
    known = [("hydralic", 9), ("hydraulic", 2)]
    assert meant("hydralicc", known, lambda word: word == "hydraulic") is None
    assert meant("hydrulic", known, lambda word: word == "hydraulic") == "hydraulic"
