"""Tables are given out again, and never while anything still reads them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dejalog.indexer.kernel.codes import QUERY_ROWS, SHORT_QUERY_ROWS, TABLE_ROWS
from dejalog.indexer.kernel.tables import new_table

ROWS = (*SHORT_QUERY_ROWS, QUERY_ROWS)


def address(table: np.ndarray) -> int:
    return int(table.__array_interface__["data"][0])


@pytest.mark.parametrize("rows", ROWS)
def test_a_table_that_nobody_reads_any_more_is_given_out_again(rows: int) -> None:
    table = new_table(1, rows, 9)
    assert table.shape == (1, TABLE_ROWS, rows)
    assert table.dtype == np.int16
    assert table.flags.c_contiguous
    assert table.flags.writeable
    before = address(table)
    assert before % 64 == 0
    del table
    assert address(new_table(1, rows, 9)) == before


@pytest.mark.parametrize("rows", ROWS)
def test_a_part_of_a_table_keeps_all_of_it(rows: int) -> None:
    table = new_table(1, rows, 9)
    table[0, 5] = 7
    before, part = address(table), table[0].reshape(-1)[5 * rows : 6 * rows]
    del table
    others = [new_table(1, rows, 9) for _ in range(12)]
    for other in others:
        other[0, 5] = 1
    assert before not in {address(other) for other in others}
    assert (part == 7).all()


def test_tables_in_use_at_once_share_no_memory() -> None:
    tables = [new_table(1, rows, TABLE_ROWS) for rows in ROWS for _ in range(12)]
    for number, table in enumerate(tables):
        table[0, :: TABLE_ROWS - 1] = number
    for number, table in enumerate(tables):
        assert (table[0, :: TABLE_ROWS - 1] == number).all()


@pytest.mark.parametrize("rows", ROWS)
def test_rows_that_are_not_to_be_filled_are_zeros_whatever_was_there(rows: int) -> None:
    for filled in (900, 30, TABLE_ROWS, 30, 0, 77):
        table = new_table(1, rows, filled)
        assert not table[:, filled:].any()
        table[:, :filled] = 5
        del table


def test_threads_never_get_the_same_table() -> None:
    broken: list[int] = []

    def work(number: int) -> None:
        for _ in range(300):
            table = new_table(1, 8, TABLE_ROWS)
            table[0, ::64] = number
            if (table[0, ::64] != number).any():
                broken.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken


def test_a_table_of_many_blocks_is_new() -> None:
    table = new_table(2, QUERY_ROWS, 9)
    assert table.shape == (2, TABLE_ROWS, QUERY_ROWS)
    assert not table[:, ::1024].any()
