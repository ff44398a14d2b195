"""Equal parts of a time range, with edges that are whole nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.errors import QueryError
from dejalog.indexer.filter import TimeRange

#: More parts than this are no picture; whoever needs single events searches for them.
BUCKETS_MAX: Final = 1_000

#: A range that takes more does not fit into 64 bits of nanoseconds.
_RANGE_MAX_NS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Buckets:
    """Bucket i holds the times from `start_ns` + i * `width_ns` on, as long as `width_ns`."""

    start_ns: int
    width_ns: int
    count: int

    def of(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns int64[n]: the bucket of each time, all of which must lie in one of them."""
        # Differences of times may exceed int64; modulo 2**64 they are right.
        start = np.uint64(self.start_ns % 2**64)
        since_start = times.view(np.uint64) - start
        return (since_start // np.uint64(self.width_ns)).astype(np.int64)


def divide_range(times: TimeRange, oldest_ns: int, newest_ns: int, count: int) -> Buckets:
    """Returns `count` buckets over the range; where it lacks a bound, the events' own is taken.

    The last one may reach beyond the range by less than `count` nanoseconds, so that all are
    equally long. Raises QueryError.
    """
    check_count(count)
    start = oldest_ns if times.since_ns is None else times.since_ns
    end = newest_ns + 1 if times.until_ns is None else times.until_ns
    if end - start > _RANGE_MAX_NS:
        raise QueryError(
            "the time range is longer than 292 years; give an earliest and a latest time that "
            "are closer to the events"
        )
    return Buckets(start, -(-(end - start) // count), count)


def check_count(count: int) -> None:
    """Raises QueryError for a number of buckets that is not taken."""
    if not 1 <= count <= BUCKETS_MAX:
        raise QueryError(f"{count} buckets were asked for; 1 to {BUCKETS_MAX} are possible")
