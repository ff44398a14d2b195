"""A match as one line for a person: when, how well, where, and the text with its words bright.

Lines are only ever added: nothing that somebody reads moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from dejalog.daemon.excerpt import Mark, marks_of, visible_line, word_pairs
from dejalog.daemon.human_time import format_time
from dejalog.daemon.terminal import View
from dejalog.indexer.answer import Match
from dejalog.indexer.event import Event, Kind

_BAR_CELLS: Final = 5
#: The end of a path tells more than its beginning.
_SOURCE_CHARS: Final = 32
#: What is shown of a line in a terminal unless all of it is asked for.
_TEXT_CHARS: Final = 400
_LEAD_CHARS: Final = 80

_EXACT_STYLE: Final = "bold underline yellow"
_MEANING_STYLE: Final = "bold bright_yellow"
_SEVERITY_STYLES: Final = {"fatal": "bold red", "error": "red", "warn": "yellow"}


class MatchPrinter:
    """Prints matches to one console, each at once."""

    def __init__(self, console: Console, view: View) -> None:
        self._console = console
        self._view = view

    def print_match(self, match: Match) -> None:
        """Prints one line; with `is_verbose` a second one says how the score came about."""
        event = match.occurrence.event
        line = Text().append(format_time(event.time_ns, self._view.zone), "bold")
        line.append(f"  {match.scores.total:.2f} {_bar(match.scores.total)}", "cyan")
        if match.is_new_pattern:
            line.append("  new", "bold magenta")
        line.append_text(_about(event)).append("  ")
        self._console.print(line.append_text(self._text(match)), soft_wrap=True)
        if self._view.is_verbose:
            scores = match.scores
            reason = (
                f"    event {match.occurrence.event_id}: meaning {scores.semantic:.2f}, whole text "
                f"{scores.pooled:.2f}, words {scores.lexical:.2f}, codes {scores.exact:.2f}"
            )
            self._console.print(Text(reason, "dim"), soft_wrap=True)

    def _text(self, match: Match) -> Text:
        query, text = self._view.query, match.occurrence.event.text.rstrip()
        pairs = word_pairs(query, text, match.evidence)
        marks = marks_of(query, text, pairs, self._view.quoted)
        low, high = 0, len(text)
        if self._console.is_terminal and not self._view.is_full:
            low, high = _part(text, marks)
        shown = Text("..." if low else "")
        at = low
        for mark in marks:
            begin, end = max(mark.start, at), min(mark.end, high)
            if begin < end:
                shown.append(visible_line(text[at:begin]))
                style = _EXACT_STYLE if mark.is_exact else _MEANING_STYLE
                shown.append(visible_line(text[begin:end]), style)
                at = end
        shown.append(visible_line(text[at:high]))
        return shown.append("..." if high < len(text) else "")


def _part(text: str, marks: Sequence[Mark]) -> tuple[int, int]:
    """The beginning of a long text, or what is around its first mark."""
    if len(text) <= _TEXT_CHARS:
        return 0, len(text)
    first = marks[0].start if marks else 0
    low = 0 if first < _TEXT_CHARS - _LEAD_CHARS else first - _LEAD_CHARS
    return low, min(len(text), low + _TEXT_CHARS)


def _about(event: Event) -> Text:
    """Severity, kind and source, which lie in the same order in every line."""
    shown = Text()
    labels = dict(event.labels)
    severity = labels.get("severity")
    if severity is not None:
        shown.append(f"  {visible_line(severity)}", _SEVERITY_STYLES.get(severity, "dim"))
    if event.kind is Kind.NOTE:
        shown.append("  note", "bold blue")
    source = visible_line(labels.get("file", event.source))
    if len(source) > _SOURCE_CHARS:
        source = f"...{source[3 - _SOURCE_CHARS :]}"
    return shown.append(f"  {source}", "dim")


def _bar(total: float) -> str:
    cells = round(_BAR_CELLS * min(1.0, max(0.0, total)))
    return ("=" * cells).ljust(_BAR_CELLS, ".")
