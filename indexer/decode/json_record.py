"""JSON records: one object, an array of objects, or a line for each object; each becomes an
event.

Every object goes to the format that its own form shows: OTLP, CloudEvents, a note, or the field
names of log shippers. In automatic detection, what is not JSON after all is text.
"""

from __future__ import annotations

from collections.abc import Callable

from dejalog.indexer.decode import cloudevents, json_object, note, otlp
from dejalog.indexer.decode.draft import Draft, Items, Refusal
from dejalog.indexer.decode.fields import as_text
from dejalog.indexer.decode.json_object import Reading
from dejalog.indexer.decode.json_value import parse

#: Decodes one part that is not an object of a JSON record.
ReadText = Callable[[str], Draft | Refusal]
#: Decodes one JSON object; the second argument is its text, or "" if that is not known.
ReadObject = Callable[[dict[str, object], str], Items]


class JsonReader:
    """Reads JSON objects; `read_data` decodes what an envelope holds, None leaves it closed."""

    def __init__(self, reading: Reading, read_data: cloudevents.ReadData | None) -> None:
        self._reading = reading
        self._read_data = read_data

    def read_object(self, value: dict[str, object], raw: str) -> Items:
        """Return the drafts of an object of whatever form."""
        if "resourceLogs" in value or "resource_logs" in value:
            return otlp.read_json(value, self._reading)
        if self._read_data and cloudevents.is_envelope(value):
            return cloudevents.read_structured(value, self._reading, self._read_data)
        if note.is_note(value):
            return [note.read(value, self._reading)]
        return [json_object.read(value, raw, self._reading)]

    def read_note(self, value: dict[str, object], _: str) -> Items:
        """Return the draft of an object that is known to be a note."""
        return [note.read(value, self._reading)]

    def read_otlp(self, value: dict[str, object], raw: str) -> Items:
        """Return the drafts of an object that is known to be OTLP/JSON."""
        if "resourceLogs" in value or "resource_logs" in value:
            return otlp.read_json(value, self._reading)
        return [Refusal("bad-otlp", "no resourceLogs in the JSON object", raw.encode())]

    def read_envelope(self, value: dict[str, object], raw: str) -> Items:
        """Return the drafts of an object that is known to be a CloudEvent."""
        if self._read_data and cloudevents.is_envelope(value):
            return cloudevents.read_structured(value, self._reading, self._read_data)
        detail = "the JSON object lacks one of specversion, id, source and type"
        return [Refusal("bad-cloudevent", detail, raw.encode())]


def read(data: bytes, text: str, read_object: ReadObject, *, count_max: int) -> Items:
    """Return the drafts of a record that is said to be JSON; what is not is refused.

    Reading stops once there are more than `count_max`.
    """
    value = parse(data)
    if not isinstance(value, Refusal):
        return _read_value(value, text, read_object, _refuse_scalar, count_max)
    lines = _lines(text)
    if (
        len(lines) < 2
        or value.reason != "bad-json"
        or isinstance(parse(lines[0].encode()), Refusal)
    ):
        return [value]
    items: Items = []
    for line in lines:
        inner = parse(line.encode())
        if isinstance(inner, Refusal):
            items.append(inner)
        else:
            items += _read_value(inner, line, read_object, _refuse_scalar, count_max)
        if len(items) > count_max:
            break
    return items


def read_if_json(
    data: bytes, text: str, read_object: ReadObject, read_text: ReadText, *, count_max: int
) -> Items | None:
    """Return the drafts of a record that looks like JSON, or None if it is text after all.

    Among lines of JSON, other lines (a stack trace printed beneath) are events of their own.
    """
    value = parse(data)
    if isinstance(value, dict) or (isinstance(value, list) and _has_object(value)):
        return _read_value(value, text, read_object, read_text, count_max)
    if not isinstance(value, Refusal):
        return None
    if value.reason != "bad-json":
        return [value]
    lines = _lines(text)
    if len(lines) < 2 or not isinstance(parse(lines[0].encode()), dict):
        return None
    items: Items = []
    other: list[str] = []
    for line in lines:
        inner = parse(line.encode()) if line.lstrip()[:1] == "{" else None
        if not isinstance(inner, dict):
            other.append(line)
            continue
        _flush(other, items, read_text)
        items += read_object(inner, line)
        if len(items) > count_max:
            break
    _flush(other, items, read_text)
    return items


def _flush(other: list[str], items: Items, read_text: ReadText) -> None:
    if other:
        items.append(read_text("\n".join(other)))
        other.clear()


def _read_value(
    value: object, text: str, read_object: ReadObject, read_text: ReadText, count_max: int
) -> Items:
    if isinstance(value, dict):
        return read_object(value, text)
    if not isinstance(value, list):
        return [_read_scalar(value, read_text)]
    items: Items = []
    for element in value:
        if isinstance(element, dict):
            items += read_object(element, "")
        else:
            items.append(_read_scalar(element, read_text))
        if len(items) > count_max:
            break
    return items or [Refusal("empty", "an empty JSON array", text.encode())]


def _read_scalar(value: object, read_text: ReadText) -> Draft | Refusal:
    shown = as_text(value)
    return read_text(shown) if shown.strip() else Refusal("empty", "an empty string", b'""')


def _refuse_scalar(text: str) -> Refusal:
    return Refusal("bad-json", "neither a JSON object nor an array of objects", text.encode())


def _has_object(value: list[object]) -> bool:
    return any(isinstance(element, dict) for element in value)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]
