"""A ranked pattern -> a hit: its events from every shard, the ones to show, and the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.candidates import ShardMatch
from dejalog.indexer.encode import Encoder
from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.event import Event
from dejalog.indexer.explain import Explanation, explain_exact, explain_rows
from dejalog.indexer.hit import Hit, Occurrence, Scores
from dejalog.indexer.match import Question, meaning_rows, meaning_weights
from dejalog.indexer.opened import Held, HeldShard
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.layout import digest

Read = TypeVar("Read")

#: Characters of all events of an answer: sixteen times what fits into one response, so that what is
#: cut there is chosen from enough, and a thousand events of a mebibyte are not all read.
CHARACTERS_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class RankedPattern:
    """A pattern that made it into the result; `order` is its total, then its newest time.

    The scores are those of `shard`, the best one of those that have the pattern.
    """

    text: str
    order: tuple[float, int]
    scores: Scores
    shard: HeldShard


class Gatherer:
    """Makes one search's hits.

    A shard that turns out to be damaged is set aside, and the hits are made of the others. `is_cut`
    says that the events are more text than an answer may hold: the last hits have fewer of them.
    """

    def __init__(
        self,
        question: Question,
        encoder: Encoder,
        held: Held,
        matches: Sequence[tuple[HeldShard, ShardMatch]],
    ) -> None:
        self._question = question
        self._encoder = encoder
        self._held = held
        self._characters_left = CHARACTERS_MAX
        self.is_cut = False
        self._parts = [
            _Part(shard, match)
            for shard, match in matches
            if shard.state.shard.path not in held.damaged
        ]

    def hit(self, pattern: RankedPattern) -> Hit | None:
        """Returns the hit with its counted events from all shards, None if no shard has any."""
        return self._of_sound_shards(lambda: self._hit(pattern))

    def text(self, pattern: RankedPattern) -> str | None:
        """Returns the text of the hit's first occurrence, None if no shard has any."""

        def first() -> str | None:
            found = self._find(pattern)
            for part, row in _best_events(found, 1):
                return part.occurrence(row).event.text
            return None

        return self._of_sound_shards(first)

    def _of_sound_shards(self, read: Callable[[], Read]) -> Read:
        while True:
            try:
                return read()
            except CorruptShardError as error:
                sound = [part for part in self._parts if part.path != error.path]
                if len(sound) == len(self._parts):
                    raise
                self._held.set_aside(error)
                self._parts = sound

    def _hit(self, pattern: RankedPattern) -> Hit | None:
        found = self._find(pattern)
        if not found:
            return None
        occurrences = self._occurrences(found)
        times = [f.part.match.arrays.columns.times[f.rows] for f in found]
        explanation = self._explanation(pattern, found, occurrences)
        return Hit(
            pattern_id=digest(pattern.text).hex(),
            pattern=pattern.text,
            scores=replace(pattern.scores, marks=explanation.marks),
            count=sum(len(t) for t in times),
            first_seen_ns=min(int(t.min()) for t in times),
            last_seen_ns=max(int(t.max()) for t in times),
            occurrences=occurrences,
            evidence=explanation.evidence,
        )

    def _occurrences(self, found: Sequence[_Found]) -> tuple[Occurrence, ...]:
        """As many events as were asked for, while there is room for their texts."""
        occurrences: list[Occurrence] = []
        for part, row in _best_events(found, self._question.request.occurrences):
            if self._characters_left <= 0:
                self.is_cut = True
                break
            occurrences.append(part.occurrence(row))
            self._characters_left -= _characters(occurrences[-1].event)
        return tuple(occurrences)

    def _find(self, pattern: RankedPattern) -> list[_Found]:
        return [f for part in self._parts if (f := part.find(pattern.text)) is not None]

    def _explanation(
        self, pattern: RankedPattern, found: Sequence[_Found], occurrences: Sequence[Occurrence]
    ) -> Explanation:
        if not occurrences or not self._question.request.is_explained:
            return Explanation((), 0.0)
        text, question = occurrences[0].event.text, self._question
        letters = explain_exact(question.terms, text)
        scored = next((f for f in found if f.part.shard is pattern.shard), found[0])
        scorer = scored.part.match.scorer
        if question.encoded is None or scorer is None:
            return Explanation(tuple(letters), 0.0)
        scored_rows = meaning_rows(question.encoded, question.terms)
        with scored.part.shard.reading():
            rows, products = scorer.best_rows(scored.number)
        pattern_spans = self._encoder.pattern_spans(pattern.text)
        meaning = explain_rows(
            [question.encoded.spans[row] for row in scored_rows],
            pattern_spans,
            rows,
            products,
            text,
            weights=meaning_weights(question.encoded, scored_rows),
        )
        return Explanation((*letters, *meaning.evidence), meaning.marks)


class _Part:
    """One shard's share of a search."""

    def __init__(self, shard: HeldShard, match: ShardMatch) -> None:
        self.shard = shard
        self.match = match
        self.path = shard.state.shard.path
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


@dataclass(frozen=True, slots=True)
class _Found:
    """A pattern's counted events in one shard, as rows of its columns."""

    part: _Part
    number: int
    rows: NDArray[np.int64]


def _characters(event: Event) -> int:
    return len(event.text) + sum(len(value) for _, value in event.attributes)


def _best_events(found: Sequence[_Found], limit: int) -> Iterator[tuple[_Part, int]]:
    """The events whose own values fit the question best, then the newest: shard and row."""
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
    yield from ((found[index].part, row) for _, _, row, index in candidates[:limit])
