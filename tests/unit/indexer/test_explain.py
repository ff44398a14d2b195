from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer import kernel
from dejalog.indexer.encode import TokenSpan
from dejalog.indexer.explain import explain_exact, explain_rows
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.quantize import quantize_rows
from dejalog.indexer.terms import query_terms


def test_a_pair_points_behind_masked_values_into_the_raw_text() -> None:
    text = "2024-03-01T10:00:00Z 10.0.0.7 pump tripped after 123456 hours"
    pattern = mask_pattern(text)[0]
    spans = [None, *(TokenSpan(pattern.index(w), pattern.index(w) + len(w)) for w in WORDS)]
    asked = (TokenSpan(0, 7), TokenSpan(8, 13))
    found = explain_rows(
        asked, spans, np.array([2, 3]), np.array([0.5, 1], np.float32), text
    ).evidence
    assert [text[e.text_start : e.text_end] for e in found] == ["tripped", "hours"]
    assert [(e.query_start, e.query_end) for e in found] == [(0, 7), (8, 13)]
    assert [e.similarity for e in found] == [0.5, 1]


WORDS = ("pump", "tripped", "hours")


def test_the_shares_and_the_marks_add_up_to_the_score(encoder) -> None:
    pattern = "conveyor motor bearing replaced after overheating"
    encoded = encoder.encode_patterns([pattern])[0]
    codes, scales = quantize_rows(encoded.vectors)
    query = encoder.encode_query("hot bearing")
    best = kernel.best_rows(query.vectors, codes, scales)
    found = explain_rows(query.spans, encoder.pattern_spans(pattern), *best, pattern)
    score = float(kernel.maxsim(query.vectors, codes, scales, np.array([0, len(codes)]))[0])
    total = sum(e.share for e in found.evidence) + found.marks
    assert total == pytest.approx(score / len(query.vectors), abs=1e-6)
    assert [e.share for e in found.evidence] == pytest.approx(
        [e.similarity / len(query.vectors) for e in found.evidence]
    )


def test_weighted_rows_have_weighted_shares_and_the_cosines_that_they_had() -> None:
    spans = (TokenSpan(0, 4), TokenSpan(5, 9))
    weights = np.array([1.5, 0.5], np.float32)
    products = np.array([0.75, 0.125], np.float32)
    found = explain_rows(spans, spans, np.array([0, 1]), products, "pump trip", weights=weights)
    assert [(e.similarity, e.share) for e in found.evidence] == [(0.5, 0.375), (0.25, 0.0625)]


def test_a_row_that_stands_for_no_characters_is_no_pair_but_counts() -> None:
    spans = (None, TokenSpan(0, 4))
    rows, similarities = np.array([0, 0]), np.array([0.5, 0.25], np.float32)
    found = explain_rows(spans, [TokenSpan(0, 4)], rows, similarities, "pump")
    assert [each.share for each in found.evidence] == [0.125]
    assert found.marks == 0.25


def test_a_word_whose_best_row_is_a_mark_counts_among_the_marks() -> None:
    spans = (TokenSpan(0, 4), TokenSpan(5, 9))
    rows, similarities = np.array([0, 7]), np.array([0.5, 0.25], np.float32)
    found = explain_rows(spans, [None], rows, similarities, "pump")
    assert (found.evidence, found.marks) == ((), 0.375)


def test_codes_are_shown_where_they_stand_letter_for_letter() -> None:
    question = "why e-1034 at blk_7503483334202473044"
    text = "alarm E-1034 raised by BLK_7503483334202473044"
    found = explain_exact(query_terms(question), text)
    assert {
        question[e.query_start : e.query_end]: text[e.text_start : e.text_end] for e in found
    } == {"e-1034": "E-1034", "blk_7503483334202473044": "BLK_7503483334202473044"}


def test_letters_that_grow_when_lowered_do_not_move_the_evidence() -> None:
    """Lower-casing four dotted capital I made them eight, and the pair pointed at `34`."""
    text = "\u0130\u0130\u0130\u0130 pump E-1034"
    (found,) = explain_exact(query_terms("E-1034"), text)
    assert text[found.text_start : found.text_end] == "E-1034"
