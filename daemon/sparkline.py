"""Numbers as rows of marks, in blocks or, where these cannot be written, in ASCII."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console

#: Eighths of a cell, from the bottom up and from the left on.
_RISING: Final = "".join(map(chr, range(0x2581, 0x2589)))
_GROWING: Final = "".join(map(chr, range(0x258F, 0x2587, -1)))
_EMPTY: Final = chr(0xB7)
_ASCII_LEVELS: Final = "_-=+*%#@"
_ASCII_EMPTY: Final = "."


def can_write_blocks(console: Console) -> bool:
    """Whether what the console writes to can hold block characters."""
    return console.encoding.lower().replace("-", "").startswith("utf")


def sparkline(counts: Sequence[int], *, has_blocks: bool) -> str:
    """Returns a mark for each number, higher for larger ones; nothing but zero looks empty."""
    most = max(counts, default=0)
    levels = _RISING if has_blocks else _ASCII_LEVELS
    empty = _EMPTY if has_blocks else _ASCII_EMPTY
    return "".join(empty if n == 0 else levels[(len(levels) * n - 1) // most] for n in counts)


def bar(number: int, most: int, width: int, *, has_blocks: bool) -> str:
    """Returns a bar of up to `width` cells for the number `most`; nothing but zero is empty."""
    if number == 0 or most == 0:
        return ""
    if not has_blocks:
        return "#" * max(1, width * number // most)
    eighths = max(1, 8 * width * number // most)
    full, rest = divmod(eighths, 8)
    return _GROWING[-1] * full + (_GROWING[rest - 1] if rest else "")
