from __future__ import annotations

import numpy as np
import pytest

from dejalog.indexer import kernel
from dejalog.indexer.encode import EncodedQuery, TokenSpan
from dejalog.indexer.explain import explain, explain_exact
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.quantize import quantize_rows
from dejalog.indexer.terms import query_terms


def test_a_pair_points_behind_masked_values_into_the_raw_text() -> None:
    text = "2024-03-01T10:00:00Z 10.0.0.7 pump tripped after 123456 hours"
    pattern = mask_pattern(text)[0]
    spans = [None, *(TokenSpan(pattern.index(w), pattern.index(w) + len(w)) for w in WORDS)]
    vectors = np.eye(4, dtype=np.float32)
    query = EncodedQuery(vectors[[2, 3]], vectors[0], (TokenSpan(0, 7), TokenSpan(8, 13)))
    found = explain(query, spans, np.array([2, 3]), np.array([0.5, 1], np.float32), text)
    assert [text[e.text_start : e.text_end] for e in found] == ["tripped", "hours"]
    assert [(e.query_start, e.query_end) for e in found] == [(0, 7), (8, 13)]
    assert [e.similarity for e in found] == [0.5, 1]


WORDS = ("pump", "tripped", "hours")


def test_the_pairs_add_up_to_the_score(encoder) -> None:
    """Every query row has one best row; what is left out stands for no characters."""
    pattern = "conveyor motor bearing replaced after overheating"
    encoded = encoder.encode_patterns([pattern])[0]
    codes, scales = quantize_rows(encoded.vectors)
    query = encoder.encode_query("hot bearing")
    everything = EncodedQuery(
        query.vectors, query.pooled, tuple(s or TokenSpan(0, 0) for s in query.spans)
    )
    spans = [s or TokenSpan(0, 0) for s in encoder.pattern_spans(pattern)]
    found = explain(everything, spans, *kernel.best_rows(query.vectors, codes, scales), pattern)
    score = kernel.maxsim(query.vectors, codes, scales, np.array([0, len(codes)]))[0]
    assert sum(e.similarity for e in found) == pytest.approx(float(score), rel=1e-5)


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
