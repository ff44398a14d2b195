"""Standing queries: which new events meet a question that stays.

1. Filters, quoted strings and exclusions decide which events count, as in a search.
2. Where there are free words besides, an event has to meet them by `score_min`. Its score is
   absolute, the same whatever else arrives: the mean of MaxSim per query token and of the cosine of
   the pooled vectors, by its pattern, or 1 where all words stand in it. A pattern is scored
   once, so that an event of a known one costs a look-up.
3. Code-shaped words are looked for in the event itself, letter for letter: with all of them found
   the score is 1. Words that are nothing but codes match in no other way.

The lexical index takes no part: it lags behind what is committed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import Match
from dejalog.indexer.arrivals import EventBlock
from dejalog.indexer.encode import EncodedQuery, Encoder, TokenSpan
from dejalog.indexer.errors import QueryError
from dejalog.indexer.explain import Explanation, explain_exact, explain_rows
from dejalog.indexer.filter import filter_events
from dejalog.indexer.hit import Scores
from dejalog.indexer.match import meaning_rows, meaning_weights
from dejalog.indexer.query import Query, parse_text
from dejalog.indexer.request import FollowRequest, Mode
from dejalog.indexer.score import SearchRules, open_scorer
from dejalog.indexer.stemming import stem
from dejalog.indexer.store.layout import digest
from dejalog.indexer.terms import QueryTerm, document_terms, query_terms, without_codes

#: Chosen on logs of 14 short questions (macro precision .66, recall .77, 0.7 of 1000 other
#: patterns) and on four tasks of notes; docs/ALERTS.md has the table.
SCORE_MIN: Final = 0.5
#: By words alone an event matches that has all of them.
LEXICAL_SCORE_MIN: Final = 1.0

#: Patterns whose scores a query remembers: 1.3 MB, committed as it is used.
_REMEMBERED: Final = 65_536
#: Patterns whose evidence a query remembers.
_EXPLAINED: Final = 256


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of a block match: `indexes` int64[n], growing, and their totals float32[n]."""

    indexes: NDArray[np.int64]
    totals: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indexes)


class StandingQuery:
    """One question to all that is new; not for use by several threads at once.

    With `is_new` only an event counts that is the first one of its pattern. Raises QueryError.
    """

    def __init__(
        self,
        request: FollowRequest,
        encoder: Encoder,
        *,
        is_new: bool = False,
        rules: SearchRules | None = None,
    ) -> None:
        self.request = request
        self._encoder = encoder
        self._is_new = is_new
        self._rules = rules or SearchRules()
        self._names: frozenset[str] = frozenset()
        self._question = self._understand(self._names)

    @property
    def score_min(self) -> float:
        """The least total of a match, where there are words."""
        if self.request.score_min is not None:
            return self.request.score_min
        return LEXICAL_SCORE_MIN if self.request.mode is Mode.LEXICAL else SCORE_MIN

    @property
    def quoted(self) -> tuple[str, ...]:
        """The strings that an event must hold."""
        return self._question.query.exact

    def learn(self, label_names: frozenset[str]) -> None:
        """Takes note of the labels that there are: `label=value` is a filter only with them."""
        if label_names != self._names:
            self._names = label_names
            question = self._understand(label_names)
            if question.query != self._question.query:
                self._question = question

    def select(self, block: EventBlock) -> Selection:
        """Returns which events of the block match."""
        question = self._question
        counts = block.is_there
        meets = filter_events(
            block.columns,
            block.state.labelsets,
            question.query.conditions,
            since_ns=None,
            until_ns=None,
        )
        counts = counts.copy() if meets is None else counts & meets
        totals = np.ones(len(block), np.float32)
        if question.has_words and counts.any():
            totals = self._totals(block, counts)
            counts &= totals >= np.float32(self.score_min)
        if self._is_new and counts.any():
            rows = np.flatnonzero(counts)
            counts[rows] = block.are_new(rows)
        for needle in question.query.exact:
            if counts.any():
                counts &= block.holding(needle, counts)
        for needle in question.query.excluded:
            if counts.any():
                counts &= ~block.holding(needle, counts)
        indexes = np.flatnonzero(counts)
        return Selection(indexes, totals[indexes])

    def match(self, block: EventBlock, index: int) -> Match:
        """Returns a selected event with its scores, and with evidence if that was asked for."""
        number = int(block.columns.patterns[index])
        pattern = block.pattern_text(number)
        occurrence = block.occurrence(index)
        explanation = self._explain(block, number, pattern, occurrence.event.text)
        return Match(
            occurrence=occurrence,
            pattern_id=digest(pattern).hex(),
            pattern=pattern,
            scores=replace(self._scores(block, index), marks=explanation.marks),
            evidence=explanation.evidence,
            is_new_pattern=bool(block.are_new(np.array([index]))[0]),
        )

    def _understand(self, names: frozenset[str]) -> _Question:
        request = self.request
        query = parse_text(request.text, request.where, names)
        words = _free_words(request.text, query)
        terms = tuple(query_terms(words))
        plain, codes = _plain_words(terms), _codes(terms)
        if request.mode is Mode.SEMANTIC:
            plain, codes = (), ()
        encoded, rows, weights = None, np.zeros(0, np.int64), np.zeros(0, np.float32)
        has_meaning = bool(terms) and (bool(plain) or not codes)
        if has_meaning and request.mode is not Mode.LEXICAL:
            # What is near a code says nothing, and codes are looked for in the text.
            encoded = self._encoder.encode_query((codes and without_codes(words)) or words)
            rows = meaning_rows(encoded, terms)
            weights = meaning_weights(encoded, rows)
        if request.score_min is not None and not 0 <= request.score_min <= 1:
            raise QueryError(f"score_min is {request.score_min:g}; it lies between 0 and 1")
        return _Question(query, terms, plain, codes, encoded, rows, weights)

    def _totals(self, block: EventBlock, counts: NDArray[np.bool_]) -> NDArray[np.float32]:
        """float32[n]: how well each event that counts meets the words."""
        question = self._question
        by_pattern = self._pattern_scores(block)
        meaning = (by_pattern[:, 0] + by_pattern[:, 1]) / 2
        words = by_pattern[:, 2][block.pattern_index]
        if self.request.mode is Mode.LEXICAL:
            found = words * len(question.plain)
            found = found + self._codes_found(block, counts)
            count = len(question.plain) + len(question.codes)
            return np.asarray(found / max(count, 1), np.float32)
        totals = np.maximum(meaning, by_pattern[:, 2] >= 1)[block.pattern_index]
        if question.codes:
            totals = np.where(self._codes(block, counts) >= 1, np.float32(1), totals)
        return np.asarray(totals, np.float32)

    def _codes(self, block: EventBlock, counts: NDArray[np.bool_]) -> NDArray[np.float32]:
        """float32[n]: the share of the codes that each event holds."""
        count = max(1, len(self._question.codes))
        return self._codes_found(block, counts) / np.float32(count)

    def _codes_found(self, block: EventBlock, counts: NDArray[np.bool_]) -> NDArray[np.float32]:
        """float32[n]: how many of the codes each event holds, in any of their spellings."""
        found = np.zeros(len(block), np.float32)
        for ways in self._question.codes:
            found += np.logical_or.reduce([block.holding(way, counts) for way in ways])
        return found

    def _pattern_scores(self, block: EventBlock) -> NDArray[np.float32]:
        """float32[m, 3]: MaxSim per token, pooled cosine and share of words of the patterns."""
        question, numbers = self._question, block.patterns
        scores, is_known = question.remembered.get(block.state.header.shard, numbers)
        unknown = numbers[~is_known]
        if len(unknown):
            scores[~is_known] = new = self._score(block, unknown)
            question.remembered.put(unknown, new)
        return scores

    def _score(self, block: EventBlock, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        question = self._question
        scores = np.zeros((len(numbers), 3), np.float32)
        if question.encoded is not None:
            with block.shard.reading():
                scorer = open_scorer(question.vectors, block.state.vectors, self._rules)
                scores[:, 0] = scorer.score(numbers) / np.float32(scorer.rows)
                scores[:, 1] = scorer.pooled(question.encoded.pooled, numbers)
        if question.plain:
            for place, number in enumerate(numbers.tolist()):
                scores[place, 2] = _share(question.plain, block.pattern_text(number))
        return scores

    def _scores(self, block: EventBlock, index: int) -> Scores:
        question = self._question
        if not question.has_words:
            return Scores(1.0, 0.0, 0.0, 0.0, 0.0)
        only = np.zeros(len(block), np.bool_)
        only[index] = True
        semantic, pooled, words = self._pattern_scores(block)[block.pattern_index[index]].tolist()
        exact = float(self._codes(block, only)[index]) if question.codes else 0.0
        return Scores(float(self._totals(block, only)[index]), semantic, pooled, words, exact)

    def _explain(self, block: EventBlock, number: int, pattern: str, text: str) -> Explanation:
        question = self._question
        if not self.request.is_explained:
            return Explanation((), 0.0)
        exact = tuple(explain_exact(question.terms, text))
        if question.encoded is None:
            return Explanation(exact, 0.0)
        best = self._best_rows(block, number, pattern)
        spans = [question.encoded.spans[row] for row in question.rows.tolist()]
        meant = explain_rows(
            spans, best.spans, best.rows, best.products, text, weights=question.weights
        )
        return Explanation((*exact, *meant.evidence), meant.marks)

    def _best_rows(self, block: EventBlock, number: int, pattern: str) -> _BestRows:
        explained = self._question.explained
        key = (block.state.header.shard, number)
        if key not in explained:
            if len(explained) >= _EXPLAINED:
                explained.clear()
            with block.shard.reading():
                scorer = open_scorer(self._question.vectors, block.state.vectors, self._rules)
                rows, products = scorer.best_rows(number)
            spans = self._encoder.pattern_spans(pattern)
            explained[key] = _BestRows(spans, rows, products)
        return explained[key]


@dataclass(frozen=True, slots=True)
class _BestRows:
    """What `explain_rows` is told of a pattern."""

    spans: Sequence[TokenSpan | None]
    rows: NDArray[np.int64]
    products: NDArray[np.float32]


class _Remembered:
    """The scores of the patterns of one shard, in a bounded number of places.

    A pattern's place is its number's remainder: an array look-up, and a newer pattern takes over
    the place of an older one that shares it.
    """

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._shard = -1
        self._clear()

    def _clear(self) -> None:
        # Zeros are committed by the system where they are used.
        self._tags = np.zeros(self._size, np.int64)
        self._scores = np.zeros((self._size, 3), np.float32)

    def get(
        self, shard: int, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns the scores float32[n, 3] of these patterns, and which bool[n] are known."""
        if shard != self._shard:
            self._shard = shard
            self._clear()
        places = numbers % self._size
        return self._scores[places], self._tags[places] == numbers + 1

    def put(self, numbers: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Remembers the scores of patterns of the shard that was asked for last."""
        places = numbers % self._size
        self._tags[places] = numbers + 1
        self._scores[places] = scores


@dataclass(frozen=True, slots=True)
class _Question:
    """A request, understood with the labels that were known.

    The `rows` of `encoded` count, each with its `weights` float32[rows] (`match.meaning_weights`).
    `plain` are its words that are not codes, `codes` the spellings of each code. `remembered` are
    patterns' scores, `explained` their best rows by shard and number.
    """

    query: Query
    terms: tuple[QueryTerm, ...]
    plain: tuple[_Word, ...]
    codes: tuple[tuple[str, ...], ...]
    encoded: EncodedQuery | None
    rows: NDArray[np.int64]
    weights: NDArray[np.float32]
    remembered: _Remembered = field(default_factory=_Remembered)
    explained: dict[tuple[int, int], _BestRows] = field(default_factory=dict)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """What patterns are scored by, float32[rows, dim]; there must be an encoded query."""
        assert self.encoded is not None
        vectors: NDArray[np.float32] = self.encoded.vectors[self.rows] * self.weights[:, None]
        return vectors

    @property
    def has_words(self) -> bool:
        """Whether there is more than filters."""
        return bool(self.terms)


def _free_words(text: str, query: Query) -> str:
    """The query's words without those of quoted strings, which are filters; of the same length."""
    words = query.words
    for needle in query.exact:
        for match in re.finditer(rf'(?<!\S)"\s*{re.escape(needle)}\s*"(?!\S)', text):
            words = words[: match.start()] + " " * len(match[0]) + words[match.end() :]
    return words


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of the query: a pattern has it in any of its forms, or with all terms of a row."""

    forms: frozenset[str]
    rows: tuple[tuple[str, ...], ...]

    def is_in(self, known: set[str]) -> bool:
        return not known.isdisjoint(self.forms) or any(known.issuperset(row) for row in self.rows)


def _plain_words(terms: Sequence[QueryTerm]) -> tuple[_Word, ...]:
    """Each word that is neither a code nor a piece of one."""
    codes = [(term.start, term.end) for term in terms if term.is_code]
    words: dict[tuple[int, int], list[QueryTerm]] = {}
    for term in terms:
        place = (term.start, term.end)
        if any(start <= term.start and term.end <= end for start, end in codes):
            continue
        if term.weight == 1.0 or place in words:
            words.setdefault(place, []).append(term)
    return tuple(
        _Word(
            frozenset(term.text for term in forms),
            tuple(
                way
                for term in forms
                for row in term.others
                for way in (row, tuple(stem(each) for each in row))
            ),
        )
        for forms in words.values()
    )


def _codes(terms: Sequence[QueryTerm]) -> tuple[tuple[str, ...], ...]:
    """The spellings of each code: as it stands, and with and without its joiner."""
    return tuple(
        (term.text, *(row[0] for row in term.others if len(row) == 1))
        for term in terms
        if term.is_code
    )


def _share(words: Sequence[_Word], pattern: str) -> float:
    """The share of the words that a pattern has."""
    terms = document_terms(pattern)
    known = {*terms.words, *terms.forms}
    return sum(word.is_in(known) for word in words) / len(words)
