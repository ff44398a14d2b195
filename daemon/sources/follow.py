"""Follow files while they grow, are rotated, truncated, compressed and deleted.

Every round, all open files are read; every `scan_s`, the folders are listed:

- A file that was renamed is still open and read on; what took its name is a new file.
- A file that is no longer listed is read until nothing came for `orphan_wait_s`, then closed.
- A file whose content was replaced (copied and truncated) is started anew at once. What was held
  back of the old content is left to the copy, if one turns up within `replaced_wait_s`.
- At most `OPEN_FILES_MAX` files are open. To open others, those that were silent longest are closed
  until they change.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dejalog.daemon.sources.claims import Claims
from dejalog.daemon.sources.opening import Later, Nothing, Steps, Surroundings, open_file
from dejalog.daemon.sources.printable import printable
from dejalog.daemon.sources.scan import Found, Listing
from dejalog.daemon.sources.source import Progress, Skipped
from dejalog.daemon.sources.tail import Tail, TailSettings
from dejalog.daemon.sources.timing import Timing
from dejalog.indexer.event import Record

#: Files are read in turn until this many records wait to be taken.
READY_MAX = 4096

#: A quarter of the usual limit of 1,024 descriptors for a process.
OPEN_FILES_MAX = 256

#: Why a file is closed that was silent for long.
PARKED = Nothing()


@dataclass(slots=True)
class _Followed:
    tail: Tail
    last_data_at_s: float
    orphaned_at_s: float | None = None


@dataclass(slots=True)
class _Unchanged:
    """A file that is not open and need not be, as long as size and time stay the same."""

    size_bytes: int
    modified_ns: int
    why: Nothing = PARKED

    def covers(self, found: Found) -> bool:
        return (self.size_bytes, self.modified_ns) == (found.size_bytes, found.modified_ns)


@dataclass(slots=True)
class _Replaced:
    tail: Tail
    until_s: float


@dataclass(frozen=True, slots=True)
class _Opening:
    found: Found
    steps: Steps


class Follower:
    """Reads all files of a listing, and of the listings that `scan` returns later.

    `progress`, `refused` and `failed` may be called from another thread than the one that reads,
    so they look at copies of what reading changes.
    """

    def __init__(
        self,
        scan: Callable[[], Listing],
        listing: Listing,
        claims: Claims,
        settings: TailSettings,
        *,
        timing: Timing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scan, self._claims, self._settings = scan, claims, settings
        self._timing, self._clock = timing, clock
        self._followed: dict[str, _Followed] = {}
        self._unchanged: dict[str, _Unchanged] = {}
        self._replaced: list[_Replaced] = []
        self._failed: dict[str, Skipped] = {}
        self._waiting: deque[Found] = deque()
        self._opening: _Opening | None = None
        self._around = Surroundings(claims, self._tails, self._path_of)
        self._listing = listing
        self._scanned_at_s = clock()
        self._current = ""
        self._enqueue()

    def step(self, ready: deque[Record]) -> bool:
        """Reads a piece of every file; returns False if there was nothing to do."""
        now_s = self._clock()
        if now_s - self._scanned_at_s >= self._timing.scan_s:
            self._list_again(now_s)
        has_read = self._read_all(ready, now_s)
        self._drop_replaced(ready, now_s)
        return self._open_one_step() or has_read

    def progress(self) -> Progress:
        """Returns bytes and files of what is there now."""
        sizes = {inode: found.size_bytes for inode, found in self._listing.found.items()}
        followed, unchanged = self._followed.copy(), self._unchanged.copy()
        read = {inode: item.tail.reader.raw_offset for inode, item in followed.items()}
        read.update((inode, item.size_bytes) for inode, item in unchanged.items())
        done = sum(min(sizes[inode], size) for inode, size in read.items() if inode in sizes)
        finished = sum(read.get(inode, -1) >= size for inode, size in sizes.items())
        return Progress(done, sum(sizes.values()), finished, len(sizes), printable(self._current))

    def refused(self) -> list[Skipped]:
        """Returns the files whose content cannot be read."""
        found = self._listing.found
        return [
            Skipped(printable(found[inode].path), item.why.reason)
            for inode, item in self._unchanged.copy().items()
            if item.why.reason and inode in found
        ]

    def failed(self) -> list[Skipped]:
        """Returns the files that cannot be opened or read at present."""
        return list(self._failed.copy().values())

    def close(self) -> None:
        """Closes all files."""
        for item in self._followed.values():
            item.tail.close()
        for replaced in self._replaced:
            replaced.tail.close()
        if self._opening is not None:
            self._opening.steps.close()
            self._opening = None
        self._followed.clear()
        self._replaced.clear()
        self._waiting.clear()

    def _tails(self) -> list[Tail]:
        return [item.tail for item in self._followed.values()]

    def _path_of(self, inode: str) -> str | None:
        found = self._listing.found.get(inode)
        return None if found is None else found.path

    # Listing.

    def _list_again(self, now_s: float) -> None:
        self._listing = self._scan()
        self._scanned_at_s = now_s
        found = self._listing.found
        for inode, item in self._followed.items():
            if inode in found:
                item.tail.path, item.orphaned_at_s = found[inode].path, None
            elif item.orphaned_at_s is None:
                item.orphaned_at_s = now_s
        for inode in self._unchanged.keys() - found.keys():
            self._forget(inode)
        self._failed = {key: item for key, item in self._failed.items() if key in found}
        self._enqueue()
        self._close_silent()

    def _enqueue(self) -> None:
        busy = {found.inode for found in self._waiting} | self._followed.keys()
        if self._opening is not None:
            busy.add(self._opening.found.inode)
        for inode, found in self._listing.found.items():
            unchanged = self._unchanged.get(inode)
            if inode not in busy and (unchanged is None or not unchanged.covers(found)):
                self._forget(inode)
                self._waiting.append(found)
        # Compressed files are old and may take long to recognise: what grows comes first.
        self._waiting = deque(sorted(self._waiting, key=lambda found: found.path.endswith(".gz")))

    def _forget(self, inode: str) -> None:
        unchanged = self._unchanged.pop(inode, None)
        if unchanged is not None and unchanged.why.known is not None:
            self._claims.release(unchanged.why.known)

    def _close_silent(self) -> None:
        excess = len(self._followed) + len(self._waiting) - OPEN_FILES_MAX
        if excess <= 0:
            return
        silent = [
            (item.last_data_at_s, inode)
            for inode, item in self._followed.items()
            if inode in self._listing.found and item.tail.is_idle
        ]
        for _, inode in sorted(silent)[:excess]:
            found = self._listing.found[inode]
            if self._followed[inode].tail.reader.raw_offset == found.size_bytes:
                self._release(inode)
                self._unchanged[inode] = _Unchanged(found.size_bytes, found.modified_ns)

    def _release(self, inode: str) -> None:
        tail = self._followed.pop(inode).tail
        tail.close()
        self._claims.release(tail.known())

    # Opening.

    def _open_one_step(self) -> bool:
        if self._opening is None:
            if not self._waiting or len(self._followed) >= OPEN_FILES_MAX:
                return False
            found = self._waiting.popleft()
            settle_s = self._timing.settle_s
            steps = open_file(found, self._around, self._settings, settle_s=settle_s)
            self._opening = _Opening(found, steps)
        self._advance(self._opening)
        return True

    def _advance(self, opening: _Opening) -> None:
        found = opening.found
        try:
            next(opening.steps)
            return
        except StopIteration as stop:
            self._failed.pop(found.inode, None)
            self._settle(found, stop.value)
        except FileNotFoundError:
            pass  # Renamed since the listing: the next one has it.
        except OSError as error:
            self._fail(found.inode, found.path, error)
        self._opening = None

    def _settle(self, found: Found, opened: Tail | Later | Nothing) -> None:
        if isinstance(opened, Tail):
            self._followed[found.inode] = _Followed(opened, self._clock())
        elif isinstance(opened, Nothing):
            kept = _Unchanged(found.size_bytes, found.modified_ns, opened)
            self._unchanged[found.inode] = kept

    def _fail(self, inode: str, path: str, error: OSError) -> None:
        self._failed[inode] = Skipped(printable(path), (error.strerror or str(error)).lower())

    # Reading.

    def _read_all(self, ready: deque[Record], now_s: float) -> bool:
        has_read = False
        for inode, item in list(self._followed.items()):
            if len(ready) >= READY_MAX:
                break
            try:
                has_data = self._read(inode, item, ready, now_s)
            except OSError as error:
                self._fail(inode, item.tail.path, error)
                self._release(inode)
                continue
            if has_data and inode in self._followed:
                # To the end of the line, so that one busy file cannot hold up the others.
                self._followed[inode] = self._followed.pop(inode)
            has_read = has_read or has_data
        return has_read

    def _read(self, inode: str, item: _Followed, ready: deque[Record], now_s: float) -> bool:
        tail, now_ns = item.tail, time.time_ns()
        ready.extend(tail.read(now_ns))
        if tail.is_replaced:
            self._replace(inode, tail, now_s)
            return True
        if not tail.is_at_end:
            item.last_data_at_s, self._current = now_s, tail.path
            return True
        idle_s = now_s - item.last_data_at_s
        if tail.has_pending and idle_s >= self._timing.idle_flush_s:
            ready.extend(tail.flush(now_ns, is_end=False))
        if tail.has_partial and idle_s >= self._timing.partial_line_s:
            ready.extend(tail.flush(now_ns))
        if tail.reader.is_gzip or self._is_abandoned(item, now_s):
            ready.extend(tail.finish(now_ns))
            self._put_away(inode)
        return False

    def _is_abandoned(self, item: _Followed, now_s: float) -> bool:
        if item.orphaned_at_s is None:
            return False
        return now_s - max(item.orphaned_at_s, item.last_data_at_s) >= self._timing.orphan_wait_s

    def _put_away(self, inode: str) -> None:
        found = self._listing.found.get(inode)
        read = self._followed[inode].tail.reader.raw_offset
        self._release(inode)
        if found is not None and found.size_bytes == read:
            self._unchanged[inode] = _Unchanged(found.size_bytes, found.modified_ns)

    def _replace(self, inode: str, tail: Tail, now_s: float) -> None:
        del self._followed[inode]
        self._claims.release(tail.known())
        self._replaced.append(_Replaced(tail, now_s + self._timing.replaced_wait_s))
        # A sibling that was no form of a known file may now be the copy that was made before.
        for found in self._listing.found.values():
            if found.is_sibling:
                self._forget(found.inode)
        self._scanned_at_s = now_s - self._timing.scan_s

    def _drop_replaced(self, ready: deque[Record], now_s: float) -> None:
        kept = []
        for item in self._replaced:
            is_taken = self._claims.is_claimed(item.tail.partition)
            if not is_taken and now_s < item.until_s:
                kept.append(item)
                continue
            if not is_taken:
                ready.extend(item.tail.flush(time.time_ns()))
                self._claims.release(item.tail.known())
            item.tail.close()
        self._replaced = kept
