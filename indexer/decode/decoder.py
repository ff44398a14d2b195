"""Records to events: detects each encoding and accounts for every byte that cannot be read.

`decode` never raises. Every record gives at least one event or dead letter:

1. A record with a fault, an oversized or a blank one is a dead letter.
2. The encoding is the record's own, else that of the settings, else detected from headers and
   bytes.
3. The format makes drafts and refusals; they are numbered in order and finished as events and
   dead letters. Events beyond the bound of one record become one dead letter together.
"""

from __future__ import annotations

from collections.abc import Sequence

from dejalog.indexer.decode import cloudevents, json_record, otlp, syslog, text
from dejalog.indexer.decode.draft import Draft, Finisher, Items, Refusal
from dejalog.indexer.decode.json_object import Reading
from dejalog.indexer.decode.json_record import JsonReader
from dejalog.indexer.decode.settings import ENCODINGS, DecodeSettings
from dejalog.indexer.decode.timestamp import TimestampReader
from dejalog.indexer.event import DeadLetter, Decoded, Event, Record

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Content type -> encoding; types with a suffix (+json) are found by it.
_CONTENT_TYPES = {
    "text/plain": "text",
    "application/json": "json",
    "application/x-ndjson": "json",
    "application/jsonlines": "json",
    "application/x-protobuf": "otlp_proto",
    "application/protobuf": "otlp_proto",
}


class Decoder:
    """Decodes records; keeps caches, so use one for each thread."""

    def __init__(self, settings: DecodeSettings = DecodeSettings()) -> None:  # noqa: B008
        self._settings = settings
        self._times = TimestampReader(settings)
        self._finisher = Finisher(settings, self._times)

    def decode(self, record: Record) -> Decoded:
        """Return what `record` became: at least one event or dead letter, never an error."""
        try:
            items = self._items(record)
            return self._finished(items, record)
        except Exception as error:
            # A fault of ours on bytes nobody thought of: the bytes are kept, the stream goes on.
            detail = f"{type(error).__name__} while decoding: {error}"[:512]
            return self._dead(record, "decode-failed", detail)

    def _items(self, record: Record) -> Items:
        data = record.data
        size = record.size_bytes if record.size_bytes >= 0 else len(data)
        if record.fault:
            detail = record.fault_detail or f"the source reported: {record.fault}"
            return [Refusal(record.fault, detail, data, size)]
        if max(size, len(data)) > self._settings.record_bytes_max:
            detail = f"{size} bytes, the bound is {self._settings.record_bytes_max}"
            return [Refusal("oversized", detail, data, size)]
        encoding = record.encoding if record.encoding != "auto" else self._settings.encoding
        if encoding == "auto" and not record.headers and data[:1].isdigit():
            return self._text(data, record)  # most lines of most logs
        headers = _headers(record.headers)
        envelope = cloudevents.from_headers(headers)
        if envelope is not None and encoding in ("auto", "cloudevents"):
            reading = Reading(self._settings, self._times, record.received_at_ns)
            content_type = headers.get("content-type", "")
            return cloudevents.read_binary(
                envelope,
                data,
                reading,
                lambda: self._typed(data, content_type, record, is_inner=True),
            )
        if encoding != "auto":
            return self._read(data, encoding, record)
        return self._typed(data, headers.get("content-type", ""), record)

    def _typed(
        self, data: bytes, content_type: str, record: Record, *, is_inner: bool = False
    ) -> Items:
        """Decode `data` by its content type, or by its first bytes if that says nothing."""
        kind = content_type.partition(";")[0].strip().lower()
        encoding = _CONTENT_TYPES.get(kind, "json" if kind.endswith("+json") else "auto")
        return self._read(data, encoding, record, is_inner=is_inner)

    def _read(self, data: bytes, encoding: str, record: Record, *, is_inner: bool = False) -> Items:
        if not data or data.isspace():
            return [Refusal("empty", "nothing but white space", data)]
        if encoding == "otlp_proto" or (encoding == "auto" and otlp.is_logs_data(data)):
            items = otlp.read_proto(data, self._reading(record))
            if encoding != "auto" or any(isinstance(item, Draft) for item in items):
                return items
        if encoding in ("auto", "syslog", "text"):
            return self._text(data, record, encoding, is_inner=is_inner)
        if encoding not in ENCODINGS:
            known = ", ".join(ENCODINGS)
            return [Refusal("unknown-encoding", f"{encoding!r} is none of {known}", data)]
        data = data.removeprefix(_BYTE_ORDER_MARK)
        decoded = _utf8(data)
        if isinstance(decoded, Refusal):
            return [decoded]
        reader = self._json_reader(record, is_inner=is_inner)
        read_object = {
            "note": reader.read_note,
            "otlp_json": reader.read_otlp,
            "cloudevents": reader.read_envelope,
        }.get(encoding, reader.read_object)
        return json_record.read(
            data, decoded, read_object, count_max=self._settings.events_per_record_max
        )

    def _text(
        self, data: bytes, record: Record, encoding: str = "auto", *, is_inner: bool = False
    ) -> Items:
        line = _utf8(data)
        if isinstance(line, Refusal):
            return [line]
        if not line.strip():  # Unicode has more white space than bytes have
            return [Refusal("empty", "nothing but white space", data)]
        if encoding == "auto":
            start = line.lstrip("\ufeff \t\r\n")[:1]
            if start in ("{", "["):
                clean = data.removeprefix(_BYTE_ORDER_MARK)
                items = json_record.read_if_json(
                    clean,
                    line.removeprefix("\ufeff"),
                    self._json_reader(record, is_inner=is_inner).read_object,
                    lambda other: self._line(other, record),
                    count_max=self._settings.events_per_record_max,
                )
                if items is not None:
                    return items
            if start == "<" and syslog.PRIORITY.match(line):
                encoding = "syslog"
        if encoding == "syslog":
            return [syslog.read(line, self._reading(record))]
        return [self._line(line, record)]

    def _line(self, line: str, record: Record) -> Draft:
        return text.read(line, record.received_at_ns, self._times, self._settings)

    def _reading(self, record: Record) -> Reading:
        return Reading(self._settings, self._times, record.received_at_ns)

    def _json_reader(self, record: Record, *, is_inner: bool) -> JsonReader:
        """Return a reader that opens envelopes, save within one: nesting costs a parse a level."""
        return JsonReader(
            self._reading(record),
            None
            if is_inner
            else lambda data, content: self._typed(data, content, record, is_inner=True),
        )

    def _finished(self, items: Items, record: Record) -> Decoded:
        finisher = self._finisher
        if len(items) == 1 and isinstance(items[0], Draft):
            return Decoded((finisher.event(items[0], record, 0),))
        bound = self._settings.events_per_record_max
        if len(items) > bound:
            detail = f"the record holds more than {bound} events; those were kept"
            items = [*items[:bound], Refusal("too-many-events", detail, record.data)]
        events: list[Event] = []
        dead_letters: list[DeadLetter] = []
        for sub, item in enumerate(items):
            if isinstance(item, Draft):
                events.append(finisher.event(item, record, sub))
            else:
                dead_letters.append(finisher.dead_letter(item, record, sub))
        if not events and not dead_letters:
            return self._dead(record, "empty", "the record holds no event")
        return Decoded(tuple(events), tuple(dead_letters))

    def _dead(self, record: Record, reason: str, detail: str) -> Decoded:
        refusal = Refusal(reason, detail, record.data, record.size_bytes)
        return Decoded((), (self._finisher.dead_letter(refusal, record, 0),))


def _headers(headers: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Return the headers by lower-case name; CloudEvents names the content type in one as well."""
    found = {name.lower(): value.decode(errors="backslashreplace") for name, value in headers}
    if "content-type" not in found and "content_type" in found:
        found["content-type"] = found["content_type"]
    return found


def _utf8(data: bytes) -> str | Refusal:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        shown = data[error.start : error.start + 1].hex()
        return Refusal("not-utf8", f"byte {error.start} (0x{shown}): {error.reason}", data)
