"""The days, weeks, months and years that people name.

A name without a year means the latest one that has begun, and with `last` one that is over: `march`
is this month in March, and `last march` never is. Weeks begin on Monday.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: The name of a month, in lower case.
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)

#: One day, in lower case; a time of day may stand beside it.
_DAY = re.compile(
    rf"""
    (?P<date>\d{{4}}-\d{{2}}-\d{{2}})
  | (?P<near>today|yesterday)
  | (?P<last_day>last\s+)?
    (?P<weekday>(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)
  | (?P<number>\d{{1,2}})\s+(?P<month_of>{MONTH})(?:\s+(?P<year_of>\d{{4}}))?
  | (?P<of_month>{MONTH})\s+(?P<of_number>\d{{1,2}})(?:,?\s+(?P<of_year>\d{{4}}))?
    """,
    re.VERBOSE | re.ASCII,
)

#: More than a day, in lower case; beside it a time of day would mean nothing.
_PERIOD = re.compile(
    rf"""
    (?P<span>this|last)\s+(?P<unit>week|month|year)
  | (?P<digits>\d{{4}}-\d{{2}})
  | (?P<last>last\s+)?(?P<month>{MONTH})
  | (?P<of>{MONTH})\s+(?P<year>\d{{4}})
    """,
    re.VERBOSE | re.ASCII,
)

#: The 29th of February is seldom: eight years lie between those around 1900 and 2100.
_YEARS_BACK = 8


class Days(NamedTuple):
    """A stretch of whole days, as a clock on the wall shows its beginning and its end."""

    begin: datetime
    end: datetime


def named_day(text: str, now: datetime) -> Days | None:
    """Returns the day that a text in lower case names, or None; `now` is a time without zone.

    Raises ValueError or OverflowError where there is no such day.
    """
    match = _DAY.fullmatch(text)
    if match is None:
        return None
    begin = _first_day(match, now.replace(hour=0, minute=0, second=0, microsecond=0))
    return Days(begin, begin + timedelta(days=1))


def named_period(text: str, now: datetime) -> Days | None:
    """Returns the week, month or year that a text in lower case names, as `named_day` does."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        return None
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if match["unit"] == "week":
        monday = today - timedelta(days=today.weekday() + 7 * (match["span"] == "last"))
        return Days(monday, monday + timedelta(days=7))
    if match["unit"] == "year":
        begin = today.replace(year=today.year - (match["span"] == "last"), month=1, day=1)
        return Days(begin, begin.replace(year=begin.year + 1))
    begin = _month(match, today.replace(day=1))
    return Days(begin, months_before(begin, -1))


def months_before(wall: datetime, months: int) -> datetime:
    """Returns the same day and time so many months before; the last day of a shorter month.

    Raises ValueError where there is no such year.
    """
    year, month = divmod(wall.year * 12 + wall.month - 1 - months, 12)
    # The 28th is in every month, and four days later is always the next one.
    first = datetime(year, month + 1, 1)
    last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return wall.replace(year=year, month=month + 1, day=min(wall.day, last.day))


def _first_day(match: re.Match[str], today: datetime) -> datetime:
    if match["date"]:
        return datetime.strptime(match["date"], "%Y-%m-%d")
    if match["near"]:
        return today - timedelta(days=match["near"] == "yesterday")
    if match["weekday"]:
        days = (today.weekday() - _WEEKDAYS.index(match["weekday"][:3])) % 7
        return today - timedelta(days=7 if match["last_day"] and not days else days)
    number = int(match["number"] or match["of_number"])
    month = _MONTHS.index((match["month_of"] or match["of_month"])[:3]) + 1
    year = match["year_of"] or match["of_year"]
    if year:
        return datetime(int(year), month, number)
    return _latest_day(month, number, today)


def _latest_day(month: int, number: int, today: datetime) -> datetime:
    datetime(2000, month, number)  # A leap year: what it does not have, no year has.
    for year in range(today.year, today.year - _YEARS_BACK - 1, -1):
        try:
            day = datetime(year, month, number)
        except ValueError:
            continue
        if day <= today:
            return day
    raise ValueError("no such day lately")


def _month(match: re.Match[str], this_month: datetime) -> datetime:
    if match["unit"]:
        return months_before(this_month, int(match["span"] == "last"))
    if match["digits"]:
        return datetime.strptime(match["digits"], "%Y-%m")
    number = _MONTHS.index((match["month"] or match["of"])[:3]) + 1
    if match["year"]:
        return datetime(int(match["year"]), number, 1)
    months = (this_month.month - number) % 12
    return months_before(this_month, 12 if match["last"] and not months else months)
