"""What is said of dead letters between processes: which ones are meant, and what a retry did.

Plain data, so that a client that only asks a daemon loads nothing of the index.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from dejalog.indexer.errors import DejalogError
from dejalog.indexer.event import DeadLetter


@dataclass(frozen=True, slots=True)
class NumberRanges:
    """A set of numbers: inclusive ranges, growing, which neither touch nor overlap."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> NumberRanges:
        """Returns the numbers of all ranges, in whatever order they come."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    def add(self, numbers: Iterable[int]) -> NumberRanges:
        """Returns these numbers and the others."""
        return NumberRanges.of((*self.ranges, *((number, number) for number in numbers)))

    def since(self, first: int) -> NumberRanges:
        """Returns the numbers that are not below `first`."""
        kept = ((max(low, first), high) for low, high in self.ranges if high >= first)
        return NumberRanges(tuple(kept))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.ranges, number, key=lambda each: each[0])
        return at > 0 and number <= self.ranges[at - 1][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant: those that meet all that is given.

    Times are those of receipt in ns since 1970 UTC, `until_ns` not included.
    """

    numbers: NumberRanges | None = None
    reason: str = ""
    source: str = ""
    since_ns: int | None = None
    until_ns: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it means every dead letter."""
        return self == LetterFilter()

    def passes(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant, its number aside."""
        time_ns = letter.received_at_ns
        return (
            (not self.reason or letter.reason == self.reason)
            and (not self.source or letter.source == self.source)
            and (self.since_ns is None or time_ns >= self.since_ns)
            and (self.until_ns is None or time_ns < self.until_ns)
        )


@dataclass(frozen=True, slots=True)
class RetryReport:
    """What a retry did.

    `retried` letters became `events`, and `new_dead_letters` where a part of one still cannot be
    decoded; `still_dead` and `cut` ones stayed as they are; `resolved` ones had been dealt with
    before. Not complete: it was stopped, and what it counts is stored.
    """

    retried: int = 0
    events: int = 0
    new_dead_letters: int = 0
    still_dead: int = 0
    cut: int = 0
    resolved: int = 0
    is_complete: bool = True


class RetryRunningError(DejalogError):
    """Dead letters are being retried already, and two retries would both store the same events."""

    def __init__(self) -> None:
        super().__init__("dead letters are being retried already; ask again when that has ended")
