"""What a format makes of a record, before it is an event: drafts and refusals.

A format reads text, time, severity and fields. Turning a draft into an event is the same for all
formats and done here: the time is checked, the record's labels are merged, everything is sorted.
"""

from __future__ import annotations

from dataclasses import dataclass

from dejalog.indexer.decode.fields import FieldSet
from dejalog.indexer.decode.settings import DecodeSettings
from dejalog.indexer.decode.timestamp import TimestampReader
from dejalog.indexer.event import DeadLetter, Event, Kind, Labels, Record, TimeOrigin

#: Attribute that keeps a time which an event states and which cannot be right.
TIME_WRITTEN = "time.written"
#: A stream has few combinations of record labels and severity; the bound stops a hostile one.
_LABELS_KEPT_MAX = 1024


@dataclass(slots=True)
class Draft:
    """An event as far as its format tells it.

    `time_ns` is None where the format found no time; `time_written` is what it says instead, if
    anything.
    """

    text: str
    time_ns: int | None = None
    time_written: str = ""
    severity: str = ""
    kind: Kind = Kind.LOG
    fields: FieldSet | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part of a record that cannot become an event, and why."""

    reason: str
    detail: str
    data: bytes
    size_bytes: int = -1


#: What a format makes of one record, in the order of the record.
Items = list[Draft | Refusal]


class Finisher:
    """Turns drafts into events and refusals into dead letters."""

    def __init__(self, settings: DecodeSettings, times: TimestampReader) -> None:
        self._settings = settings
        self._times = times
        self._plain_kept: dict[tuple[Labels, str], tuple[Labels, Labels]] = {}

    def event(self, draft: Draft, record: Record, sub: int) -> Event:
        """Return the event of `draft`; an impossible time becomes the attribute `time.written`."""
        received_ns = record.received_at_ns
        time_ns, origin, written = draft.time_ns, TimeOrigin.EVENT, ""
        if time_ns is None or not self._times.is_plausible(time_ns, received_ns):
            written = draft.time_written
            time_ns, origin = received_ns, TimeOrigin.RECEIVED
        fields = draft.fields
        if fields is None and not written:
            labels, attributes = self._plain(record.labels, draft.severity)
        else:
            fields = fields or FieldSet(self._settings)
            if written:
                fields.add_attribute(TIME_WRITTEN, written)
            if draft.severity:
                fields.add_label("severity", draft.severity)
            fields.merge(record.labels)
            labels, attributes = fields.labels(), fields.attributes()
        return Event(
            record.kind or draft.kind,
            time_ns,
            origin,
            draft.text,
            record.source,
            record.partition,
            record.offset,
            sub,
            labels,
            attributes,
        )

    def dead_letter(self, refusal: Refusal, record: Record, sub: int) -> DeadLetter:
        """Return the dead letter of `refusal`, with the first bytes of what was refused."""
        return DeadLetter(
            reason=refusal.reason,
            detail=refusal.detail,
            data=bytes(refusal.data[: self._settings.dead_letter_bytes_max]),
            size_bytes=refusal.size_bytes if refusal.size_bytes >= 0 else len(refusal.data),
            received_at_ns=record.received_at_ns,
            source=record.source,
            partition=record.partition,
            offset=record.offset,
            sub=sub,
            key=record.key,
            headers=record.headers,
        )

    def _plain(self, record_labels: Labels, severity: str) -> tuple[Labels, Labels]:
        key = (record_labels, severity)
        kept = self._plain_kept.get(key)
        if kept is None:
            fields = FieldSet(self._settings)
            if severity:
                fields.add_label("severity", severity)
            fields.merge(record_labels)
            kept = fields.labels(), fields.attributes()
            if len(self._plain_kept) >= _LABELS_KEPT_MAX:
                self._plain_kept.clear()
            self._plain_kept[key] = kept
        return kept
