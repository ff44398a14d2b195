"""Whether the rate of a pattern differs between two windows: a test that bursts do not fool.

1. Were events independent, then, of a pattern's n events in both windows, the number in the later
   one would be binomial, with the share of that window in the time of both as its probability:
   the conditional test of two Poisson rates (Przyborowski and Wilenski, 1940), exact also for
   small numbers, and with windows of different lengths.
2. Log events come in bursts, and a burst is one occasion however many lines it has. So each window
   is cut into equal bins, and the counts' variance over their mean (the Pearson dispersion of
   quasi-likelihood; McCullagh and Nelder, 1989, section 4.5) says how many events are worth one
   independent one. Bins of three lengths are tried and the largest dispersion of both windows
   counts: a burst as long as the longest bin is still one occasion.
3. The test is made with counts divided by the dispersion. Binomial tails of numbers that are not
   whole are the incomplete beta function.
4. p-values of many patterns are corrected by Benjamini and Hochberg (1995), which bounds the
   expected share of changes that are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.counts.beta import incomplete_beta
from dejalog.indexer.request import Window

#: Bins of the shorter window. On quiet halves of the Nezha logs (bench/patterns.py) 64 with the
#: lengths below call nothing a change; 32 find less of the injected faults, and shorter bins alone
#: call bursts changes.
BINS: Final = 64

#: Lengths of the bins that dispersion is taken from, in bins, each a multiple of the one before:
#: up to a sixteenth of the shorter window.
LENGTHS: Final = (1, 2, 4)

#: Bins of the longer window at most; beyond, they are longer than those of the shorter one.
_BINS_MAX: Final = 1 << 20

#: Independent events that a pattern counts as at most. With more, differences of a percent would
#: be called changes, and no machine's rate is as constant as that; with 10,000 it takes about a
#: tenth. It also bounds the steps of the test.
_INDEPENDENT_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class WindowPair:
    """Two windows in bins: those of `before` are numbered first, then those of `after`."""

    before: Window
    after: Window

    @property
    def share_after(self) -> float:
        """The share of the later window in the time of both."""
        before, after = _length(self.before), _length(self.after)
        return after / (before + after)

    @property
    def bins_before(self) -> int:
        """Bins of the window before."""
        return self._bins(self.before)

    @property
    def bins_after(self) -> int:
        """Bins of the window after."""
        return self._bins(self.after)

    @property
    def bins(self) -> int:
        """Bins of both windows."""
        return self.bins_before + self.bins_after

    def of(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns int64[n]: the bin of each time, -1 outside of the windows."""
        bins = np.full(len(times), -1)
        windows = (
            (self.before, 0, self.bins_before),
            (self.after, self.bins_before, self.bins_after),
        )
        for window, first, count in windows:
            is_inside = (times >= window.since_ns) & (times < window.until_ns)
            width = -(-_length(window) // count)
            bins[is_inside] = first + (times[is_inside] - window.since_ns) // width
        return bins

    def _bins(self, window: Window) -> int:
        """As many as make them about as long as those of the shorter window."""
        shorter = min(_length(self.before), _length(self.after))
        longest = LENGTHS[-1]
        count = round(_length(window) * BINS / shorter / longest) * longest
        return min(count, _BINS_MAX)


@dataclass(frozen=True, slots=True)
class BinCounts:
    """Events of patterns in bins, where there are any: all int64[n], by pattern, then bin."""

    patterns: NDArray[np.int64]
    bins: NDArray[np.int64]
    counts: NDArray[np.int64]


def p_values(
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    dispersion: NDArray[np.float64],
    share_after: float,
) -> NDArray[np.float64]:
    """Returns float64[n]: how likely so uneven counts are if the rate is the same, two-sided.

    before and after int64[n] are counts, dispersion float64[n] as of `dispersions`.
    """
    worth = np.maximum(dispersion, (before + after) / _INDEPENDENT_MAX)
    few, many = before / worth, after / worth
    upper = _binomial_tail(many, few, share_after)
    lower = _binomial_tail(few, many, 1 - share_after)
    p: NDArray[np.float64] = np.minimum(1.0, 2 * np.minimum(upper, lower))
    return p


def _binomial_tail(
    these: NDArray[np.float64], others: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """The probability of at least `these` of all; 1 where there are none."""
    tail = np.ones(len(these))
    some = these > 0
    shares = np.full(np.count_nonzero(some), share)
    tail[some] = incomplete_beta(these[some], others[some] + 1, shares)
    return tail


def dispersions(counted: BinCounts, size: int, windows: WindowPair) -> NDArray[np.float64]:
    """Returns float64[size]: how many events of each pattern are worth an independent one, >= 1."""
    largest = np.ones(size)
    is_after = counted.bins >= windows.bins_before
    for chosen, first, bins in (
        (~is_after, 0, windows.bins_before),
        (is_after, windows.bins_before, windows.bins_after),
    ):
        patterns, own = counted.patterns[chosen], counted.bins[chosen] - first
        counts = counted.counts[chosen]
        for length in LENGTHS:
            groups = bins // length
            squares = _sum_of_squares(patterns, own // length, counts, size)
            total = np.bincount(patterns, counts, size)
            mean = total / groups
            # The sum of (count - mean)^2 / mean, with all empty bins.
            pearson = np.divide(squares, mean, out=np.zeros(size), where=total > 0) - total
            np.maximum(largest, pearson / (groups - 1), out=largest)
    return largest


def _sum_of_squares(
    patterns: NDArray[np.int64], bins: NDArray[np.int64], counts: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """By pattern, of the counts of equal bins added up; what belongs together is adjacent."""
    if not len(patterns):
        return np.zeros(size)
    is_new = np.ones(len(patterns), np.bool_)
    is_new[1:] = (patterns[1:] != patterns[:-1]) | (bins[1:] != bins[:-1])
    starts = np.flatnonzero(is_new)
    sums = np.add.reduceat(counts, starts).astype(np.float64)
    return np.bincount(patterns[starts], sums * sums, size).astype(np.float64)


def can_differ(
    totals: NDArray[np.int64], share_after: float, false_share: float
) -> NDArray[np.bool_]:
    """Returns bool[n]: whether so many events could be uneven enough to be a change at all.

    Leaving the others out of the correction costs no certainty (Tarone, 1990; Gilbert, 2005): they
    are chosen by their totals, which say nothing of when the events were.
    """
    extreme = min(share_after, 1 - share_after)
    return 2 * extreme ** totals.astype(np.float64) <= false_share


def corrected(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns float64[n]: the least false discovery rate at which each is called a change."""
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, len(p) + 1)
    # A larger p-value that would be called does so for all smaller ones.
    least = np.minimum.accumulate((p[order] * len(p) / ranks)[::-1])[::-1]
    result = np.empty(len(p))
    result[order] = np.minimum(least, 1.0)
    return result


def _length(window: Window) -> int:
    return window.until_ns - window.since_ns
