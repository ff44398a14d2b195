"""A stream of bytes to frames: one line each, or a line with the stack trace beneath it.

`LineFramer` is a state machine without input or output of its own. Its invariants:

- Frames tile the stream: each starts where the one before it ended, whatever the chunks were.
- A frame is given when it is complete; with multi-line events, when the next event starts.
- Blank lines are no frames. They belong to the frame before them or, if that has been given
  already, to the one after; blank lines at the end of a stream after the last given frame stay
  pending.
- Memory is bounded by `record_bytes_max` and the chunk: of a longer line only the start is kept.

A line continues the event above it only if it cannot well be an event of its own: it is indented
deeper than the event's first line, closes brackets only, or is one of the unindented lines that
stack traces of Java, Python and Go have. No more than a few blank lines may lie between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: As much of an oversized line is kept as a dead letter shows.
CUT_BYTES = 1 << 16
#: A trace with all its causes has some hundred lines; more is a file that happens to be indented.
LINES_MAX = 1000
#: Python separates chained tracebacks by one blank line, Go a panic from its goroutines.
BLANK_LINES_MAX = 4

_INDENT = frozenset(b" \t")
#: First bytes of lines that can continue an event; all others are settled by this one look.
_MAYBE = frozenset(b" \t.CSTD}])_abcdefghijklmnopqrstuvwxyz")
_WHITE = frozenset(b" \t\r\f\v")
_LOOK = _MAYBE | _WHITE

_CONTINUATION = re.compile(
    rb"Caused by: |Suppressed: |at [\w$.<>/]+\(|\.\.\. \d+ (?:more|common frames)"
    rb"|Traceback \(most recent call last\)"
    rb"|During handling of the above exception|The above exception was the direct cause"
    rb"|[}\])]+[;,]?\s*$"
    rb"|(?:[a-z_]\w*\.)+[A-Z]\w*(?:Exception|Error|Throwable|Failure)(?::|\s*$)"
    rb"|goroutine \d+ \["
)
# The line that ends a Python traceback, `KeyError: 'x'`, and the frames of a Go routine.
_RAISED = re.compile(rb"[A-Za-z_][\w.]*(?::\s|\s*$)")
_GO_FRAME = re.compile(rb"[\w./*(){}$\[\]-]+\(.*\)\s*$|created by |exit status \d")
_TRACEBACK = b"Traceback (most recent call last)"
_GOROUTINE = b"goroutine "


@dataclass(frozen=True, slots=True)
class Frame:
    """One record of a text stream.

    `start` and `end` are byte offsets in the stream, `end` after the newline and any blank lines
    that follow. `data` has no newline at its end. Of an oversized line `data` is the start,
    `size_bytes` the full length, and `fault` says "oversized".
    """

    data: bytes
    start: int
    end: int
    size_bytes: int
    fault: str = ""


class LineFramer:
    """Splits a stream fed in chunks into frames; `start` is the offset of its first byte."""

    def __init__(
        self, *, start: int = 0, record_bytes_max: int = 1 << 20, is_multiline: bool = True
    ) -> None:
        self._record_bytes_max = record_bytes_max
        self._cut_bytes = min(CUT_BYTES, record_bytes_max)
        self._is_multiline = is_multiline
        self._offset = start  # frames have been given up to here
        self._at = start  # where the unfinished line starts
        self._parts: list[bytes] = []  # the unfinished line, or its start if it is oversized
        self._parts_bytes = 0
        self._lines: list[bytes] = []  # the pending event
        self._size_bytes = 0  # of the pending event, with its newlines
        self._end = start  # of the pending event, with blank lines after it
        self._blank: list[bytes] = []  # blank lines since then, kept in case the event goes on
        self._blank_bytes = 0
        self._indent = 0  # of the pending event's first line
        self._mode = b""  # the start of the trace that the pending event is in

    @property
    def offset(self) -> int:
        """Offset up to which frames have been given; reading can resume here."""
        return self._offset

    @property
    def pending_bytes(self) -> int:
        """Bytes that were fed but are in no given frame yet."""
        return self._at + self._parts_bytes - self._offset

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes."""
        last = chunk.rfind(b"\n")
        if last < 0:
            self._keep(chunk)
            return []
        lines = chunk[:last].split(b"\n")
        frames: list[Frame] = []
        if self._parts_bytes:
            self._keep(lines[0])
            self._take_unfinished(1, frames)
            del lines[0]
        if self._is_multiline:
            self._take_events(lines, frames)
        else:
            for line in lines:
                self._take_line(line, len(line), 1, frames)
        self._keep(chunk[last + 1 :])
        return frames

    def flush(self, *, is_end: bool = True) -> list[Frame]:
        """Return what is pending as frames: at the end of the stream, or when it has been idle.

        With `is_end` the last line counts though it has no newline. Without, it stays pending, so
        that a writer that was interrupted within a line does not make two events of it.
        """
        frames: list[Frame] = []
        if is_end and self._parts_bytes:
            kept = b"".join(self._parts)
            is_oversized = self._parts_bytes > self._record_bytes_max
            if self._lines or is_oversized or not _is_blank(kept):
                self._take_unfinished(0, frames)
        self._give(frames)
        return frames

    def _keep(self, piece: bytes) -> None:
        """Add to the unfinished line; beyond the bound only its length is counted."""
        if not piece:
            return
        was_oversized = self._parts_bytes > self._record_bytes_max
        self._parts_bytes += len(piece)
        if not was_oversized:
            self._parts.append(piece)
            if self._parts_bytes > self._record_bytes_max:
                self._parts = [b"".join(self._parts)[: self._cut_bytes]]

    def _take_unfinished(self, newline: int, frames: list[Frame]) -> None:
        line, size = b"".join(self._parts), self._parts_bytes
        self._parts, self._parts_bytes = [], 0
        self._take_line(line, size, newline, frames)

    def _take_events(self, lines: list[bytes], frames: list[Frame]) -> None:
        """Take whole lines; the loop settles what is most common, one event on each line."""
        size_max = self._record_bytes_max
        for line in lines:
            size = len(line)
            if size > size_max or not size or line[0] in _LOOK or self._mode or not self._lines:
                self._take_line(line, size, 1, frames)
                continue
            pending = self._lines
            data = pending[0] if len(pending) == 1 else b"\n".join(pending)
            if data[-1] == 13:
                data = data[:-1]
            frames.append(Frame(data, self._offset, self._end, len(data)))
            self._offset = self._end
            self._lines = [line]
            self._at = self._end = self._at + size + 1
            self._size_bytes = size + 1
            self._indent = 0
            if self._blank:
                self._blank, self._blank_bytes = [], 0

    def _take_line(self, line: bytes, size: int, newline: int, frames: list[Frame]) -> None:
        end = self._at = self._at + size + newline
        if size > self._record_bytes_max:
            self._give(frames)
            frames.append(Frame(line[: self._cut_bytes], self._offset, end, size, "oversized"))
            self._offset = end
        elif _is_blank(line):
            self._take_blank(line, end)
        elif self._lines and self._continues(line):
            self._append(line, end, frames)
        else:
            self._give(frames)
            self._begin(line, end)
        if not self._is_multiline:
            self._give(frames)

    def _take_blank(self, line: bytes, end: int) -> None:
        if not self._lines:
            return
        self._end = end
        if len(self._blank) <= BLANK_LINES_MAX:  # one more than may be: the event is over then
            self._blank.append(line if len(self._blank) < BLANK_LINES_MAX else b"")
            self._blank_bytes += len(line) + 1

    def _begin(self, line: bytes, end: int) -> None:
        self._lines = [line]
        self._size_bytes = len(line) + 1
        self._end = end
        self._indent = _indent(line) if line[0] in _INDENT else 0
        self._mode = _TRACEBACK if line.startswith(_TRACEBACK) else b""

    def _append(self, line: bytes, end: int, frames: list[Frame]) -> None:
        size = self._size_bytes + self._blank_bytes + len(line)
        count = len(self._lines) + len(self._blank)
        if size > self._record_bytes_max or count >= LINES_MAX:
            indent, mode = self._indent, self._mode
            self._give(frames)
            self._begin(line, end)
            self._indent, self._mode = indent, mode
            return
        self._lines += [*self._blank, line]
        self._blank, self._blank_bytes = [], 0
        self._size_bytes = size + 1
        self._end = end

    def _continues(self, line: bytes) -> bool:
        if not self._is_multiline or len(self._blank) > BLANK_LINES_MAX:
            return False
        if line[0] in _INDENT:
            return not self._indent or _indent(line) > self._indent
        mode, self._mode = self._mode, b""
        if mode == _TRACEBACK and _RAISED.match(line):
            return True
        if mode == _GOROUTINE and _GO_FRAME.match(line):
            self._mode = mode
            return True
        if not _CONTINUATION.match(line):
            return False
        for start in (_TRACEBACK, _GOROUTINE):
            if line.startswith(start):
                self._mode = start
        return True

    def _give(self, frames: list[Frame]) -> None:
        if not self._lines:
            return
        data = self._lines[0] if len(self._lines) == 1 else b"\n".join(self._lines)
        data = data.removesuffix(b"\r")
        frames.append(Frame(data, self._offset, self._end, len(data)))
        self._offset = self._end
        self._lines, self._blank, self._blank_bytes, self._mode = [], [], 0, b""


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip(b" \t"))


def _is_blank(line: bytes) -> bool:
    return not line or (line[0] in _WHITE and line.isspace())
