"""One shard against one question: which events count, and what each pattern scores.

Filters come first, so that patterns without an event that counts are not scored at all. Then all
channels are computed, exactly, for every pattern that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.encode import EncodedQuery
from dejalog.indexer.exact import events_with_code, match_exact
from dejalog.indexer.filter import filter_events
from dejalog.indexer.kernel.reference import maxsim
from dejalog.indexer.lexical import LexicalHits, LexicalView
from dejalog.indexer.query import Mode, Query, SearchRequest
from dejalog.indexer.store.view import ShardArrays
from dejalog.indexer.terms import QueryTerm

#: How many of the best pattern and event documents the lexical channel contributes: the ranks
#: behind have less than a tenth of the best score on every shared task.
LEXICAL_DEPTH = 2_000
#: The same where a filter applies: all patterns of the largest shard, and 0.1 s for so many events.
FILTERED_DEPTH = 200_000


@dataclass(frozen=True, slots=True)
class Question:
    """A request, understood: parsed, encoded (None without words) and cut into terms."""

    request: SearchRequest
    query: Query
    encoded: EncodedQuery | None
    terms: tuple[QueryTerm, ...]


@dataclass(frozen=True, slots=True)
class ShardMatch:
    """What a shard has to say.

    `patterns` int64[n] are the numbers of the patterns that count; the channels are float32[n].
    `semantic` is MaxSim per query token, `lexical` raw BM25, `exact` a share. `is_counted`
    bool[events] or None for all; `event_scores` float32[events] is how well an event's own values
    fit, or None if no event does.
    """

    arrays: ShardArrays
    patterns: NDArray[np.int64]
    semantic: NDArray[np.float32]
    pooled: NDArray[np.float32]
    lexical: NDArray[np.float32]
    exact: NDArray[np.float32]
    is_counted: NDArray[np.bool_] | None
    event_scores: NDArray[np.float32] | None
    is_partial: bool


def match_shard(question: Question, arrays: ShardArrays, lexical: LexicalView) -> ShardMatch:
    """Returns the channels of every pattern that has an event that counts."""
    is_counted, is_partial = _counted(question, arrays, lexical)
    patterns = _patterns(arrays, is_counted)
    semantic, pooled = _meaning(question, arrays, patterns)
    event_scores, words = _words(question, arrays, lexical, is_counted)
    return ShardMatch(
        arrays=arrays,
        patterns=patterns,
        semantic=semantic,
        pooled=pooled,
        lexical=words[patterns],
        exact=_exact(question, arrays, lexical, is_counted)[patterns],
        is_counted=is_counted,
        event_scores=event_scores,
        is_partial=is_partial,
    )


def _counted(
    question: Question, arrays: ShardArrays, lexical: LexicalView
) -> tuple[NDArray[np.bool_] | None, bool]:
    request, query = question.request, question.query
    mask = filter_events(
        arrays.columns,
        arrays.labelsets,
        query.conditions,
        since_ns=request.since_ns,
        until_ns=request.until_ns,
    )
    is_partial = False
    for needle in query.exact:
        with arrays.shard.snapshot() as snapshot:
            match = match_exact(needle, arrays, lexical, snapshot, mask)
        mask = match.events
        is_partial |= match.is_partial
    return mask, is_partial


def _patterns(arrays: ShardArrays, is_counted: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    if is_counted is None:
        return np.arange(arrays.counters.patterns)
    counts = np.bincount(arrays.columns.patterns[is_counted], minlength=arrays.counters.patterns)
    return np.flatnonzero(counts)


def _meaning(
    question: Question, arrays: ShardArrays, patterns: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    zeros = np.zeros(len(patterns), np.float32)
    encoded = question.encoded
    if encoded is None or question.request.mode is Mode.LEXICAL or not len(patterns):
        return zeros, zeros
    codes, scales, offsets = _rows(arrays, patterns)
    query = encoded.vectors[meaning_rows(encoded, question.terms)]
    semantic = maxsim(query, codes, scales, offsets) / np.float32(len(query))
    is_everything = len(patterns) == len(arrays.pooled)
    pooled = arrays.pooled if is_everything else arrays.pooled[patterns]
    return semantic, pooled @ encoded.pooled


def meaning_rows(encoded: EncodedQuery, terms: Sequence[QueryTerm]) -> NDArray[np.int64]:
    """Returns the query rows that are ranked by meaning: all but those of code-shaped words.

    The pieces of `AN426` are near the pieces of every other tag, which says nothing; codes are for
    the exact and the lexical channel. Where there is nothing but codes, all rows count.
    """
    spans = [(term.start, term.end) for term in terms if term.is_code]
    rows = [
        row
        for row, span in enumerate(encoded.spans)
        if span is None or not any(a <= span.start and span.end <= b for a, b in spans)
    ]
    return np.array(rows or range(len(encoded.spans)), np.int64)


def _rows(
    arrays: ShardArrays, patterns: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int64]]:
    """The token vectors of these patterns, next to each other."""
    if len(patterns) == arrays.counters.patterns:
        return arrays.codes, arrays.scales, arrays.offsets
    starts, ends = arrays.offsets[patterns], arrays.offsets[patterns + 1]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(ends - starts)])
    # Row r of the result is row r + (start of its pattern here and there) of the shard.
    rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)
    return arrays.codes[rows], arrays.scales[rows], offsets


def _words(
    question: Question,
    arrays: ShardArrays,
    lexical: LexicalView,
    is_counted: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
    """BM25 of each counted event's values (or None) and of each pattern with its best event."""
    scores = np.zeros(arrays.counters.patterns, np.float32)
    if question.request.mode is Mode.SEMANTIC or not question.terms:
        return None, scores
    # What a filter leaves may rank far behind in the whole shard.
    depth = LEXICAL_DEPTH if is_counted is None else FILTERED_DEPTH
    patterns = _within(lexical.rank_patterns(question.terms, limit=depth), 0, len(scores))
    scores[patterns.ids] = patterns.scores
    columns = arrays.columns
    hits = lexical.rank_events(question.terms, limit=depth)
    events = _within(hits, arrays.header.first_event, len(columns.times))
    if is_counted is not None:
        kept = is_counted[events.ids]
        events = LexicalHits(events.ids[kept], events.scores[kept])
    if not len(events.ids):
        return None, scores
    event_scores = np.zeros(len(columns.times), np.float32)
    event_scores[events.ids] = events.scores
    best = np.zeros_like(scores)
    np.maximum.at(best, columns.patterns[events.ids], events.scores)
    return event_scores, scores + best


def _within(hits: LexicalHits, first: int, count: int) -> LexicalHits:
    """The hits in this state of the shard (the lexical index may have been read a moment later)."""
    rows = hits.ids - first
    is_inside = (rows >= 0) & (rows < count)
    return LexicalHits(rows[is_inside], hits.scores[is_inside])


def _exact(
    question: Question,
    arrays: ShardArrays,
    lexical: LexicalView,
    is_counted: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    """How much of the query is code-shaped words that a pattern's events have.

    A code counts by its rarity, from 0 to 1, as a share of all words: a lone code decides, and an
    asset's tag in a sentence only helps.
    """
    shares = np.zeros(arrays.counters.patterns, np.float32)
    codes = list(dict.fromkeys(term.text for term in question.terms if term.is_code))
    if question.request.mode is Mode.SEMANTIC or not codes:
        return shares
    for code in codes:
        found = events_with_code(code, arrays, lexical)
        if is_counted is not None:
            found &= is_counted
        has_code = np.bincount(arrays.columns.patterns[found], minlength=len(shares)) > 0
        shares[has_code] += rarity(int(has_code.sum()), len(shares))
    return shares / np.float32(max(len(codes), count_words(question.terms)))


def count_words(terms: Sequence[QueryTerm]) -> int:
    """Returns how many words the terms stand for: a word and its parts count once."""
    spans = sorted({(term.start, -term.end) for term in terms})
    count = end = 0
    for _, negative_end in spans:
        if -negative_end > end:
            count, end = count + 1, -negative_end
    return count


def rarity(found: int, total: int) -> float:
    """What a word says that `found` of `total` patterns have, from 1 (one has it) down to 0.

    BM25's inverse document frequency, as a share of its highest value.
    """
    if found == 0:
        return 0.0
    highest = np.log1p((total - 0.5) / 1.5)
    return float(np.log1p((total - found + 0.5) / (found + 0.5)) / highest)


def best_first(
    totals: NDArray[np.float32], newest: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Returns the indexes of the `count` largest totals, largest first, of equal ones the newest.

    totals float32[n], newest int64[n].
    """
    if not 0 < count < len(totals):
        chosen = np.arange(len(totals))
    else:
        least = np.partition(totals, len(totals) - count)[len(totals) - count]
        chosen = np.flatnonzero(totals >= least)
    return chosen[np.lexsort((-newest[chosen], -totals[chosen]))][:count]
