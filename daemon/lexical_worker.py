"""A thread that keeps the lexical index at most a moment behind what is committed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import TypeVar

from dejalog.indexer.catch_up import catch_up, lexical_folder
from dejalog.indexer.errors import CorruptShardError, DejalogError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.store.directory import DataDirectory
from dejalog.indexer.store.manifest import Tier
from dejalog.indexer.store.shard import Shard

T = TypeVar("T")


class LexicalWorker:
    """Follows the data directory's shards; the one writer of their lexical indexes.

    A shard that another process has replaced or removed meanwhile is no fault. `on_failure` is
    called from the thread if it has to end early.
    """

    def __init__(
        self, directory: DataDirectory, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._directory = directory
        self._on_failure = on_failure
        self._open: dict[int, LexicalIndex] = {}
        self._reached: dict[int, int] = {}
        self._complete: set[int] = set()
        self._news = Flag()
        self._stop = Flag()
        self._thread = Thread(target=self._run, name="lexical")

    def start(self) -> None:
        """Checks the indexes of fresh shards, then begins with whatever has been left undone.

        Those of compacted shards are checked by the thread: they may be large, and starting is not
        to wait for them.
        """
        for shard in self._directory.shards:
            if shard.tier is Tier.FRESH:
                self._unless_gone(shard, self._index)
        self._thread.start()

    def notify(self) -> None:
        """Says that something was committed."""
        self._news.set()

    def finish(self) -> None:
        """Catches up with everything committed, then ends."""
        self._stop.set()
        self._news.set()
        self._thread.join()

    def lag_events(self) -> int:
        """Committed events that are not in the lexical index yet."""
        lag = 0
        for shard in self._directory.shards:
            first, number = shard.header.first_event, shard.header.shard
            if shard.tier is Tier.COMPACTED and number not in self._reached:
                continue  # It came with a complete index, which has yet to be looked at.
            events = self._unless_gone(shard, _count_events) or 0
            lag += max(0, first + events - self._reached.get(number, first))
        return lag

    def _run(self) -> None:
        try:
            while True:
                self._news.clear()  # Before looking at the rest, or a notice could be lost.
                is_last = self._stop.is_set()
                self._catch_up()
                if is_last:
                    break
                self._news.wait()
        except BaseException as error:
            self._on_failure(error)
        finally:
            for index in self._open.values():
                index.close()

    def _catch_up(self) -> None:
        shards = self._directory.shards
        self._forget({shard.header.shard for shard in shards})
        for shard in shards:
            if shard.header.shard not in self._complete:
                self._unless_gone(shard, self._follow)
                if shard is not shards[-1]:
                    self._leave(shard)

    def _follow(self, shard: Shard) -> None:
        number = shard.header.shard
        index = self._index(shard)
        while catch_up(shard, index):
            self._reached[number] = index.events_indexed
        self._reached[number] = index.events_indexed

    def _leave(self, shard: Shard) -> None:
        """Nothing will be added any more, and an open index holds threads."""
        number = shard.header.shard
        if number in self._open:
            self._open.pop(number).close()
        self._complete.add(number)

    def _forget(self, listed: set[int]) -> None:
        for number in self._reached.keys() - listed:
            del self._reached[number]
            if number in self._open:
                self._open.pop(number).close()
        self._complete &= listed

    def _unless_gone(self, shard: Shard, work: Callable[[Shard], T]) -> T | None:
        """Does the work, or returns None if the shard has been replaced or removed meanwhile."""
        try:
            return work(shard)
        except (DejalogError, OSError):
            self._directory.refresh()
            if shard.header.shard in self._directory.manifest.numbers:
                raise
            return None

    def _index(self, shard: Shard) -> LexicalIndex:
        number = shard.header.shard
        if number not in self._open:
            self._open[number] = open_lexical(shard)
        return self._open[number]


def _count_events(shard: Shard) -> int:
    with shard.snapshot() as snapshot:
        return snapshot.counters().events


def open_lexical(shard: Shard) -> LexicalIndex:
    """Opens a shard's lexical index for writing; a damaged one is made anew from the shard.

    Every checksum is compared: damage that opening does not meet would end each search instead.
    """
    folder = lexical_folder(shard)
    try:
        index = LexicalIndex.open(folder, writable=True)
    except CorruptShardError:
        return _made_anew(folder)
    if index.damaged_files():
        index.close()
        return _made_anew(folder)
    return index


def _made_anew(folder: Path) -> LexicalIndex:
    # Derived data: dropping it loses nothing, the catch-up begins at zero.
    LexicalIndex.delete(folder)
    return LexicalIndex.open(folder, writable=True)
