"""Which query word met which log word, and how much that counted.

Late interaction scores a query token by its best token of the pattern; that pair is the evidence.
Its share of the score is what the two vectors give, over the number of query rows. It is carried
from the pattern's text back to the raw text of an occurrence. Words that were masked have no token
vectors, and those of code-shaped words are not scored: they are looked for in the raw text as they
stand.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.encode import TokenSpan
from dejalog.indexer.hit import Evidence
from dejalog.indexer.mask import Masked, mask
from dejalog.indexer.terms import QueryTerm


@dataclass(frozen=True, slots=True)
class Explanation:
    """Pairs of words in query order, and what `marks` bring: rows that stand for no characters.

    The shares and the marks add up to the pattern's MaxSim per query row.
    """

    evidence: tuple[Evidence, ...]
    marks: float


def explain_rows(
    query_spans: Sequence[TokenSpan | None],
    pattern_spans: Sequence[TokenSpan | None],
    rows: NDArray[np.int64],
    products: NDArray[np.float32],
    text: str,
    *,
    weights: NDArray[np.float32] | None = None,
) -> Explanation:
    """Returns the best pair of each query row that was scored.

    rows int64[q] is the pattern's best row for each of these query rows, products float32[q] what
    the two give; the spans say which characters of the query, and of the pattern, a row stands for.
    weights float32[q] are the lengths of the query rows, None if all are 1. `text` is an
    occurrence's raw text.
    """
    to_text = _PatternToText(mask(text))
    evidence: list[Evidence] = []
    marks = 0.0
    shares = products / np.float32(max(len(rows), 1))
    similarities = products if weights is None else products / weights
    for place, (span, row) in enumerate(zip(query_spans, rows, strict=True)):
        target = pattern_spans[row] if row < len(pattern_spans) else None
        share = float(shares[place])
        if span is None or target is None:
            marks += share
            continue
        start, end = to_text.span(target)
        similarity = float(similarities[place])
        evidence.append(Evidence(span.start, span.end, start, end, similarity, share))
    return Explanation(tuple(evidence), marks)


def explain_exact(terms: Sequence[QueryTerm], text: str) -> list[Evidence]:
    """Returns where the query's code-shaped words stand in the raw text, letter for letter."""
    evidence: list[Evidence] = []
    for term in terms:
        # Lower-casing the text instead could change its length and with it the offsets.
        found = re.search(re.escape(term.text), text, re.IGNORECASE) if term.is_code else None
        if found is not None:
            evidence.append(Evidence(term.start, term.end, found.start(), found.end(), 1.0))
    return evidence


class _PatternToText:
    """Maps offsets in a pattern to offsets in the raw text that it was made from."""

    def __init__(self, masked: Masked) -> None:
        self._starts: list[int] = []  # of placeholders, in the pattern
        self._shifts: list[int] = []  # to be added behind each of them
        shift = 0
        for span in masked.spans:
            start = span.start - shift
            shift += (span.end - span.start) - len(span.placeholder)
            self._starts.append(start + len(span.placeholder))
            self._shifts.append(shift)

    def span(self, span: TokenSpan) -> tuple[int, int]:
        shift = self._shift(span.start)
        return span.start + shift, span.end + shift

    def _shift(self, offset: int) -> int:
        index = bisect_right(self._starts, offset)
        return self._shifts[index - 1] if index else 0
