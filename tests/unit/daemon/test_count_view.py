from __future__ import annotations

import io
import math
from datetime import UTC

import pytest
from rich.console import Console

from dejalog.daemon.count_view import CountPrinter, CountView, format_width
from dejalog.indexer.answer import (
    Change,
    Coverage,
    HistogramResult,
    PatternChange,
    PatternsResult,
    PatternSummary,
    Series,
)
from dejalog.indexer.event import Event, Kind, Labels, TimeOrigin
from dejalog.indexer.hit import Occurrence

#: 2022-08-22 05:00:00 UTC.
START_NS = 1_661_144_400 * 10**9
SECOND_NS = 10**9
NOTHING = Coverage(0, 0, 0, 0.0)


def example(labels: Labels = ()) -> Occurrence:
    event = Event(Kind.LOG, START_NS, TimeOrigin.EVENT, "text", "s", "0", 0, 0, labels)
    return Occurrence(0, event)


def patterns(pattern: str, labels: Labels = ()) -> PatternsResult:
    last_ns = START_NS + 3600 * SECOND_NS
    summary = PatternSummary(
        "ab", pattern, 1234, START_NS, last_ns, START_NS, (4, 0, 2), example(labels)
    )
    return PatternsResult((summary,), 1, START_NS, SECOND_NS, NOTHING)


def shown(
    result: PatternsResult | HistogramResult | PatternChange, *, width: int = 0, **given: object
) -> str:
    """What a pipe gets, or a terminal of this width."""
    stream = io.StringIO()
    is_terminal = width > 0
    console = Console(
        file=stream, width=width or 80, force_terminal=is_terminal, highlight=False, markup=False,
        color_system="standard" if is_terminal else None, legacy_windows=False,
    )  # fmt: skip
    printer = CountPrinter(console, CountView(UTC, is_full=bool(given.pop("is_full", False))))
    if isinstance(result, PatternsResult):
        printer.print_patterns(result, new_since_ns=given.get("new"))  # type: ignore[arg-type]
    elif isinstance(result, HistogramResult):
        printer.print_histogram(result, by=str(given.get("by", "")))
    else:
        printer.print_changes([result])
    return stream.getvalue()


def test_a_pattern_shows_how_often_when_and_what() -> None:
    assert shown(patterns("pump <num> stopped", (("severity", "error"),))).splitlines() == [
        " 1  x1 234  \u2588\u00b7\u2584  2022-08-22 05:00:00 .. 06:00:00 +00:00  error",
        "    pump <num> stopped",
    ]


def test_what_was_first_seen_in_the_range_is_marked_as_new() -> None:
    assert "new" in shown(patterns("x"), new=START_NS)
    assert "new" not in shown(patterns("x"), new=START_NS + 1)
    assert "new" not in shown(patterns("x"))


def test_placeholders_are_dim_and_lines_fit_the_terminal() -> None:
    line = shown(patterns("pump <num> " + "stopped " * 30), width=40).splitlines()[-1]
    assert "\x1b[2m<num>\x1b[0m" in line
    assert line.endswith("\u2026")
    whole = shown(patterns("pump " + "stopped " * 30), width=40, is_full=True)
    assert whole.count("stopped") == 30


def test_in_a_narrow_terminal_the_times_have_a_line_of_their_own() -> None:
    wide, narrow = (shown(patterns("x"), width=width).splitlines() for width in (80, 50))
    assert len(wide) == 2
    assert len(narrow) == 3
    assert narrow[1] == "    2022-08-22 05:00:00 .. 06:00:00 +00:00"


def test_a_time_at_the_beginning_is_left_out_unless_all_is_asked_for() -> None:
    result = patterns("[<time>] <time> pump at <time> off")
    assert shown(result).splitlines()[1] == "    pump at <time> off"
    assert shown(result, is_full=True).splitlines()[1] == "    [<time>] <time> pump at <time> off"
    assert shown(patterns("<time>")).splitlines()[1] == "    <time>"


def test_a_long_pattern_is_cut_in_a_pipe_too_and_says_so() -> None:
    text = shown(patterns("x" * 1000))
    assert "x" * 400 + " [... 600 characters]" in text
    assert "x" * 1000 in shown(patterns("x" * 1000), is_full=True)


def test_characters_that_steer_a_terminal_are_spelled_out() -> None:
    text = shown(patterns("a\x1b[2Jb\nc", (("severity", "\x07"),)))
    assert "a\\x1b[2Jb c" in text
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize(
    ("change", "counts", "ratio", "says"),
    [
        (Change.APPEARED, (0, 9), math.inf, " 1  appeared  0 -> 9  p 1e-09"),
        (Change.VANISHED, (9, 0), 0.0, " 1  vanished  9 -> 0  p 1e-09"),
        (Change.MORE, (2, 90), 45.0, " 1  more      2 -> 90  45 times as often  p 1e-09"),
        (Change.LESS, (90, 2), 1 / 45, " 1  less      90 -> 2  0.0222 times as often  p 1e-09"),
        (Change.MORE, (1, 9000), 9000.0, "9 000 times as often"),
    ],
)
def test_a_change_says_what_became_of_the_pattern(
    change: Change, counts: tuple[int, int], ratio: float, says: str
) -> None:
    given = PatternChange("ab", "queue full", change, *counts, ratio, 1e-9, START_NS, example())
    first, second = shown(given).splitlines()
    assert says in first
    assert first.endswith("last 2022-08-22 05:00:00.000 +00:00")
    assert second == "    queue full"


def test_a_histogram_is_a_bar_for_each_part_of_the_time() -> None:
    result = HistogramResult((Series("", (1000, 0, 500)),), START_NS, 60 * SECOND_NS, NOTHING)
    assert shown(result).splitlines() == [
        "2022-08-22 05:00:00 +00:00  1 000  " + "\u2588" * 40,
        "2022-08-22 05:01:00 +00:00      0",
        "2022-08-22 05:02:00 +00:00    500  " + "\u2588" * 20,
    ]
    short = HistogramResult((Series("", (1, 1)),), START_NS, SECOND_NS // 2, NOTHING)
    assert "05:00:00.500 +00:00" in shown(short)


def test_by_a_label_each_value_has_a_row_and_the_rest_comes_last() -> None:
    series = (
        Series("gw7", (10, 0)),
        Series("\u6a5f\u68b0", (0, 5)),
        Series("", (1, 0), is_rest=True),
    )
    lines = shown(HistogramResult(series, START_NS, SECOND_NS, NOTHING), by="host").splitlines()
    assert lines == [
        "gw7                10  \u2588\u00b7",
        "\u6a5f\u68b0                5  \u00b7\u2588",
        "(others, or none)   1  \u2588\u00b7",
    ]


def test_lengths_of_time_are_said_in_a_unit_that_fits() -> None:
    widths = (200_000_000, SECOND_NS, 90 * SECOND_NS, 5400 * SECOND_NS, 10 * 86_400 * SECOND_NS)
    assert [format_width(width) for width in widths] == [
        "200 ms",
        "1 s",
        "1.5 min",
        "1.5 h",
        "10 d",
    ]
