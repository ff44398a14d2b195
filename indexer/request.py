"""What can be asked of an index: one frozen request per question.

Times are nanoseconds since 1970 UTC, `since_ns` inclusive and `until_ns` exclusive, None without a
bound. `where` holds conditions like `site=lodz`, `severity>=warn` or `kind=note`, all of which must
hold. `text` is in the query language of docs/QUERYING.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Which channels take part in the order."""

    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is like this text?

    `limit` hits behind the first `skip`, with at most `occurrences` events each. Without
    `is_explained` hits carry no evidence, which saves about a millisecond each.
    """

    text: str
    limit: int = 10
    occurrences: int = 3
    since_ns: int | None = None
    until_ns: int | None = None
    where: tuple[str, ...] = ()
    mode: Mode = Mode.HYBRID
    is_explained: bool = True
    skip: int = 0

    @property
    def wanted(self) -> int:
        """How many hits have to be found."""
        return self.skip + self.limit


@dataclass(frozen=True, slots=True)
class SimilarRequest:
    """What is like this event? The event's own pattern comes first, where it passes the filters."""

    event_id: int
    limit: int = 10
    occurrences: int = 3
    since_ns: int | None = None
    until_ns: int | None = None
    where: tuple[str, ...] = ()
    mode: Mode = Mode.HYBRID
    is_explained: bool = True
    skip: int = 0


@dataclass(frozen=True, slots=True)
class PrecedentsRequest:
    """Has this happened before, and what fixed it? Asked with a text or with an event's number.

    Hits on one asset with less than `gap_s` seconds between them are one incident; a note counts
    as what followed up to `horizon_s` seconds after it. `asset_labels` are the labels that may
    name an asset, the first one that an event has counts. At most `limit` incidents are returned,
    each with at most `course` patterns, `notes` notes and `occurrences` events of each hit.
    """

    text: str = ""
    event_id: int | None = None
    limit: int = 5
    course: int = 8
    notes: int = 3
    occurrences: int = 1
    since_ns: int | None = None
    until_ns: int | None = None
    where: tuple[str, ...] = ()
    mode: Mode = Mode.HYBRID
    asset_labels: tuple[str, ...] = ("asset", "unit", "pod", "host", "service")
    gap_s: float = 600.0
    horizon_s: float = 14 * 86_400.0
    skip: int = 0


class PatternOrder(StrEnum):
    """In which order patterns are listed."""

    COUNT = "count"
    NEWEST = "newest"
    FIRST = "first"


@dataclass(frozen=True, slots=True)
class PatternsRequest:
    """Which patterns occur, how often, and since when?

    `text` may hold filters and quoted strings only. With `is_new`, only patterns that no event had
    before `since_ns` (which must be given) are listed. Counts come in `buckets` equal parts of the
    time range.
    """

    text: str = ""
    limit: int = 50
    since_ns: int | None = None
    until_ns: int | None = None
    where: tuple[str, ...] = ()
    is_new: bool = False
    order: PatternOrder = PatternOrder.COUNT
    buckets: int = 24
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """A range of time with both ends."""

    since_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class DiffRequest:
    """Which patterns appeared, vanished or changed their rate from one window to another?

    `text` may hold filters and quoted strings only. `false_share` bounds the expected share of
    changes that are none (false discovery rate).
    """

    before: Window
    after: Window
    text: str = ""
    where: tuple[str, ...] = ()
    limit: int = 50
    false_share: float = 0.01
    skip: int = 0


@dataclass(frozen=True, slots=True)
class HistogramRequest:
    """How many events are there in each part of a time range?

    `text` may hold filters and quoted strings only. With `by`, counts are split by the values of
    that label (or of `kind` or `severity`), the `values` most frequent ones each on its own.
    """

    text: str = ""
    since_ns: int | None = None
    until_ns: int | None = None
    where: tuple[str, ...] = ()
    buckets: int = 60
    by: str = ""
    values: int = 10


@dataclass(frozen=True, slots=True)
class ContextRequest:
    """What stands before and after an event in its source?"""

    event_id: int
    before: int = 5
    after: int = 5


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """Tell me of new events like this text.

    An event matches if it passes the filters and, where there are words besides, if its pattern
    meets them by at least `score_min` (None: the default of docs/QUERYING.md). Events above the
    number `after_event_id` are looked at; None: those that come from now on.
    """

    text: str
    where: tuple[str, ...] = ()
    mode: Mode = Mode.HYBRID
    score_min: float | None = None
    after_event_id: int | None = None
    is_explained: bool = True
