"""k-means over int8 rows, in L2, with centroids that are int8 rows themselves.

1. Centroids start from earlier ones, where there are any, or from rows drawn at random.
2. Each step assigns every row to its nearest centroid and moves the centroids to the means of what
   they got, rounded to int8 with a scale each: what is stored is what distances are taken from.
3. A centroid that got nothing moves to a row that is badly served, drawn by squared distance as in
   k-means++ (Arthur and Vassilvitskii, SODA 2007); it is given up if every row is at its centroid.

Rows become float32 a slice at a time. Results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer import kernel
from dejalog.indexer.quantize import dequantize_rows, quantize_rows

#: Rows that are float32 at one time: 6 MB at 96 dims.
SLICE_ROWS = 1 << 14

#: A row that is nearer to its centroid than this (squared) is at its place: a fiftieth of int8's
#: rounding error at 96 dims.
SAME_PLACE = 1e-6


class Rows(NamedTuple):
    """Vectors as codes int8[n, dim] and scales float32[n]; row = code * scale."""

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]

    def take(self, which: NDArray[np.integer[Any]] | slice) -> Rows:
        """Returns the rows of these numbers."""
        return Rows(self.codes[which], self.scales[which])

    def joined(self, more: Rows) -> Rows:
        """Returns these rows and then more."""
        return Rows(
            np.concatenate((self.codes, more.codes)), np.concatenate((self.scales, more.scales))
        )


def k_means(
    rows: Rows,
    centroids: Rows,
    *,
    steps: int,
    random: np.random.Generator,
    threads: int = 1,
) -> Rows:
    """Returns the centroids after so many steps; fewer if the rows are at fewer places."""
    for _ in range(steps):
        ids = nearest(rows, centroids, threads=threads)
        means, members = _means(rows, ids, len(centroids.codes))
        moved = Rows(*quantize_rows(means[members > 0]))
        empty = len(means) - len(moved.codes)
        centroids = moved.joined(_badly_served(rows, centroids, ids, empty, random=random))
    return centroids


def starting_centroids(
    rows: Rows,
    count: int,
    *,
    earlier: Rows | None,
    random: np.random.Generator,
    threads: int = 1,
) -> tuple[Rows, int]:
    """Returns `count` centroids to start from, and how many are earlier ones.

    Too many earlier ones leave those with the most rows; too few are filled up with rows that they
    serve badly, of which there may not be enough.
    """
    if earlier is None:
        return rows.take(np.sort(random.choice(len(rows.codes), count, replace=False))), 0
    if len(earlier.codes) == count:
        return earlier, count
    ids = nearest(rows, earlier, threads=threads)
    if len(earlier.codes) > count:
        members = np.bincount(ids, minlength=len(earlier.codes))
        busiest = np.sort(np.argsort(-members, kind="stable")[:count])
        return earlier.take(busiest), count
    added = _badly_served(rows, earlier, ids, count - len(earlier.codes), random=random)
    return earlier.joined(added), len(earlier.codes)


def nearest(rows: Rows, centroids: Rows, *, threads: int = 1) -> NDArray[np.uint16]:
    """Returns the number of each row's nearest centroid."""
    ids = np.empty(len(rows.codes), np.uint16)

    def assign(part: slice) -> None:
        ids[part] = kernel.nearest(*rows.take(part), *centroids)

    for_each_slice(assign, len(ids), threads=threads)
    return ids


def residuals(rows: Rows, centroids: Rows, ids: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Returns float32[n, dim], what the centroids leave of the rows."""
    return dequantize_rows(*rows) - dequantize_rows(*centroids.take(ids))


def residual_norms(rows: Rows, centroids: Rows, ids: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Returns float32[n], the distance of each row to its centroid."""
    norms = np.empty(len(ids), np.float32)
    for part in slices(len(ids)):
        norms[part] = np.linalg.norm(residuals(rows.take(part), centroids, ids[part]), axis=1)
    return norms


def slices(count: int) -> Iterator[slice]:
    """Yields slices of SLICE_ROWS that cover so many rows."""
    for first in range(0, count, SLICE_ROWS):
        yield slice(first, min(first + SLICE_ROWS, count))


def for_each_slice(work: Callable[[slice], None], count: int, *, threads: int) -> None:
    """Does the work on every slice; the kernels release the interpreter's lock."""
    if threads == 1:
        for part in slices(count):
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, slices(count)):
            pass


def _means(
    rows: Rows, ids: NDArray[np.uint16], count: int
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Returns the float32[count, dim] means of each number's rows, and how many rows these are."""
    order = np.argsort(ids, kind="stable")
    sums = np.zeros((count, rows.codes.shape[1]), np.float32)
    for part in slices(len(order)):
        picked = order[part]
        numbers = ids[picked]
        firsts = np.flatnonzero(np.diff(numbers.astype(np.int32), prepend=np.int32(-1)))
        values = dequantize_rows(*rows.take(picked))
        sums[numbers[firsts]] += np.add.reduceat(values, firsts, axis=0)
    members = np.bincount(ids, minlength=count)
    return sums / np.maximum(members, 1).astype(np.float32)[:, None], members


def _badly_served(
    rows: Rows,
    centroids: Rows,
    ids: NDArray[np.uint16],
    count: int,
    *,
    random: np.random.Generator,
) -> Rows:
    """Draws rows by their squared distance, each once; fewer than asked for if few have one."""
    if not count:
        return rows.take(slice(0, 0))
    distances = residual_norms(rows, centroids, ids).astype(np.float64) ** 2
    distances[distances < SAME_PLACE] = 0
    count = min(count, int(np.count_nonzero(distances)))
    if not count:
        return rows.take(slice(0, 0))
    chances = distances / distances.sum()
    return rows.take(np.sort(random.choice(len(distances), count, replace=False, p=chances)))
