"""Severity: from the words and numbers that logs use to the six values of the severity label.

Syslog's three most severe levels are all "fatal" here, so that the word CRITICAL means the same
whether syslog, Python or a PLC wrote it. (The OpenTelemetry appendix maps alert and critical to
its third and second "error" instead.)
"""

from __future__ import annotations

import re

from dejalog.indexer.event import SEVERITIES

#: Index is the syslog severity of RFC 5424 table 2: emerg alert crit err warning notice info debug.
SYSLOG = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")

#: What logging frameworks write, lower case.
WORDS = {
    **dict.fromkeys(("trace", "verbose", "finest", "finer", "trc", "vrb"), "trace"),
    **dict.fromkeys(("debug", "fine", "dbg", "config"), "debug"),
    **dict.fromkeys(("info", "information", "informational", "notice", "inf"), "info"),
    **dict.fromkeys(("warn", "warning", "wrn"), "warn"),
    **dict.fromkeys(("error", "err", "severe", "failure"), "error"),
    **dict.fromkeys(
        ("fatal", "critical", "crit", "alert", "emerg", "emergency", "panic", "ftl"), "fatal"
    ),
}

#: One letter, as logcat and glog write it (S is "silent" there and never logged).
LETTERS = {"V": "trace", "D": "debug", "I": "info", "W": "warn", "E": "error", "F": "fatal"}

#: Level words that are certain where they stand alone in capitals in the head of a line.
CAPITALS = (
    "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|FATAL|CRITICAL|CRIT|ALERT|EMERG|PANIC"
)

#: The level stands before the message; further in, a capital ERROR is part of what is said.
HEAD_CHARS = 120

#: How far into a JSON object that a line ends with its severity is looked for.
EMBEDDED_CHARS = 2048

_ANY = "|".join(sorted(WORDS, key=len, reverse=True))
_CAPITAL_WORDS = {word: WORDS[word.lower()] for word in CAPITALS.split("|")}
# Any word in capitals; looking it up is quicker than an expression of all level words.
_CAPITAL = re.compile(r"[ACDEFINPSTW][A-Z]{2,7}(?![\w.\-/=(])")
_FIRST = re.compile(rf"[\s\[({{<|:*-]{{0,8}}({CAPITALS})(?:\s*[\]:|)>}}]|\s+-|\t|\s{{2,}})")
# The following are for text in lower case.
_FIRST_ANY = re.compile(rf"[\s|:-]{{0,8}}({_ANY})(?:\[[\w-]+\])?:\s")
_BRACKETED = re.compile(rf"[\[(<]\s?({_ANY})\s?[\])>]")
_KEYED = re.compile(rf"(?:level|lvl|severity)\"?\s?[=:]\s?\"?({_ANY})\b")
_EMBEDDED = re.compile(rf"\"(?:severity|level)\": ?\"({_ANY}|{_ANY.upper()})\"")
_LOGCAT = re.compile(r"\s+(?:\d+\s+\d+\s+)?([VDIWEF])(?:/|\s)\S")
_GLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d")


def of_word(word: str) -> str:
    """Return the severity that `word` names, or "" if it is no level word."""
    word = word.strip()
    return WORDS.get(word.lower(), "") or LETTERS.get(word, "")


def of_syslog(number: int) -> str:
    """Return the severity of a syslog severity number (0-7), or ""."""
    return SYSLOG[number] if 0 <= number < len(SYSLOG) else ""


def of_otel(number: int) -> str:
    """Return the severity of an OpenTelemetry severity number (1-24), or ""."""
    return SEVERITIES[(number - 1) // 4] if 1 <= number <= 24 else ""


def of_bunyan(number: int) -> str:
    """Return the severity of a bunyan or pino level (10, 20 .. 60), or ""."""
    return SEVERITIES[number // 10 - 1] if number in range(10, 61, 10) else ""


def of_python(number: int) -> str:
    """Return the severity of a Python logging level number (10, 20 .. 50), or ""."""
    return SEVERITIES[number // 10] if number in range(10, 51, 10) else ""


def in_text(text: str, after: int, *, is_timed: bool) -> str:
    """Return the severity that the head of a text line states, or "".

    `after` is where the line's timestamp ends. A line with a timestamp is taken to be a log line,
    whose level may stand anywhere in its head; in one without, only at the start or in brackets.
    A line all in capitals (many work orders are) states a level only as its first word.
    """
    head = text[after : after + HEAD_CHARS]
    if is_timed and (found := _capital_word(head)) and not head.isupper():
        return found
    if match := _FIRST.match(head):
        return _CAPITAL_WORDS[match[1]]
    lower = text[after : after + 2 * HEAD_CHARS].lower()
    if match := _FIRST_ANY.match(lower) or _BRACKETED.search(lower, 0, HEAD_CHARS):
        return WORDS[match[1]]
    if ("level" in lower or "severity" in lower or "lvl" in lower) and (
        match := _KEYED.search(lower)
    ):
        return WORDS[match[1]]
    if "{" in head and (match := _EMBEDDED.search(text, after, after + EMBEDDED_CHARS)):
        return WORDS[match[1].lower()]
    if is_timed and (match := _LOGCAT.match(head) or _GLOG.match(text)):
        return LETTERS[match[1]]
    return ""


def _capital_word(head: str) -> str:
    for match in _CAPITAL.finditer(head):
        found = _CAPITAL_WORDS.get(match[0])
        if found is None:
            continue
        before = head[match.start() - 1] if match.start() else " "
        # INFO, but not ERROR_CODE, ERROR-12, no.INFO, /ERROR/ or ERROR=.
        if not before.isalnum() and before not in "_.-/":
            return found
    return ""
