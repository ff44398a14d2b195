"""The source that reads a stream which cannot be read again: standard input, a pipe, a socket.

Partition is the given name or a random one for each run; the offset counts the bytes that came
through. After a restart the stream is another one, so a given name goes on counting where the
stored position ended, and nothing is skipped.
"""

from __future__ import annotations

import os
import secrets
import select
import stat
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from dejalog.daemon.sources.source import Positions, Progress
from dejalog.daemon.sources.tail import PIECE_BYTES, is_text
from dejalog.daemon.sources.timing import DEFAULT_TIMING, Timing
from dejalog.indexer.event import Labels, Position, Record
from dejalog.indexer.framing import Frame, LineFramer


class Stream(Protocol):
    """Anything with a file descriptor."""

    def fileno(self) -> int:
        """Returns the descriptor, which is read without the stream's own buffer."""


class StdinSource:
    """Records of one stream, until it ends."""

    name = "stdin"

    def __init__(
        self,
        stream: Stream | None = None,
        *,
        partition: str = "",
        labels: Labels = (),
        encoding: str = "auto",
        record_bytes_max: int = 1 << 20,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._stream: Stream = sys.stdin if stream is None else stream
        self._fd = self._stream.fileno()
        self._partition = partition or secrets.token_hex(8)
        self._labels, self._encoding = tuple(sorted(labels)), encoding
        self._record_bytes_max, self._timing = record_bytes_max, timing
        self._poller = select.poll()
        self._poller.register(self._fd, select.POLLIN)
        self._offset = 0
        self._bytes_done = 0
        self._framer: LineFramer | None = None
        self._ready: deque[Record] = deque()
        self._is_at_end = False
        self._has_pending = self._has_partial = False
        self._last_data_at_s = time.monotonic()

    def seek(self, positions: Positions) -> None:
        """Goes on counting where a stream of the same name ended."""
        if self._bytes_done:
            raise ValueError("seek comes before the first poll")
        position = positions.get((self.name, self._partition))
        self._offset = 0 if position is None else position.offset

    def poll(self, *, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """Returns the next records; waits for the first one for up to `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        records: list[Record] = []
        size_bytes = 0
        while True:
            while self._ready:
                records.append(self._ready.popleft())
                size_bytes += len(records[-1].data)
                if len(records) >= records_max or size_bytes >= bytes_max:
                    return records
            if self._is_at_end:
                return records
            wait_s = 0.0 if records else max(0.0, deadline - time.monotonic())
            if not self._step(wait_s) and (records or time.monotonic() >= deadline):
                return records

    @property
    def is_exhausted(self) -> bool:
        """True after the end of the stream, once all records were handed out."""
        return self._is_at_end and not self._ready

    def finish(self) -> None:
        """Takes nothing more; all that came through is handed out, a line without its end too."""
        self._flush(is_end=True)
        self._is_at_end = True

    def ack(self, positions: Sequence[Position]) -> None:
        """Does nothing: a stream cannot be told."""

    def close(self) -> None:
        """Does nothing: the stream belongs to the caller."""

    def progress(self) -> Progress:
        """Returns the bytes read; the total is known only if the stream is a file."""
        status = os.fstat(self._fd)
        total = status.st_size if stat.S_ISREG(status.st_mode) else 0
        return Progress(self._bytes_done, total, int(self._is_at_end), 1, "stdin")

    def _step(self, wait_s: float) -> bool:
        """Reads what comes within `wait_s`; returns False if that was nothing."""
        flush_in_s = self._flush_in_s()
        if self._poller.poll(min(wait_s, flush_in_s) * 1000):
            return self._read()
        if flush_in_s <= wait_s:
            self._flush(is_end=not self._has_pending)
        return False

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, PIECE_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._feed(data)
        else:
            self._flush(is_end=True)
            self._is_at_end = True
        return True

    def _feed(self, data: bytes) -> None:
        if self._framer is None:
            self._framer = LineFramer(
                start=self._offset,
                record_bytes_max=self._record_bytes_max,
                is_multiline=is_text(data),
            )
        self._bytes_done += len(data)
        self._has_pending, self._has_partial = True, not data.endswith(b"\n")
        self._last_data_at_s = time.monotonic()
        self._add(self._framer.feed(data))

    def _flush(self, *, is_end: bool) -> None:
        self._has_pending = False
        self._has_partial = self._has_partial and not is_end
        if self._framer is not None:
            self._add(self._framer.flush(is_end=is_end))

    def _add(self, frames: list[Frame]) -> None:
        now_ns = time.time_ns()
        for frame in frames:
            self._ready.append(
                Record(
                    self.name, self._partition, frame.start, frame.end, frame.data, now_ns,
                    self._encoding, (), self._labels, "", frame.size_bytes, frame.fault,
                )
            )  # fmt: skip

    def _flush_in_s(self) -> float:
        if not self._has_pending and not self._has_partial:
            return float("inf")
        timing = self._timing
        hold_s = timing.idle_flush_s if self._has_pending else timing.partial_line_s
        return max(0.0, self._last_data_at_s + hold_s - time.monotonic())
