"""The source that reads files and folders, plain or gzip, once or following them as they grow.

Source `file`, partition `<device>:<inode>` (with `#2`, `#3` ... for later content of an inode),
offset in the uncompressed stream. Every byte belongs to exactly one record, over any number of
runs, renames, copies with truncation, and compressions, as long as the content is found under the
given paths. Each record carries the label `file`: the base name under which it was first seen;
labels by path go by that path, too.

Read once: all files in order of path, each to its end; a last line without its end is a record, and
what is appended to it later is a record of its own. Following: such a line is waited for for
`partial_line_s`, an event that may go on for `idle_flush_s`. Folders are listed every `scan_s`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from dejalog.daemon.sources.batch import Batch
from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.follow import Follower
from dejalog.daemon.sources.labels import PathLabels
from dejalog.daemon.sources.printable import printable
from dejalog.daemon.sources.scan import Listing, scan
from dejalog.daemon.sources.source import Positions, Progress, Skipped
from dejalog.daemon.sources.tail import TailSettings
from dejalog.daemon.sources.timing import DEFAULT_TIMING, Timing
from dejalog.indexer.errors import SourceError
from dejalog.indexer.event import Labels, Position, Record


class FileSource:
    """Records of files and folders.

    Raises SourceError at the first poll (or `start`) for a named path that cannot be read; what
    lies in a folder or turns up later is listed by `problems` and, while following, tried again.
    """

    name = "file"

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        follow: bool,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
        labels: Labels = (),
        path_labels: Iterable[tuple[str | Path, Labels]] = (),
        encoding: str = "auto",
        record_bytes_max: int = 1 << 20,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._paths = [os.path.abspath(path) for path in paths]
        self._include, self._exclude = tuple(include), tuple(exclude)
        self._is_following = follow
        by_path = PathLabels.given(path_labels)
        self._settings = TailSettings(self.name, labels, encoding, record_bytes_max, by_path)
        self._timing = timing
        self._claims = Claims(self.name, {})
        self._ready: deque[Record] = deque()
        self._listing = Listing({}, [], [])
        self._reading: Batch | Follower | None = None
        self._is_finished = False

    def seek(self, positions: Positions) -> None:
        """Takes the stored positions; those of other sources are passed over."""
        if self._reading is not None:
            raise ValueError("seek comes before the first poll")
        self._claims = Claims(self.name, positions)

    def start(self) -> None:
        """Lists the files; polling does this by itself. Raises SourceError."""
        if self._reading is not None:
            return
        self._listing = listing = self._scan()
        denied = [
            Skipped(printable(found.path), "permission denied")
            for found in listing.found.values()
            if not found.is_sibling and not os.access(found.path, os.R_OK)
        ]
        named = {printable(path): path for path in self._paths}
        for item in [*listing.unreadable, *denied]:
            # One file of a folder may be somebody else's; `problems` names it, the rest is read.
            if item.path in named and not self._may_appear(named[item.path]):
                is_denied = item.reason == "permission denied"
                advice = "grant reading it or exclude it" if is_denied else "check the path"
                raise SourceError(f"{item.path}: {item.reason}; {advice}")
        if self._is_following:
            self._reading = Follower(
                self._scan, listing, self._claims, self._settings, timing=self._timing
            )
        else:
            self._reading = Batch(listing, self._claims, self._settings)

    def poll(self, *, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """Returns the next records; waits for the first one for up to `timeout_s`."""
        if self._is_finished:
            return []
        self.start()
        deadline = time.monotonic() + timeout_s
        records: list[Record] = []
        size_bytes = 0
        while True:
            size_bytes += self._take(records, records_max, bytes_max - size_bytes)
            if len(records) >= records_max or size_bytes >= bytes_max:
                return records
            if self._step():
                continue
            remaining_s = deadline - time.monotonic()
            if records or self.is_exhausted or remaining_s <= 0:
                return records
            time.sleep(min(self._timing.poll_interval_s, remaining_s))

    @property
    def is_exhausted(self) -> bool:
        """True once every file was read to its end; while following, only after `finish`."""
        is_done = isinstance(self._reading, Batch) and self._reading.is_done
        return not self._ready and (is_done or self._is_finished)

    def finish(self) -> None:
        """Hands out nothing more: files can be read again from the stored positions."""
        self._is_finished = True
        self._ready.clear()

    def ack(self, positions: Sequence[Position]) -> None:
        """Does nothing: files stay where they are, so nothing has to be kept until the commit."""

    def close(self) -> None:
        """Closes all files."""
        if self._reading is not None:
            self._reading.close()

    def progress(self) -> Progress:
        """Returns bytes and files read; while following, of those that are there now."""
        return Progress() if self._reading is None else self._reading.progress()

    def skipped(self) -> list[Skipped]:
        """Returns the files that are not read, with the reason, as of the last listing."""
        refused = [] if self._reading is None else self._reading.refused()
        return [*self._listing.skipped, *refused]

    def problems(self) -> list[Skipped]:
        """Returns the paths that cannot be read at present, with the reason; they are retried."""
        failed = [] if self._reading is None else self._reading.failed()
        return [*self._listing.unreadable, *failed]

    def _scan(self) -> Listing:
        self._listing = scan(
            self._paths,
            include=self._include,
            exclude=self._exclude,
            has_siblings=self._is_following,
        )
        return self._listing

    def _may_appear(self, path: str) -> bool:
        # A log that its program has not opened yet is no error while following.
        has_folder = os.path.isdir(os.path.dirname(path))
        return self._is_following and has_folder and not os.path.lexists(path)

    def _take(self, records: list[Record], records_max: int, bytes_max: int) -> int:
        ready = self._ready
        size_bytes = 0
        while ready and len(records) < records_max and size_bytes < bytes_max:
            record = ready.popleft()
            records.append(record)
            size_bytes += len(record.data)
        return size_bytes

    def _step(self) -> bool:
        if self._reading is None:
            return False
        return self._reading.step(self._ready)
