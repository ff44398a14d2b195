"""What comes back from a question besides the result itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from dejalog.indexer.answer import Match

Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[Result_co]):
    """A result as it arrived.

    `is_cut` where texts, attributes, occurrences or evidence were left out so that it fits into
    one message; the number and order of what was asked for is never cut. `next_page_token` is
    empty where there is no more.
    """

    result: Result_co
    is_cut: bool = False
    next_page_token: str = ""


@dataclass(frozen=True, slots=True)
class FollowUpdate:
    """New events that meet a query, and up to which event everything was looked at.

    There may be no match: then it only says where to go on (`FollowRequest.after_event_id`).
    `is_partial` where events were gone, by retention, before they could be looked at.
    """

    matches: tuple[Match, ...]
    last_event_id: int
    is_partial: bool = False
