"""Turns how a region works into counts by day: lines' shifts, points' hours, couriers' rounds, mobile offices.

Public holidays and their moves come from the production calendar (`calendar`); couriers and points may work on other
days than lines do, weekends among them. On a shortened day every shift, and every point, works an hour less. Minutes
and cards an hour are whole; a fraction of a card is no card.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from issuance.planning.calendar import SATURDAY, WorkingCalendar
from issuance.planning.errors import PlanningError
from issuance.planning.region import Counts, Flags

WEEK = 7
DAY_MINUTES = 24 * 60
SHORTENED_BY_MINUTES = 60
# More cards a day than any region has people: whoever writes so much has slipped.
MOST_A_DAY = 10**9


@dataclass(frozen=True)
class Maintenance:
    """From `first` to `last`, both included, so many machines stand still."""

    first: date
    last: date
    machines: int


@dataclass(frozen=True)
class LineHours:
    """A line's `machines`, each writing `cards_per_hour`; `shifts` by weekday from Monday, of `shift_hours` hours.

    Raises `PlanningError` for numbers that make no sense.
    """

    machines: int
    cards_per_hour: int
    shift_hours: int = 8
    shifts: tuple[int, ...] = (1, 1, 1, 1, 1, 0, 0)
    maintenance: tuple[Maintenance, ...] = ()

    def __post_init__(self) -> None:
        if len(self.shifts) != WEEK or min(self.machines, self.cards_per_hour, self.shift_hours, *self.shifts) < 0:
            raise PlanningError("A line has seven numbers of shifts and no negative number: correct the line.")
        if self.shift_cards * max(self.shifts) > MOST_A_DAY:
            raise PlanningError(f"A line makes {MOST_A_DAY:,} cards a day at most: correct its machines or speed.")
        if any(work.last < work.first for work in self.maintenance):
            raise PlanningError("A maintenance ends before it begins: correct one of its days.")

    @property
    def shift_cards(self) -> int:
        """Cards that one shift of all machines makes."""
        return self.machines * self.cards_per_hour * self.shift_hours

    def capacity(self, days: Sequence[date], calendar: WorkingCalendar) -> Counts:
        """[D] cards by day; none on a public holiday, and a moved working Saturday counts as a Friday."""
        return np.array([self._on(day, calendar) for day in days], dtype=np.int64)

    @property
    def weekdays(self) -> frozenset[int]:
        """The days of the week, 0 for Monday, on which the line has shifts."""
        return frozenset(day for day, shifts in enumerate(self.shifts) if shifts and self.shift_cards)

    def _on(self, day: date, calendar: WorkingCalendar) -> int:
        standing = sum(work.machines for work in self.maintenance if work.first <= day <= work.last)
        running = max(0, self.machines - standing)
        # An hour less in every shift.
        hours = max(0, self.shift_hours - (SHORTENED_BY_MINUTES // 60 if calendar.is_shortened(day) else 0))
        return running * self.cards_per_hour * hours * worked_on(day, self.shifts, calendar)


def worked_on(day: date, by_weekday: Sequence[int], calendar: WorkingCalendar) -> int:
    """What a week's pattern says for a day: a holiday has nothing, a weekend that is worked has a Friday's."""
    usual = by_weekday[day.weekday()]
    if day.weekday() < SATURDAY:
        return usual if calendar.is_working(day) else 0
    if calendar.is_working(day):
        return max(usual, by_weekday[SATURDAY - 1])
    return 0 if calendar.is_holiday(day) else usual


@dataclass(frozen=True)
class PointHours:
    """A point's `windows`, the `minutes` they are open by weekday, and what share of them hands cards over.

    `minutes_a_card` is what one hand-over takes; `share_percent` of the time goes into hand-overs, the rest elsewhere.
    """

    windows: int
    minutes: tuple[int, ...]
    minutes_a_card: int = 12
    share_percent: int = 50

    def __post_init__(self) -> None:
        if len(self.minutes) != WEEK or self.minutes_a_card < 1 or min(self.windows, self.share_percent) < 0:
            raise PlanningError("A point has seven numbers of minutes, and a hand-over takes a minute at least.")
        if max(self.minutes) > DAY_MINUTES or self.share_percent > 100:
            raise PlanningError(f"A day has {DAY_MINUTES} minutes and a share 100 percent at most: correct the hours.")
        if self.windows * DAY_MINUTES > MOST_A_DAY:
            raise PlanningError("A point has no such number of windows: correct it.")

    def hand_over(self, days: Sequence[date], calendar: WorkingCalendar) -> Counts:
        """[D] cards that can be handed over on each day."""
        return np.array([self.on_a_day(self._open(day, calendar)) for day in days], dtype=np.int64)

    def _open(self, day: date, calendar: WorkingCalendar) -> int:
        less = SHORTENED_BY_MINUTES if calendar.is_shortened(day) else 0
        return max(0, worked_on(day, self.minutes, calendar) - less)

    @property
    def weekdays(self) -> frozenset[int]:
        """The days of the week, 0 for Monday, on which cards are handed over."""
        return frozenset(day for day, minutes in enumerate(self.minutes) if self.on_a_day(minutes))

    def on_a_day(self, minutes: int) -> int:
        """Cards in so many opening minutes."""
        return self.windows * minutes * self.share_percent // 100 // self.minutes_a_card


@dataclass(frozen=True)
class Round:
    """A courier's round to a point: `weekdays` 0 to 6 from Monday, but on no holiday."""

    weekdays: frozenset[int]

    def departures(self, days: Sequence[date], calendar: WorkingCalendar) -> Flags:
        """[D] whether a courier leaves that morning; who goes on Fridays also does on a weekend that is worked."""
        goes = [int(weekday in self.weekdays) for weekday in range(WEEK)]
        return np.array([bool(worked_on(day, goes, calendar)) for day in days], dtype=np.bool_)


def visits(days: Sequence[date], stays: Iterable[date]) -> Flags:
    """[D] the days on which a mobile office stands at its stop; it leaves with the cards the same morning.

    A stay between two planned days counts on the later one; one outside of the plan does not count.
    """
    there = np.zeros(len(days), dtype=np.bool_)
    for day in stays:
        if days[0] <= day <= days[-1]:
            there[bisect_left(days, day)] = True
    return there


def mobile_hand_over(there: Flags, hours: PointHours, minutes: int) -> Counts:
    """[D] cards that a mobile office can hand over: only where and when it stands, `minutes` a stop."""
    return np.where(there, hours.on_a_day(minutes), 0).astype(np.int64)
