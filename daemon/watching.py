"""New events that match a query, whoever finds them: this process in a data directory, or a daemon.

Both begin behind any event, so that what is there already can be looked at in the same way: from
the end backwards, in growing windows, until there is enough.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final, Protocol

from dejalog.client import Client, FollowUpdate, RemoteError
from dejalog.daemon.following import look
from dejalog.daemon.schedule import print_line
from dejalog.indexer.answer import Match
from dejalog.indexer.arrivals import Arrivals
from dejalog.indexer.request import FollowRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.standing import StandingQuery

#: How often a data directory is looked at that another process writes: nobody reads faster.
POLL_INTERVAL_S: Final = 0.25
#: The first window that is looked at from the end backwards; each further one is larger.
_WINDOW_EVENTS: Final = 4_096
_WINDOW_GROWTH: Final = 8
#: Events that are looked at for the last few matches: some seconds for one query.
PAST_EVENTS_MAX: Final = 1_000_000
#: How long a daemon that went away is left alone, at first and at most.
_AWAY_S: Final = (0.5, 10.0)


class Watch(Protocol):
    """Finds matches, in the order of events."""

    def newest(self) -> int:
        """The number of the last event there is; -1 without any."""

    def updates(self, after: int, until: int | None = None) -> Iterator[FollowUpdate]:
        """Yields matches behind an event; with `until`, ends when that event was looked at."""


class LocalWatch:
    """Looks into a data directory now and then; with `is_new`, for patterns' first events only."""

    def __init__(
        self,
        searcher: Searcher,
        request: FollowRequest,
        *,
        is_new: bool = False,
        interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self._arrivals = Arrivals(searcher.shards)
        self._query = StandingQuery(request, searcher.encoder, is_new=is_new)
        self._interval_s = interval_s

    def newest(self) -> int:
        """The number of the last event there is; -1 without any."""
        with self._arrivals.reading() as reading:
            return reading.newest

    def updates(self, after: int, until: int | None = None) -> Iterator[FollowUpdate]:
        """Yields matches behind an event; with `until`, ends when that event was looked at."""
        while until is None or after < until:
            with self._arrivals.reading() as reading:
                update = look(self._query, reading, after)
            if update.last_event_id == after:
                if until is not None:
                    return  # What is left of the events up to there is gone.
                time.sleep(self._interval_s)
                continue
            after = update.last_event_id
            yield update if until is None else _cut(update, until)


class RemoteWatch:
    """Has a daemon look, and comes back to one that went away; says so by `say`."""

    def __init__(
        self,
        client: Client,
        request: FollowRequest,
        *,
        is_new: bool = False,
        say: Callable[[str], None] = print_line,
        away_s: tuple[float, float] = _AWAY_S,
    ) -> None:
        self._client = client
        self._request = request
        self._is_new = is_new
        self._say = say
        self._away_s = away_s

    def newest(self) -> int:
        """The number of the last event there is; -1 without any."""
        with closing(self._client.follow(replace(self._request, after_event_id=None))) as updates:
            return next(updates).last_event_id

    def updates(self, after: int, until: int | None = None) -> Iterator[FollowUpdate]:
        """Yields matches behind an event; with `until`, ends when that event was looked at."""
        away_s, is_told = self._away_s[0], False
        while until is None or after < until:
            request = replace(self._request, after_event_id=after)
            try:
                with closing(self._client.follow(request)) as updates:
                    for update in updates:
                        if is_told:
                            self._say("the daemon is back; no event was missed")
                        away_s, is_told = self._away_s[0], False
                        after = update.last_event_id
                        yield self._kept(update if until is None else _cut(update, until))
                        if until is not None and after >= until:
                            return
            except RemoteError as error:
                if error.code != "UNAVAILABLE":
                    raise
                if not is_told:
                    self._say(f"{error}; trying again until it is there")
                is_told = True
                time.sleep(max(away_s, min(error.retry_after_s or 0.0, self._away_s[1])))
                away_s = min(2 * away_s, self._away_s[1])

    def _kept(self, update: FollowUpdate) -> FollowUpdate:
        if not self._is_new:
            return update
        return replace(update, matches=tuple(m for m in update.matches if m.is_new_pattern))


def last_matches(watch: Watch, newest: int, wanted: int) -> list[Match]:
    """Returns the last `wanted` matches up to an event, oldest first."""
    found: list[Match] = []
    for begin, end in _windows(newest):
        kept: deque[Match] = deque(maxlen=wanted - len(found))
        for update in watch.updates(begin, end):
            kept.extend(update.matches)
        found = [*kept, *found]
        if len(found) >= wanted:
            break
    return found


def start_of(watch: Watch, newest: int, since_ns: int) -> int:
    """Returns an event behind which all matches lie that happened at or after a time.

    Events come about in the order of time: the first window with an older match is the last one.
    """
    start = newest
    for begin, end in _windows(newest, bound=sys.maxsize):
        start = begin
        for update in watch.updates(begin, end):
            if any(match.occurrence.event.time_ns < since_ns for match in update.matches):
                return begin
    return start


def _windows(newest: int, bound: int = PAST_EVENTS_MAX) -> Iterator[tuple[int, int]]:
    """From the end backwards: begin (not included) and end of each window."""
    end, size = newest, _WINDOW_EVENTS
    while end > -1 and newest - end < bound:
        begin = max(-1, end - size)
        yield begin, end
        end, size = begin, size * _WINDOW_GROWTH


def _cut(update: FollowUpdate, until: int) -> FollowUpdate:
    kept = tuple(m for m in update.matches if m.occurrence.event_id <= until)
    return replace(update, matches=kept)
