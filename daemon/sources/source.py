"""The protocol behind which every source of records stands.

A source is read by one thread. Nothing is remembered by the source itself between two runs: the
positions of the records that were committed come back through `seek`, and reading goes on there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dejalog.indexer.event import Position, Record

#: Stored positions by source and partition.
Positions = Mapping[tuple[str, str], Position]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a source has come, for a progress bar.

    Bytes are counted as they lie on disk (compressed bytes of a gzip file). `bytes_total` and
    `files_total` are 0 where the end is not known; `current` names what is being read.
    """

    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0
    current: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A path that is not read, in printable form, and why."""

    path: str
    reason: str


class Source(Protocol):
    """Where records come from."""

    name: str

    def seek(self, positions: Positions) -> None:
        """Takes all stored positions; called once, before the first poll."""

    def poll(self, *, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """Returns the next records, at least one unless none came within `timeout_s`.

        Stops at `records_max`, or with the record that reaches `bytes_max`.
        """

    @property
    def is_exhausted(self) -> bool:
        """True once nothing will ever come again and everything has been handed out."""

    def finish(self) -> None:
        """Ends reading: no more input is taken, and polls no longer wait.

        What was taken from an input that cannot be read again is still handed out, anything else
        is left to the next run; then the source is exhausted.
        """

    def ack(self, positions: Sequence[Position]) -> None:
        """Tells the source that these positions are committed."""

    def close(self) -> None:
        """Releases what the source holds open."""

    def progress(self) -> Progress:
        """Returns how far reading has come."""
