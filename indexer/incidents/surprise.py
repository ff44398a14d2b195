"""How surprising it is that an asset logs a pattern at a time, in bits; pure, on arrays.

Time is cut into cells of one asset and one stretch of time. A pattern tells something of a cell in
two ways, and the stronger one counts:

1. It is rare: few of the asset's cells have it. An everyday pattern tells nothing.
2. It is more frequent than it is otherwise: an everyday pattern may come in a burst.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: How many cells of all assets an asset's own few cells are mixed with: one that is as good as new
#: has the surprises of the others.
PRIOR_CELLS = 8.0
#: What is everywhere tells next to nothing, but not nothing: it may be what was asked for, and then
#: there is nothing else.
BITS_MIN = 1 / 64
#: Cells are counted in an array of all there could be while it has at most this many for each event
#: (and this many more): a million events take 11 ms instead of the 146 of sorting them.
DENSE_SHARE_MAX, DENSE_CELLS_MIN = 4, 1 << 16


@dataclass(frozen=True, slots=True)
class Cells:
    """What has an event: owners and numbers of stretches int64[m], and how many, counts int64[m].

    Growing by owner, then by stretch; each once.
    """

    owners: NDArray[np.int64]
    stretches: NDArray[np.int64]
    counts: NDArray[np.int64]


def count_cells(
    owners: NDArray[np.int64],
    stretches: NDArray[np.int64],
    counts: NDArray[np.int64] | None = None,
) -> Cells:
    """Returns the cells of n events, or of n cells with these counts."""
    low, room = _bounds(stretches)
    packed = owners * room + (stretches - low)
    if (int(owners.max(initial=0)) + 1) * room <= DENSE_SHARE_MAX * len(packed) + DENSE_CELLS_MIN:
        dense = (
            np.bincount(packed)
            if counts is None
            else _sums(packed, counts, int(packed.max(initial=-1)) + 1)
        )
        unique = np.flatnonzero(dense)
        return Cells(unique // room, unique % room + low, dense[unique])
    unique, places = np.unique(packed, return_inverse=True)
    each = np.ones(len(packed), np.int64) if counts is None else counts
    return Cells(unique // room, unique % room + low, _sums(places, each, len(unique)))


def places_of(
    cells: Cells, owners: NDArray[np.int64], stretches: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns int64[n], the places of these cells, all of which have to be there."""
    low, room = _bounds(cells.stretches)
    known = cells.owners * room + (cells.stretches - low)
    places: NDArray[np.int64] = np.searchsorted(known, owners * room + (stretches - low))
    return places


def surprises(cells: Cells, totals: Cells, assets: int) -> NDArray[np.float64]:
    """Returns float64[m], the bits of each cell of a pattern.

    The owner of such a cell is the pattern's number x `assets` + the asset's; that of `totals`,
    which counts all events, is the asset.
    """
    patterns, owners = cells.owners // assets, cells.owners % assets
    total_in = totals.counts[places_of(totals, owners, cells.stretches)]
    events_of = _sums(totals.owners, totals.counts, assets)
    count_of = _sums(cells.owners, cells.counts, int(cells.owners.max(initial=0)) + 1)
    burst = unusual_bits(
        cells.counts,
        count_of[cells.owners] - cells.counts,
        total_in=total_in,
        total_out=events_of[owners] - total_in,
    )
    rarity = rarity_bits(
        np.bincount(cells.owners)[cells.owners],
        np.bincount(totals.owners, minlength=assets)[owners],
        np.bincount(patterns)[patterns] / max(1, len(totals.owners)),
    )
    # A burst's bits grow with the number of its events, those of rarity do not.
    return np.maximum(np.maximum(rarity, np.log2(1.0 + burst)), BITS_MIN)


def rarity_bits(
    with_pattern: NDArray[np.int64], with_any: NDArray[np.int64], everywhere: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns float64[n]: what it tells that a cell of an asset has a pattern.

    `with_pattern` and `with_any` int64[n] count the asset's cells, `everywhere` float64[n] is the
    share of all assets' cells that have the pattern. The cell that is judged does not count itself.
    """
    others = np.maximum(with_pattern - 1, 0) + PRIOR_CELLS * everywhere
    share = others / (np.maximum(with_any - 1, 0) + PRIOR_CELLS)
    bits: NDArray[np.float64] = -np.log2(np.clip(share, 1e-12, 1.0))
    return bits


def unusual_bits(
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
    *,
    total_in: NDArray[np.int64] | int,
    total_out: NDArray[np.int64] | int,
) -> NDArray[np.float64]:
    """Returns float64[n]: how much more frequent patterns are inside than outside, in bits.

    inside and outside int64[n] count a pattern's events, `total_in` and `total_out` all of them.
    It is the log-likelihood ratio of two shares against one (Dunning, Accurate Methods for the
    Statistics of Surprise and Coincidence, 1993), to base 2; 0 where it is not more frequent.
    """
    here, there = inside.astype(np.float64), outside.astype(np.float64)
    all_here = np.maximum(np.asarray(total_in, np.float64), 1.0)
    all_there = np.maximum(np.asarray(total_out, np.float64), 1.0)
    share = (here + there) / (all_here + all_there)
    bits = (
        _log_likelihood(here, all_here, here / all_here)
        + _log_likelihood(there, all_there, there / all_there)
        - _log_likelihood(here, all_here, share)
        - _log_likelihood(there, all_there, share)
    )
    is_more = (here * all_there > there * all_here) & (np.asarray(total_out) > 0)
    return np.where(is_more, np.maximum(bits, 0.0), 0.0)


def _log_likelihood(
    count: NDArray[np.float64], total: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bits of `count` of `total` events where each is one with probability `share`."""
    return _times_log(count, share) + _times_log(total - count, 1.0 - share)


def _times_log(count: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count x log2(share), 0 where the count is: nothing is certain to be nothing."""
    is_some = (count > 0) & (share > 0)
    log = np.log2(share, out=np.zeros_like(share), where=is_some)
    return np.where(is_some, count * log, 0.0)


def _bounds(stretches: NDArray[np.int64]) -> tuple[int, int]:
    """The first stretch, and how many there are from it to the last."""
    if not len(stretches):
        return 0, 1
    return int(stretches.min()), int(stretches.max() - stretches.min()) + 1


def _sums(owners: NDArray[np.int64], counts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """The sum of each owner's counts, int64[length]."""
    sums = np.zeros(length, np.int64)
    np.add.at(sums, owners, counts)
    return sums
