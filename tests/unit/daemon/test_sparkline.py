from __future__ import annotations

import io

import pytest

from dejalog.daemon.sparkline import bar, can_write_blocks, sparkline
from dejalog.daemon.terminal import open_console


def test_higher_numbers_have_higher_marks_and_only_zero_looks_empty() -> None:
    assert sparkline([0, 1, 50, 100], has_blocks=True) == "\u00b7\u2581\u2584\u2588"
    assert sparkline([0, 1, 50, 100], has_blocks=False) == "._+@"
    assert sparkline([10**15, 1], has_blocks=True) == "\u2588\u2581"
    assert sparkline([0, 0], has_blocks=False) == ".."
    assert sparkline([], has_blocks=True) == ""


def test_equal_numbers_have_equal_marks() -> None:
    assert set(sparkline([3, 3, 3], has_blocks=False)) == {"@"}


def test_bars_are_as_long_as_their_numbers_say() -> None:
    assert bar(50, 100, 10, has_blocks=False) == "#" * 5
    assert bar(100, 100, 10, has_blocks=True) == "\u2588" * 10
    assert bar(55, 100, 10, has_blocks=True) == "\u2588" * 5 + "\u258c"
    assert bar(1, 10**12, 10, has_blocks=True) == "\u258f"
    assert bar(1, 10**12, 10, has_blocks=False) == "#"
    assert bar(0, 100, 10, has_blocks=True) == bar(0, 0, 10, has_blocks=False) == ""


@pytest.mark.parametrize(("encoding", "has_blocks"), [("utf-8", True), ("ascii", False)])
def test_what_a_stream_can_hold_decides(encoding: str, has_blocks: bool) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    assert can_write_blocks(open_console(stream)) == has_blocks
