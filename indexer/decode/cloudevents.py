"""CloudEvents 1.0: an envelope around data, as one JSON object or as Kafka headers (`ce_*`).

The data is decoded like a record of its own, by its content type. The envelope's time serves
where the data states none; its source, type and subject become labels, its id and extensions
attributes, under the names that OpenTelemetry gives them.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable

from dejalog.indexer.decode import time_field
from dejalog.indexer.decode.draft import Draft, Items, Refusal
from dejalog.indexer.decode.fields import FieldSet
from dejalog.indexer.decode.json_object import Reading
from dejalog.indexer.decode.json_value import write

#: Decodes the bytes of the data: (bytes, content type) -> items.
ReadData = Callable[[bytes, str], Items]

_REQUIRED = ("specversion", "id", "source", "type")
_LABELS = {"source": "event_source", "type": "event_type", "subject": "event_subject"}
_NOT_SHOWN = frozenset(("specversion", "data", "data_base64", "datacontenttype", "time"))
_PREFIX = "ce_"


def is_envelope(value: dict[str, object]) -> bool:
    """Tell whether a JSON object has the four attributes that every CloudEvent has."""
    return all(isinstance(value.get(name), str) for name in _REQUIRED)


def from_headers(headers: dict[str, str]) -> dict[str, object] | None:
    """Return the envelope that a record's headers hold, or None if they hold none."""
    if "ce_specversion" not in headers:
        return None
    return {
        name.removeprefix(_PREFIX): value
        for name, value in headers.items()
        if name.startswith(_PREFIX)
    }


def read_structured(value: dict[str, object], reading: Reading, read_data: ReadData) -> Items:
    """Return the drafts of an envelope with its data inside."""
    content_type = str(value.get("datacontenttype") or "")
    encoded, data = value.get("data_base64"), value.get("data")
    if isinstance(encoded, str):
        try:
            body = b64decode(encoded, validate=True)
        except (Base64Error, ValueError) as error:
            return [Refusal("bad-cloudevent", f"data_base64: {error}", write(value).encode())]
    elif isinstance(data, str):
        body = data.encode()
        content_type = content_type if "json" not in content_type else ""
    elif data is not None:
        body, content_type = write(data).encode(), "application/json"
    else:
        body = b""
    return read_binary(value, body, reading, lambda: read_data(body, content_type))


def read_binary(
    envelope: dict[str, object], body: bytes, reading: Reading, read_body: Callable[[], Items]
) -> Items:
    """Return the drafts of `body`, each with the envelope's time, labels and attributes."""
    if body.strip():
        items = read_body()
    else:
        # An event may be all in its type and subject ("door opened").
        said = [str(envelope[name]) for name in ("type", "subject") if envelope.get(name)]
        items = [Draft(" ".join(said))] if said else []
    if not items:
        return [Refusal("empty", "a CloudEvent without data and type", write(envelope).encode())]
    for item in items:
        if isinstance(item, Draft):
            _add_envelope(item, envelope, reading)
    return items


def _add_envelope(draft: Draft, envelope: dict[str, object], reading: Reading) -> None:
    written = envelope.get("time")
    if draft.time_ns is None and isinstance(written, str) and written:
        draft.time_ns = time_field.read(written, reading.received_ns, reading.times)
        draft.time_written = draft.time_written or written
    draft.fields = draft.fields or FieldSet(reading.settings)
    for name, value in envelope.items():
        if name in _LABELS:
            draft.fields.add_label(_LABELS[name], value)
        elif name == "id":
            draft.fields.add_attribute("event_id", value)
        elif name not in _NOT_SHOWN:
            draft.fields.add(name, value)
