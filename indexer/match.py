"""One shard against one question: which of its events count, and which patterns may be hits.

Filters come first, so that patterns without an event that counts are not scored at all. Then
meaning and words each nominate patterns; what all shards have nominated is cut and scored in
full by `candidates.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.counting import count_events
from dejalog.indexer.encode import EncodedQuery
from dejalog.indexer.filter import Counted, TimeRange
from dejalog.indexer.fuse import Weights
from dejalog.indexer.lexical import LexicalView
from dejalog.indexer.misspelt import AS_TYPED, Reading
from dejalog.indexer.query import Query
from dejalog.indexer.request import Mode, SearchRequest
from dejalog.indexer.score import Nominated, Scorer, SearchRules, open_scorer
from dejalog.indexer.store.transaction import Snapshot
from dejalog.indexer.store.view import NEVER_NS, ShardArrays
from dejalog.indexer.terms import QueryTerm
from dejalog.indexer.words import NO_WORDS, WordMatch, match_words


@dataclass(frozen=True, slots=True)
class Question:
    """A request, understood: parsed, encoded (None without words) and cut into terms.

    `reading` is how its words were read; vectors and terms point at the words as typed.
    """

    request: SearchRequest
    query: Query
    encoded: EncodedQuery | None
    terms: tuple[QueryTerm, ...]
    reading: Reading = AS_TYPED

    @property
    def has_meaning(self) -> bool:
        """Whether patterns are ranked by meaning."""
        return self.encoded is not None and self.request.mode is not Mode.LEXICAL

    @property
    def has_words(self) -> bool:
        """Whether patterns are ranked by words."""
        return bool(self.terms) and self.request.mode is not Mode.SEMANTIC


@dataclass(frozen=True, slots=True)
class Nominations:
    """What a shard puts forward.

    `meant` are patterns by meaning, `worded` by words; `newest` int64[n], growing, are those that
    a question without words shows.
    """

    arrays: ShardArrays
    counted: Counted
    scorer: Scorer | None
    meant: Nominated | None
    worded: WordMatch
    newest: NDArray[np.int64]
    is_partial: bool


def nominate(
    question: Question,
    arrays: ShardArrays,
    snapshot: Snapshot,
    lexical: LexicalView,
    *,
    rules: SearchRules,
    weights: Weights,
    check: Callable[[], None],
) -> Nominations:
    """Returns what one shard puts forward; `check` is called now and then, and may raise."""
    counted, is_partial = count_events(
        question.query, arrays, snapshot, lexical, times=time_range(question), check=check
    )
    scorer, meant, worded = None, None, NO_WORDS
    newest = np.zeros(0, np.int64)
    limit = question.request.wanted
    check()
    if question.encoded is not None and question.has_meaning:
        rows = meaning_rows(question.encoded, question.terms)
        # A row's best product grows with its length, so weighted rows give weighted sums.
        query = question.encoded.vectors[rows] * meaning_weights(question.encoded, rows)[:, None]
        scorer = open_scorer(query, arrays.vectors, rules)
        # Totals are per query row, MaxSim is not.
        share = weights.pooled / weights.semantic * len(query)
        meant = scorer.nominate(
            counted.patterns,
            max(limit, rules.candidates_max),
            beside=question.encoded.pooled * np.float32(share),
            check=check,
        )
    if question.has_words:
        worded = match_words(question.terms, arrays, lexical, counted, wanted=limit)
    if not question.has_meaning and not question.has_words:
        newest = _newest(newest_times(arrays, counted), limit)
    return Nominations(arrays, counted, scorer, meant, worded, newest, is_partial)


def time_range(question: Question) -> TimeRange:
    """Returns the times that count."""
    return TimeRange(question.request.since_ns, question.request.until_ns)


def newest_times(arrays: ShardArrays, counted: Counted) -> NDArray[np.int64]:
    """Returns int64[patterns]: when the newest counted event happened, NEVER_NS without any."""
    if not counted.is_filtered:
        return arrays.newest
    columns, rows = arrays.columns, counted.events
    newest = np.full(arrays.counters.patterns, NEVER_NS)
    np.maximum.at(newest, columns.patterns[rows], columns.times[rows])
    return newest


def _newest(times: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The patterns with the newest times, growing; more than `count` where times are equal."""
    least = NEVER_NS + 1
    if 0 < count < len(times):
        least = max(least, int(np.partition(times, len(times) - count)[len(times) - count]))
    return np.flatnonzero(times >= least)


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


def meaning_weights(encoded: EncodedQuery, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Returns float32[rows], what each of these query rows counts; 1 on average.

    A word of n pieces counts as the root of n words: each piece alone says less than a whole word
    (`unserviceable`: un, ser, vic, eab, le), and all of them together more. The semantic score is
    the sum of weight times best similarity, divided by the number of rows.
    """
    words: list[int] = []
    end = -1
    for row in rows:
        span = encoded.spans[row]
        if span is None or not words or span.start > end:
            words.append(0)
        words[-1] += 1
        end = -1 if span is None else span.end
    weights = 1 / np.sqrt(np.repeat(np.array(words, np.float32), words))
    mean_is_one: NDArray[np.float32] = weights / weights.mean()
    return mean_is_one


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
