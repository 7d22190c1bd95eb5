"""Hides which days are worked: weekends, public holidays, their moves and the yearly decrees.

Spec: Labour Code of the Russian Federation, article 112 (holidays, and a holiday on a weekend moves to the next
working day) and 95 (the working day right before a holiday is an hour shorter), with the Government's yearly decrees as
data, `config/calendar/russia.toml`.
"""

import tomllib
from calendar import isleap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from issuance.planning.errors import CalendarError

ONE_DAY = timedelta(days=1)
# A calendar without a working day for so long is wrong; nobody waits for its next one.
LONGEST_REST_DAYS = 366
SATURDAY = 5
LEAP_DAY = (2, 29)
FIELDS = frozenset({"holidays", "moved_by_decree", "years"})
YEAR_FIELDS = frozenset({"days_off", "working_days", "shortened_days"})


@dataclass(frozen=True)
class WorkingCalendar:
    """The working days of any year.

    `holidays` and `moved_by_decree` are (month, day); `days_off`, `working_days` and `shortened_days` (beside those
    that the rule gives) are the exceptions of decrees, which are known of the years `decreed`.
    """

    holidays: frozenset[tuple[int, int]] = frozenset()
    moved_by_decree: frozenset[tuple[int, int]] = frozenset()
    days_off: frozenset[date] = frozenset()
    working_days: frozenset[date] = frozenset()
    shortened_days: frozenset[date] = frozenset()
    decreed: frozenset[int] = frozenset()
    _off: dict[int, frozenset[date]] = field(default_factory=dict, repr=False, compare=False)

    def is_working(self, day: date) -> bool:
        """Whether `day` is worked."""
        if day in self.working_days:
            return True
        return day.weekday() < SATURDAY and day not in self._days_off_in(day.year)

    def is_holiday(self, day: date) -> bool:
        """Whether `day` is a public holiday itself, on whatever weekday; not a day off that was moved there."""
        return (day.month, day.day) in self.holidays

    def is_shortened(self, day: date) -> bool:
        """Whether `day` is worked an hour less: right before a holiday, or in place of such a day by decree."""
        return self.is_working(day) and (day in self.shortened_days or self.is_holiday(day + ONE_DAY))

    def next_working(self, day: date) -> date:
        """The first working day on or after `day`; `day` itself where a year has none, so that a plan still comes."""
        rest = (day + number * ONE_DAY for number in range(LONGEST_REST_DAYS))
        return next((one for one in rest if self.is_working(one)), day)

    def after(self, day: date, working_days: int) -> date:
        """The day that comes `working_days` working days after `day` (0: the first working day on or after it)."""
        day = self.next_working(day)
        for _ in range(working_days):
            day = self.next_working(day + ONE_DAY)
        return day

    def between(self, first: date, last: date) -> Iterator[date]:
        """The working days from `first` to `last`, both included."""
        for number in range((last - first).days + 1):
            day = first + number * ONE_DAY
            if self.is_working(day):
                yield day

    def _days_off_in(self, year: int) -> frozenset[date]:
        if year not in self._off:
            self._off[year] = frozenset(self._holidays_of(year))
        return self._off[year]

    def _holidays_of(self, year: int) -> set[date]:
        """The holidays of a year with those on a weekend moved to the next day that is still worked."""
        # 29 February is a holiday in the years that have it.
        fixed = {date(year, month, day) for month, day in self.holidays if (month, day) != LEAP_DAY or isleap(year)}
        off = fixed | {day for day in self.days_off if day.year == year}
        for day in sorted(fixed):
            if day.weekday() < SATURDAY or (day.month, day.day) in self.moved_by_decree:
                continue
            moved = day
            while moved.weekday() >= SATURDAY or moved in off:
                moved += ONE_DAY
            off.add(moved)
        return off


def from_table(table: Mapping[str, Any]) -> WorkingCalendar:
    """Make a calendar of the parsed TOML table; raises `CalendarError` naming the entry that is wrong."""
    _refuse_unknown(table, FIELDS, "the calendar")
    years: Mapping[str, Mapping[str, Any]] = table.get("years", {})
    for year, entries in years.items():
        _refuse_unknown(entries, YEAR_FIELDS, f"year {year}")
    return WorkingCalendar(
        holidays=frozenset(map(_month_and_day, table.get("holidays", ()))),
        moved_by_decree=frozenset(map(_month_and_day, table.get("moved_by_decree", ()))),
        days_off=_dates_of(years, "days_off"),
        working_days=_dates_of(years, "working_days"),
        shortened_days=_dates_of(years, "shortened_days"),
        decreed=frozenset(map(_year, years)),
    )


def load(path: Path) -> WorkingCalendar:
    """Read a calendar file; raises `CalendarError` when it cannot be read or holds something else."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise CalendarError(
            f"The working-day calendar {path} cannot be read ({problem}): correct the file."
        ) from problem
    return from_table(table)


def _dates_of(years: Mapping[str, Mapping[str, Any]], name: str) -> frozenset[date]:
    found = set()
    for year, entries in years.items():
        for text in entries.get(name, ()):
            day = _date(text)
            if str(day.year) != year:
                raise CalendarError(f"{text} stands under the year {year} in the calendar: move it to its own year.")
            found.add(day)
    return frozenset(found)


def _date(text: object) -> date:
    try:
        return text if isinstance(text, date) else date.fromisoformat(str(text))
    except ValueError as problem:
        raise CalendarError(f"{text!r} in the calendar is not a date: write YYYY-MM-DD.") from problem


def _year(text: str) -> int:
    if not text.isdecimal():
        raise CalendarError(f"{text!r} in the calendar is not a year: write it like 2026.")
    return int(text)


def _month_and_day(text: object) -> tuple[int, int]:
    day = _date(f"2000-{text}")
    return day.month, day.day


def _refuse_unknown(table: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for name in table:
        if name not in known:
            raise CalendarError(
                f"{where} has an unknown entry {name!r}: the known ones are {', '.join(sorted(known))}."
            )
