"""Syslog messages: RFC 5424, RFC 3164, and the many that only begin like one.

The event's text is the message (MSG); host, program and facility are labels. What does not fit
either form after its priority is kept whole: RFC 3164 section 4.3.3 takes any text for a message.
"""

from __future__ import annotations

import re

from dejalog.indexer.decode.draft import Draft
from dejalog.indexer.decode.fields import FieldSet
from dejalog.indexer.decode.json_object import Reading
from dejalog.indexer.decode.severity import in_text, of_syslog
from dejalog.indexer.decode.text import strip_newline

#: Index is the facility number of RFC 5424 table 1.
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
)  # fmt: skip

PRIORITY = re.compile(r"\ufeff?\s*<(\d{1,3})>", re.ASCII)
_FIELDS = re.compile(
    r"1 (\S{1,64}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (?=[-\[])", re.ASCII
)
_ELEMENT = re.compile(
    r"\[([^\s=\]\"]{1,32})((?: [^\s=\]\"]{1,32}=\"(?:[^\"\\\]]|\\.)*\")*)\]", re.DOTALL
)
_PARAMETER = re.compile(r" ([^\s=\]\"]{1,32})=\"((?:[^\"\\\]]|\\.)*)\"", re.DOTALL)
_ESCAPED = re.compile(r"\\([\"\\\]])")
# Host, unless what stands there is the program (messages written to the local socket have no host).
_HOST = re.compile(r"\s?([\w.:-]{1,255}) +(?=\S)", re.ASCII)
_TAG = re.compile(r"\s?([A-Za-z_][\w./()@-]{0,63})(?:\[([\w.-]{1,32})\])?: ?", re.ASCII)


def read(text: str, reading: Reading) -> Draft:
    """Return the draft of one syslog message, with or without its priority."""
    text = strip_newline(text)
    found = PRIORITY.match(text)
    draft = Draft(text, fields=FieldSet(reading.settings))
    number = int(found[1]) if found else 192
    rest = text
    if found and number < 192:
        rest = text[found.end() :]
        draft.severity = of_syslog(number % 8)
        _fields(draft).add_label("facility", FACILITIES[number // 8])
    head = _FIELDS.match(rest)
    if head and _read_5424(draft, rest, head, reading):
        return draft
    _read_3164(draft, rest, reading)
    return draft


def _fields(draft: Draft) -> FieldSet:
    assert draft.fields is not None
    return draft.fields


def _read_5424(draft: Draft, rest: str, head: re.Match[str], reading: Reading) -> bool:
    time, host, app, process, message_id = head.groups()
    found = reading.times.at_head(time, reading.received_ns)
    if time != "-" and (found is None or found[2] != len(time)):
        return False
    end = _structured_end(rest, head.end())
    if end < 0:
        return False
    fields = _fields(draft)
    if found:
        draft.time_ns, draft.time_written = found[0], time
    for label, value in (("host", host), ("service", app)):
        if value != "-":
            fields.add_label(label, value)
    for name, value in (("pid", process), ("msgid", message_id)):
        if value != "-":
            fields.add_attribute(name, value)
    for element in _ELEMENT.finditer(rest, head.end(), end):
        for name, value in _PARAMETER.findall(element[2]):
            fields.add_attribute(f"{element[1]}.{name}", _ESCAPED.sub(r"\1", value))
    message = rest[end + 1 :].removeprefix("\ufeff")
    if message.strip():
        draft.text = message
    return True


def _structured_end(rest: str, at: int) -> int:
    """Return where the structured data that starts at `at` ends, or -1 if it is malformed."""
    if rest[at] == "-":
        end = at + 1
    else:
        end = at
        while found := _ELEMENT.match(rest, end):
            end = found.end()
    return end if end > at and rest[end : end + 1] in ("", " ") else -1


def _read_3164(draft: Draft, rest: str, reading: Reading) -> None:
    found = reading.times.at_head(rest, reading.received_ns)
    at = 0
    if found:
        draft.time_ns, start, at = found
        draft.time_written = rest[start:at]
        at = _read_origin(draft, rest, at) if rest[at : at + 1] == " " else at
    message = rest[at:].lstrip(" ")
    is_message = bool(message.strip()) and at > 0
    draft.text = message if is_message else (rest if rest.strip() else draft.text)
    if not draft.severity:
        draft.severity = in_text(draft.text, 0, is_timed=found is not None)


def _read_origin(draft: Draft, rest: str, at: int) -> int:
    """Take host and program; return where the message starts."""
    fields = _fields(draft)
    tag = _TAG.match(rest, at)
    if tag is None and (host := _HOST.match(rest, at)):
        fields.add_label("host", host[1])
        at = host.end()
        tag = _TAG.match(rest, at)
    if tag:
        fields.add_label("service", tag[1])
        if tag[2]:
            fields.add_attribute("pid", tag[2])
        at = tag.end()
    return at
