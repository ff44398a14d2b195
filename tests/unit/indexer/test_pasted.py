from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.indexer.hit import Evidence
from dejalog.indexer.pasted import as_pasted, has_time, split_lines, within, without_times
from dejalog.indexer.query import TEXT_CHARACTERS_MAX, parse_text

LABELS = frozenset({"site", "unit"})


@given(st.text(alphabet='ab"=-> \tsite:kind=note\u00e9', max_size=40))
def test_nothing_in_a_pasted_text_is_an_operator(text: str) -> None:
    query = parse_text(as_pasted(text), known_labels=LABELS)
    assert not query.is_filtered


@given(st.text(alphabet='ab"=-> site', max_size=40))
def test_words_stay_where_they_are(text: str) -> None:
    pasted = as_pasted(text)
    assert pasted[: len(text)].split() == text.split()
    assert all(a == b or a.isspace() for a, b in zip(text, pasted, strict=False))


def test_a_text_in_the_form_of_a_filter_is_words() -> None:
    for text in ("site=lodz", '"all of it is quoted"', "pump -stopped", 'unit="7 b" kind=note'):
        assert parse_text(text, known_labels=LABELS).is_filtered
        assert not parse_text(as_pasted(text), known_labels=LABELS).is_filtered


def test_a_text_longer_than_a_query_is_cut() -> None:
    pasted = as_pasted("word " * TEXT_CHARACTERS_MAX)
    assert len(pasted) <= TEXT_CHARACTERS_MAX
    assert not parse_text(pasted).is_filtered


def test_evidence_of_what_was_put_behind_a_text_is_left_out() -> None:
    inside, behind = Evidence(0, 4, 0, 4, 1.0), Evidence(5, 6, 0, 1, 0.5)
    assert within((inside, behind), "word") == (inside,)


def test_a_stack_trace_is_one_line_of_the_question() -> None:
    trace = "request failed\njava.io.IOException: broken pipe\n\tat a.b(C.java:1)"
    assert split_lines(f"first\n{trace}\nlast\n", 9) == ["first", trace, "last"]


def test_lines_of_one_pattern_ask_once_and_their_number_is_bounded() -> None:
    text = "\n".join(f"2024-03-01T10:00:0{n}Z pump tripped" for n in range(9))
    assert split_lines(text, 5) == ["2024-03-01T10:00:00Z pump tripped"]
    words = "abcdefgh"
    assert split_lines("\n".join(f"word {each}" for each in words), 3) == [
        "word a",
        "word b",
        "word c",
    ]


def test_blank_text_has_no_lines() -> None:
    assert split_lines(" \n\n", 3) == []


def test_a_line_says_whether_a_time_is_written_in_it() -> None:
    assert has_time("2024-03-01T10:00:05Z pump tripped")
    assert not has_time("pump P-101 tripped after 350 starts")
    assert not has_time("\udcff")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("2022-08-22T05:18:16.154Z pump P-101 tripped", "pump P-101 tripped"),
        (
            "pump tripped at 2022-08-22 05:18:16, then at 2022-08-22 05:19:01",
            "pump tripped at , then at",
        ),
        ("pump P-101 tripped 3 times at 10.0.0.7", "pump P-101 tripped 3 times at 10.0.0.7"),
        ("2022-08-22T05:18:16.154Z", "2022-08-22T05:18:16.154Z"),
    ],
)
def test_times_are_blanked_out_and_words_stay_where_they_are(text: str, rest: str) -> None:
    blanked = without_times(text)
    assert blanked.split() == rest.split()
    assert len(blanked) == len(text)
    assert all(
        old in {new, old} and new in {old, " "} for old, new in zip(text, blanked, strict=True)
    )
