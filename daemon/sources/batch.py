"""Read a list of files once, one after the other, each to its end."""

from __future__ import annotations

import time
from collections import deque

from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.opening import Nothing, Opened, Surroundings, open_file
from dejalog.daemon.sources.printable import printable
from dejalog.daemon.sources.scan import Found, Listing
from dejalog.daemon.sources.source import Progress, Skipped
from dejalog.daemon.sources.tail import Tail, TailSettings
from dejalog.indexer.event import Record


class Batch:
    """Reads every listed file once, one after the other.

    `progress`, `refused` and `failed` may be called from another thread than the one that reads.
    """

    def __init__(self, listing: Listing, claims: Claims, settings: TailSettings) -> None:
        self._queue = deque(listing.found.values())
        self._files_total = len(self._queue)
        self._bytes_total = sum(found.size_bytes for found in self._queue)
        self._bytes_done = 0
        self._files_done = 0
        self._settings = settings
        self._tail: Tail | None = None
        self._current: Found | None = None
        self._refused: list[Skipped] = []
        self._failed: list[Skipped] = []
        found = listing.found
        self._around = Surroundings(
            claims, lambda: (), lambda inode: found[inode].path if inode in found else None
        )

    @property
    def is_done(self) -> bool:
        """True once every file was read to its end."""
        return self._tail is None and not self._queue

    def step(self, ready: deque[Record]) -> bool:
        """Does a bounded piece of work; returns False once there is none left."""
        if self._tail is not None:
            self._read_on(self._tail, ready)
            return True
        if not self._queue:
            return False
        self._open(self._queue.popleft())
        return True

    def _open(self, found: Found) -> None:
        self._current = found
        try:
            opened = self._open_at_once(found)
        except OSError as error:
            opened = None
            self._fail(found, error)
        if isinstance(opened, Tail):
            self._tail = opened
            return
        if isinstance(opened, Nothing) and opened.reason:
            self._refused.append(Skipped(printable(found.path), opened.reason))
        self._count(found)

    def _open_at_once(self, found: Found) -> Opened:
        steps = open_file(found, self._around, self._settings)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                opened: Opened = stop.value
                return opened

    def _read_on(self, tail: Tail, ready: deque[Record]) -> None:
        found = self._current
        try:
            is_done = self._read(tail, ready)
        except OSError as error:
            # What is held back is not a record yet: the next run reads it again, and the rest.
            is_done = True
            if found is not None:
                self._fail(found, error)
        if is_done:
            tail.close()
            self._tail = None
            if found is not None:
                self._count(found)

    def _read(self, tail: Tail, ready: deque[Record]) -> bool:
        now_ns = time.time_ns()
        ready.extend(tail.read(now_ns))
        is_done = tail.is_at_end or tail.is_replaced
        if is_done:
            ready.extend(tail.finish(now_ns))
        return is_done

    def _fail(self, found: Found, error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        self._failed.append(Skipped(printable(found.path), reason))

    def _count(self, found: Found) -> None:
        self._files_done += 1
        self._bytes_done += found.size_bytes

    def progress(self) -> Progress:
        """Returns how far reading has come."""
        tail, found = self._tail, self._current
        raw_offset = 0 if tail is None else tail.reader.raw_offset
        current = "" if found is None else printable(found.path)
        done = min(self._bytes_done + raw_offset, self._bytes_total)
        return Progress(done, self._bytes_total, self._files_done, self._files_total, current)

    def refused(self) -> list[Skipped]:
        """Returns the files whose content cannot be read."""
        return self._refused.copy()

    def failed(self) -> list[Skipped]:
        """Returns the files that could not be opened or read on, or were gone by then."""
        return self._failed.copy()

    def close(self) -> None:
        """Closes what is open and forgets the rest."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        self._queue.clear()
