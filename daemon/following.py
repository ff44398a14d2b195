"""Follow: one thread runs every follower's query over what was committed, each from where it is.

A follower has one update at a time. While its client has not taken that, its query rests, and goes
on from there afterwards, however far behind: a slow client costs no memory, and loses nothing. What
it was too slow for is only what retention took away meanwhile; then its update says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Event as Flag
from threading import Lock, Thread
from typing import Final

from dejalog.client.answer import FollowUpdate
from dejalog.daemon.rpc_errors import invalid, overloaded, unavailable
from dejalog.indexer.answer import Match
from dejalog.indexer.arrivals import Arrivals, Reading
from dejalog.indexer.errors import CorruptShardError, QueryError
from dejalog.indexer.hit import Occurrence
from dejalog.indexer.request import FollowRequest
from dejalog.indexer.search import Searcher
from dejalog.indexer.standing import StandingQuery

#: Each has a query over every event: thirty take about half a core at 5,000 events/s.
FOLLOWERS_MAX: Final = 32
#: How long a client without matches waits to be told where to go on.
UPDATE_INTERVAL_S: Final = 5.0
#: When a follower that found no place may come back.
RETRY_AFTER_S: Final = 30.0
#: When a follower may come back that the daemon's end has cut off.
RESTART_S: Final = 2.0
#: What one update holds at most; a single larger match goes alone.
_MATCHES_MAX: Final = 64
_BYTES_MAX: Final = 512 << 10
#: Text blocks that one follower is given before it is the next one's turn: some 50 ms.
_BLOCKS_PER_TURN: Final = 16


class Following:
    """The thread and its followers; `follow` belongs to an event loop, the rest to any thread.

    `on_failure` is called from the thread when the index cannot be read any more.
    """

    def __init__(
        self,
        searcher: Searcher,
        on_failure: Callable[[BaseException], None],
        *,
        followers_max: int = FOLLOWERS_MAX,
        interval_s: float = UPDATE_INTERVAL_S,
    ) -> None:
        self._searcher = searcher
        self._on_failure = on_failure
        self._followers_max = followers_max
        self._interval_s = interval_s
        self._arrivals = Arrivals(searcher.shards)
        self._followers: set[_Follower] = set()
        self._lock = Lock()
        self._is_over = False
        self._wake = Flag()
        self._thread = Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        """Begins; there may be followers already."""
        self._thread.start()

    def notify(self) -> None:
        """Says that something was committed; never waits."""
        self._wake.set()

    def end(self) -> None:
        """Sends every follower away, UNAVAILABLE, and takes no more; never waits."""
        with self._lock:
            self._is_over = True
            followers = list(self._followers)
        for follower in followers:
            follower.end()
        self._wake.set()

    def finish(self) -> None:
        """Does that, and waits for the thread."""
        self.end()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def followers(self) -> int:
        """How many there are."""
        return len(self._followers)

    @asynccontextmanager
    async def follow(self, request: FollowRequest) -> AsyncIterator[AsyncIterator[FollowUpdate]]:
        """Yields the updates of one follower; the first one says where it begins.

        Raises ServiceError: INVALID_ARGUMENT for a question that cannot be understood,
        RESOURCE_EXHAUSTED where there are too many followers, UNAVAILABLE at the daemon's end.
        """
        follower = _Follower(asyncio.get_running_loop(), request.after_event_id)
        self._admit(follower)
        try:
            # The model takes some milliseconds for the question.
            follower.query = await asyncio.to_thread(self._understand, request)
            self._wake.set()
            yield self._updates(follower)
        except QueryError as error:
            raise invalid("query", str(error), reason="BAD_QUERY") from error
        finally:
            with self._lock:
                self._followers.discard(follower)

    async def _updates(self, follower: _Follower) -> AsyncIterator[FollowUpdate]:
        while True:
            update = await follower.take(self._interval_s)
            if update is None:
                raise unavailable("the daemon is stopping; go on later", RESTART_S)
            self._wake.set()  # There is room for its next one.
            yield update

    def _understand(self, request: FollowRequest) -> StandingQuery:
        return StandingQuery(request, self._searcher.encoder)

    def _admit(self, follower: _Follower) -> None:
        with self._lock:
            if self._is_over:
                raise unavailable("the daemon is stopping; go on later", RESTART_S)
            if len(self._followers) >= self._followers_max:
                raise overloaded(
                    f"{len(self._followers)} clients follow already, and no more are taken",
                    RETRY_AFTER_S,
                )
            self._followers.add(follower)

    def _run(self) -> None:
        try:
            while not self._is_over:
                self._wake.clear()
                if not self._round():
                    self._wake.wait()
        except BaseException as error:
            self._on_failure(error)
            self.end()

    def _round(self) -> bool:
        """Gives each follower that has room its turn; returns whether some have more to look at."""
        with self._lock:
            ready = [each for each in self._followers if each.query is not None and each.has_room]
        if not ready:
            return False
        has_more = False
        with self._arrivals.reading() as reading:
            for follower in ready:
                has_more |= _turn(follower, reading)
        return has_more


def _turn(follower: _Follower, reading: Reading) -> bool:
    """Looks at the follower's next events; returns whether it could go on at once."""
    query = follower.query
    assert query is not None
    if not follower.is_begun or follower.position is None:
        start = reading.newest if follower.position is None else follower.position
        follower.is_begun = True
        follower.give(FollowUpdate((), start), start)
        return False
    update = look(query, reading, follower.position)
    if update.matches or update.is_partial:
        follower.give(update, update.last_event_id)
        return False
    has_more = follower.position < update.last_event_id < reading.newest
    follower.position = update.last_event_id
    return has_more


def look(query: StandingQuery, reading: Reading, position: int) -> FollowUpdate:
    """Returns what matches behind the event `position`, up to the bounds of one update.

    It is partial where some of the events behind `position` are gone, or cannot be read.
    """
    query.learn(reading.label_names)
    matches: list[Match] = []
    size, is_gone = 0, False
    for turn, block in enumerate(reading.blocks(position)):
        if turn == _BLOCKS_PER_TURN:
            break
        is_gone |= 0 <= position < block.first - 1
        try:
            for index in query.select(block).indexes.tolist():
                if len(matches) >= _MATCHES_MAX or size >= _BYTES_MAX:
                    return FollowUpdate(tuple(matches), matches[-1].occurrence.event_id, is_gone)
                matches.append(query.match(block, index))
                size += size_of(matches[-1].occurrence)
        except CorruptShardError as error:
            reading.set_aside(error)
            is_gone = True
        position = block.last
    return FollowUpdate(tuple(matches), position, is_gone)


def size_of(occurrence: Occurrence) -> int:
    """About how many bytes an occurrence takes in a message."""
    event = occurrence.event
    pairs = (*event.labels, *event.attributes)
    return len(event.text) + sum(len(name) + len(value) for name, value in pairs) + 200


class _Follower:
    """A client's place: its query, its position, and the one update that waits for it.

    `query`, `position` and `is_begun` are the thread's; a position of None is where the events end
    when its first turn comes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, position: int | None) -> None:
        self.query: StandingQuery | None = None
        self.position = position
        self._loop = loop
        self._has_news = asyncio.Event()
        self._update: FollowUpdate | None = None
        self.is_begun = False
        self._is_over = False

    @property
    def has_room(self) -> bool:
        """Whether it has taken its last update."""
        return self._update is None

    def give(self, update: FollowUpdate, position: int) -> None:
        """Puts down an update that goes up to `position`; from the thread."""
        self._update = update
        # Behind it, so that `take` never tells of a position whose matches it has not seen.
        self.position = position
        self._loop.call_soon_threadsafe(self._has_news.set)

    def end(self) -> None:
        """Lets `take` return None from now on; from any thread."""
        self._is_over = True
        self._loop.call_soon_threadsafe(self._has_news.set)

    async def take(self, interval_s: float) -> FollowUpdate | None:
        """Returns the next update, after `interval_s` one without a match; None at the end."""
        while not self._is_over:
            try:
                async with asyncio.timeout(interval_s):
                    await self._has_news.wait()
            except TimeoutError:
                if self.position is None:
                    continue
                position = self.position  # Before looking for an update, see `give`.
                if self._update is None:
                    return FollowUpdate((), position)
            self._has_news.clear()
            update, self._update = self._update, None
            if update is not None:
                return update
        return None
