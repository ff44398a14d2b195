"""One JSON object to one draft: Fluent Bit, Vector, ECS, journald, GELF, and whatever is like them.

1. The object is made flat (`host.name`); a message that is itself a JSON object is merged into it.
2. Text, time and severity are taken from the first field that has one, in the order of the tables.
3. The rest becomes labels and attributes by name (`fields`).

Field names are compared without regard to case.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from dejalog.indexer.decode import severity, time_field
from dejalog.indexer.decode.draft import Draft, Refusal
from dejalog.indexer.decode.fields import FieldSet, as_text
from dejalog.indexer.decode.json_value import Flat, flatten, parse, write
from dejalog.indexer.decode.settings import DecodeSettings
from dejalog.indexer.decode.text import strip_newline
from dejalog.indexer.decode.timestamp import TimestampReader

#: Where the text of an event is, the most specific name first.
MESSAGE_NAMES = (
    "message", "msg", "@m", "log", "short_message", "text", "body", "event.original",
    "log_message", "error.message", "exception.message", "alarm_text", "description",
)  # fmt: skip
#: Text that belongs under the message: it is what people search for afterwards.
STACK_NAMES = (
    "error.stack_trace", "exception.stacktrace", "stack_trace", "stacktrace", "stack",
    "exception.stack_trace", "exc_info", "err.stack", "@x",
)  # fmt: skip
TIME_NAMES = (
    "@timestamp", "timestamp", "time", "ts", "@t", "_source_realtime_timestamp",
    "__realtime_timestamp", "datetime", "date", "event.created", "eventtime", "event_time",
    "log_time", "t.$date", "created_at", "asctime",
)  # fmt: skip
SEVERITY_NAMES = (
    "log.level", "level", "severity", "severity_text", "severitytext", "loglevel", "log_level",
    "lvl", "levelname", "@l", "priority", "syslog.severity", "log.syslog.severity.name",
    "log.syslog.severity.code", "severity_number", "severitynumber", "levelno", "log.severity",
)  # fmt: skip
#: A message this long that is itself JSON is data, not a log record in a wrapper.
_INNER_CHARS_MAX = 1 << 18


@dataclass(frozen=True, slots=True)
class Reading:
    """What every format needs besides the record's bytes."""

    settings: DecodeSettings
    times: TimestampReader
    received_ns: int


def read(value: dict[str, object], raw: str, reading: Reading) -> Draft | Refusal:
    """Return the draft of one object; `raw` is its text as written, or "" if that is not known."""
    if not value:
        return Refusal("empty", "a JSON object without fields", raw.encode() or b"{}")
    return read_flat(_unwrapped(flatten(value)), raw or write(value), reading)


def read_flat(flat: Flat, raw: str, reading: Reading) -> Draft | Refusal:
    """Return the draft of the flat fields `flat`, which are used up; `raw` serves if no text is."""
    names = {name.lower(): name for name in reversed(flat)}
    flavour = _flavour(flat, names)
    text = _take_text(flat, names)
    if isinstance(text, Refusal):
        return text
    has_text = bool(text.strip())
    draft = Draft(strip_newline(_with_stack(text, flat, names) if has_text else raw))
    take_time(draft, flat, names, reading)
    level = _take_severity(draft, flat, names, flavour)
    if has_text:
        _read_head(draft, reading)
    draft.fields = _fields(flat, flavour, reading.settings, has_text=has_text)
    if level and level.lower() != draft.severity:
        draft.fields.add_attribute("severity.written", level)
    return draft


def take(flat: Flat, names: dict[str, str], wanted: tuple[str, ...]) -> str:
    """Remove the first of the wanted fields that holds a word or number and return it, or ""."""
    for name in wanted:
        written = names.get(name)
        if written is None or not isinstance(flat.get(written), str | int | Decimal):
            continue
        text = as_text(flat[written])
        if text.strip() and not isinstance(flat[written], bool):
            del flat[written]
            return text
    return ""


def value_of(flat: Flat, names: dict[str, str], name: str) -> object:
    """Return the value of the field `name` (lower case), or None."""
    written = names.get(name)
    return None if written is None else flat.get(written)


def _unwrapped(flat: Flat) -> Flat:
    """Merge an object that is the message, as container runtimes wrap what programs log as JSON."""
    for name in ("log", "message", "MESSAGE", "msg"):
        text = flat.get(name)
        if not isinstance(text, str) or not text.startswith("{") or len(text) > _INNER_CHARS_MAX:
            continue
        inner = parse(text.encode())
        if isinstance(inner, dict) and any(key.lower() in MESSAGE_NAMES for key in inner):
            merged = flatten(inner)
            for outer, value in flat.items():
                if outer != name:
                    is_taken = outer in merged and merged[outer] != value
                    merged[f"outer.{outer}" if is_taken else outer] = value
            return merged
    return flat


def _flavour(flat: Flat, names: dict[str, str]) -> str:
    """Name the writer where numbers or names mean something else in its records."""
    if "short_message" in names and "version" in names:
        return "gelf"
    if "__realtime_timestamp" in names or "__cursor" in names:
        return "journald"
    if "pid" in names and "hostname" in names and isinstance(value_of(flat, names, "level"), int):
        return "bunyan"
    return ""


def _take_text(flat: Flat, names: dict[str, str]) -> str | Refusal:
    full = take(flat, names, ("full_message",))
    short = take(flat, names, MESSAGE_NAMES)
    if full or short:
        return full if short in full else f"{short}\n{full}" if full else short
    for name in MESSAGE_NAMES:
        value = value_of(flat, names, name)
        if isinstance(value, list) and value:
            if all(isinstance(part, str) for part in value):
                del flat[names[name]]
                return "\n".join(map(str, value))
            if name == "message" and all(type(part) is int and 0 <= part < 256 for part in value):
                del flat[names[name]]
                return _from_bytes(bytes(value))
    return ""


def _from_bytes(data: bytes) -> str | Refusal:
    """Return the text of a journald message, which is a list of bytes where it is not printable."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return Refusal("not-utf8", f"byte {error.start} of MESSAGE: {error.reason}", data)


def _with_stack(text: str, flat: Flat, names: dict[str, str]) -> str:
    stack = take(flat, names, STACK_NAMES)
    return f"{strip_newline(text)}\n{stack}" if stack and stack not in text else text


def take_time(draft: Draft, flat: Flat, names: dict[str, str], reading: Reading) -> None:
    """Set the draft's time from the first time field that states a possible one, and remove it."""
    for name in TIME_NAMES:
        written = names.get(name)
        value = flat.get(written) if written is not None else None
        if written is None or value is None or value == "":
            continue
        ns = time_field.read(value, reading.received_ns, reading.times)
        is_good = ns is not None and reading.times.is_plausible(ns, reading.received_ns)
        if is_good:
            draft.time_ns, draft.time_written = ns, as_text(value)
            del flat[written]
            return
        # Unreadable or impossible: shown as time.written, and the next name may do better.
        draft.time_written = draft.time_written or as_text(value)


def _take_severity(draft: Draft, flat: Flat, names: dict[str, str], flavour: str) -> str:
    for name in SEVERITY_NAMES:
        written = names.get(name)
        if written is None:
            continue
        found = _severity(name, flat.get(written), flavour)
        if found:
            draft.severity = found
            return as_text(flat.pop(written))
    return ""


def _severity(name: str, value: object, flavour: str) -> str:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        return severity.of_word(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or len(as_text(value)) > 3:
        return ""
    number = int(value)
    if name.startswith("severity") and "number" in name:
        return severity.of_otel(number)
    if name == "levelno":
        return severity.of_python(number)
    if flavour == "bunyan" or (name == "level" and number >= 10):
        return severity.of_bunyan(number)
    is_syslog = flavour in ("gelf", "journald") or name == "priority" or "syslog" in name
    return severity.of_syslog(number) if is_syslog else ""


def _read_head(draft: Draft, reading: Reading) -> None:
    """Take from the head of the message what no field has told."""
    end = 0
    if draft.time_ns is None and not draft.time_written:
        found = reading.times.at_head(draft.text, reading.received_ns)
        if found:
            draft.time_ns, start, end = found
            draft.time_written = draft.text[start:end]
    if not draft.severity:
        draft.severity = severity.in_text(draft.text, end, is_timed=end > 0)


def _fields(flat: Flat, flavour: str, settings: DecodeSettings, *, has_text: bool) -> FieldSet:
    """Return the rest as labels and attributes; where the text is all of it, as labels alone."""
    fields = FieldSet(settings)
    for name, value in flat.items():
        # GELF marks additional fields with an underscore.
        shown = name[1:] if flavour == "gelf" and name[:1] == "_" else name
        if has_text:
            fields.add(shown, value)
        else:
            fields.add_if_label(shown, value)
    return fields
