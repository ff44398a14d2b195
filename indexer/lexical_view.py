"""One state of a shard's lexical index, for the length of one search.

A view never changes, whatever is committed, refreshed or deleted meanwhile: a search that takes
all its answers from one view cannot meet an event whose pattern it cannot find.

1. Events below `events_indexed` have their patterns below `patterns_indexed` (lexical.py).
2. A text too long to be indexed whole has the term `CUT_TERM`, which no query can ask for.
3. Another way to write a word counts less than the word, and as rare as the word itself: an
   abbreviation that only two texts use would otherwise outvote the word. Of all ways that a text
   has, the best counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log1p
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tantivy
from numpy.typing import NDArray

from dejalog.indexer.lexical_files import damage_as_error
from dejalog.indexer.spelling import is_guessable, nearest
from dejalog.indexer.stemming import stem
from dejalog.indexer.terms import CUT_TERM, FORM_WEIGHT, QueryTerm

#: Ids fetched at a time: tantivy's results are Python objects of about 150 bytes each.
_PAGE_IDS = 65_536
_FIELDS = ("words", "forms")

#: What another way to write a word counts beside the word. At 0.3 nDCG@10 of words alone is .53 on
#: notes asked for in full words, at 0.5 .58, at 0.8 .65 and at 1 .69; somewhat less than 1 keeps
#: the word as it was asked for in front, where both are found.
OTHER_WEIGHT = 0.8
#: What a word counts that was probably meant by one that the index does not have.
GUESS_WEIGHT = 0.5
#: A query with more unknown words is not misspelt, but about something else.
GUESSED_WORDS_MAX = 8
#: The most frequent words with the same first letter, among which a guess is made; looking through
#: them takes 2 ms.
GUESSED_AMONG = 4_096


class LexicalHits(NamedTuple):
    """Ids int64[n] and BM25 scores float32[n], best first; equal scores by growing id."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


class LikeWords(NamedTuple):
    """What has the same first letter, each with its frequency, at most `GUESSED_AMONG` of a kind.

    `words` stand in a text as they are, `forms` are parts and stems; some are both.
    """

    words: list[tuple[str, int]]
    forms: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class DocumentsView:
    """One commit of one tantivy index, and the watermark that its documents reach up to."""

    path: Path
    schema: tantivy.Schema
    searcher: tantivy.Searcher
    watermark: int

    def rank(
        self, terms: Sequence[QueryTerm], limit: int, *, is_guessing: bool = False
    ) -> LexicalHits:
        """Return the best `limit` documents that have any of the terms.

        With `is_guessing`, words that no document has are taken for similar ones.
        """
        searcher = self.searcher
        with damage_as_error(self.path):
            guesses = self._guesses(terms) if is_guessing else {}
            parts = [p for term in terms for p in self._parts(term, guesses.get(term.text, ()))]
            query = tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in parts])
            # A limit of zero panics, and a huge one is allocated at once.
            limit = min(limit, max(1, searcher.num_docs))
            hits = searcher.search(query, limit, count=False).hits
            ids = searcher.fast_field_values("id", [address for _, address in hits])
        found = np.array(ids, np.int64)
        scores = np.array([score for score, _ in hits], np.float32)
        order = np.lexsort((found, -scores))
        return LexicalHits(found[order], scores[order])

    def knows(self, word: str) -> bool:
        """Return whether a document has the word, in any form."""
        with damage_as_error(self.path):
            return bool(self._frequency(word) or self._frequency(stem(word)))

    def words_like(self, word: str) -> LikeWords:
        """Return the most frequent words and forms with the same first letter."""
        with damage_as_error(self.path):
            return LikeWords(*(self._starting_as(word, field) for field in _FIELDS))

    def with_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of the documents with every term; of all for none."""
        must = [(tantivy.Occur.Must, self._either(term)) for term in terms]
        pages: list[NDArray[np.int64]] = []
        start = 0
        while not pages or len(pages[-1]) == _PAGE_IDS:  # A page at a time bounds the memory.
            number = tantivy.FieldType.Unsigned
            rest = tantivy.Query.range_query(self.schema, "id", number, lower_bound=start)
            query = tantivy.Query.boolean_query([*must, (tantivy.Occur.Must, rest)])
            with damage_as_error(self.path):
                hits = self.searcher.search(
                    query, _PAGE_IDS, count=False, order_by_field="id", order=tantivy.Order.Asc
                ).hits
            pages.append(np.array([found for found, _ in hits], np.int64))
            start = int(pages[-1][-1]) + 1 if hits else 0
        return np.concatenate(pages)

    def _parts(self, term: QueryTerm, guesses: Sequence[str]) -> list[tantivy.Query]:
        """What a term adds to a score, to be summed."""
        own = list(self._weighted(term))
        ways = [(row, OTHER_WEIGHT) for row in term.others]
        ways += [((guess,), GUESS_WEIGHT) for guess in guesses]
        others = [self._other(term, row, weight) for row, weight in ways if self._has_all(row)]
        if not others:
            return own
        together = tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in own])
        return [tantivy.Query.disjunction_max_query([together, *others])]

    def _other(self, term: QueryTerm, row: Sequence[str], weight: float) -> tantivy.Query:
        words = [
            tantivy.Query.disjunction_max_query([self._term(field, word) for field in _FIELDS])
            for word in row
        ]
        query = tantivy.Query.boolean_query([(tantivy.Occur.Must, word) for word in words])
        share = self._rarity(term.text) / sum(map(self._rarity, row))
        return tantivy.Query.boost_query(query, weight * min(1.0, share))

    def _guesses(self, terms: Sequence[QueryTerm]) -> dict[str, tuple[str, ...]]:
        unknown = [term for term in terms if self._is_unknown(term)]
        if len(unknown) > GUESSED_WORDS_MAX:
            return {}
        return {
            term.text: nearest(term.text, self._starting_as(term.text, "words")) for term in unknown
        }

    def _starting_as(self, word: str, field: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = self.searcher.terms_with_prefix(
            field, word[0], limit=GUESSED_AMONG
        )
        return found

    def _is_unknown(self, term: QueryTerm) -> bool:
        if term.weight < 1 or term.is_code or not is_guessable(term.text):
            return False
        if self._frequency(term.text) or any(map(self._has_all, term.others)):
            return False
        return not self._frequency(stem(term.text))

    def _has_all(self, row: Sequence[str]) -> bool:
        return all(map(self._frequency, row))

    def _frequency(self, term: str) -> int:
        """How many documents have the term, in the field where most have it."""
        searcher = self.searcher
        return max(searcher.doc_freq("words", term), searcher.doc_freq("forms", term))

    def _rarity(self, term: str) -> float:
        """BM25's inverse document frequency."""
        count, found = self.searcher.num_docs, self._frequency(term)
        return log1p((count - found + 0.5) / (found + 0.5))

    def _weighted(self, term: QueryTerm) -> Iterator[tantivy.Query]:
        if term.weight >= 1:
            yield self._term("words", term.text)
            yield tantivy.Query.boost_query(self._term("forms", term.text), FORM_WEIGHT)
            return
        # A plain word's forms have it as its own stem; any other word (the `00` of `A-00`, which
        # is a part of `A00`) stands among the words only. Both together would count it twice.
        fields = [self._term("words", term.text), self._term("forms", term.text)]
        either = tantivy.Query.disjunction_max_query(fields)
        yield tantivy.Query.boost_query(either, term.weight)

    def _either(self, term: str) -> tantivy.Query:
        fields = (self._term("words", term), self._term("forms", term))
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, field) for field in fields])

    def _term(self, field: str, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self.schema, field, term, index_option="freq")


@dataclass(frozen=True, slots=True)
class LexicalView:
    """Both indexes as one search sees them; without any, an index that has nothing.

    Safe to use from several threads. Reading raises CorruptShardError where the index is damaged.
    """

    patterns: DocumentsView | None = None
    events: DocumentsView | None = None

    @property
    def patterns_indexed(self) -> int:
        """The watermark: all patterns below this id are in the view."""
        return self.patterns.watermark if self.patterns else 0

    @property
    def events_indexed(self) -> int:
        """The watermark: all events below this id, and their patterns, are in the view."""
        return self.events.watermark if self.events else 0

    def rank_patterns(self, terms: Sequence[QueryTerm], *, limit: int) -> LexicalHits:
        """Return the best `limit` patterns that have any of the terms."""
        return _rank(self.patterns, terms, limit, is_guessing=True)

    def rank_events(self, terms: Sequence[QueryTerm], *, limit: int) -> LexicalHits:
        """Return the best `limit` events whose values have any of the terms."""
        return _rank(self.events, terms, limit, is_guessing=False)

    def knows(self, word: str) -> bool:
        """Return whether any pattern, or any event's values, have the word, in any form."""
        indexes = (self.patterns, self.events)
        return any(documents is not None and documents.knows(word) for documents in indexes)

    def words_like(self, word: str) -> LikeWords:
        """Return the patterns' words of which `word` may be a misspelling."""
        return LikeWords([], []) if self.patterns is None else self.patterns.words_like(word)

    def patterns_with(self, term: str) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all patterns that have the term in any form."""
        return self.patterns_with_all([term])

    def events_with(self, term: str) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all events whose values have the term."""
        return self.events_with_all([term])

    def patterns_with_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all patterns that have every term; none for none."""
        return _with_all(self.patterns, terms)

    def events_with_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of all events that have every term; none for none."""
        return _with_all(self.events, terms)

    def cut_patterns(self) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of the patterns that may have terms not indexed."""
        return self.patterns_with(CUT_TERM)

    def cut_events(self) -> NDArray[np.int64]:
        """Return the ids int64[n], growing, of the events whose values were too long likewise."""
        return self.events_with(CUT_TERM)


def _rank(
    documents: DocumentsView | None, terms: Sequence[QueryTerm], limit: int, *, is_guessing: bool
) -> LexicalHits:
    sound = [term for term in terms if _is_storable(term.text)]
    if documents is None or not sound or limit < 1:
        return LexicalHits(np.empty(0, np.int64), np.empty(0, np.float32))
    return documents.rank(sound, limit, is_guessing=is_guessing)


def _with_all(documents: DocumentsView | None, terms: Sequence[str]) -> NDArray[np.int64]:
    if documents is None or not terms or not all(map(_is_storable, terms)):
        return np.empty(0, np.int64)
    return documents.with_all(terms)


def _is_storable(term: str) -> bool:
    """Whether a document could have this term: lone surrogates have no place in UTF-8."""
    return term.isascii() or term.encode(errors="ignore").decode() == term
