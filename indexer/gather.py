"""A ranked pattern -> a hit: its events from every shard, the ones to show, and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.candidates import ShardMatch
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.explain import explain, explain_exact
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores
from dejalog.indexer.match import Question
from dejalog.indexer.opened import Held, HeldShard
from dejalog.indexer.score import Scorer, SearchRules, open_scorer
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.layout import digest


@dataclass(frozen=True, slots=True)
class RankedPattern:
    """A pattern that made it into the result; `order` is its total, then its newest time."""

    text: str
    order: tuple[float, int]
    scores: Scores


class Gatherer:
    """Makes one search's hits; keeps the text blocks that it opens.

    A shard that turns out to be damaged is set aside, and the hits are made of the others.
    """

    def __init__(
        self,
        question: Question,
        encoder: Encoder,
        rules: SearchRules,
        held: Held,
        matches: Sequence[tuple[HeldShard, ShardMatch]],
    ) -> None:
        self._question = question
        self._encoder = encoder
        self._rules = rules
        self._held = held
        self._parts = [
            _Part(shard, match)
            for shard, match in matches
            if shard.state.shard.path not in held.damaged
        ]

    def hit(self, pattern: RankedPattern) -> Hit | None:
        """Returns the hit with its counted events from all shards, None if no shard has any."""
        while True:
            try:
                return self._hit(pattern)
            except CorruptShardError as error:
                sound = [part for part in self._parts if part.path != error.path]
                if len(sound) == len(self._parts):
                    raise
                self._held.set_aside(error)
                self._parts = sound

    def _hit(self, pattern: RankedPattern) -> Hit | None:
        found = [f for part in self._parts if (f := part.find(pattern.text)) is not None]
        if not found:
            return None
        occurrences = _occurrences(found, self._question.request.occurrences)
        times = [f.part.match.arrays.columns.times[f.rows] for f in found]
        return Hit(
            pattern_id=digest(pattern.text).hex(),
            pattern=pattern.text,
            scores=pattern.scores,
            count=sum(len(t) for t in times),
            first_seen_ns=min(int(t.min()) for t in times),
            last_seen_ns=max(int(t.max()) for t in times),
            occurrences=occurrences,
            evidence=self._evidence(pattern.text, found, occurrences),
        )

    def _evidence(
        self, pattern: str, found: Sequence[_Found], occurrences: Sequence[Occurrence]
    ) -> tuple[Evidence, ...]:
        if not occurrences or not self._question.request.is_explained:
            return ()
        text = occurrences[0].event.text
        evidence = explain_exact(self._question.terms, text)
        encoded, part = self._question.encoded, found[0].part
        if encoded is not None:
            spans = self._encoder.pattern_spans(pattern)
            with part.shard.reading():
                scorer = part.scorer_of(encoded.vectors, self._rules)
                rows, similarities = scorer.best_rows(found[0].number)
            evidence += explain(encoded, spans, rows, similarities, text)
        return tuple(evidence)


class _Part:
    """One shard's share of a search."""

    def __init__(self, shard: HeldShard, match: ShardMatch) -> None:
        self.shard = shard
        self.match = match
        self.path = shard.state.shard.path
        self._scorer: Scorer | None = None
        with shard.reading() as snapshot:
            self._reader = EventReader(snapshot, match.arrays)

    def find(self, text: str) -> _Found | None:
        with self.shard.reading() as snapshot:
            number = snapshot.find_pattern(digest(text))
            if number is None or number >= self.match.arrays.counters.patterns:
                return None
            rows = self.match.rows_of(number)
        return _Found(self, number, rows) if len(rows) else None

    def occurrence(self, row: int) -> Occurrence:
        number = self.match.arrays.header.first_event + row
        with self.shard.reading():
            return Occurrence(number, self._reader.event(number))

    def scorer_of(self, query: NDArray[np.float32], rules: SearchRules) -> Scorer:
        """A scorer of all query rows; the match's leaves out those of code-shaped words."""
        if self.match.scorer is not None and self.match.scorer.rows == len(query):
            return self.match.scorer
        if self._scorer is None:
            self._scorer = open_scorer(query, self.match.arrays.vectors, rules)
        return self._scorer


@dataclass(frozen=True, slots=True)
class _Found:
    """A pattern's counted events in one shard, as rows of its columns."""

    part: _Part
    number: int
    rows: NDArray[np.int64]


def _occurrences(found: Sequence[_Found], limit: int) -> tuple[Occurrence, ...]:
    """The events whose own values fit the question best, then the newest."""
    candidates: list[tuple[float, int, int, int]] = []
    for index, each in enumerate(found):
        match = each.part.match
        times = match.arrays.columns.times[each.rows]
        fits = np.zeros(len(each.rows), np.float32)
        if match.event_scores is not None:
            fits = match.event_scores[each.rows]
        chosen = np.lexsort((each.rows, times, fits))[::-1][:limit]
        candidates.extend((float(fits[i]), int(times[i]), int(each.rows[i]), index) for i in chosen)
    candidates.sort(reverse=True)
    return tuple(found[index].part.occurrence(row) for _, _, row, index in candidates[:limit])
