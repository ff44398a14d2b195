"""Writing no faster than asked, and stopping between two steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from dejalog.indexer.errors import DejalogError


class StoppedError(DejalogError):
    """Work was asked to end before it was done; nothing of it was kept."""


class Pace:
    """Spends at most `bytes_per_s` (0 is no bound) on average, and ends when `stop` is set.

    A pause is never longer than what was spent since the last one deserves: time that passed
    without writing is not saved up.
    """

    def __init__(
        self,
        bytes_per_s: float = 0,
        stop: Event | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._stop = stop or Event()
        self._clock = clock
        self._free_at = clock()

    def check(self) -> None:
        """Raises StoppedError if the work is to end."""
        if self._stop.is_set():
            raise StoppedError("stopped before it was done; the index is as it was before")

    def spend(self, size_bytes: int) -> None:
        """Waits until so many bytes are due; raises StoppedError."""
        if self._bytes_per_s:
            now = self._clock()
            self._free_at = max(self._free_at, now) + size_bytes / self._bytes_per_s
            self._stop.wait(max(0.0, self._free_at - now))
        self.check()
