"""Which events of a shard count for a query: filters, quoted strings and exclusions, in one place.

1. Times and labels are looked up in the columns (`filter.py`); deleted events never count.
2. Of what is left, events count that hold every quoted string (`exact.py`) ...
3. ... and none of the excluded words and strings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.exact import match_exact
from dejalog.indexer.filter import Counted, TimeRange, filter_events
from dejalog.indexer.lexical import LexicalView
from dejalog.indexer.opened import HeldShard
from dejalog.indexer.query import Query
from dejalog.indexer.store.transaction import Snapshot
from dejalog.indexer.store.view import NEVER_NS, ShardArrays


def counted_events(
    query: Query,
    shard: HeldShard,
    *,
    since_ns: int | None,
    until_ns: int | None,
    set_aside: Callable[[CorruptShardError], None] | None = None,
    check: Callable[[], None] = lambda: None,
) -> tuple[Counted, bool]:
    """Returns the events and patterns of a shard that count, and whether some may be missing.

    Free words are no filter. A shard whose word index is damaged is read without it if there is a
    `set_aside` (`Held.set_aside`) to tell it to. `check` is called now and then, and may raise.
    Raises CorruptShardError.
    """
    times, lexical = TimeRange(since_ns, until_ns), shard.lexical
    while True:
        try:
            with shard.reading() as snapshot:
                return count_events(query, shard.state, snapshot, lexical, times=times, check=check)
        except CorruptShardError as error:
            if set_aside is None or error.path == shard.state.shard.path:
                raise
            set_aside(error)
            lexical = LexicalView()


def count_events(
    query: Query,
    arrays: ShardArrays,
    snapshot: Snapshot,
    lexical: LexicalView,
    *,
    times: TimeRange,
    check: Callable[[], None] = lambda: None,
) -> tuple[Counted, bool]:
    """Returns the same for one state of a shard; all of its parts must be of one moment."""
    times = times.within(arrays.counters)
    events = filter_events(
        arrays.columns,
        arrays.labelsets,
        query.conditions,
        since_ns=times.since_ns,
        until_ns=times.until_ns,
    )
    is_filtered = events is not None or bool(query.exact or query.excluded)
    if arrays.deleted is not None:
        events = ~arrays.deleted if events is None else events & ~arrays.deleted
    is_partial = False
    for needle in query.exact:
        check()
        match = match_exact(needle, arrays, lexical, snapshot, events, check=check)
        events = match.events
        is_partial |= match.is_partial
    for needle in query.excluded:
        check()
        match = match_exact(needle, arrays, lexical, snapshot, events, check=check)
        # What has all of the words, and could not be read any more, most likely holds the string.
        ruled_out = match.events | match.unread
        events = ~ruled_out if events is None else events & ~ruled_out
        is_partial |= match.is_partial
    return Counted(events, _patterns(arrays, events, is_filtered), is_filtered), is_partial


def _patterns(
    arrays: ShardArrays, events: NDArray[np.bool_] | None, is_filtered: bool
) -> NDArray[np.bool_] | None:
    if events is None:
        return None
    if not is_filtered:
        is_counted = arrays.newest > NEVER_NS
        return None if is_counted.all() else is_counted
    is_counted = np.zeros(arrays.counters.patterns, np.bool_)
    is_counted[arrays.columns.patterns[events]] = True
    return is_counted
