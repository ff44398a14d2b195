"""What an index answers to the questions of `request.py`; hits are in `hit.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dejalog.indexer.hit import Evidence, Hit, Occurrence, Scores, SearchResult


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was looked at to answer.

    `events_total` counts the events of the shards that were read, `events_matched` those of them
    that passed the filters; deleted events count nowhere. `is_partial` says that something may be
    missing: the deadline passed, or shards are damaged; `damaged_shards` names these, each a
    folder and the reason.
    """

    events_total: int
    events_matched: int
    shards_searched: int
    elapsed_s: float
    is_partial: bool = False
    damaged_shards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SimilarResult:
    """The event that was asked about, and the hits that are like it."""

    event: Occurrence
    result: SearchResult


@dataclass(frozen=True, slots=True)
class CourseStep:
    """A pattern in the course of an incident that is unusual for its asset.

    `count` events of it lie within the incident or close around it, the first at `first_seen_ns`;
    `unusual` is how much more frequent it is there than elsewhere on the asset, in bits of surprise
    (log-likelihood ratio).
    """

    pattern_id: str
    pattern: str
    count: int
    first_seen_ns: int
    unusual: float
    example: Occurrence


@dataclass(frozen=True, slots=True)
class FollowingNote:
    """A maintenance note that came after an incident began, on the same asset.

    `after_s` is the time from the incident's start to the note; `score` orders the notes of an
    incident, best first.
    """

    note: Occurrence
    after_s: float
    score: float


@dataclass(frozen=True, slots=True)
class Precedent:
    """An earlier incident: hits close in time on one asset, its course, and what followed.

    `asset_label` and `asset` are empty where its events name no asset; then the source stands for
    it. `events` counts the hits' events within the incident.
    """

    asset_label: str
    asset: str
    source: str
    start_ns: int
    end_ns: int
    score: float
    events: int
    hits: tuple[Hit, ...]
    course: tuple[CourseStep, ...]
    notes: tuple[FollowingNote, ...]


@dataclass(frozen=True, slots=True)
class PrecedentsResult:
    """Incidents, the best match first; `event` is the one that was asked about, if one was.

    `incidents_total` counts those that were found among the best hits.
    """

    event: Occurrence | None
    precedents: tuple[Precedent, ...]
    incidents_total: int
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class PatternSummary:
    """One pattern's events that passed the filters.

    `first_ever_ns` is when it was first seen at all, as far as the index reaches back. `counts` has
    one number for each bucket; `example` is its newest event.
    """

    pattern_id: str
    pattern: str
    count: int
    first_seen_ns: int
    last_seen_ns: int
    first_ever_ns: int
    counts: tuple[int, ...]
    example: Occurrence


@dataclass(frozen=True, slots=True)
class PatternsResult:
    """Patterns in the order asked for; `patterns_total` counts also those beyond the limit.

    Bucket i begins at `start_ns` + i * `width_ns`; both are 0 where no event passed the filters.
    """

    patterns: tuple[PatternSummary, ...]
    patterns_total: int
    start_ns: int
    width_ns: int
    coverage: Coverage


class Change(StrEnum):
    """What became of a pattern from one window to the other."""

    APPEARED = "appeared"
    VANISHED = "vanished"
    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class PatternChange:
    """One pattern's change.

    `rate_ratio` is its events per second after by those before: infinity where it appeared, 0
    where it vanished. `p_value` is corrected for the number of patterns compared
    (Benjamini-Hochberg). `example` is its newest event in the windows.
    """

    pattern_id: str
    pattern: str
    change: Change
    count_before: int
    count_after: int
    rate_ratio: float
    p_value: float
    first_ever_ns: int
    example: Occurrence


@dataclass(frozen=True, slots=True)
class DiffResult:
    """Changes, the least likely to be chance first; `changes_total` counts also those not shown."""

    changes: tuple[PatternChange, ...]
    changes_total: int
    patterns_compared: int
    events_before: int
    events_after: int
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Series:
    """The counts of one value of a label; the value is empty for all events together.

    With `is_rest` it stands for all other values, and for events without the label.
    """

    value: str
    counts: tuple[int, ...]
    is_rest: bool = False


@dataclass(frozen=True, slots=True)
class HistogramResult:
    """Events by time: bucket i of every series begins at `start_ns` + i * `width_ns`."""

    series: tuple[Series, ...]
    start_ns: int
    width_ns: int
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Context:
    """An event with those before and after it in its source, oldest first.

    `is_complete` is false where fewer than asked for were found because the walk reached its
    bound; at the beginning or end of what is stored of a source it is true.
    """

    event: Occurrence
    before: tuple[Occurrence, ...]
    after: tuple[Occurrence, ...]
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """A new event that meets a standing query, and why."""

    occurrence: Occurrence
    pattern_id: str
    pattern: str
    scores: Scores
    evidence: tuple[Evidence, ...]
    is_new_pattern: bool
