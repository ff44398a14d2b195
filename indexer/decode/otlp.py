"""OpenTelemetry logs, protobuf and JSON: one record holds many log records, each becomes an
event.

OTLP/JSON differs from protobuf's own JSON in the ids: they are written in hexadecimal, where
protobuf would read base64 and make 24 bytes of 16 without complaint (OTLP specification, "JSON
Protobuf Encoding"). So the ids are rewritten before protobuf sees them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from dejalog.indexer.decode import severity
from dejalog.indexer.decode.draft import Draft, Items, Refusal
from dejalog.indexer.decode.fields import FieldSet
from dejalog.indexer.decode.json_object import MESSAGE_NAMES, STACK_NAMES, Reading
from dejalog.indexer.decode.json_value import flatten, write
from dejalog.indexer.decode.text import strip_newline

#: Resource attributes are labels, save these: they change with every start of a process.
_VOLATILE = ("process.", "telemetry.", "os.")
_VOLATILE_ENDS = (".uid", "service.instance.id", "container.id", "host.id", ".image.id")
# Ids in base64, as protobuf's own JSON has them, end in "=" and are left to protobuf.
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
#: What an attribute like `exception.message` says where the body is empty.
_BODY_NAMES = ("exception.message", "message", "event.name")


def is_logs_data(data: bytes) -> bool:
    """Tell whether `data` has the outer form of LogsData: nothing but fields 1, to the end."""
    at = 0
    while at < len(data):
        if data[at] != 0x0A:
            return False
        at += 1
        length = 0
        for shift in range(0, 35, 7):  # a varint of at most 5 bytes: lengths below 2 GiB
            if at >= len(data):
                return False
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        at += length
    return at == len(data) and at > 0


def read_proto(data: bytes, reading: Reading) -> Items:
    """Return the drafts of a LogsData (ExportLogsServiceRequest) message."""
    try:
        logs = LogsData.FromString(data)
    except DecodeError as error:
        return [Refusal("bad-otlp", f"not an OTLP logs message: {error}", data)]
    items: Items = []
    for resource_logs in logs.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            for log in scope_logs.log_records:
                items.append(_draft(log, resource_logs.resource, scope_logs.scope, reading))
                if len(items) > reading.settings.events_per_record_max:
                    return items
    return items or [Refusal("empty", "an OTLP message without log records", data)]


def read_json(value: dict[str, object], reading: Reading) -> Items:
    """Return the drafts of an OTLP/JSON object; a log record that is malformed is refused alone."""
    items: Items = []
    for resource_logs in _objects(value, "resourceLogs", "resource_logs"):
        try:
            resource = Resource()
            ParseDict(_object(resource_logs, "resource"), resource, ignore_unknown_fields=True)
        except (ParseError, RecursionError) as error:
            items.append(_bad(resource_logs, error))
            continue
        for scope_logs in _objects(resource_logs, "scopeLogs", "scope_logs"):
            items += _read_scope(scope_logs, resource, reading)
            if len(items) > reading.settings.events_per_record_max:
                return items
    if items:
        return items
    return [Refusal("empty", "an OTLP message without log records", write(value).encode())]


def _read_scope(scope_logs: dict[str, object], resource: Resource, reading: Reading) -> Items:
    items: Items = []
    scope = InstrumentationScope()
    try:
        ParseDict(_object(scope_logs, "scope"), scope, ignore_unknown_fields=True)
    except (ParseError, RecursionError) as error:
        return [_bad(scope_logs, error)]
    for log in _objects(scope_logs, "logRecords", "log_records"):
        try:
            parsed = ParseDict(_with_base64_ids(log), LogRecord(), ignore_unknown_fields=True)
        except (ParseError, ValueError, RecursionError) as error:
            items.append(_bad(log, error))
        else:
            items.append(_draft(parsed, resource, scope, reading))
        if len(items) > reading.settings.events_per_record_max:
            break
    return items


def _objects(parent: dict[str, object], camel: str, snake: str) -> Iterator[dict[str, object]]:
    children = parent.get(camel, parent.get(snake))
    if isinstance(children, list):
        for child in children:
            # What is no object is refused further down, as an object without content.
            yield child if isinstance(child, dict) else {"": child}


def _object(parent: dict[str, object], name: str) -> dict[str, object]:
    child = parent.get(name)
    if child is None or isinstance(child, dict):
        return child or {}
    raise ParseError(f"{name} is no object")


def _with_base64_ids(log: dict[str, object]) -> dict[str, object]:
    fixed = dict(log)
    for name in ("traceId", "spanId", "trace_id", "span_id"):
        written = fixed.get(name)
        if isinstance(written, str) and _HEX.fullmatch(written):
            fixed[name] = b64encode(bytes.fromhex(written)).decode()
    return fixed


def _bad(value: dict[str, object], error: Exception) -> Refusal:
    return Refusal("bad-otlp", f"not OTLP/JSON: {error}", write(value).encode())


def _draft(
    log: LogRecord, resource: Resource, scope: InstrumentationScope, reading: Reading
) -> Draft | Refusal:
    fields = FieldSet(reading.settings)
    attributes = _plain_pairs(log.attributes)
    text = _text(log, attributes, fields)
    if not text.strip():
        return Refusal("empty", "a log record without body or attributes", log.SerializeToString())
    draft = Draft(strip_newline(text), fields=fields)
    written_ns = log.time_unix_nano or log.observed_time_unix_nano
    if written_ns:
        draft.time_ns, draft.time_written = written_ns, str(written_ns)
    _set_severity(draft, log, fields)
    _add_resource(fields, _plain_pairs(resource.attributes))
    if scope.name:
        fields.add_label("logger", scope.name, "scope.name")
    if log.event_name:
        fields.add_label("event_name", log.event_name)
    for name, value in flatten(attributes).items():
        fields.add(name, value)
    if log.trace_id:
        fields.add_attribute("trace_id", log.trace_id.hex())
    if log.span_id:
        fields.add_attribute("span_id", log.span_id.hex())
    return draft


def _text(log: LogRecord, attributes: dict[str, object], fields: FieldSet) -> str:
    """Return the body as text, with the stack trace if an attribute has one."""
    body = plain(log.body)
    text = ""
    if isinstance(body, dict):
        flat = flatten(body)
        name = next((name for name in MESSAGE_NAMES if isinstance(flat.get(name), str)), "")
        text = str(flat.pop(name)) if name else write(body)
        for rest, value in flat.items() if name else ():
            fields.add(rest, value)
    elif body is not None:
        text = body if isinstance(body, str) else write(body)
    if not text.strip():
        found = next((attributes[name] for name in _BODY_NAMES if attributes.get(name)), None)
        text = str(found or log.event_name) or (write(attributes) if attributes else "")
    for name in STACK_NAMES:
        stack = attributes.get(name)
        if isinstance(stack, str) and stack not in text:
            del attributes[name]
            return f"{strip_newline(text)}\n{stack}"
    return text


def _set_severity(draft: Draft, log: LogRecord, fields: FieldSet) -> None:
    word = log.severity_text
    draft.severity = severity.of_otel(log.severity_number) or severity.of_word(word)
    if not draft.severity:
        draft.severity = severity.in_text(draft.text, 0, is_timed=False)
    if word and word.lower() != draft.severity:
        fields.add_attribute("severity.written", word)


def _add_resource(fields: FieldSet, attributes: dict[str, object]) -> None:
    for name, value in flatten(attributes).items():
        if name.startswith(_VOLATILE) or name.endswith(_VOLATILE_ENDS):
            fields.add_attribute(name, value)
        else:
            fields.add_resource(name, value)


def plain(value: AnyValue) -> object:
    """Return an AnyValue as a Python value; bytes as text, or in hexadecimal if they are none."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return _plain_pairs(value.kvlist_value.values)
        case "bytes_value":
            try:
                return value.bytes_value.decode()
            except UnicodeDecodeError:
                return value.bytes_value.hex()
        case kind:
            scalar: object = getattr(value, kind)
            return scalar


def _plain_pairs(pairs: Iterable[KeyValue]) -> dict[str, object]:
    """Return the pairs as a dict; of a key that comes twice the second gets a number."""
    found: dict[str, object] = {}
    seen: Counter[str] = Counter()
    for pair in pairs:
        seen[pair.key] += 1
        key = pair.key if seen[pair.key] == 1 else f"{pair.key}#{seen[pair.key]}"
        found[key] = plain(pair.value)
    return found
