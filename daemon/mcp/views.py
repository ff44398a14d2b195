"""What tools answer: the same things as data, with a schema, and as text.

All text that comes from the index is cut, and characters that steer a terminal or hide text are
spelled out. Each line of it is set off with a bar, so that no event can pass for the answer itself.
Times are RFC 3339 with an offset; event numbers are strings, as they have 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import tzinfo

import msgspec

from dejalog.daemon.excerpt import grouped, visible, visible_line
from dejalog.daemon.human_time import format_age, format_time
from dejalog.indexer.answer import CourseStep, FollowingNote, PatternSummary, Precedent
from dejalog.indexer.hit import Hit, Occurrence


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is shown of each event: bytes of UTF-8, and numbers of labels and of parts."""

    text_bytes: int
    label_bytes: int
    labels: int
    parts: int


#: From the most to the least. With the last one an incident takes 10 KB at worst.
DETAILS = (Detail(1_200, 120, 16, 8), Detail(400, 60, 8, 8), Detail(160, 30, 4, 4))


class EventView(msgspec.Struct, frozen=True):
    """One event."""

    event_id: str
    time: str
    kind: str
    source: str
    labels: dict[str, str]
    text: str
    is_cut: bool


class HitView(msgspec.Struct, frozen=True):
    """A pattern with events of it; `count` are those that passed the filters.

    `reranked` is what a reranking model gave, by which hits are ordered before all others.
    """

    rank: int
    score: float
    reranked: float | None
    count: int
    first_seen: str
    last_seen: str
    pattern: str
    events: list[EventView]


class StepView(msgspec.Struct, frozen=True):
    """A pattern that was unusual for the asset around an incident."""

    first_seen: str
    count: int
    pattern: str
    event_id: str


class NoteView(msgspec.Struct, frozen=True):
    """A maintenance note after an incident began, `after_s` seconds later."""

    after_s: float
    event: EventView


class IncidentView(msgspec.Struct, frozen=True):
    """An earlier incident on one asset."""

    rank: int
    score: float
    asset: str
    start: str
    end: str
    events: int
    hits: list[HitView]
    course: list[StepView]
    notes: list[NoteView]


class PatternView(msgspec.Struct, frozen=True):
    """A pattern and how often it occurred."""

    count: int
    first_seen: str
    last_seen: str
    first_ever: str
    pattern: str
    event_id: str


class Viewer:
    """Makes views in one zone (None: the system's own) and one amount of detail."""

    def __init__(self, zone: tzinfo | None, detail: Detail) -> None:
        self._zone = zone
        self._detail = detail

    def time(self, time_ns: int) -> str:
        """Returns `2022-08-22T07:18:16.154+02:00`."""
        shown = format_time(time_ns, self._zone)
        date, clock, offset = shown.split(" ")
        return f"{date}T{clock}{offset}"

    def event(self, occurrence: Occurrence) -> EventView:
        """Returns a view of one event."""
        event, detail = occurrence.event, self._detail
        whole = event.text.strip("\n")
        # Of a huge text no more is looked at than can be shown.
        start = visible(whole[: detail.text_bytes + 1])
        text = cut(start, detail.text_bytes)
        names = sorted(event.labels, key=lambda label: (label[0] != "severity", label[0]))
        return EventView(
            event_id=str(occurrence.event_id),
            time=self.time(event.time_ns),
            kind=event.kind.name.lower(),
            source=self._label(event.source),
            labels={self._label(n): self._label(v) for n, v in names[: detail.labels]},
            text=text,
            is_cut=text != start or len(whole) > detail.text_bytes,
        )

    def hit(self, rank: int, hit: Hit) -> HitView:
        """Returns a view of a hit."""
        return HitView(
            rank=rank,
            score=round(hit.scores.total, 4),
            reranked=None if hit.scores.reranked is None else round(hit.scores.reranked, 4),
            count=hit.count,
            first_seen=self.time(hit.first_seen_ns),
            last_seen=self.time(hit.last_seen_ns),
            pattern=self._pattern(hit.pattern),
            events=[self.event(each) for each in hit.occurrences],
        )

    def incident(self, rank: int, found: Precedent) -> IncidentView:
        """Returns a view of an earlier incident."""
        asset = f"{found.asset_label}={found.asset}" if found.asset_label else found.source
        parts = self._detail.parts
        return IncidentView(
            rank=rank,
            score=round(found.score, 4),
            asset=self._label(asset),
            start=self.time(found.start_ns),
            end=self.time(found.end_ns),
            events=found.events,
            hits=[self.hit(number, hit) for number, hit in enumerate(found.hits[:parts], 1)],
            course=[self._step(step) for step in found.course[:parts]],
            notes=[self._note(note) for note in found.notes[:parts]],
        )

    def pattern(self, found: PatternSummary) -> PatternView:
        """Returns a view of a pattern."""
        return PatternView(
            count=found.count,
            first_seen=self.time(found.first_seen_ns),
            last_seen=self.time(found.last_seen_ns),
            first_ever=self.time(found.first_ever_ns),
            pattern=self._pattern(found.pattern),
            event_id=str(found.example.event_id),
        )

    def _step(self, step: CourseStep) -> StepView:
        return StepView(
            first_seen=self.time(step.first_seen_ns),
            count=step.count,
            pattern=self._pattern(step.pattern),
            event_id=str(step.example.event_id),
        )

    def _note(self, note: FollowingNote) -> NoteView:
        return NoteView(after_s=round(note.after_s, 3), event=self.event(note.note))

    def _pattern(self, pattern: str) -> str:
        return _short(pattern, self._detail.text_bytes)

    def _label(self, value: str) -> str:
        return _short(value, self._detail.label_bytes)


def cut(text: str, size_bytes: int) -> str:
    """Returns the beginning of a text that takes no more than so many bytes of UTF-8."""
    raw = text.encode()
    return text if len(raw) <= size_bytes else raw[:size_bytes].decode(errors="ignore")


def _short(text: str, size_bytes: int) -> str:
    return cut(visible_line(text[:size_bytes]), size_bytes)


def event_text(event: EventView) -> str:
    """Returns an event as lines of text."""
    return "\n".join(_event_lines(event))


def hit_text(hit: HitView) -> str:
    """Returns a hit as lines of text."""
    seen = f"seen {_times(hit.count)}, {_span(hit.first_seen, hit.last_seen)}"
    score = f"{hit.score:.2f}"
    if hit.reranked is not None:
        score += f" (reranked {hit.reranked:.2f})"
    lines = [f"{hit.rank}. score {score}, {seen}"]
    if not hit.events:
        lines += _barred(hit.pattern, is_cut=False)
    return "\n".join([*lines, *(line for event in hit.events for line in _event_lines(event))])


def incident_text(found: IncidentView) -> str:
    """Returns an incident as lines of text: what matched, its course, what followed."""
    lines = [
        f"Incident {found.rank}: {found.asset}, {_span(found.start, found.end)}, "
        f"score {found.score:.2f}, matched {_times(found.events)}"
    ]
    for hit in found.hits:
        lines.append("matched:")
        lines += [line for event in hit.events for line in _event_lines(event)]
    if found.course:
        lines.append("unusual for this asset around it:")
    for step in found.course:
        lines.append(f"- from {step.first_seen}, {_times(step.count)}, as in event {step.event_id}")
        lines += _barred(step.pattern, is_cut=False)
    if not found.notes:
        lines.append("no maintenance note followed")
    for note in found.notes:
        lines.append(f"maintenance note {_after(note.after_s)} it began:")
        lines += _event_lines(note.event)
    return "\n".join(lines)


def pattern_text(found: PatternView) -> str:
    """Returns a pattern as lines of text."""
    seen = f"{_times(found.count)}, {_span(found.first_seen, found.last_seen)}"
    head = f"- {seen}, first ever {found.first_ever}, as in event {found.event_id}"
    return "\n".join([head, *_barred(found.pattern, is_cut=False)])


def _event_lines(event: EventView) -> Iterator[str]:
    labels = "".join(f" {name}={value}" for name, value in event.labels.items())
    yield f"event {event.event_id}, {event.time}, {event.kind} from {event.source}{labels}"
    yield from _barred(event.text, is_cut=event.is_cut)


def _barred(text: str, *, is_cut: bool) -> Iterable[str]:
    lines = [f"  | {line}" for line in text.split("\n")]
    return [*lines, "  [the rest of its text was left out]"] if is_cut else lines


def _after(after_s: float) -> str:
    elapsed = format_age(0, round(abs(after_s) * 1e9)).removesuffix(" ago")
    return f"{elapsed} {'after' if after_s >= 0 else 'before'}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{grouped(count)} times"


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"
