"""Precedents as a technician reads them, and as JSON.

A precedent is a few lines: rank, when, how long ago and on which asset; what matched, with how
often; the course, which is what else was unusual then; and the notes that followed, each with how
long after and what was done. A note that matched by itself is shown like one that followed.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import tzinfo

from rich.console import Console
from rich.text import Text

from dejalog.daemon.excerpt import grouped, marks_of, visible, visible_line
from dejalog.daemon.hit_json import (
    Json,
    hit_to_json,
    occurrence_to_json,
    rounded,
    time_to_json,
)
from dejalog.daemon.human_time import format_age, format_span, format_time
from dejalog.indexer.answer import CourseStep, FollowingNote, Precedent
from dejalog.indexer.decode.note import ACTION_PREFIX
from dejalog.indexer.event import Event, Kind
from dejalog.indexer.hit import Hit

#: What is shown of each part unless everything is asked for; the rest is counted.
HITS_SHOWN, COURSE_SHOWN = 3, 5
#: A note is read whole, and most are shorter; a pasted report is not.
NOTE_CHARACTERS = 400
#: The width of one-line rows where there is no terminal to fit into.
_PIPE_CHARACTERS = 200
_INDENT = "    "
_BAR_CELLS = 6
_SEVERITY_STYLES = {"fatal": "bold red", "error": "red", "warn": "yellow"}
#: A pattern's time says nothing.
_LEADING_TIME = re.compile(r"[\[(]?<time>[\])]?\s*")
_MARK_STYLE = "bold underline yellow"


@dataclass(frozen=True, slots=True)
class PrecedentView:
    """How to show precedents: the words that were asked, in which zone, how much.

    `words` are empty where an event or pasted lines were asked: all of a hit would be bright.
    """

    words: str = ""
    quoted: tuple[str, ...] = ()
    zone: tzinfo | None = None
    is_full: bool = False
    now_ns: int = field(default_factory=time.time_ns)


class PrecedentPrinter:
    """Prints precedents to one console."""

    def __init__(self, console: Console, view: PrecedentView) -> None:
        self._console = console
        self._view = view
        self._width = console.width if console.is_terminal else _PIPE_CHARACTERS

    def print_precedent(self, rank: int, precedent: Precedent, *, best: float) -> None:
        """Prints one; `best` is the highest score of the answer, which fills the bar."""
        self._line(self._headline(rank, precedent, best))
        shown = len(precedent.hits) if self._view.is_full else HITS_SHOWN
        for hit in precedent.hits[:shown]:
            self._hit(hit)
        if len(precedent.hits) > shown:
            self._more(len(precedent.hits) - shown, "pattern that matched", "patterns that matched")
        self._course(precedent)
        for note in sorted(precedent.notes, key=lambda note: note.after_s):
            self._following(note)
        self._console.print()

    def _headline(self, rank: int, precedent: Precedent, best: float) -> Text:
        line = Text().append(f"{rank:>2}", "bold")
        line.append(f"  {precedent.score:.2f} ", "cyan")
        cells = round(_BAR_CELLS * max(0.0, precedent.score) / best) if best > 0 else 0
        line.append(("=" * cells).ljust(_BAR_CELLS, "."), "cyan")
        span = format_span(precedent.start_ns, precedent.end_ns, self._view.zone)
        line.append(f"  {span}", "bold")
        line.append(f"  {format_age(precedent.start_ns, self._view.now_ns)}", "dim")
        if precedent.asset_label:
            line.append(f"  {visible_line(precedent.asset_label)}=", "dim")
            asset = visible_line(precedent.asset)
            return line.append(f'"{asset}"' if " " in asset else asset, "bold cyan")
        return line.append(f"  {visible_line(precedent.source)}", "dim")

    def _hit(self, hit: Hit) -> None:
        event = hit.occurrences[0].event if hit.occurrences else None
        if event is not None and event.kind is Kind.NOTE:
            self._note(event, Text(_INDENT).append("note    ", "bold blue"))
            return
        line = Text(_INDENT).append("matched ", "dim").append(_times(hit.count), "magenta")
        self._one_line(line, hit.pattern, event)

    def _course(self, precedent: Precedent) -> None:
        matched = {hit.pattern_id for hit in precedent.hits}
        steps = [step for step in precedent.course if step.pattern_id not in matched]
        shown = len(steps) if self._view.is_full else COURSE_SHOWN
        # What tells most is kept, in the order of time.
        telling = sorted(steps, key=lambda step: -step.unusual)[:shown]
        is_first = True
        for step in steps:
            if step in telling:
                self._step(step, "course  " if is_first else "        ")
                is_first = False
        if len(steps) > shown:
            self._more(len(steps) - shown, "unusual pattern", "unusual patterns")

    def _step(self, step: CourseStep, name: str) -> None:
        when = format_time(step.first_seen_ns, self._view.zone)[11:19]
        line = Text(_INDENT).append(f"{name}{when}  ", "dim").append(_times(step.count))
        self._one_line(line, step.pattern, step.example.event)

    def _following(self, note: FollowingNote) -> None:
        line = Text(_INDENT).append(f"then, {_later(note.after_s)}: ", "bold green")
        self._note(note.note.event, line)

    def _note(self, event: Event, line: Text) -> None:
        """The note behind the start of its line, and what was done on a line of its own."""
        labels = dict(event.labels)
        about = [visible_line(labels[n]) for n in ("author", "work_order") if labels.get(n)]
        line.append(", ".join([format_time(event.time_ns, self._view.zone)[:16], *about]), "dim")
        self._line(line)
        text, _, action = event.text.partition(ACTION_PREFIX)
        for part in filter(None, self._cut(text.strip()).split("\n")):
            self._wrapped(self._marked(visible(part)))
        if action:
            done = Text("action taken: ", "bold green")
            self._wrapped(done.append_text(self._marked(visible(self._cut(action.strip())))))

    def _cut(self, text: str) -> str:
        if self._view.is_full or len(text) <= NOTE_CHARACTERS:
            return text
        return f"{text[:NOTE_CHARACTERS]} [... {grouped(len(text) - NOTE_CHARACTERS)} characters]"

    def _one_line(self, line: Text, pattern: str, example: Event | None) -> None:
        """The line with as much of the pattern as fits, or all of an example."""
        severity = dict(example.labels).get("severity", "") if example is not None else ""
        text = example.text if self._view.is_full and example is not None else pattern
        shown = self._marked(visible_line(_LEADING_TIME.sub("", text.strip())))
        shown.stylize_before(_SEVERITY_STYLES.get(severity, ""))
        if not self._view.is_full:
            shown.truncate(max(20, self._width - line.cell_len), overflow="crop")
        self._line(line.append_text(shown))

    def _marked(self, text: str) -> Text:
        shown = Text(text)
        for mark in marks_of(self._view.words, text, (), self._view.quoted):
            shown.stylize(_MARK_STYLE, mark.start, mark.end)
        return shown

    def _wrapped(self, text: Text) -> None:
        indent = _INDENT * 3
        if not self._console.is_terminal:
            self._line(Text(indent).append_text(text))
            return
        for part in text.wrap(self._console, max(20, self._width - len(indent))):
            part.rstrip()
            self._line(Text(indent).append_text(part))

    def _more(self, count: int, one: str, many: str) -> None:
        self._line(
            Text(f"{_INDENT}        and {grouped(count)} more {one if count == 1 else many}", "dim")
        )

    def _line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


def _times(count: int) -> str:
    return f"x{grouped(count)}".ljust(6)


def _later(after_s: float) -> str:
    """How long after an incident began, in the unit that people would say it in."""
    if after_s < 60:
        return "at once"
    if after_s < 90 * 60:
        return f"{after_s / 60:.0f} min later"
    if after_s < 2 * 86_400:
        return f"{after_s / 3_600:.0f} h later"
    return f"{after_s / 86_400:.0f} days later"


def precedent_to_json(rank: int, precedent: Precedent) -> dict[str, Json]:
    """Returns one precedent, as docs/CLI_JSON.md states."""
    return {
        "rank": rank,
        "score": rounded(precedent.score),
        "asset_label": precedent.asset_label,
        "asset": precedent.asset,
        "source": precedent.source,
        **time_to_json("start", precedent.start_ns),
        **time_to_json("end", precedent.end_ns),
        "events": precedent.events,
        "hits": [hit_to_json(at, hit, "") for at, hit in enumerate(precedent.hits, 1)],
        "course": [_step_to_json(step) for step in precedent.course],
        "notes": [
            {
                "after_s": rounded(note.after_s),
                "score": rounded(note.score),
                "note": occurrence_to_json(note.note),
            }
            for note in precedent.notes
        ],
    }


def _step_to_json(step: CourseStep) -> dict[str, Json]:
    return {
        "pattern_id": step.pattern_id,
        "pattern": step.pattern,
        "count": step.count,
        **time_to_json("first_seen", step.first_seen_ns),
        "unusual": rounded(step.unusual),
        "example": occurrence_to_json(step.example),
    }
