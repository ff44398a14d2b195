"""A ranked pattern -> a hit: its events from every shard, the ones to show, and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.encode import Encoder
from dejalog.indexer.explain import explain, explain_exact
from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores
from dejalog.indexer.match import Question, ShardMatch
from dejalog.indexer.store.events import EventReader
from dejalog.indexer.store.layout import digest


@dataclass(frozen=True, slots=True)
class RankedPattern:
    """A pattern that made it into the result; `order` is its total, then its newest time."""

    text: str
    order: tuple[float, int]
    scores: Scores


@dataclass(frozen=True, slots=True)
class _Found:
    """A pattern's counted events in one shard, as rows of its columns."""

    match: ShardMatch
    number: int
    rows: NDArray[np.int64]


def gather_hit(
    question: Question, encoder: Encoder, pattern: RankedPattern, matches: Sequence[ShardMatch]
) -> Hit:
    """Returns the hit with its counted events from all of these shards."""
    found = [f for match in matches if (f := _find(pattern.text, match)) is not None]
    occurrences = _occurrences(found, question.request.occurrences)
    times = [f.match.arrays.columns.times[f.rows] for f in found]
    return Hit(
        pattern_id=digest(pattern.text).hex(),
        pattern=pattern.text,
        scores=pattern.scores,
        count=sum(len(t) for t in times),
        first_seen_ns=min(int(t.min()) for t in times),
        last_seen_ns=max(int(t.max()) for t in times),
        occurrences=occurrences,
        evidence=_evidence(question, encoder, pattern.text, found, occurrences),
    )


def _find(text: str, match: ShardMatch) -> _Found | None:
    with match.arrays.shard.snapshot() as snapshot:
        number = snapshot.find_pattern(digest(text))
    if number is None or number >= match.arrays.counters.patterns:
        return None
    is_row = match.arrays.columns.patterns == number
    if match.is_counted is not None:
        is_row &= match.is_counted
    rows = np.flatnonzero(is_row)
    return _Found(match, number, rows) if len(rows) else None


def _occurrences(found: Sequence[_Found], limit: int) -> tuple[Occurrence, ...]:
    """The events whose own values fit the question best, then the newest."""
    candidates: list[tuple[float, int, int, int]] = []
    for index, part in enumerate(found):
        columns, scores = part.match.arrays.columns, part.match.event_scores
        fits = np.zeros(len(part.rows), np.float32) if scores is None else scores[part.rows]
        times = columns.times[part.rows]
        chosen = np.lexsort((part.rows, times, fits))[::-1][:limit]
        candidates.extend(
            (float(fits[i]), int(times[i]), int(part.rows[i]), index) for i in chosen
        )
    candidates.sort(reverse=True)
    return tuple(_read(found[index], row) for _, _, row, index in candidates[:limit])


def _read(part: _Found, row: int) -> Occurrence:
    arrays = part.match.arrays
    number = arrays.header.first_event + row
    with arrays.shard.snapshot() as snapshot:
        return Occurrence(number, EventReader(snapshot, arrays).event(number))


def _evidence(
    question: Question,
    encoder: Encoder,
    pattern: str,
    found: Sequence[_Found],
    occurrences: Sequence[Occurrence],
) -> tuple[Evidence, ...]:
    if not occurrences or not question.request.is_explained:
        return ()
    text = occurrences[0].event.text
    evidence = explain_exact(question.terms, text)
    if question.encoded is not None:
        arrays, number = found[0].match.arrays, found[0].number
        rows = slice(int(arrays.offsets[number]), int(arrays.offsets[number + 1]))
        spans = encoder.pattern_spans(pattern)
        evidence += explain(question.encoded, spans, arrays.codes[rows], arrays.scales[rows], text)
    return tuple(evidence)
