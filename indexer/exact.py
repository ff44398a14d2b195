"""Which events hold a quoted string, letter for letter except for case.

1. The string's words are looked up: an event is a candidate if its pattern or its values have
   each of them. The words of times are in neither, so they rule nothing out. Events that the
   lexical index has not reached yet are candidates, too.
2. A string that stands in a pattern outside its placeholders stands in all events of the pattern.
3. Every other candidate's raw text is read, newest first, up to a bound.

So a quoted string is made of whole words: `"conn"` does not find `connection`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.filter import Counted
from dejalog.indexer.lexical import LexicalView
from dejalog.indexer.mask import PLACEHOLDER, TIME_TYPES, mask_pattern
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.transaction import Snapshot
from dejalog.indexer.store.view import ShardArrays
from dejalog.indexer.terms import index_terms, word_terms

#: Texts that one query reads per shard to check a quoted string, about 0.2 s of work.
READ_EVENTS_MAX = 50_000
#: Texts, or patterns, that are read between two looks at the clock: some 5 ms.
_READ_STEP = 1_000


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """bool[events] of those that hold the string, and of those that may, and were not read."""

    events: NDArray[np.bool_]
    unread: NDArray[np.bool_]

    @property
    def is_partial(self) -> bool:
        """Whether the reading bound was reached."""
        return bool(self.unread.any())


def match_exact(
    needle: str,
    arrays: ShardArrays,
    lexical: LexicalView,
    snapshot: Snapshot,
    is_allowed: NDArray[np.bool_] | None,
    *,
    check: Callable[[], None] = lambda: None,
) -> ExactMatch:
    """Returns which of the allowed events of a shard hold `needle`.

    `check` is called now and then, and may raise.
    """
    candidates = _candidates(needle, arrays, lexical)
    if is_allowed is not None:
        candidates &= is_allowed
    patterns = arrays.columns.patterns
    holds = whole_words(needle)
    is_inside = np.zeros(arrays.counters.patterns, np.bool_)
    for place, number in enumerate(np.unique(patterns[candidates])):
        if place % _READ_STEP == 0:
            check()
        constant = PLACEHOLDER.sub("\0", snapshot.pattern(int(number)))
        is_inside[number] = holds.search(constant) is not None
    settled = is_inside[patterns] & candidates
    to_read = np.flatnonzero(candidates & ~settled)
    newest = to_read[-READ_EVENTS_MAX:]
    reader = EventReader(snapshot, arrays)
    first = arrays.header.first_event
    for place, row in enumerate(newest):
        if place % _READ_STEP == 0:
            check()
        event = reader.event(first + int(row))
        values = (value for _, value in event.attributes)
        settled[row] = any(holds.search(text) for text in (event.text, *values))
    unread = np.zeros(len(settled), np.bool_)
    unread[to_read[: len(to_read) - len(newest)]] = True
    return ExactMatch(settled, unread)


def whole_words(needle: str) -> re.Pattern[str]:
    """Returns an expression for the string, in any case, that cuts no word or number at its ends.

    Between a letter and a digit is no cut: `05:18:16` stands in `T05:18:16Z`.
    """
    first, last = _kind(needle[:1]), _kind(needle[-1:])
    start = f"(?<!{first})" if first else ""
    end = f"(?!{last})" if last else ""
    return re.compile(start + re.escape(needle) + end, re.IGNORECASE)


def _kind(character: str) -> str:
    """The class of characters that would go on with a number or a word."""
    if character.isdigit():
        return r"\d"
    return r"[^\W\d_]" if character.isalpha() else ""


def _candidates(needle: str, arrays: ShardArrays, lexical: LexicalView) -> NDArray[np.bool_]:
    count = len(arrays.columns.times)
    candidates = np.ones(count, np.bool_)
    # A compound may lie half in the pattern and half in a value; its single words do not.
    words = (word for piece in _pieces(needle) for word in word_terms(piece))
    for word in dict.fromkeys(words):
        candidates &= events_with_term(word, arrays, lexical)
    # Of texts that were too long to be indexed whole, only reading tells.
    cut = np.zeros(arrays.counters.patterns, np.bool_)
    _mark(cut, lexical.cut_patterns())
    candidates |= cut[arrays.columns.patterns]
    _mark(candidates, lexical.cut_events() - arrays.header.first_event)
    reached = max(0, lexical.events_indexed - arrays.header.first_event)
    candidates[reached:] = True
    return candidates


def patterns_with_code(
    code: str, arrays: ShardArrays, lexical: LexicalView, counted: Counted
) -> NDArray[np.int64]:
    """Returns the patterns int64[n], growing, of counted events that have a code-shaped word.

    An event has it if its pattern or its values have each of its masked and its kept pieces.
    """
    # The compound itself comes first among a piece's terms.
    terms = [term for piece in _pieces(code) for term in index_terms(piece)[:1]]
    if not terms:
        return np.zeros(0, np.int64)
    columns, first = arrays.columns, arrays.header.first_event
    patterns = [_below(arrays.counters.patterns, lexical.patterns_with(term)) for term in terms]
    events = [_below(len(columns.times), lexical.events_with(term) - first) for term in terms]
    whole = reduce(partial(np.intersect1d, assume_unique=True), patterns)
    if counted.patterns is not None:
        whole = whole[counted.patterns[whole]]
    rows = np.unique(np.concatenate(events))
    if counted.events is not None:
        rows = rows[counted.events[rows]]
    for with_term, having in zip(patterns, events, strict=True):
        rows = rows[np.isin(columns.patterns[rows], with_term) | np.isin(rows, having)]
    return np.union1d(whole, columns.patterns[rows].astype(np.int64))


def _pieces(text: str) -> list[str]:
    """The text without times, cut where masking would cut it: `10.0.0.7:443` is two pieces."""
    _, spans = mask_pattern(text)
    masked = [spans[i : i + 3] for i in range(0, len(spans), 3)]
    cuts = [0, *(edge for _, start, end in masked for edge in (start, end)), len(text)]
    times = {start for kind, start, _ in masked if kind in TIME_TYPES}
    return [text[a:b] for a, b in pairwise(cuts) if b > a and a not in times]


def events_with_term(term: str, arrays: ShardArrays, lexical: LexicalView) -> NDArray[np.bool_]:
    """Returns bool[events]: those whose pattern or values have the term."""
    columns = arrays.columns
    has_pattern = np.zeros(arrays.counters.patterns, np.bool_)
    _mark(has_pattern, lexical.patterns_with(term))
    found = has_pattern[columns.patterns]
    _mark(found, lexical.events_with(term) - arrays.header.first_event)
    return found


def _mark(flags: NDArray[np.bool_], rows: NDArray[np.int64]) -> None:
    """Sets the flags of these rows; the word index may already know more than this state."""
    flags[_below(len(flags), rows)] = True


def _below(end: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[(rows >= 0) & (rows < end)]
