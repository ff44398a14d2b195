"""Which query word met which log word.

Late interaction scores a query token by its best token of the pattern; that pair is the evidence.
It is carried from the pattern's text back to the raw text of an occurrence. Words that were
masked have no token vectors, so code-shaped words are looked for in the raw text as they stand.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.encode import EncodedQuery, TokenSpan
from dejalog.indexer.hit import Evidence
from dejalog.indexer.mask import Masked, mask
from dejalog.indexer.terms import QueryTerm


def explain(
    query: EncodedQuery,
    pattern_spans: Sequence[TokenSpan | None],
    rows: NDArray[np.int64],
    similarities: NDArray[np.float32],
    text: str,
) -> list[Evidence]:
    """Returns the best pair of each query token, in query order.

    rows int64[q] is the pattern's best row for each query row, similarities float32[q] how near it
    is, and `pattern_spans` says which characters of the pattern each of its rows stands for.
    Tokens that stand for no characters (sentence marks) are left out.
    """
    to_text = _PatternToText(mask(text))
    evidence: list[Evidence] = []
    for span, row, similarity in zip(query.spans, rows, similarities, strict=True):
        target = pattern_spans[row] if row < len(pattern_spans) else None
        if span is None or target is None:
            continue
        start, end = to_text.span(target)
        evidence.append(Evidence(span.start, span.end, start, end, float(similarity)))
    return evidence


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
