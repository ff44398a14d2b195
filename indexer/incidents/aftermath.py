"""The maintenance notes that followed an incident on the same asset, the most telling first.

A note counts from the incident's start until the horizon. One with a date and no time of day, as
work orders have, stands at midnight; on the day of the incident it counts as written then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.answer import FollowingNote
from dejalog.indexer.encode import EncodedQuery
from dejalog.indexer.incidents.timeline import Part, Timeline
from dejalog.indexer.score import Scorer, SearchRules, open_scorer

#: Notes of one incident that are compared with the question, the nearest in time.
NOTES_MAX = 256
#: A note at this share of the horizon counts half of one that came at once: work on a fault is
#: reported within two days or so of the default fourteen.
HALF_LIFE_SHARE = 0.125
#: How much of a note's score is its likeness to the question; the rest is how soon it came.
LIKENESS_SHARE = 0.5
_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS


@dataclass(frozen=True, slots=True)
class Span:
    """From an incident's start to where its horizon ends, in ns since 1970 UTC."""

    asset: int
    start_ns: int
    until_ns: int


class Aftermath:
    """Finds notes for the incidents of one question; `questions` are its lines, encoded."""

    def __init__(self, timeline: Timeline, questions: Sequence[EncodedQuery]) -> None:
        self._timeline = timeline
        self._questions = questions
        self._scorers: dict[int, list[Scorer]] = {}

    def notes(self, span: Span, limit: int, *, without: frozenset[int]) -> list[FollowingNote]:
        """Returns the best `limit` notes but for some event numbers, best first."""
        if not limit:
            return []
        found = [
            (int(wait), row, place)
            for place, part in enumerate(self._timeline.parts)
            for row, wait in zip(*_followers(part, span), strict=True)
            if int(row) + part.first_event not in without
        ]
        found = sorted(found)[:NOTES_MAX]
        half_ns = max(1.0, (span.until_ns - span.start_ns) * HALF_LIFE_SHARE)
        ranked = []
        for place, part in enumerate(self._timeline.parts):
            here = [(wait, row) for wait, row, of in found if of == place]
            likeness = self._likeness(place, part, [row for _, row in here])
            for (wait, row), alike in zip(here, likeness, strict=True):
                score = LIKENESS_SHARE * alike + (1 - LIKENESS_SHARE) * 0.5 ** (wait / half_ns)
                ranked.append((score, -wait, row + part.first_event))
        return [
            FollowingNote(self._timeline.occurrence(number), -wait / _SECOND_NS, score)
            for score, wait, number in sorted(ranked, reverse=True)[:limit]
        ]

    def _likeness(self, place: int, part: Part, rows: Sequence[int]) -> NDArray[np.float64]:
        """How like the question's nearest line each note is, float64[n], 0 to 1."""
        best = np.zeros(len(rows))
        if not rows or not self._questions:
            return best
        with part.shard.reading():
            of_rows = part.state.columns.patterns[np.array(rows)].astype(np.int64)
            patterns, places = np.unique(of_rows, return_inverse=True)
            for question, scorer in zip(
                self._questions, self._scorers_of(place, part), strict=True
            ):
                meant = scorer.score(patterns) / scorer.rows
                whole = scorer.pooled(question.pooled, patterns)
                best = np.maximum(best, ((meant + whole) / 2)[places])
        return np.clip(best, 0.0, 1.0)

    def _scorers_of(self, place: int, part: Part) -> list[Scorer]:
        if place not in self._scorers:
            self._scorers[place] = [
                open_scorer(question.vectors, part.state.vectors, SearchRules())
                for question in self._questions
            ]
        return self._scorers[place]


def _followers(part: Part, span: Span) -> tuple[list[int], list[int]]:
    """The rows of the notes that followed, and how long after the start each came, in ns."""
    with part.shard.reading():
        rows = part.note_rows[part.assets[part.note_rows] == span.asset]
        times = part.state.columns.times[rows]
        is_same_day = (times % _DAY_NS == 0) & (times == span.start_ns - span.start_ns % _DAY_NS)
        is_after = ((times >= span.start_ns) | is_same_day) & (times <= span.until_ns)
        rows, waits = rows[is_after], np.maximum(times[is_after] - span.start_ns, 0)
    return rows.tolist(), waits.tolist()
