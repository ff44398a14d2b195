"""Hits as a person reads them, in a terminal or through a pipe.

A hit is, in this order: rank, score and how often it was seen; when, where and how severe its
first occurrence was; that occurrence's text with the matched words bright (underlined where they
are the query's own letters); its neighbours, if asked for; if asked why it matched, the scores
with a line for each pair of words; and one line for each further occurrence. A terminal gets
colours and lines that fit; anything else gets neither.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from io import TextIOWrapper
from typing import IO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from dejalog.daemon.excerpt import (
    SIMILARITY_MIN,
    Mark,
    WordPair,
    grouped,
    marks_of,
    shown_ranges,
    visible,
    visible_line,
    word_pairs,
)
from dejalog.daemon.human_time import format_age, format_span, format_time
from dejalog.indexer.answer import Context
from dejalog.indexer.event import Event, Kind, Labels, TimeOrigin
from dejalog.indexer.hit import Hit, Occurrence, Scores

#: What is shown of a text that is not asked for in full: about five lines of a small terminal.
TEXT_CHARACTERS = 400
TEXT_LINES = 8
#: The width of one-line rows where there is no terminal to fit into.
_PIPE_CHARACTERS = 200
_INDENT = "    "
_BAR_CELLS = 6
#: A source is most often a path, whose end tells more than its beginning.
_SOURCE_CHARACTERS = 40
_LABEL_CHARACTERS = 60
#: Longer words do not push the bars of all other pairs out of sight.
_PAIR_CHARACTERS = 32

#: A time as most logs write it.
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:[.,]\d+)?"
)
_LEADING_TIME = re.compile(rf"\s*\[?(?:{_TIME.pattern})\]?\s*")
#: Words, also between the marks of JSON.
_PIECE = re.compile(r"[^\s,;{}\[\]()\"]+")

_SEVERITY_STYLES = {
    "fatal": "bold red",
    "error": "red",
    "warn": "yellow",
    "info": "green",
    "debug": "dim",
    "trace": "dim",
}
_EXACT_STYLE = "bold underline yellow"
_MEANING_STYLE = "bold bright_yellow"


@dataclass(frozen=True, slots=True)
class View:
    """How to show hits: what was asked, in which zone, how much; None is the system's zone."""

    query: str
    quoted: tuple[str, ...] = ()
    zone: tzinfo | None = None
    is_full: bool = False
    is_verbose: bool = False
    now_ns: int = field(default_factory=time.time_ns)


def open_console(stream: IO[str]) -> Console:
    """Returns a console over a stream: plain where it is no terminal or NO_COLOR is set."""
    columns = shutil.get_terminal_size((80, 24)).columns
    if isinstance(stream, TextIOWrapper):
        # What the encoding lacks is spelled out; a log line must not end the command.
        stream.reconfigure(errors="backslashreplace")
    return _Console(file=stream, width=columns, highlight=False, markup=False, emoji=False)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to the command line what a reader that went away means."""
        raise  # noqa: PLE0704 - called while the BrokenPipeError is being handled


class HitPrinter:
    """Prints hits to one console."""

    def __init__(self, console: Console, view: View) -> None:
        self._console = console
        self._view = view
        self._is_wrapped = console.is_terminal
        self._width = console.width if console.is_terminal else _PIPE_CHARACTERS

    def print_hit(
        self, rank: int, hit: Hit, *, best: float, context: Context | None = None
    ) -> None:
        """Prints one hit; `best` is the highest total of the result, which fills the bar."""
        self._line(self._headline(rank, hit, best))
        if hit.occurrences:
            self._occurrence(hit, context)
        else:
            self._paragraph(Text(visible(self._cut(hit.pattern))))
        rest = hit.count - len(hit.occurrences)
        if hit.occurrences and rest > 0:
            self._line(Text(f"{_INDENT}and {grouped(rest)} more", "dim"))
        self._console.print()

    def _headline(self, rank: int, hit: Hit, best: float) -> Text:
        line = Text().append(f"{rank:>2}", "bold")
        if best > 0:  # Filters alone rank nothing.
            line.append(f"  {hit.scores.total:.2f} ", "cyan")
            line.append(_bar(hit.scores.total, best), "cyan")
        line.append(f"  x{grouped(hit.count)}", "bold magenta")
        span = format_span(hit.first_seen_ns, hit.last_seen_ns, self._view.zone)
        return line.append(f"  {span}" if hit.count > 1 else "")

    def _occurrence(self, hit: Hit, context: Context | None) -> None:
        first = hit.occurrences[0]
        pairs = word_pairs(self._view.query, first.event.text, hit.evidence)
        self._paragraph(self._about(first.event))
        if context is not None:
            self._neighbours(context.before, first)
        self._paragraph(self._text(first.event.text, pairs))
        if context is not None:
            self._neighbours(context.after, first)
        if self._view.is_verbose:
            self._explain(hit, pairs)
        for other in hit.occurrences[1:]:
            self._line(self._other(first.event, other.event))

    def _about(self, event: Event) -> Text:
        """When, how long ago, what and where."""
        line = Text().append(format_time(event.time_ns, self._view.zone), "bold")
        if event.time_origin is TimeOrigin.RECEIVED:
            line.append(" (when received)", "dim")
        line.append(f"  {format_age(event.time_ns, self._view.now_ns)}", "dim")
        if event.kind is Kind.NOTE:
            line.append("  note", "bold blue")
        for label in _in_order(event.labels):
            line.append_text(_label(*label))
        if not any(name == "file" for name, _ in event.labels):
            line.append(f"  {_source(event.source)}", "dim")
        return line

    def _text(self, text: str, pairs: Sequence[WordPair]) -> Text:
        marks = marks_of(self._view.query, text, pairs, self._view.quoted)
        ranges = [(0, len(text.rstrip()))]
        if not self._view.is_full:
            ranges = shown_ranges(text, marks, characters=TEXT_CHARACTERS, lines=TEXT_LINES)
        shown, at = Text(), 0
        for low, high in ranges:
            _append_gap(shown, text[at:low])
            _append_marked(shown, text, low, high, marks)
            at = high
        _append_gap(shown, text[at:].rstrip())
        return shown

    def _cut(self, text: str) -> str:
        if self._view.is_full or len(text) <= TEXT_CHARACTERS:
            return text
        return f"{text[:TEXT_CHARACTERS]} [... {grouped(len(text) - TEXT_CHARACTERS)} characters]"

    def _neighbours(self, neighbours: Iterable[Occurrence], first: Occurrence) -> None:
        of_first = format_time(first.event.time_ns, self._view.zone)
        for each in neighbours:
            when = format_time(each.event.time_ns, self._view.zone)
            is_same_day = when[:10] == of_first[:10] and when[23:] == of_first[23:]
            when = when[11:23] if is_same_day else when
            line = Text().append(f"{_INDENT}| {when}  ", "dim")
            text = _first_line(_without_time(each.event.text))
            self._line(self._fitted(line, text, "dim"))

    def _other(self, first: Event, other: Event) -> Text:
        """One line for a further occurrence: its time and what is not as in the first."""
        line = Text(f"{_INDENT}{format_time(other.time_ns, self._view.zone)}")
        for label in _in_order(tuple(pair for pair in other.labels if pair not in first.labels)):
            line.append_text(_label(*label))
        if other.source != first.source:
            line.append(f"  {_source(other.source)}", "dim")
        difference = _difference(first.text, other.text)
        if not difference:
            return line.append("  same text", "dim")
        return self._fitted(line.append("  "), difference, "")

    def _explain(self, hit: Hit, pairs: Sequence[WordPair]) -> None:
        event = hit.occurrences[0].event
        self._paragraph(_reason("score: ", _scores(hit.scores)))
        self._pairs(event.text, pairs)
        number = hit.occurrences[0].event_id
        place = f"{event.source}, partition {event.partition}, offset {event.offset}"
        self._paragraph(_reason("event: ", f"{number} from {place}"))
        self._paragraph(_reason("pattern: ", self._cut(hit.pattern)))

    def _pairs(self, text: str, pairs: Sequence[WordPair]) -> None:
        """A line for each pair: query word, log word, how near, and what that adds to the score."""
        query = self._view.query
        asked = [visible_line(query[pair.query_start : pair.query_end]) for pair in pairs]
        found = [visible_line(text[pair.text_start : pair.text_end]) for pair in pairs]
        asked_width = min(_PAIR_CHARACTERS, max(map(cell_len, asked), default=0))
        found_width = min(_PAIR_CHARACTERS, max(map(cell_len, found), default=0))
        for index, pair in enumerate(pairs):
            line = Text(_INDENT).append("       " if index else "words: ", "dim")
            line.append(_padded(asked[index], asked_width), "cyan").append(" -> ", "dim")
            line.append(found[index], _style(pair))
            line.append(" " * (found_width - cell_len(found[index])))
            line.append(f"  {_bar(pair.similarity, 1.0)}", "cyan")
            line.append(f" {_similarity(pair.similarity)}")
            if pair.share:
                line.append(f"  adds {_similarity(pair.share)}", "dim")
            self._line(line)

    def _fitted(self, line: Text, text: str, style: str) -> Text:
        """The line with as much of the text behind it as fits."""
        shown = Text(visible_line(text), style)
        room = max(20, self._width - line.cell_len)
        shown.truncate(room, overflow="ellipsis" if _can_write_ellipsis(self._console) else "crop")
        return line.append_text(shown)

    def _paragraph(self, text: Text) -> None:
        """Prints text of any length, indented and wrapped where there is a terminal."""
        lines = text.split("\n", allow_blank=True)
        for line in lines:
            if self._is_wrapped:
                for part in line.wrap(self._console, max(20, self._width - len(_INDENT))):
                    part.rstrip()
                    self._line(Text(_INDENT).append_text(part))
            else:
                self._line(Text(_INDENT).append_text(line))

    def _line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


def _bar(total: float, best: float) -> str:
    cells = round(_BAR_CELLS * max(0.0, total) / best) if best > 0 else 0
    return ("=" * cells).ljust(_BAR_CELLS, ".")


def _in_order(labels: Labels) -> list[tuple[str, str]]:
    """Severity first: it is what people look for."""
    return sorted(labels, key=lambda label: (label[0] != "severity", label[0]))


def _label(name: str, value: str) -> Text:
    shown = visible_line(value)
    if len(shown) > _LABEL_CHARACTERS:
        shown = f"{shown[:_LABEL_CHARACTERS]}..."
    if " " in shown:
        shown = f'"{shown}"'
    if name == "severity":
        return Text("  ").append(shown, _SEVERITY_STYLES.get(value, ""))
    return Text("  ").append(f"{visible_line(name)}=", "dim").append(shown, "cyan")


def _reason(name: str, value: str) -> Text:
    return Text().append(name, "dim").append(visible_line(value))


def _scores(scores: Scores) -> str:
    """The channels, of which the total is the weighted sum."""
    marks = f" ({_similarity(scores.marks)} of it sentence marks)" if scores.marks else ""
    reranked = "" if scores.reranked is None else f", read again {scores.reranked:.2f}"
    return (
        f"meaning {scores.semantic:.2f}{marks}, whole text {scores.pooled:.2f}, "
        f"words {scores.lexical:.2f}, codes {scores.exact:.2f}{reranked}"
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _style(pair: WordPair) -> str:
    if pair.is_exact:
        return _EXACT_STYLE
    return _MEANING_STYLE if pair.similarity >= SIMILARITY_MIN else ""


def _similarity(similarity: float) -> str:
    return "1" if similarity >= 0.995 else f"{similarity:.2f}".replace("0.", ".", 1)


def _append_gap(shown: Text, hidden: str) -> None:
    if hidden.strip():
        shown.append("\n" if hidden.startswith("\n") else " ")
        shown.append(f"[... {grouped(len(hidden))} characters ...] ", "dim italic")
        if hidden.endswith("\n"):
            shown.append("\n")


def _append_marked(shown: Text, text: str, low: int, high: int, marks: Sequence[Mark]) -> None:
    at = low
    for mark in marks:
        if mark.end <= low or mark.start >= high:
            continue
        begin, end = max(mark.start, low), min(mark.end, high)
        shown.append(visible(text[at:begin]))
        shown.append(visible(text[begin:end]), _EXACT_STYLE if mark.is_exact else _MEANING_STYLE)
        at = end
    shown.append(visible(text[at:high]))


def _first_line(text: str) -> str:
    first, newline, rest = text.strip().partition("\n")
    lines = rest.count("\n") + 1
    return f"{first.rstrip()} [+{grouped(lines)} lines]" if newline else first


def _difference(first: str, other: str) -> str:
    """The words of the other text that the first one does not have there, each behind its name.

    Times in the text are left out: they differ always, and the row begins with the event's own.
    """
    ours, theirs = (_PIECE.findall(_TIME.sub("", text)) for text in (first, other))
    if len(ours) != len(theirs):
        return _first_line(_without_time(other))
    differs = [a != b for a, b in zip(ours, theirs, strict=True)]
    shown = [
        piece
        for at, piece in enumerate(theirs)
        if differs[at] or (at + 1 < len(differs) and differs[at + 1])
    ]
    return " ".join(shown)


def _without_time(text: str) -> str:
    match = _LEADING_TIME.match(text)
    return text[match.end() :] if match else text


def _source(source: str) -> str:
    shown = visible_line(source)
    return shown if len(shown) <= _SOURCE_CHARACTERS else f"...{shown[-_SOURCE_CHARACTERS:]}"


def _can_write_ellipsis(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")
