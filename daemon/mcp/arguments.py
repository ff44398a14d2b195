"""What each tool can be given: types, bounds, and descriptions that a model reads.

The JSON schemas that clients see are made of these classes, and arguments are checked by them.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

#: A raw log line with a stack trace fits; more would only be cut by the encoder.
QUERY_CHARS_MAX = 10_000

Query: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=QUERY_CHARS_MAX,
        description=(
            "What to look for, in plain words, as an error code, or as a raw log line pasted "
            'whole. Parts in "double quotes" must occur letter for letter.'
        ),
    ),
]
EventId: TypeAlias = Annotated[
    str,
    Meta(
        pattern="^[0-9]{1,19}$",
        description="Number of an event, as another answer gave it in event_id.",
    ),
]
_TIMES = (
    "for example 15m, '2h ago', yesterday, '2022-08-22 05:18' or 2022-08-22T05:18:16+02:00. "
    "Empty: no bound"
)
Since: TypeAlias = Annotated[
    str, Meta(max_length=64, description=f"Only events from this time on: {_TIMES}.")
]
Until: TypeAlias = Annotated[
    str, Meta(max_length=64, description=f"Only events before this time: {_TIMES}.")
]
Where: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=300)], ...],
    Meta(
        max_length=16,
        description=(
            "Conditions on labels, all of which must hold: site=lodz, host!=gw-2, severity>=warn."
        ),
    ),
]
Kind: TypeAlias = Annotated[
    Literal["any", "log", "note"],
    Meta(description="log: lines that machines wrote; note: what technicians wrote."),
]


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every tool's arguments are made of."""


class Filtered(Arguments, frozen=True, kw_only=True):
    """Which events are meant."""

    since: Since = ""
    until: Until = ""
    where: Where = ()
    kind: Kind = "any"


Limit: TypeAlias = Annotated[int, Meta(ge=1, le=20, description="How many hits at most.")]
Occurrences: TypeAlias = Annotated[
    int, Meta(ge=1, le=5, description="How many events to show of each hit.")
]


class SearchArguments(Filtered, frozen=True, kw_only=True):
    """What `search` is given."""

    query: Query
    limit: Limit = 5
    occurrences: Occurrences = 1


class SimilarArguments(Filtered, frozen=True, kw_only=True):
    """What `similar` is given."""

    event_id: EventId
    limit: Limit = 5
    occurrences: Occurrences = 1


class PrecedentsArguments(Filtered, frozen=True, kw_only=True):
    """What `precedents` is given: a query or an event."""

    query: Annotated[
        str,
        Meta(
            max_length=QUERY_CHARS_MAX,
            description="What is happening now, in words or as a raw log line. Or give event_id.",
        ),
    ] = ""
    event_id: Annotated[
        str,
        Meta(
            pattern="^[0-9]{0,19}$",
            description="An event of what is happening now, instead of query.",
        ),
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=10, description="How many incidents at most.")] = 3


class ContextArguments(Arguments, frozen=True, kw_only=True):
    """What `context` is given."""

    event_id: EventId
    before: Annotated[int, Meta(ge=0, le=50, description="How many lines before it.")] = 5
    after: Annotated[int, Meta(ge=0, le=50, description="How many lines after it.")] = 5


class PatternsArguments(Filtered, frozen=True, kw_only=True):
    """What `patterns` is given."""

    containing: Annotated[
        str,
        Meta(
            max_length=300,
            description="Only events that contain this text, letter for letter. Empty: all.",
        ),
    ] = ""
    is_new: Annotated[
        bool,
        Meta(description="Only patterns that no event had before `since`, which must be given."),
    ] = False
    order: Annotated[
        Literal["count", "newest", "first"],
        Meta(
            description="count: most frequent first; newest: by the newest event; first: by when "
            "they were first seen, latest first."
        ),
    ] = "count"
    limit: Annotated[int, Meta(ge=1, le=50, description="How many patterns at most.")] = 20
