"""The bounded queue between Faust's loop and the pipeline, which knows what is under way.

The loop puts records in, the pipeline's reading thread takes them out, its writing thread
acknowledges positions. Invariants:

1. `put` never waits: the loop fetches only while `has_room`, so that at most one fetch is beyond
   the bound.
2. A partition is under way from the moment a record of it is handed out until its position is
   acknowledged. What was only queued can be discarded, what was handed out cannot.
3. After `fail` every poll raises; after `finish` nothing is handed out any more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from dejalog.daemon.kafka.places import Key
from dejalog.indexer.event import Position, Record

#: What a queued record costs beside its bytes (object headers, measured with sys.getsizeof).
RECORD_OVERHEAD_BYTES = 400


class Inbox:
    """See the module; `on_change` is called, on any thread, when room or acknowledgements come."""

    def __init__(self, bytes_max: int, *, on_change: Callable[[], None]) -> None:
        self._bytes_max = bytes_max
        self._on_change = on_change
        self._changed = threading.Condition()
        self._queue: deque[Record] = deque()
        self._queue_bytes = 0
        self._handed_out: dict[Key, int] = {}
        self._stored: dict[Key, int] = {}
        self._failure: BaseException | None = None
        self._is_finished = False
        self._bytes_read = 0

    @property
    def has_room(self) -> bool:
        """Whether more may be fetched."""
        with self._changed:
            return self._queue_bytes < self._bytes_max

    @property
    def is_finished(self) -> bool:
        """Whether `finish` was called."""
        return self._is_finished

    @property
    def bytes_read(self) -> int:
        """Bytes of all records that were handed out."""
        return self._bytes_read

    def put(self, records: Iterable[Record]) -> None:
        """Adds records, each partition's in the order of its offsets."""
        with self._changed:
            if self._is_finished:
                return
            for record in records:
                self._queue.append(record)
                self._queue_bytes += _cost(record)
            self._changed.notify_all()

    def poll(self, *, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """Returns records, at least one unless none came in time; raises what `fail` was told."""
        taken: list[Record] = []
        size_bytes = 0
        with self._changed:
            self._changed.wait_for(self._has_news, timeout_s)
            if self._failure is not None:
                raise self._failure
            while self._queue and len(taken) < records_max and size_bytes < bytes_max:
                record = self._queue.popleft()
                self._queue_bytes -= _cost(record)
                size_bytes += len(record.data)
                key = record.source, record.partition
                # One that is handed out again takes nothing back of what was before.
                self._handed_out[key] = max(record.next_offset, self._handed_out.get(key, 0))
                taken.append(record)
            self._bytes_read += size_bytes
        if taken:
            self._on_change()
        return taken

    def ack(self, positions: Sequence[Position]) -> None:
        """Notes that the positions are durable."""
        with self._changed:
            for position in positions:
                self._stored[position.source, position.partition] = position.offset
        self._on_change()

    def discard(self, keys: Collection[Key]) -> None:
        """Drops what is queued of these partitions and was not handed out."""
        with self._changed:
            self._queue = deque(r for r in self._queue if (r.source, r.partition) not in keys)
            self._queue_bytes = sum(map(_cost, self._queue))

    def under_way(self, keys: Iterable[Key]) -> list[Key]:
        """The partitions of which records were handed out and are not durable yet."""
        with self._changed:
            stored = self._stored
            return [k for k in keys if self._handed_out.get(k, -1) > stored.get(k, -1)]

    def stored(self) -> dict[Key, int]:
        """How far every partition is durable, as far as this run has acknowledged it."""
        with self._changed:
            return dict(self._stored)

    def reached(self) -> dict[Key, int]:
        """How far every partition is stored, handed out or queued: where to go on reading it."""
        with self._changed:
            reached = dict(self._stored)
            for key, offset in self._handed_out.items():
                reached[key] = max(offset, reached.get(key, 0))
            for record in self._queue:
                key = (record.source, record.partition)
                reached[key] = max(record.next_offset, reached.get(key, 0))
            return reached

    def fail(self, error: BaseException) -> None:
        """Makes every poll raise; the first error counts."""
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()
        self._on_change()

    def check(self) -> None:
        """Raises what `fail` was told."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Hands out nothing more: what is queued is read again by the next run."""
        with self._changed:
            self._is_finished = True
            self._queue.clear()
            self._queue_bytes = 0
            self._changed.notify_all()
        self._on_change()

    def _has_news(self) -> bool:
        return bool(self._queue) or self._failure is not None or self._is_finished


def _cost(record: Record) -> int:
    return len(record.data) + RECORD_OVERHEAD_BYTES
