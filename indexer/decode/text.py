"""Plain text lines: the event's text is the whole line, as it was written.

Only what is certain is taken out of it: the time at its head, the level before its message, and
host and program where the line is in the form that syslog daemons write to files.
"""

from __future__ import annotations

import re

from dejalog.indexer.decode.draft import Draft
from dejalog.indexer.decode.fields import FieldSet
from dejalog.indexer.decode.settings import DecodeSettings
from dejalog.indexer.decode.severity import in_text
from dejalog.indexer.decode.timestamp import TimestampReader

#: `Jun 14 15:16:01 combo sshd(pam_unix)[19939]: ...`: a host, then a program ended by a colon.
_SYSLOG_FILE = re.compile(
    r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ([\w.:-]{1,255}) "
    r"([A-Za-z][\w./()-]{0,63})(?:\[(\d{1,10})\])?: ",
    re.ASCII,
)


def strip_newline(text: str) -> str:
    """Return `text` without the newline at its end."""
    return text.rstrip("\r\n") if text[-1:] in ("\n", "\r") else text


def read(text: str, received_ns: int, times: TimestampReader, settings: DecodeSettings) -> Draft:
    """Return the draft of a text line (or of a line with its stack trace)."""
    text = strip_newline(text)
    found = times.at_head(text, received_ns)
    if found is None:
        return Draft(text, severity=in_text(text, 0, is_timed=False))
    time_ns, start, end = found
    draft = Draft(text, time_ns, text[start:end], in_text(text, end, is_timed=True))
    if "A" <= text[0] <= "S" and (syslog := _SYSLOG_FILE.match(text)):
        draft.fields = FieldSet(settings)
        draft.fields.add_label("host", syslog[1])
        draft.fields.add_label("service", syslog[2])
        if syslog[3]:
            draft.fields.add_attribute("pid", syslog[3])
    return draft
