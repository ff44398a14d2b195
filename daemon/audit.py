"""The audit log: who administered what, from where, with what outcome; JSON lines.

`audit.jsonl` in the data directory is appended to, one line at a time, each synced to the disk
before the call goes on: a call whose line cannot be written is not carried out. At its bound the
file becomes `audit.1.jsonl`, the one before `audit.2.jsonl` and so on; the oldest one goes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dejalog.indexer.errors import DejalogError

AUDIT_NAME = "audit.jsonl"
#: About 15,000 lines.
FILE_BYTES_MAX = 4 << 20
#: Together with the file that is written to: 20 MiB in all.
OLDER_FILES_MAX = 4

#: Texts, numbers and, for what a call changed, a table of numbers.
Line = Mapping[str, "str | int | float | Mapping[str, int]"]


class AuditError(DejalogError):
    """The audit log cannot be written, so nothing may be done that belongs into it."""


class AuditLog:
    """Appends lines; may be used from several threads of one process."""

    def __init__(self, folder: Path, *, file_bytes_max: int = FILE_BYTES_MAX) -> None:
        self._folder = folder
        self._file_bytes_max = file_bytes_max
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        """The file that is written to."""
        return self._folder / AUDIT_NAME

    def write(self, line: Line) -> None:
        """Appends the line with its time, and returns once it is on the disk; raises AuditError."""
        now_ns = time.time_ns()
        at = datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat(timespec="milliseconds")
        record = {"time": at.replace("+00:00", "Z"), "time_unix_nano": str(now_ns), **line}
        content = msgspec.json.encode(record) + b"\n"
        try:
            with self._lock:
                self._rotate(len(content))
                self._append(content)
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"the audit log {self.path} cannot be written: {reason}"
            raise AuditError(f"{message}; mend that, then do it again") from error

    def tail(self, lines_max: int) -> list[bytes]:
        """Returns the newest lines, oldest of them first; raises OSError."""
        newest: list[bytes] = []
        for path in (self.path, *(self._older(n) for n in range(1, OLDER_FILES_MAX + 1))):
            if not path.exists() or len(newest) >= lines_max:
                break
            newest = path.read_bytes().splitlines() + newest
        return newest[-lines_max:]

    def _append(self, content: bytes) -> None:
        is_new = not self.path.exists()
        with _opened(self.path) as file:
            size_bytes = os.fstat(file).st_size
            try:
                if os.write(file, content) != len(content):
                    raise OSError(0, "the disk took part of a line only")
                os.fsync(file)
            except OSError:
                # The next line must not stick to half of this one.
                os.ftruncate(file, size_bytes)
                raise
        if is_new:
            self._sync_folder()

    def _rotate(self, more_bytes: int) -> None:
        if not self.path.exists() or (
            self.path.stat().st_size + more_bytes <= self._file_bytes_max
        ):
            return
        for number in range(OLDER_FILES_MAX, 0, -1):
            source = self._older(number - 1) if number > 1 else self.path
            if source.exists():
                source.replace(self._older(number))
        self._sync_folder()

    def _older(self, number: int) -> Path:
        return self._folder / f"audit.{number}.jsonl"

    def _sync_folder(self) -> None:
        with _opened(self._folder, os.O_RDONLY | os.O_DIRECTORY) as folder:
            os.fsync(folder)


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


@contextmanager
def _opened(path: Path, flags: int = _APPEND) -> Iterator[int]:
    # A link in its place would have the daemon write to a file of somebody's choice.
    file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield file
    finally:
        os.close(file)
