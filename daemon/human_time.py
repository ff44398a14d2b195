"""Times as people write and read them.

A zone of None is the system's own (TZ, /etc/localtime), in which clocks may be put forward or
back: a time that happened twice means the first one where a range begins and the second where it
ends, and a time that was skipped means the moment of the change.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from dejalog.indexer.errors import QueryError

SECOND_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: What fits into 64 bits of nanoseconds, with a year to spare at either end.
_YEARS = range(1679, 2262)

_UNITS_S = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
    "d": 86_400, "day": 86_400, "days": 86_400,
    "w": 604_800, "week": 604_800, "weeks": 604_800,
}  # fmt: skip
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_PART = re.compile(r"(\d{1,9})\s*([a-z]+)\s*", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,9}\s*[a-z]+\s*)+?(?:\bago)?", re.ASCII)
#: Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their length;
#: seconds of any length behind an @, as GNU date has it.
_EPOCH_TEXT = re.compile(r"(?:@|(?=\d{10}(?:\.|\Z)))(\d{1,10})(\.\d{1,9})?", re.ASCII)
_EPOCH_UNITS_NS = {13: 1_000_000, 16: 1_000, 19: 1}
_WHEN = re.compile(
    r"""
    (?: (?P<date>\d{4}-\d{2}-\d{2})
      | (?P<word>today|yesterday)
      | (?P<last>last\s+)?
        (?P<weekday>(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)
    )?
    (?: (?:(?<=\d)T|\s+|\A) (?P<hour>\d{1,2}):(?P<minute>\d{2})
        (?: :(?P<second>\d{2}) (?:[.,](?P<fraction>\d{1,9}))? )? )?
    (?: \s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?|[a-z_]+(?:/[a-z0-9_+-]+)+) )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SLASHED = re.compile(r"\d{1,4}([/.])\d{1,2}\1\d{1,4}\b.*")

#: Up to how many seconds which unit is used; two of the next smaller unit say more than one.
_AGES = (
    (120, 1, "s"),
    (7_200, 60, "min"),
    (172_800, 3_600, "h"),
    (60 * 86_400, 86_400, "day"),
    (730 * 86_400, 30 * 86_400, "month"),
    (2**63, 365 * 86_400, "year"),
)

FORMS = (
    "15m, '2h ago', today, 'yesterday 06:00', 06:30, 'last monday', 2022-08-22, "
    "'2022-08-22 05:18', '2022-08-22 05:18 Europe/Warsaw', 2022-08-22T05:18:16.154+02:00 "
    "or @1661145496"
)


def parse_time(text: str, *, now: datetime, zone: tzinfo | None, is_end: bool = False) -> int:
    """Returns the nanoseconds since 1970 UTC that a person means; raises QueryError.

    A time without a zone of its own is in `zone`. With `is_end` it is where a range ends
    (exclusive): a whole day then means the end of that day, anything else the moment itself.
    """
    plain = text.strip()
    lowered = plain.lower()
    now_ns = (now - _EPOCH) // timedelta(microseconds=1) * 1000
    if lowered == "now":
        return now_ns
    if _DURATION.fullmatch(lowered):
        return _within_range(now_ns - _duration_s(lowered, text) * SECOND_NS, text)
    since_epoch_ns = _epoch_ns(plain)
    if since_epoch_ns is not None:
        return _within_range(since_epoch_ns, text)
    match = _WHEN.fullmatch(plain)
    if match is None or not (_has_day(match) or match["hour"]):
        raise QueryError(_complaint(text))
    if match["zone"] and match["zone"][0] in "+-" and not match["hour"]:
        raise QueryError(_complaint(text))
    return _moment_ns(match, text, now, zone, is_end)


def named_zone(name: str) -> tzinfo:
    """Returns the zone that `UTC`, `+02:00` or `Europe/Warsaw` names; raises QueryError."""
    if name.upper() in {"Z", "UTC", "GMT"}:
        return UTC
    try:
        if name[0] in "+-":
            digits = name[1:].replace(":", "").ljust(4, "0")
            offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
            return timezone(-offset if name[0] == "-" else offset)
        return ZoneInfo(name)
    except (KeyError, ValueError, IndexError, OSError) as error:
        raise QueryError(
            f"unknown time zone {name!r}; write UTC, +02:00 or a name like Europe/Warsaw"
        ) from error


def format_time(time_ns: int, zone: tzinfo | None) -> str:
    """Returns `2022-08-22 07:18:16.154 +02:00`."""
    local = _local(time_ns, zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {_offset(local)}"


def format_span(first_ns: int, last_ns: int, zone: tzinfo | None) -> str:
    """Returns first and last to the second, saying what both have in common only once."""
    first, last = _local(first_ns, zone), _local(last_ns, zone)
    begin, end = f"{first:%Y-%m-%d %H:%M:%S}", f"{last:%Y-%m-%d %H:%M:%S}"
    if first.utcoffset() != last.utcoffset():
        return f"{begin} {_offset(first)} .. {end} {_offset(last)}"
    if begin == end:
        return f"{begin} {_offset(first)}"
    if first.date() == last.date():
        end = f"{last:%H:%M:%S}"
    return f"{begin} .. {end} {_offset(first)}"


def format_age(time_ns: int, now_ns: int) -> str:
    """Returns about how long ago something was: `3 h ago`, `4 years ago`, `in 5 min`."""
    seconds = abs(now_ns - time_ns) // SECOND_NS
    _, unit_s, name = next(age for age in _AGES if seconds < age[0])
    count = seconds // unit_s
    plural = "s" if unit_s >= 86_400 and count != 1 else ""
    words = f"{count} {name}{plural}"
    return f"in {words}" if time_ns > now_ns else f"{words} ago"


def to_rfc3339(time_ns: int) -> str:
    """Returns the time in UTC with all nine digits, `2022-08-22T05:18:16.154660034Z`."""
    seconds, fraction = divmod(time_ns, SECOND_NS)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def _duration_s(lowered: str, text: str) -> int:
    total = 0
    for count, unit in _PART.findall(lowered.removesuffix("ago")):
        if unit not in _UNITS_S:
            raise QueryError(_complaint(text))
        total += int(count) * _UNITS_S[unit]
    return total


def _epoch_ns(text: str) -> int | None:
    if text.isascii() and text.isdecimal() and len(text) in _EPOCH_UNITS_NS:
        return int(text) * _EPOCH_UNITS_NS[len(text)]
    match = _EPOCH_TEXT.fullmatch(text)
    if match is None:
        return None
    fraction = (match[2] or ".")[1:]
    return int(match[1]) * SECOND_NS + int(fraction.ljust(9, "0"))


def _has_day(match: re.Match[str]) -> bool:
    return bool(match["date"] or match["word"] or match["weekday"])


def _moment_ns(
    match: re.Match[str], text: str, now: datetime, zone: tzinfo | None, is_end: bool
) -> int:
    if match["zone"]:
        zone = named_zone(match["zone"])
    try:
        wall = _day(match, now.astimezone(zone).replace(tzinfo=None, fold=0))
        if match["hour"]:
            wall = wall.replace(
                hour=int(match["hour"]),
                minute=int(match["minute"]),
                second=int(match["second"] or 0),
            )
        elif is_end:
            wall += timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"there is no such time as {text!r} ({error})") from error
    if wall.year not in _YEARS:
        raise QueryError(_out_of_range(text))
    fraction = int((match["fraction"] or "").ljust(9, "0"))
    return _seconds(wall, zone, is_end) * SECOND_NS + fraction


def _day(match: re.Match[str], now: datetime) -> datetime:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if match["date"]:
        return datetime.strptime(match["date"], "%Y-%m-%d")
    if match["weekday"]:
        weekday = _WEEKDAYS.index(match["weekday"][:3].lower())
        days = (today.weekday() - weekday) % 7
        return today - timedelta(days=7 if match["last"] and not days else days)
    is_yesterday = (match["word"] or "").lower() == "yesterday"
    return today - timedelta(days=1) if is_yesterday else today


def _seconds(wall: datetime, zone: tzinfo | None, is_end: bool) -> int:
    """Seconds since 1970 at which the clock of the zone shows `wall`."""
    first = int(wall.replace(tzinfo=zone, fold=0).timestamp())
    second = int(wall.replace(tzinfo=zone, fold=1).timestamp())
    if first <= second:
        return second if is_end else first
    # The clock never showed it: find the moment at which it jumped over it.
    low, high = second, first
    while high - low > 1:
        middle = (low + high) // 2
        if _local(middle * SECOND_NS, zone).replace(tzinfo=None) >= wall:
            high = middle
        else:
            low = middle
    return high


def _local(time_ns: int, zone: tzinfo | None) -> datetime:
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).astimezone(zone)


def _offset(local: datetime) -> str:
    offset = f"{local:%z}"
    return f"{offset[:3]}:{offset[3:5]}"


def _within_range(time_ns: int, text: str) -> int:
    if not -(2**63) <= time_ns < 2**63:
        raise QueryError(_out_of_range(text))
    return time_ns


def _out_of_range(text: str) -> str:
    return f"the time {text!r} is too far away; years {_YEARS[0]} to {_YEARS[-1]} are taken"


def _complaint(text: str) -> str:
    if _SLASHED.fullmatch(text.strip()):
        return f"the date {text!r} can be read in two ways; write it as year-month-day: 2022-08-22"
    return f"cannot read the time {text!r}; forms that are read: {FORMS}"
