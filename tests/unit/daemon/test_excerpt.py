from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.excerpt import (
    Mark,
    WordPair,
    grouped,
    marks_of,
    shown_ranges,
    visible,
    visible_line,
    word_pairs,
)
from dejalog.indexer.hit import Evidence


def spans(query: str, text: str, *pieces: tuple[str, str, float]) -> list[Evidence]:
    """Evidence for pieces that occur once."""
    return [
        Evidence(
            query.index(asked), query.index(asked) + len(asked),
            text.index(found), text.index(found) + len(found), similarity,
        )
        for asked, found, similarity in pieces
    ]  # fmt: skip


def words(query: str, text: str, pairs: list[WordPair]) -> list[tuple[str, str, float]]:
    return [
        (query[p.query_start : p.query_end], text[p.text_start : p.text_end], p.similarity)
        for p in pairs
    ]


def marked(text: str, marks: list[Mark]) -> list[str]:
    return [text[mark.start : mark.end] for mark in marks]


def test_word_pieces_become_whole_words() -> None:
    query, text = "hydraulics leaking", "hyd hose: hydraulic leak"
    evidence = spans(
        query, text, ("hydra", "hydra", 0.9), ("ulics", "ulic", 0.7), ("leak", "leak", 1.0),
        ("ing", "leak", 0.4),
    )  # fmt: skip
    pairs = word_pairs(query, text, evidence)
    assert [(a, b) for a, b, _ in words(query, text, pairs)] == [
        ("hydraulics", "hydraulic"),
        ("leaking", "leak"),
    ]
    assert [round(p.similarity, 3) for p in pairs] == [0.8, 0.7]
    assert not any(pair.is_exact for pair in pairs)


def test_a_word_has_the_shares_of_all_of_its_pieces() -> None:
    query, text = "hydraulics E-1034", "hydraulic e-1034"
    pieces = (Evidence(0, 5, 0, 5, 0.9, 0.25), Evidence(5, 10, 0, 9, 0.4, 0.125))
    code = (Evidence(11, 17, 10, 16, 1.0), Evidence(11, 12, 10, 11, 0.7, 0.0625))
    assert [pair.share for pair in word_pairs(query, text, (*pieces, *code))] == [0.375, 0.0625]


def test_a_piece_that_went_astray_does_not_win() -> None:
    query, text = "pumps", "pump axles"
    evidence = spans(query, text, ("pump", "pump", 0.9), ("s", "s", 0.8))
    assert words(query, text, word_pairs(query, text, evidence)) == [("pumps", "pump", 0.45)]


def test_a_code_that_was_found_whole_is_not_told_in_pieces_again() -> None:
    query, text = "fault E-1034", "drive: e-1034 set"
    evidence = spans(
        query, text, ("E-1034", "e-1034", 1.0), ("E", "e", 0.8), ("1034", "1034", 0.9),
        ("-", "-", 0.9),
    )  # fmt: skip
    pairs = word_pairs(query, text, evidence)
    assert words(query, text, pairs) == [("E-1034", "e-1034", 1.0)]
    assert pairs[0].is_exact


def test_evidence_outside_of_a_shortened_text_is_left_out() -> None:
    pairs = word_pairs("pump", "pu", [Evidence(0, 4, 0, 4, 0.9), Evidence(2, 2, 0, 1, 0.9)])
    assert pairs == []


def test_weak_evidence_is_not_made_bright() -> None:
    text = "valve stuck"
    pairs = [WordPair(0, 3, 0, 5, 0.3, is_exact=False), WordPair(4, 9, 6, 11, 0.8, is_exact=False)]
    assert marked(text, marks_of("xyz jammed", text, pairs)) == ["stuck"]


def test_own_words_and_quoted_strings_are_marked_without_evidence() -> None:
    text = "Caused by: OverloadException: MOTOR current, remotor"
    marks = marks_of("motor overload of", text, [], quoted=["caused BY:"])
    assert marked(text, marks) == ["Caused by:", "Overload", "MOTOR"]
    assert all(mark.is_exact for mark in marks)


def test_marks_do_not_overlap_and_exact_ones_win() -> None:
    text = "axis 3 drive"
    pairs = [
        WordPair(0, 4, 0, 4, 0.9, is_exact=False),
        WordPair(0, 4, 0, 6, 1.0, is_exact=True),
        WordPair(5, 6, 5, 6, 0.9, is_exact=False),
    ]
    assert marks_of("", text, pairs) == [Mark(0, 6, is_exact=True)]


def test_a_word_is_marked_a_few_times_only() -> None:
    text = "pump " * 1000
    assert len(marks_of("pump", text, [])) == 3


def test_a_short_text_is_shown_whole() -> None:
    assert shown_ranges("pump trips\n", [], characters=400, lines=8) == [(0, 10)]


def test_a_long_text_shows_its_beginning_and_its_matches() -> None:
    text = "begin " + "x" * 30 + " filler" * 300 + " motor overload " + " rest" * 300
    at = text.index("overload")
    ranges = shown_ranges(text, [Mark(at, at + 8, is_exact=True)], characters=400, lines=8)
    assert ranges[0][0] == 0
    assert any(low <= at and at + 8 <= high for low, high in ranges)
    assert sum(high - low for low, high in ranges) <= 440


def test_a_stack_trace_shows_its_first_lines_and_the_matching_one() -> None:
    frames = "".join(f"\n\tat plant.Frame{i}(Frame.java:{i})" for i in range(100))
    text = f"IllegalState: drive{frames}\nCaused by: motor current too high{frames}"
    at = text.index("motor")
    ranges = shown_ranges(text, [Mark(at, at + 5, is_exact=True)], characters=400, lines=8)
    shown = [text[low:high] for low, high in ranges]
    assert shown[0].startswith("IllegalState: drive\n\tat plant.Frame0")
    assert shown[-1] == "Caused by: motor current too high"
    assert sum(part.count("\n") + 1 for part in shown) <= 8


@given(
    st.text(alphabet="ab \n.", max_size=400),
    st.lists(st.tuples(st.integers(0, 399), st.integers(1, 9)), max_size=6),
    st.integers(10, 120),
    st.integers(1, 6),
)
def test_ranges_are_in_order_and_within_the_text(
    text: str, places: list[tuple[int, int]], characters: int, lines: int
) -> None:
    end = len(text.rstrip())
    marks = [Mark(at, at + n, is_exact=False) for at, n in places if at + n <= end]
    ranges = shown_ranges(text, marks, characters=characters, lines=lines)
    assert ranges[0][0] == 0
    flat = [edge for part in ranges for edge in part]
    assert flat == sorted(flat)
    assert flat[-1] <= end


def test_escape_sequences_are_spelled_out() -> None:
    assert visible("\x1b]0;title\x07 \x9b31m \u202etxt\r\nnext\tcolumn\r") == (
        "\\x1b]0;title\\x07 \\x9b31m \\u202etxt\nnext    column"
    )
    assert visible_line("a\nb\udc80") == "a b\\udc80"


@given(st.text(st.characters(categories=["Cc", "Cs", "Zl", "Zp", "Lu", "Zs", "So"])))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    left = {unicodedata.category(c) for c in visible(text) if c != "\n"}
    assert left.isdisjoint({"Cc", "Cs", "Zl", "Zp"})


def test_ordinary_text_stays_as_it_is() -> None:
    text = "Druckabfall \u00fcber 3 bar \u2013 \u6cb9\u6f0f\u308c 100% [ok] \\x1b"
    assert visible(text) == text


def test_numbers_are_grouped() -> None:
    assert [grouped(n) for n in (0, 999, 1000, 272_399)] == ["0", "999", "1 000", "272 399"]
