"""How long following waits for what; the defaults suit programs that log to local disks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Waits of a followed source, in seconds."""

    #: Between two looks at the files while nothing comes.
    poll_interval_s: float = 0.1
    #: Between two listings of the folders: a new file is seen within a second.
    scan_s: float = 1.0
    #: An event at the end of a file is complete when nothing follows it for this long.
    idle_flush_s: float = 1.0
    #: A line without its end is waited for longer: programs write long lines in several parts.
    partial_line_s: float = 5.0
    #: A copy or compression in progress changes its file all the time; after this it is done.
    settle_s: float = 3.0
    #: A program may write to a file for a while after it was renamed away or deleted.
    orphan_wait_s: float = 5.0

    @property
    def replaced_wait_s(self) -> float:
        """A copy made before a truncation has settled, and was seen by a listing, by then."""
        return self.settle_s + 2 * self.scan_s


DEFAULT_TIMING = Timing()
