"""Times as people write and read them.

A zone of None is the system's own (TZ, /etc/localtime), in which clocks may be put forward or
back: a time that happened twice means the first one where a range begins and the second where it
ends, and a time that was skipped means the moment of the change.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from dejalog.daemon.human_days import MONTH, months_before, named_day, named_period
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
_UNITS_MONTHS = {
    "mo": 1, "mos": 1, "month": 1, "months": 1,
    "y": 12, "yr": 12, "yrs": 12, "year": 12, "years": 12,
}  # fmt: skip

_PART = re.compile(r"(\d{1,9})\s*([a-z]+)\s*", re.ASCII)
_DURATION = re.compile(
    r"(?:(?:last|past)\s+)?(?P<parts>(?:\d{1,9}\s*[a-z]+\s*)+?)(?:\bago)?", re.ASCII
)
#: What else has the form of a duration: `22 jun`, and `6 pm`.
_NO_UNITS = re.compile(rf"\d{{1,2}}\s*(?:[ap]m|{MONTH})(?:\s+\d{{4}}\b.*)?", re.ASCII)
#: Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their length;
#: seconds of any length behind an @, as GNU date has it.
_EPOCH_TEXT = re.compile(r"(?:@|(?=\d{10}(?:\.|\Z)))(\d{1,10})(\.\d{1,9})?", re.ASCII)
_EPOCH_UNITS_NS = {13: 1_000_000, 16: 1_000, 19: 1}

_ZONE = r"(?:Z|UTC|GMT|[a-z_]+(?:/[a-z0-9_+-]+)+)"
_CLOCK = rf"""
    (?P<hour>\d{{1,2}})
    (?: :(?P<minute>\d{{2}}) (?: :(?P<second>\d{{2}}) (?:[.,](?P<fraction>\d{{1,9}}))? )?
        (?: \s*(?P<half>[ap]m)\b )?
      | \s*(?P<bare_half>[ap]m)\b )
    (?: \s*(?P<zone>{_ZONE}|[+-]\d{{2}}(?::?\d{{2}})?) )?
"""
_FLAGS = re.VERBOSE | re.IGNORECASE | re.ASCII
#: A day and a time of day in either order, or one of them; a zone behind either.
_DAY_AND_CLOCK = re.compile(rf"(?:(?P<day>.+?)(?:(?<=\d)T|\s+(?:at\s+)?))?{_CLOCK}", _FLAGS)
_CLOCK_AND_DAY = re.compile(rf"{_CLOCK}\s+(?P<day>.+)", _FLAGS)
_DAY_ALONE = re.compile(rf"(?P<day>.+?)(?:(?:\s+|(?<=\d))(?P<zone>{_ZONE}))?", _FLAGS)

_SLASHED = re.compile(r"\d{1,4}([/.])\d{1,2}\1\d{1,4}\b.*|\d{1,2}-\d{1,2}-\d{2,4}\b.*")
#: Some name several offsets (CST, IST, BST), and all leave open whether summer time is meant.
_SHORT_ZONE = re.compile(
    r".*[\d\s](?P<name>[a-z]{1,4}[sd]t|cet|eet|wet|msk|utc[+-]\d.*|gmt[+-]\d.*)", re.IGNORECASE
)

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
    "15m, '2h ago', '3 months ago', today, 'yesterday 06:00', 06:30, '6:30 pm', 'last monday', "
    "'last month', march, 'march 2022', '22 aug 2022', 2022-08-22, 2022-08, '2022-08-22 05:18', "
    "'2022-08-22 05:18 Europe/Warsaw', 2022-08-22T05:18:16.154+02:00 or @1661145496"
)


def parse_time(text: str, *, now: datetime, zone: tzinfo | None, is_end: bool = False) -> int:
    """Returns the nanoseconds since 1970 UTC that a person means; raises QueryError.

    A time without a zone of its own is in `zone`. With `is_end` it is where a range ends
    (exclusive): a day, week, month or year then means its end, anything else the moment itself.
    """
    plain = " ".join(text.split())
    lowered = plain.lower()
    if lowered == "now":
        return _ns(now)
    duration = _DURATION.fullmatch(lowered)
    if duration is not None and not _NO_UNITS.fullmatch(lowered):
        return _before(duration["parts"], text, now, zone)
    since_epoch_ns = _epoch_ns(plain)
    if since_epoch_ns is not None:
        return _within_range(since_epoch_ns, text)
    return _moment_ns(plain, text, now, zone, is_end)


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


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _before(parts: str, text: str, now: datetime, zone: tzinfo | None) -> int:
    """So long before now; months and years by the calendar of the zone."""
    months = seconds = 0
    for count, unit in _PART.findall(parts):
        if unit not in _UNITS_S and unit not in _UNITS_MONTHS:
            raise QueryError(_complaint(text))
        months += int(count) * _UNITS_MONTHS.get(unit, 0)
        seconds += int(count) * _UNITS_S.get(unit, 0)
    time_ns = _ns(now)
    if months:
        local = now.astimezone(zone).replace(tzinfo=None, fold=0)
        try:
            wall = months_before(local, months)
        except ValueError as error:
            raise QueryError(_out_of_range(text)) from error
        if wall.year not in _YEARS:
            raise QueryError(_out_of_range(text))
        time_ns = _seconds(wall, zone, is_end=False) * SECOND_NS + local.microsecond * 1000
    return _within_range(time_ns - seconds * SECOND_NS, text)


def _epoch_ns(text: str) -> int | None:
    if text.isascii() and text.isdecimal() and len(text) in _EPOCH_UNITS_NS:
        return int(text) * _EPOCH_UNITS_NS[len(text)]
    match = _EPOCH_TEXT.fullmatch(text)
    if match is None:
        return None
    fraction = (match[2] or ".")[1:]
    return int(match[1]) * SECOND_NS + int(fraction.ljust(9, "0"))


def _moment_ns(plain: str, text: str, now: datetime, zone: tzinfo | None, is_end: bool) -> int:
    for form in (_DAY_AND_CLOCK, _CLOCK_AND_DAY, _DAY_ALONE):
        match = form.fullmatch(plain)
        if match is None:
            continue
        given = match.groupdict()
        own_zone = named_zone(given["zone"]) if given["zone"] else zone
        try:
            wall = _wall(given, now.astimezone(own_zone).replace(tzinfo=None, fold=0), is_end)
        except (ValueError, OverflowError) as error:
            raise QueryError(f"there is no such time as {text!r} ({error})") from error
        if wall is None:
            continue
        if wall.year not in _YEARS:
            raise QueryError(_out_of_range(text))
        fraction = int((given.get("fraction") or "").ljust(9, "0"))
        return _seconds(wall, own_zone, is_end) * SECOND_NS + fraction
    raise QueryError(_complaint(text))


def _wall(given: dict[str, str | None], now: datetime, is_end: bool) -> datetime | None:
    """What a clock on the wall shows then; None if the words name no day."""
    name = (given["day"] or "today").lower()
    hour = given.get("hour")
    days = named_day(name, now)
    if days is None and not hour:
        days = named_period(name, now)
    if days is None:
        return None
    if not hour:
        return days.end if is_end else days.begin
    return days.begin.replace(
        hour=_hour(int(hour), given["half"] or given["bare_half"]),
        minute=int(given["minute"] or 0),
        second=int(given["second"] or 0),
    )


def _hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError("hours with am or pm are 1 to 12")
    return hour % 12 + 12 * (half.lower() == "pm")


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
    plain = text.strip()
    if _SLASHED.fullmatch(plain):
        return f"the date {text!r} can be read in two ways; write it as year-month-day: 2022-08-22"
    short = _SHORT_ZONE.fullmatch(plain)
    if short is not None:
        return (
            f"the zone {short['name']!r} in the time {text!r} is not clear; "
            "write UTC, +02:00 or a name like Europe/Warsaw"
        )
    return f"cannot read the time {text!r}; forms that are read: {FORMS}"
