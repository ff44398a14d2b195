"""Memory for the tables of prepared queries, used again and again.

A table is written once for each search, and making its pages took longer than filling it. So the
memory of one that no array refers to any more waits here for the next query.
"""

from __future__ import annotations

import mmap
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dejalog.indexer.kernel.codes import QUERY_ROWS, SHORT_QUERY_ROWS, TABLE_ROWS

#: A table, and how many of its rows may hold more than zeros.
_Used = tuple[NDArray[np.int16], int]

#: Transparent huge pages: fewer page faults, and table rows that all stay in the first-level TLB.
_HUGE_PAGE_BYTES: Final = 1 << 21

#: Tables of a size that wait: what two searches at once hold, each over fresh and compacted
#: shards. With huge pages a table is 2 MiB, or 4 if it is wide and full: at most 32 MiB for all.
_WAITING_MAX: Final = 4

#: By a block's rows, tables of one block; appending and popping are atomic. A longer query is
#: rare, and its table is not kept.
_waiting: Final[dict[int, deque[_Used]]] = {
    rows: deque(maxlen=_WAITING_MAX) for rows in (*SHORT_QUERY_ROWS, QUERY_ROWS)
}


class _Lent:
    """A table, for NumPy: an array made of it refers to it, and the last of them gives it back."""

    def __init__(self, table: NDArray[np.int16], filled: int, waiting: deque[_Used]) -> None:
        self._used = (table, filled)
        self._waiting = waiting
        self.__array_interface__ = table.__array_interface__

    def __del__(self) -> None:
        self._waiting.append(self._used)


def new_table(blocks: int, block_rows: int, filled: int) -> NDArray[np.int16]:
    """Returns int16[blocks, TABLE_ROWS, block_rows], whose first `filled` rows are to be filled.

    These hold anything. All others are zeros, and must stay so: a damaged number of a centroid
    then scores the same in every search.
    """
    if blocks > 1:
        return _map_table(blocks, block_rows)
    waiting = _waiting[block_rows]
    try:
        table, former = waiting.pop()
    except IndexError:
        table, former = _map_table(blocks, block_rows), 0
    table[:, filled:former] = 0
    return np.asarray(_Lent(table, filled, waiting))


def _map_table(blocks: int, block_rows: int) -> NDArray[np.int16]:
    """A table in memory of its own, whose pages are made when they are first written.

    An allocator might have to clear all of it. Private, since a forked process writes its own.
    """
    size = blocks * TABLE_ROWS * block_rows * 2
    memory = mmap.mmap(-1, size + _HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = -whole.ctypes.data % _HUGE_PAGE_BYTES
    return whole[start : start + size].view(np.int16).reshape(blocks, TABLE_ROWS, block_rows)
