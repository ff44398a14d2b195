"""Which events hold a quoted string, letter for letter except for case.

1. The string's terms are looked up: an event is a candidate if its pattern or its values have
   each of them. Events that the lexical index has not reached yet are candidates, too.
2. A string that stands in a pattern outside its placeholders stands in all events of the pattern.
3. Every other candidate's raw text is read, newest first, up to a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.mask import mask_pattern
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.shard import Snapshot
from dejalog.indexer.store.view import ShardArrays
from dejalog.indexer.terms import index_terms, word_terms

#: Texts that one query reads per shard to check a quoted string, about 0.2 s of work.
READ_EVENTS_MAX = 50_000


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """bool[events] of those that hold the string; partial if the reading bound was reached."""

    events: NDArray[np.bool_]
    is_partial: bool


def match_exact(
    needle: str,
    arrays: ShardArrays,
    lexical: LexicalIndex,
    snapshot: Snapshot,
    is_allowed: NDArray[np.bool_] | None,
) -> ExactMatch:
    """Returns which of the allowed events of a shard hold `needle`."""
    candidates = _candidates(needle, arrays, lexical)
    if is_allowed is not None:
        candidates &= is_allowed
    patterns = arrays.columns.patterns
    settled = np.zeros(len(candidates), np.bool_)
    lowered = needle.lower()
    if "<" not in needle and ">" not in needle:
        for number in np.unique(patterns[candidates]):
            if lowered in snapshot.pattern(int(number)).lower():
                settled |= patterns == number
    settled &= candidates
    to_read = np.flatnonzero(candidates & ~settled)
    newest = to_read[-READ_EVENTS_MAX:]
    reader = EventReader(snapshot, arrays)
    first = arrays.header.first_event
    for row in newest:
        event = reader.event(first + int(row))
        settled[row] = lowered in event.text.lower() or any(
            lowered in value.lower() for _, value in event.attributes
        )
    return ExactMatch(settled, is_partial=len(newest) < len(to_read))


def _candidates(needle: str, arrays: ShardArrays, lexical: LexicalIndex) -> NDArray[np.bool_]:
    count = len(arrays.columns.times)
    candidates = np.ones(count, np.bool_)
    # A compound may lie half in the pattern and half in a value; its single words do not.
    words = (word for piece in _pieces(needle) for word in word_terms(piece))
    for word in dict.fromkeys(words):
        candidates &= events_with_term(word, arrays, lexical)
    reached = max(0, lexical.events_indexed - arrays.header.first_event)
    candidates[reached:] = True
    return candidates


def events_with_code(code: str, arrays: ShardArrays, lexical: LexicalIndex) -> NDArray[np.bool_]:
    """Returns bool[events]: those that have a code-shaped word, its masked and its kept pieces."""
    found = np.ones(len(arrays.columns.times), np.bool_)
    for piece in _pieces(code):
        for term in index_terms(piece)[:1]:  # the compound itself comes first
            found &= events_with_term(term, arrays, lexical)
    return found


def _pieces(text: str) -> list[str]:
    """The text, cut where masking would cut it: `10.0.0.7:443` is an address and a port."""
    _, spans = mask_pattern(text)
    cuts = [0, *(spans[i + edge] for i in range(0, len(spans), 3) for edge in (1, 2)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts) if end > start]


def events_with_term(term: str, arrays: ShardArrays, lexical: LexicalIndex) -> NDArray[np.bool_]:
    """Returns bool[events]: those whose pattern or values have the term."""
    columns = arrays.columns
    has_pattern = np.zeros(arrays.counters.patterns, np.bool_)
    patterns = lexical.patterns_with(term)
    has_pattern[patterns[patterns < len(has_pattern)]] = True
    found = has_pattern[columns.patterns]
    events = lexical.events_with(term) - arrays.header.first_event
    found[events[(events >= 0) & (events < len(found))]] = True
    return found
