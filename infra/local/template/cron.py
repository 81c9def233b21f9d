"""Cron expressions of EventBridge: six fields in UTC, with ``?``, ``L``, ``W`` and ``#``.

Source: "Cron expressions reference" in the EventBridge User Guide, and the Quartz scheduler's
syntax where the guide is silent: ranges may wrap, ``L-3`` is the third day before the last, ``LW``
the last weekday of a month, ``6L`` its last Friday.
"""

import calendar
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NamedTuple

FIRST_YEAR, LAST_YEAR = 1970, 2199
_SATURDAY = 7

_MONTHS = {
    name: at for at, name in enumerate(re.findall("...", "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"), 1)
}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": _SATURDAY}

Days = Callable[[int, int], set[int]]
"""The days of a month, by year and month."""


class InvalidCron(ValueError):
    """EventBridge refuses the expression; the message names the field and the problem."""


class _Field(NamedTuple):
    """A field: its name, its least and greatest value, and the names of values."""

    name: str
    least: int
    most: int
    names: Mapping[str, int] = {}
    steps: bool = True


_MINUTE, _HOUR = _Field("minutes", 0, 59), _Field("hours", 0, 23)
_DAY, _MONTH = _Field("day-of-month", 1, 31), _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day-of-week", 1, _SATURDAY, _DAYS, steps=False)
_YEAR = _Field("year", FIRST_YEAR, LAST_YEAR)


class Cron:
    """A cron expression.

    Parameters
    ----------
    fields : Sequence[str]
        Minutes, hours, day of month, month, day of week and year.

    Raises
    ------
    InvalidCron
        A field is invalid, or not exactly one of the two day fields is ``?``.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        minute, hour, day, month, weekday, year = (field.upper() for field in fields)
        if (day == "?") == (weekday == "?"):
            raise InvalidCron("exactly one of day-of-month and day-of-week must be ?")
        minutes, hours = sorted(_values(_MINUTE, minute)), sorted(_values(_HOUR, hour))
        self._times = list(product(hours, minutes))
        self._months = _values(_MONTH, month)
        self._years = _values(_YEAR, year)
        self._days = _weekdays(weekday) if day == "?" else _days(day)

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment, or None."""
        start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for year, month in self._months_from(start):
            last = calendar.monthrange(year, month)[1]
            for day in sorted(day for day in self._days(year, month) if 1 <= day <= last):
                date = datetime(year, month, day, tzinfo=UTC)
                if date.date() < start.date():
                    continue
                earliest = (start.hour, start.minute) if date.date() == start.date() else (0, 0)
                time = next((time for time in self._times if time >= earliest), None)
                if time is not None:
                    return date.replace(hour=time[0], minute=time[1])
        return None

    def _months_from(self, start: datetime) -> Iterator[tuple[int, int]]:
        for year in sorted(year for year in self._years if year >= start.year):
            for month in sorted(self._months):
                if (year, month) >= (start.year, start.month):
                    yield year, month


def _values(field: _Field, text: str) -> set[int]:
    """Return the values of a field without ``?``, ``L``, ``W`` and ``#``."""
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        if slash and not field.steps:
            raise InvalidCron(f"{field.name} {text!r} has /, which it does not take")
        if slash and not re.fullmatch("[1-9][0-9]{0,3}", step):
            raise InvalidCron(f"{field.name} {text!r} has an increment that is no number above 0")
        values |= _span(field, text, span, int(step) if slash else None)
    return values


def _span(field: _Field, text: str, span: str, step: int | None) -> set[int]:
    """Return the values of ``*``, a value, or a range that may wrap; every ``step``-th of them."""
    if span == "*":
        return set(range(field.least, field.most + 1, step or 1))
    first, dash, last = span.partition("-")
    low = _value(field, text, first)
    if not dash:
        return set(range(low, field.most + 1, step)) if step else {low}
    high = _value(field, text, last)
    if high < low and field is _YEAR:
        raise InvalidCron(f"{field.name} {text!r} ends before it begins")
    size = field.most - field.least + 1
    high += size if high < low else 0
    return {(value - field.least) % size + field.least for value in range(low, high + 1, step or 1)}


def _value(field: _Field, text: str, word: str) -> int:
    value = field.names.get(word)
    if value is None and re.fullmatch("[0-9]{1,4}", word):
        value = int(word)
    if value is None or not field.least <= value <= field.most:
        allowed = f"{field.least} to {field.most}"
        names = f" or {next(iter(field.names))} to {list(field.names)[-1]}" if field.names else ""
        raise InvalidCron(f"{field.name} {text!r} has {word!r}; values are {allowed}{names}")
    return value


def _days(text: str) -> Days:
    """Return the days of a day-of-month field."""
    if last := re.fullmatch(r"L(?:-([0-9]{1,2}))?(W)?", text):
        before = int(last[1] or 0)
        if before >= _DAY.most:
            raise InvalidCron(f"{_DAY.name} {text!r} is before the first day of every month")
        if last[2]:
            return lambda year, month: _nearest_weekday(year, month, _last(year, month) - before)
        return lambda year, month: {_last(year, month) - before}
    if nearest := re.fullmatch(r"([0-9]{1,2})W", text):
        day = _value(_DAY, text, nearest[1])
        return lambda year, month: _nearest_weekday(year, month, day)
    days = _values(_DAY, text)
    return lambda _year, _month: days


def _last(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _nearest_weekday(year: int, month: int, day: int) -> set[int]:
    """Return the weekday of the month that is nearest to a day of it."""
    last = _last(year, month)
    if not 1 <= day <= last:
        return set()
    weekday = calendar.weekday(year, month, day)
    if weekday == calendar.SATURDAY:
        return {day - 1 if day > 1 else day + 2}
    if weekday == calendar.SUNDAY:
        return {day + 1 if day < last else day - 2}
    return {day}


def _weekdays(text: str) -> Days:
    """Return the days of a day-of-week field; Sunday is 1."""
    if text == "L":
        text = str(_SATURDAY)
    if nth := re.fullmatch(r"(\w+)#([0-9]+)", text):
        weekday, at = _value(_WEEKDAY, text, nth[1]), int(nth[2])
        if not 1 <= at <= 5:  # noqa: PLR2004 - a month has at most five
            raise InvalidCron(f"{_WEEKDAY.name} {text!r} has #{at}; a month has #1 to #5")
        return lambda year, month: set(_all(year, month, {weekday})[at - 1 : at])
    if last := re.fullmatch(r"(\w+)L", text):
        weekday = _value(_WEEKDAY, text, last[1])
        return lambda year, month: set(_all(year, month, {weekday})[-1:])
    weekdays = _values(_WEEKDAY, text)
    return lambda year, month: set(_all(year, month, weekdays))


def _all(year: int, month: int, weekdays: set[int]) -> list[int]:
    """Return the days of a month that fall on these weekdays."""
    first = (calendar.weekday(year, month, 1) + 1) % 7  # Sunday is 0
    days = range(1, _last(year, month) + 1)
    return [day for day in days if (first + day - 1) % 7 + 1 in weekdays]
