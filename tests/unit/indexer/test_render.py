"""Rendering: placeholders out, glued words apart, codes whole, offsets exact."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.mask import PLACEHOLDERS
from dejalog.indexer.render import render, replaced

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<time> <pod> request from <ip> failed", "request from failed"),
        ("took <num>ms", "took  ms"),
        ("v<num>x", "v x"),
        ("[<ip>]:<num>", "[ ]: "),
        ("<ip>", " "),
        ("<ip> ", ""),
    ],
)
def test_placeholders_are_left_out_and_join_no_words(text: str, expected: str) -> None:
    assert render(text).text == expected


@given(texts)
def test_what_is_copied_maps_back_to_the_same_characters(text: str) -> None:
    rendered = render(text)
    for place, letter in enumerate(rendered.text):
        start, end = rendered.to_original(place, place + 1)
        assert 0 <= start < end == start + 1 <= len(text)
        # A blank of ours stands where something was left out or two words were glued.
        assert text[start] == letter or letter == " "


@given(texts)
def test_nothing_but_placeholders_underscores_and_blanks_is_left_out(text: str) -> None:
    rendered = render(text)
    rest = re.sub("|".join(PLACEHOLDERS), "", text)
    assert rendered.text.replace(" ", "") == rest.replace("_", "").replace(" ", "")


@given(texts)
def test_no_character_overtakes_another(text: str) -> None:
    rendered = render(text)
    spans = [rendered.to_original(place, place + 1) for place in range(len(rendered.text))]
    assert spans == sorted(spans)


@given(texts, st.data())
def test_a_span_goes_from_its_first_character_to_its_last(text: str, data: st.DataObject) -> None:
    rendered = render(text)
    if not rendered.text:
        return
    start = data.draw(st.integers(0, len(rendered.text) - 1))
    end = data.draw(st.integers(start + 1, len(rendered.text)))
    first, last = rendered.to_original(start, start + 1), rendered.to_original(end - 1, end)
    assert rendered.to_original(start, end) == (first[0], last[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<time> C/O brg_2", "change out brg 2"),
        ("<time> C/O brg", "change out bearing"),
        ("brg<num>", "bearing "),
        ("LH BadUser eng", "left hand Bad User engine"),
    ],
)
def test_shorthand_is_read_beside_placeholders_and_glued_words(text: str, expected: str) -> None:
    assert render(text, reads_shorthand=True).text == expected
    assert "out" not in render(text).text


def test_every_word_of_a_reading_stands_for_all_of_the_shorthand() -> None:
    rendered = render("fit LH brg now", reads_shorthand=True)
    assert rendered.text == "fit left hand bearing now"
    for word, original in (("left", "LH"), ("hand", "LH"), ("bearing", "brg"), ("now", "now")):
        start = rendered.text.index(word)
        first, end = rendered.to_original(start, start + len(word))
        assert "fit LH brg now"[first:end] == original
    assert rendered.to_original(0, len(rendered.text)) == (0, 14)


@given(texts)
def test_spans_stay_inside_the_text_with_shorthand_read(text: str) -> None:
    rendered = render(f"brg {text} C/O", reads_shorthand=True)
    spans = [rendered.to_original(at, at + 1) for at in range(len(rendered.text))]
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(text) + 8 for start, end in spans)


@given(texts)
def test_a_placeholder_changes_nothing_else(text: str) -> None:
    assert render("<time> " + text).text == render(text).text


def test_words_in_place_of_others_lead_back_to_all_of_these() -> None:
    read = replaced("the pmo leeks", [(4, 7, "pump"), (5, 6, "no"), (8, 13, "leaks")])
    assert read.text == "the pump leaks"
    assert [read.to_original(*span) for span in ((0, 3), (4, 8), (6, 7), (9, 14))] == [
        (0, 3),
        (4, 7),
        (4, 7),
        (8, 13),
    ]
