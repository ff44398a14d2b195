"""The flags that questions about the index share: how to rank, how long to wait, how to show."""

from __future__ import annotations

import argparse

from dejalog.indexer.request import Mode

#: A daemon refuses more of either, and nobody reads them.
LIMIT_MAX, EACH_MAX = 1_000, 100


class Number:
    """Reads a whole number within bounds."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        """Returns the number; raises ArgumentTypeError."""
        is_number = text.isascii() and text.isdecimal()
        if not is_number or not self._low <= int(text) <= self._high:
            raise argparse.ArgumentTypeError(f"{text!r} is not {self._low} to {self._high}")
        return int(text)


class Seconds:
    """Reads a number of seconds above 0, or from 0 on, up to a bound."""

    def __init__(self, high: float, *, has_zero: bool = False) -> None:
        self._high, self._has_zero = high, has_zero

    def __call__(self, text: str) -> float:
        """Returns the seconds; raises ArgumentTypeError."""
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= self._high or (seconds == 0 and not self._has_zero):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
        return seconds


def event_id(text: str) -> int:
    """Reads the number of an event; raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of an event")
    return int(text)


def add_question_flags(parser: argparse.ArgumentParser) -> None:
    """Adds --mode and --timeout."""
    parser.add_argument(
        "--mode",
        choices=[m.value for m in Mode],
        default=Mode.HYBRID.value,
        help="what counts: meaning (semantic), words (lexical), or both (default: hybrid)",
    )
    parser.add_argument(
        "--timeout",
        type=Seconds(86_400),
        default=30.0,
        metavar="S",
        help="seconds after which what was found is shown as partial (default: 30)",
    )


def elapsed(seconds: float) -> str:
    """Returns `34 ms` or `1.2 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
