"""Timestamps as logs write them, to nanoseconds since 1970 UTC.

A timestamp is looked for at the start of a line, after at most a short prefix: a bracket, a
priority, a level word, `time=`. A date within the message says when something else happened.

1. ISO 8601 and RFC 3339 in their many spellings: one expression, tried first and in place.
2. The other notations, chosen by the first character after the prefix.
3. The bracketed date of a web server, which stands after address and user.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from dejalog.indexer.decode.settings import DecodeSettings, zone
from dejalog.indexer.decode.severity import CAPITALS

#: (nanoseconds, or None for a date that does not exist; start and end in the text).
Found = tuple[int | None, int, int]
_Parts = Sequence[str | int | None]

SECOND_NS = 1_000_000_000
DAY_S = 86_400

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTHS = {name: number for number, name in enumerate(_MONTH.split("|"), 1)}
_POWERS = (SECOND_NS, *(10 ** (9 - digits) for digits in range(1, 10)))
#: A stream has few distinct minutes at a time; the bound only stops a hostile one.
_MINUTES_MAX = 4096
#: A bare number at the start of a line is a time only if it is a recent one.
_EPOCH_AGE_MAX_S = 10 * 365 * DAY_S

_ZONE = r"(?:([Zz])(?!\w)| ?(UTC|GMT|[+-]\d\d:?\d\d)(?!\w)|([+-]\d\d)(?![\w:]))?"
_FRACTION = r"(?:[.,](\d{1,9})\d*)?"


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_ISO = _compile(
    rf"(\d{{4}}([-/.])\d\d\2\d\d[Tt ]\d\d:\d\d)(?::(\d\d)(?:[.,:](\d{{1,9}})\d*)?)?(?!\d){_ZONE}"
)
_PREFIX = _compile(
    r"\ufeff?\s{0,32}(?:<\d{1,3}>(?:1 )?)?"
    r"(?:(?:time|timestamp|ts|t|date)=\"?|[\w./-]{1,40} {0,8}\| )?"
    r"[\[({<\"'|*-]{0,2} ?"
    rf"(?:(?:{CAPITALS}|{CAPITALS.lower()})(?![\w.]) ?[\]):|,]{{0,2}} ?[-|]? {{0,4}}[\[({{\"']?)?"
)
_COMPACT = _compile(
    rf"((?:19|20)\d\d)(\d\d)(\d\d)(?:[T_-](\d\d):?(\d\d):?(\d\d)| (\d\d):(\d\d):(\d\d))"
    rf"{_FRACTION}(?![\d:]){_ZONE}"
)
# HealthApp: no padding, and the last number counts milliseconds.
_HEALTH = _compile(r"((?:19|20)\d\d)(\d\d)(\d\d)-(\d{1,2}):(\d{1,2}):(\d{1,2}):(\d{1,3})(?=\|)")
_HADOOP = _compile(
    rf"(\d\d)(\d\d)(\d\d) +(?:(\d\d)(\d\d)(\d\d)(?= (?:\d{{1,10}} )?(?:{CAPITALS})\b)"
    r"|(\d{1,2}):(\d\d):(\d\d)\b)"
)
_LOGCAT = _compile(
    r"(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{1,9})(?= +\d+ +\d+ [VDIWEF] | [VDIWEF]/)"
)
_GLOG = _compile(r"[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{1,9})")
_DB2 = _compile(r"(\d{4})-(\d\d)-(\d\d)-(\d\d)\.(\d\d)\.(\d\d)(?:\.(\d{1,9}))?(?![\d.])")
_BLUE_GENE = _compile(
    r"(?:-|[A-Z]{3,12}) (\d{10}) \d{4}\.\d\d\.\d\d \S{1,64} "
    r"\d{4}-\d\d-\d\d-\d\d\.\d\d\.(\d\d)\.(\d{1,9})"
)
_EPOCH_NUMBER = _compile(
    r"([12](?:\d{9}|\d{12}|\d{15}|\d{18}))(?:\.(\d{1,9}))?(?=[\s\]|,;:\"')]|$)"
)
_DOTTED = _compile(
    rf"(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}}),?[ T](\d\d):(\d\d)(?::(\d\d){_FRACTION})?(?!\d)"
)
_SLASHED = _compile(
    r"(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d\d)(?:,? (\d{1,2}):(\d\d)"
    rf"(?::(\d\d){_FRACTION})?(?: ?([AaPp])[Mm])?)?(?![\d/-])"
)
_NAMED = _compile(
    rf"(?:(Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?({_MONTH}) {{1,2}}(\d{{1,2}})(?: ((?:19|20)\d\d))? "
    rf"(\d\d):(\d\d):(\d\d){_FRACTION}(?!\d)(?: (?:(?:UTC|GMT) )?(\d{{4}})(?!\d))?"
)
_WEB = _compile(
    rf"\[(\d{{1,2}})/({_MONTH})/(\d{{4}}):(\d\d):(\d\d):(\d\d){_FRACTION}(?: ?([+-]\d{{4}}))?\]"
)
#: The address, identity and user before the date of a web server's line.
_WEB_CHARS = 256


class TimestampReader:
    """Reads timestamps with the zone and date order of the settings; keeps a cache of minutes."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._zone = zone(settings.timezone)
        self._skew_ns = settings.future_skew_s * SECOND_NS
        self._order = settings.date_order
        self.has_date_order = settings.date_order != "none"
        self._here: dict[str, int | None] = {}  # "2022-08-22T05:18" in the zone -> epoch seconds
        self._utc: dict[str, int | None] = {}
        self._digit: list[tuple[re.Pattern[str], Callable[[re.Match[str], int], int | None]]] = [
            (_ISO, lambda found, _: self._iso(found)),
            (_COMPACT, lambda found, _: self._compact(found)),
            (_HEALTH, lambda found, _: self._health(found)),
            (_HADOOP, lambda found, _: self._hadoop(found)),
            (_LOGCAT, self._yearless),
            (_DB2, lambda found, _: self._civil(found.groups()[:3], found.groups()[3:])),
            (_DOTTED, lambda found, _: self._dotted(found)),
        ]
        if self.has_date_order:
            self._digit.append((_SLASHED, lambda found, _: self.slashed(found)))

    def at_head(self, text: str, received_ns: int) -> Found | None:
        """Return the timestamp that `text` starts with, or None if it starts with none.

        Dates without a year get the latest one that is not beyond the skew after `received_ns`.
        """
        if found := _ISO.match(text):
            return self._iso(found), 0, found.end()
        if text[:1] == "-" or text[:1].isupper():
            if found := _BLUE_GENE.match(text):
                return self._blue_gene(found), found.start(1), found.end(1)
            if found := _GLOG.match(text):
                return self._yearless(found, received_ns), 1, found.end()
        prefix = _PREFIX.match(text)
        return self._after_prefix(text, prefix.end() if prefix else 0, received_ns)

    def _after_prefix(self, text: str, at: int, received_ns: int) -> Found | None:
        first = text[at : at + 1]
        if first.isdigit():
            for pattern, read in self._digit:
                if found := pattern.match(text, at):
                    return read(found, received_ns), found.start(), found.end()
            if found := _EPOCH_NUMBER.match(text, at):
                ns = self._number(found, received_ns)
                if ns is not None:
                    return ns, found.start(), found.end()
        elif first.isupper() and (found := _NAMED.match(text, at)):
            return self._named(found, received_ns), found.start(), found.end()
        return self._web(text)

    def is_plausible(self, ns: int, received_ns: int) -> bool:
        """Tell whether an event can have happened at `ns`: since 1970 and not in the future."""
        return 0 <= ns <= received_ns + self._skew_ns and ns < 1 << 63

    def of_datetime(self, when: datetime) -> int | None:
        """Return the time of `when`, which is in the zone of the settings if it names none."""
        if when.tzinfo is None:
            micros = f"{when.microsecond:06}"
            date, clock = when.timetuple()[:3], when.timetuple()[3:6]
            return self._civil(date, (*clock, micros))
        past = when - _EPOCH
        return (past.days * DAY_S + past.seconds) * SECOND_NS + past.microseconds * 1000

    def _iso(self, found: re.Match[str]) -> int | None:
        key, _, second, fraction, zulu, offset, hours = found.groups()
        is_here = not (zulu or offset or hours)
        minutes = self._here if is_here else self._utc
        base = minutes.get(key, -1)
        if base == -1:
            base = self._minute(
                (int(key[:4]), int(key[5:7]), int(key[8:10]), int(key[11:13]), int(key[14:])),
                is_utc=not is_here,
            )
            _remember(minutes, key, base)
        if base is None or (second is not None and second > "60"):
            return None
        if offset or hours:
            base -= offset_s(offset or hours)
        return (base + int(second or 0)) * SECOND_NS + _nanoseconds(fraction)

    def _civil(self, date: _Parts, clock: _Parts, offset: str | None = None) -> int | None:
        """Return the time of (year, month, day) and (hour, minute[, second[, fraction]])."""
        hour, minute, second, fraction, *_ = (*clock, None, None)
        year, month, day = (int(part or 0) for part in date)
        base = self._minute(
            (year, month, day, int(hour or 0), int(minute or 0)), is_utc=bool(offset)
        )
        if base is None or int(second or 0) > 60:
            return None
        shift = offset_s(offset) if offset else 0
        return (base - shift + int(second or 0)) * SECOND_NS + _nanoseconds(fraction)

    def _minute(self, parts: tuple[int, int, int, int, int], *, is_utc: bool) -> int | None:
        try:
            if is_utc:
                when = datetime(*parts, tzinfo=UTC)
            elif self._zone is None:
                when = datetime(*parts).astimezone()
            else:
                when = datetime(*parts, tzinfo=self._zone)
            past = when - _EPOCH
        except (ValueError, OverflowError, OSError):
            return None
        return past.days * DAY_S + past.seconds

    def _compact(self, found: re.Match[str]) -> int | None:
        year, month, day, *rest, fraction, zulu, offset, hours = found.groups()
        clock = rest[:3] if rest[0] else rest[3:]
        return self._civil((year, month, day), (*clock, fraction), zulu or offset or hours)

    def _health(self, found: re.Match[str]) -> int | None:
        *civil, millisecond = found.groups()
        ns = self._civil(civil[:3], civil[3:])
        return None if ns is None else ns + int(millisecond) * 1_000_000

    def _hadoop(self, found: re.Match[str]) -> int | None:
        year, month, day, *rest = found.groups()
        return self._civil((2000 + int(year), month, day), rest[:3] if rest[0] else rest[3:])

    def _dotted(self, found: re.Match[str]) -> int | None:
        day, month, year, *clock = found.groups()
        return self._civil((year, month, day), clock)

    def slashed(self, found: re.Match[str]) -> int | None:
        """Return the time of a date that `SLASHED` matched, in the order of the settings."""
        first, middle, last, hour, minute, second, fraction, half = found.groups()
        year, month, day = {
            "dmy": (last, middle, first),
            "mdy": (last, first, middle),
            "ymd": (first, middle, last),
        }[self._order]
        hours = int(hour or 0)
        if half:
            hours = hours % 12 + (12 if half in "Pp" else 0)
        whole = int(year) if len(year) == 4 else 2000 + int(year)
        return self._civil((whole, month, day), (hours, minute, second, fraction))

    def _named(self, found: re.Match[str], received_ns: int) -> int | None:
        weekday, month, day, year, *clock, trailing = found.groups()
        year = year or (trailing if weekday else None)
        if year is None:
            return self._latest(_MONTHS[month], day, clock, received_ns)
        return self._civil((year, _MONTHS[month], day), clock)

    def _yearless(self, found: re.Match[str], received_ns: int) -> int | None:
        month, day, *clock = found.groups()
        return self._latest(int(month), day, clock, received_ns)

    def _latest(self, month: int, day: str, clock: _Parts, received_ns: int) -> int | None:
        newest = datetime.fromtimestamp(received_ns // SECOND_NS, UTC).year + 1
        for year in range(newest, newest - 10, -1):  # 29 February may be eight years back
            ns = self._civil((year, month, day), clock)
            if ns is not None and ns <= received_ns + DAY_S * SECOND_NS:
                return ns
        return None

    def _number(self, found: re.Match[str], received_ns: int) -> int | None:
        digits, fraction = found.groups()
        ns = int(digits.ljust(19, "0"))
        if len(digits) == 10:
            ns += _nanoseconds(fraction)
        oldest = received_ns - _EPOCH_AGE_MAX_S * SECOND_NS
        return ns if fraction or oldest <= ns <= received_ns + self._skew_ns else None

    def _blue_gene(self, found: re.Match[str]) -> int | None:
        epoch, second, fraction = found.groups()
        # The number is exact but whole; the written time has the fraction but not the zone.
        is_same = int(epoch) % 60 == int(second)
        return int(epoch) * SECOND_NS + (_nanoseconds(fraction) if is_same else 0)

    def _web(self, text: str) -> Found | None:
        if not (found := _WEB.search(text, 0, _WEB_CHARS)):
            return None
        day, month, year, *clock, offset = found.groups()
        ns = self._civil((year, _MONTHS[month], day), clock, offset)
        return ns, found.start(), found.end()


#: Dates with slashes or dashes whose order only the settings can tell.
SLASHED = _SLASHED


def offset_s(offset: str) -> int:
    """Return the seconds east of Greenwich that Z, UTC, GMT, +02, +0200 or +02:00 stand for."""
    if offset[0] not in "+-":
        return 0
    minutes = int(offset[1:3]) * 60 + int(offset[-2:] if len(offset) > 3 else 0)
    return -minutes * 60 if offset[0] == "-" else minutes * 60


def _nanoseconds(fraction: str | int | None) -> int:
    return int(fraction) * _POWERS[len(str(fraction))] if fraction else 0


def _remember(minutes: dict[str, int | None], key: str, base: int | None) -> None:
    if len(minutes) >= _MINUTES_MAX:
        minutes.clear()
    minutes[key] = base
