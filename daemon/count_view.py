"""Patterns, changes and histograms as a person reads them, in a terminal or through a pipe.

A pattern and a change take two lines: what was counted, as a hit's headline has it, and the
pattern on one line, cut to the width of a terminal, without a time at its beginning and with dim
placeholders. A histogram has a bar for each part of the time, or a row for each value of a label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from dejalog.daemon.excerpt import grouped, visible_line
from dejalog.daemon.human_time import format_span, format_time
from dejalog.daemon.sparkline import bar, can_write_blocks, sparkline
from dejalog.daemon.terminal import TEXT_CHARACTERS
from dejalog.indexer.answer import (
    Change,
    HistogramResult,
    PatternChange,
    PatternsResult,
    PatternSummary,
    Series,
)
from dejalog.indexer.hit import Occurrence
from dejalog.indexer.mask import PLACEHOLDER

_INDENT = "    "
#: A bar of this many cells shows differences of one in three hundred.
_BAR_CELLS = 40
_VALUE_CHARACTERS = 30
SECOND_NS = 1_000_000_000

#: Most lines begin with their time, and nothing is said by that.
_LEADING_TIME = re.compile(r"\A(?:\[?<time>\]?\s+)+")

_CHANGE_STYLES = {
    Change.APPEARED: "bold red",
    Change.VANISHED: "bold blue",
    Change.MORE: "yellow",
    Change.LESS: "cyan",
}
_SEVERITY_STYLES = {"fatal": "bold red", "error": "red", "warn": "yellow"}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class CountView:
    """How to show counts: in which zone (None: the system's), and whether patterns are whole."""

    zone: tzinfo | None
    is_full: bool = False


class CountPrinter:
    """Prints to one console."""

    def __init__(self, console: Console, view: CountView) -> None:
        self._console = console
        self._view = view
        self._has_blocks = can_write_blocks(console)

    def print_patterns(self, result: PatternsResult, *, new_since_ns: int | None) -> None:
        """Prints patterns; those first seen since `new_since_ns` are marked as new."""
        for rank, pattern in enumerate(result.patterns, 1):
            is_new = new_since_ns is not None and pattern.first_ever_ns >= new_since_ns
            self._pattern(rank, pattern, is_new)

    def print_changes(self, changes: Sequence[PatternChange]) -> None:
        """Prints changes."""
        for rank, change in enumerate(changes, 1):
            line = Text().append(f"{rank:>2}", "bold")
            line.append(f"  {change.change.value:<8}", _CHANGE_STYLES[change.change])
            before, after = grouped(change.count_before), grouped(change.count_after)
            line.append(f"  {before} -> {after}", "bold magenta")
            line.append(_rate(change.rate_ratio))
            line.append(f"  p {change.p_value:.1g}", "dim")
            line.append_text(_severity(change.example))
            newest = format_time(change.example.event.time_ns, self._view.zone)
            line.append(f"  last {newest}")
            self._print(line)
            self._text(change.pattern)

    def print_histogram(self, result: HistogramResult, *, by: str) -> None:
        """Prints a bar for each bucket, or with `by` a row for each value."""
        if by:
            self._series(result.series)
            return
        for series in result.series:
            self._bars(series.counts, result.start_ns, result.width_ns)

    def _pattern(self, rank: int, pattern: PatternSummary, is_new: bool) -> None:
        line = Text().append(f"{rank:>2}", "bold")
        line.append(f"  x{grouped(pattern.count)}", "bold magenta")
        line.append(f"  {sparkline(pattern.counts, has_blocks=self._has_blocks)}", "cyan")
        span = format_span(pattern.first_seen_ns, pattern.last_seen_ns, self._view.zone)
        about = _severity(pattern.example).append("  new" if is_new else "", "bold red")
        if self._fits(line.cell_len + len(span) + 2 + about.cell_len):
            self._print(line.append(f"  {span}").append_text(about))
        else:
            self._print(line.append_text(about))
            self._print(Text(f"{_INDENT}{span}"))
        self._text(pattern.pattern)

    def _fits(self, cells: int) -> bool:
        return not self._console.is_terminal or cells <= self._console.width

    def _text(self, pattern: str) -> None:
        """The pattern on one line, as much of it as fits."""
        shown = Text(_INDENT)
        text, at = visible_line(self._cut(pattern)), 0
        for match in PLACEHOLDER.finditer(text):
            shown.append(text[at : match.start()]).append(match[0], "dim")
            at = match.end()
        shown.append(text[at:])
        if self._console.is_terminal and not self._view.is_full:
            shown.truncate(self._console.width, overflow="ellipsis" if self._has_blocks else "crop")
        self._print(shown)

    def _cut(self, pattern: str) -> str:
        if not self._view.is_full:
            pattern = _LEADING_TIME.sub("", pattern) or pattern
        hidden = len(pattern) - TEXT_CHARACTERS
        if self._view.is_full or hidden <= 0:
            return pattern
        return f"{pattern[:TEXT_CHARACTERS]} [... {grouped(hidden)} characters]"

    def _bars(self, counts: Sequence[int], start_ns: int, width_ns: int) -> None:
        most = max(counts, default=0)
        digits = max((len(grouped(count)) for count in counts), default=0)
        times = [self._time(start_ns + i * width_ns, width_ns) for i in range(len(counts))]
        for when, count in zip(times, counts, strict=True):
            line = Text(f"{when}  {grouped(count):>{digits}}  ")
            line.append(
                bar(count, most, self._bar_cells(line), has_blocks=self._has_blocks), "cyan"
            )
            line.rstrip()
            self._print(line)

    def _bar_cells(self, line: Text) -> int:
        if not self._console.is_terminal:
            return _BAR_CELLS
        return max(8, min(_BAR_CELLS, self._console.width - line.cell_len - 1))

    def _time(self, time_ns: int, width_ns: int) -> str:
        """To the second, or to the millisecond where buckets are not whole seconds."""
        text = format_time(time_ns, self._view.zone)
        return text if width_ns < SECOND_NS else text[:19] + text[23:]

    def _series(self, series: Sequence[Series]) -> None:
        names = [_value(each) for each in series]
        totals = [grouped(sum(each.counts)) for each in series]
        widest, digits = max(map(cell_len, names), default=0), max(map(len, totals), default=0)
        for each, name, total in zip(series, names, totals, strict=True):
            line = Text().append(name, "dim" if each.is_rest else "cyan")
            line.append(" " * (widest - cell_len(name)))
            line.append(f"  {total:>{digits}}", "bold magenta")
            line.append(f"  {sparkline(each.counts, has_blocks=self._has_blocks)}", "cyan")
            self._print(line)

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


def format_width(width_ns: int) -> str:
    """Returns about how long a part of the time is: `5 min`, `1.5 h`, `200 ms`."""
    seconds = width_ns / SECOND_NS
    for unit_s, name in _UNITS:
        if seconds >= unit_s:
            return f"{seconds / unit_s:.3g} {name}"
    return f"{seconds * 1000:.3g} ms"


def _rate(ratio: float) -> str:
    """How many times as frequent; the words for the ends say it already."""
    if not math.isfinite(ratio) or ratio == 0:
        return ""
    times = f"{ratio:.3g}" if ratio < 1000 else grouped(round(ratio))
    return f"  {times} times as often"


def _severity(example: Occurrence) -> Text:
    value = dict(example.event.labels).get("severity", "")
    return Text(f"  {visible_line(value)}" if value else "", _SEVERITY_STYLES.get(value, "dim"))


def _value(series: Series) -> str:
    if series.is_rest:
        return "(others, or none)"
    shown = visible_line(series.value)
    cut = shown if len(shown) <= _VALUE_CHARACTERS else f"{shown[:_VALUE_CHARACTERS]}..."
    return cut or '""'
