"""Rendering: one word for a placeholder, glued words apart, codes whole, offsets exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from dejalog.indexer.bundle import DEFAULT_BUNDLE
from dejalog.indexer.mask import PLACEHOLDERS
from dejalog.indexer.render import render

pieces = st.one_of(
    st.sampled_from([*PLACEHOLDERS, "<script>", "_", " ", "BadUser", "axis3", "kW", "<", ">"]),
    st.text(max_size=6),
)
texts = st.lists(pieces, max_size=12).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BadUserAccessDenied", "Bad User Access Denied"),
        ("max_retry_count", "max retry count"),
        ("HTTPServerError in IOException", "HTTP Server Error in IO Exception"),
        ("userID", "user ID"),
        ("axis3 drive12", "axis 3 drive 12"),
        ("from <ip> at <time>", "from address at time"),
        ("id=<num>ms", "id= number ms"),
    ],
)
def test_glued_words_are_set_apart(text: str, expected: str) -> None:
    assert render(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        *("E-1034", "E1034", "0x80070005", "SRVE0255E", "P-101", "P05D1", "HTTP 503"),
        *("axis 3", "5 kW", "433 MHz", "WiFi", "iPhone"),
        *("<script>", "a <b> c", "", "  ", "<>"),
    ],
)
def test_codes_and_units_and_unknown_brackets_stay_as_they_are(text: str) -> None:
    assert render(text).text == text


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_costs_one_token(placeholder: str) -> None:
    tokenizer = Tokenizer.from_file(str(DEFAULT_BUNDLE / "tokenizer.json"))
    word = render(placeholder).text
    encoding = tokenizer.encode(word, add_special_tokens=False)
    assert len(encoding.ids) == 1
    assert encoding.tokens != ["[UNK]"]


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_stands_for_all_of_itself(placeholder: str) -> None:
    rendered = render(f"ab{placeholder}cd")
    word = rendered.text.split()[1]
    start = rendered.text.index(word)
    for first in range(start, start + len(word)):
        assert rendered.to_original(first, first + 1) == (2, 2 + len(placeholder))
        assert rendered.is_placeholder(first, start + len(word))
    assert not rendered.is_placeholder(0, 2)
    assert not rendered.is_placeholder(0, start + 1)


@given(texts)
def test_what_is_copied_maps_back_to_the_same_characters(text: str) -> None:
    rendered = render(text)
    for place, letter in enumerate(rendered.text):
        start, end = rendered.to_original(place, place + 1)
        assert 0 <= start <= end <= len(text)
        if rendered.is_placeholder(place, place + 1):
            assert text[start:end] in PLACEHOLDERS
        elif end > start:
            # Only an underscore changes into something of its own length.
            assert end == start + 1
            assert text[start] == letter or (text[start] == "_" and letter == " ")
        else:
            assert letter == " "


@given(texts)
def test_no_character_is_lost_and_none_moves(text: str) -> None:
    rendered = render(text)
    covered = [rendered.to_original(place, place + 1) for place in range(len(rendered.text))]
    assert covered == sorted(covered)
    ends = [0, *(end for _, end in covered)]
    assert all(start <= end for (start, _), end in zip(covered, ends, strict=False))
    assert max(ends) == len(text)


@given(texts, st.data())
def test_a_span_covers_the_spans_of_its_characters(text: str, data: st.DataObject) -> None:
    rendered = render(text)
    if not rendered.text:
        return
    start = data.draw(st.integers(0, len(rendered.text) - 1))
    end = data.draw(st.integers(start + 1, len(rendered.text)))
    single = [rendered.to_original(place, place + 1) for place in range(start, end)]
    assert rendered.to_original(start, end) == (single[0][0], single[-1][1])
