"""A ranked pattern -> a hit: its events from every shard, the ones to show, and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.encode import Encoder
from dejalog.indexer.explain import explain, explain_exact
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores
from dejalog.indexer.match import Question, ShardMatch
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.layout import digest
from dejalog.indexer.store.shard import Snapshot


@dataclass(frozen=True, slots=True)
class RankedPattern:
    """A pattern that made it into the result; `order` is its total, then its newest time."""

    text: str
    order: tuple[float, int]
    scores: Scores


class Gatherer:
    """Makes one search's hits; keeps the shards' snapshots and the text blocks that it opens."""

    def __init__(
        self, question: Question, encoder: Encoder, matches: Sequence[ShardMatch], stack: ExitStack
    ) -> None:
        self._question = question
        self._encoder = encoder
        self._parts: list[_Part] = []
        for match in matches:
            snapshot = stack.enter_context(match.arrays.shard.snapshot())
            self._parts.append(_Part(match, snapshot, EventReader(snapshot, match.arrays)))

    def hit(self, pattern: RankedPattern) -> Hit:
        """Returns the hit with its counted events from all shards."""
        found = [f for part in self._parts if (f := part.find(pattern.text)) is not None]
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
        if self._question.encoded is not None:
            arrays, number = found[0].part.match.arrays, found[0].number
            rows = slice(int(arrays.offsets[number]), int(arrays.offsets[number + 1]))
            spans = self._encoder.pattern_spans(pattern)
            codes, scales = arrays.codes[rows], arrays.scales[rows]
            evidence += explain(self._question.encoded, spans, codes, scales, text)
        return tuple(evidence)


@dataclass(frozen=True, slots=True)
class _Part:
    """One shard's share of a search."""

    match: ShardMatch
    snapshot: Snapshot
    reader: EventReader

    def find(self, text: str) -> _Found | None:
        arrays = self.match.arrays
        number = self.snapshot.find_pattern(digest(text))
        if number is None or number >= arrays.counters.patterns:
            return None
        is_row = arrays.columns.patterns == number
        if self.match.is_counted is not None:
            is_row &= self.match.is_counted
        rows = np.flatnonzero(is_row)
        return _Found(self, number, rows) if len(rows) else None

    def occurrence(self, row: int) -> Occurrence:
        number = self.match.arrays.header.first_event + row
        return Occurrence(number, self.reader.event(number))


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
