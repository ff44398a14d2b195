"""Values of time fields (of JSON objects, CloudEvents, notes), to nanoseconds since 1970 UTC.

A field that is named as a time may be read more freely than the head of a text line: any epoch
number, and, last, whatever dateutil can read in one way only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from dateutil import parser

from dejalog.indexer.decode.timestamp import SECOND_NS, SLASHED, TimestampReader

#: Below these magnitudes a number counts seconds, milliseconds and microseconds: each is the year
#: 5138 of its own unit and 1973 of the next finer one.
_SECONDS_MAX, _MILLIS_MAX, _MICROS_MAX = 10**11, 10**14, 10**17
#: The longest written date that is worth reading ("Wednesday, September 28 2022 at 10:00:00 ...").
_CHARS_MAX = 64

_NUMBER = re.compile(r"[+-]?\d{1,19}(?:\.\d{1,12})?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}\.\d{1,2}\.\d{4}", re.ASCII)
# dateutil would read these month first wherever that is possible.
_NUMERIC = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d", re.ASCII)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)", re.ASCII)
# What a date leaves out is taken from these; a value that depends on which is refused.
_DEFAULTS = (datetime(2004, 2, 28), datetime(2003, 5, 17))


def read(value: object, received_ns: int, times: TimestampReader) -> int | None:
    """Return the time that a field's value states, or None if it states none.

    The result may be negative or in the future: `TimestampReader.is_plausible` tells.
    """
    if isinstance(value, str):
        return _text(value.strip(), received_ns, times) if len(value) <= 2 * _CHARS_MAX else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return _number(Decimal(value))


def _number(value: Decimal) -> int | None:
    # Beyond 20 digits the exact integer would be pointless, and huge for 1e999999.
    if not value.is_finite() or value.adjusted() > 20 or not value:
        return None
    size = abs(value)
    if size < _SECONDS_MAX:
        return int(value * SECOND_NS)
    if size < _MILLIS_MAX:
        return int(value * 1_000_000)
    return int(value * 1000) if size < _MICROS_MAX else int(value)


def _text(value: str, received_ns: int, times: TimestampReader) -> int | None:
    if _NUMBER.fullmatch(value):
        # "20220822" and "2022" are dates that somebody wrote short; nobody logs 1970 as a string.
        return _number(Decimal(value)) if len(value.partition(".")[0]) >= 9 else None
    if (found := times.at_head(value, received_ns)) and found[1] == 0 and found[2] == len(value):
        return found[0]
    if _DATE.fullmatch(value):
        head = times.at_head(f"{value} 00:00", received_ns)
        return head[0] if head else None
    if _NUMERIC.match(value):
        slashed = SLASHED.fullmatch(value) if times.has_date_order else None
        return times.slashed(slashed) if slashed else None
    return _free(value, times) if _YEAR.search(value) and len(value) <= _CHARS_MAX else None


def _free(value: str, times: TimestampReader) -> int | None:
    try:
        first, second = (
            parser.parse(value, default=default, tzinfos=_named_zone) for default in _DEFAULTS
        )
    except (ValueError, OverflowError, TypeError, AttributeError, RecursionError, ArithmeticError):
        return None  # dateutil lets some of its own faults out on odd input
    return times.of_datetime(first) if first == second else None


def _named_zone(name: str | None, offset: int | None) -> tzinfo | None:
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name in ("UTC", "GMT", "Z"):
        return UTC
    if name is None:
        return None
    raise ValueError(f"zone {name} means different offsets in different places")
