"""Reads what an office tells its planner about lines, chips and couriers, and makes the region's arrays of it.

A TOML table, unknown entries refused; everything has a default, so that an office can plan before it has written any:
one line that makes what the points hand over, chips without end, a courier to every point on every working day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.errors import PlanningError
from issuance.planning.region import Delivery, Line, Place, Supply
from issuance.planning.timetable import LineHours, Maintenance, Round

WORKING_WEEK = (0, 1, 2, 3, 4)
# More chips than any region has people: whoever counts none has no shortage of them.
PLENTY = 10**9
KNOWN = {
    "": {"lines", "chips", "courier", "points"},
    "lines": {"code", "name_ru", "name_en", "machines", "cards_per_hour", "shift_hours", "shifts", "maintenance"},
    "chips": {"in_hand", "deliveries"},
    "courier": {"weekdays", "volume", "cost", "transit"},
    "points": {"weekdays", "volume", "cost", "transit", "storage"},
}


@dataclass(frozen=True)
class OfficePoint:
    """A point as the office's own tables have it; `daily` cards it can hand over on a working day."""

    code: str
    name_ru: str
    name_en: str
    municipality: str
    daily: int


@dataclass(frozen=True)
class Facts:
    """The checked table: lines with their hours, chips, and the couriers' rounds by point code."""

    lines: tuple[tuple[Line, LineHours], ...] = ()
    in_hand: int = PLENTY
    deliveries: tuple[tuple[date, int], ...] = ()
    courier: Mapping[str, Any] = field(default_factory=dict)
    points: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def supply(self, days: Sequence[date], calendar: WorkingCalendar, points: Sequence[OfficePoint]) -> Supply:
        """Lines and chips by day."""
        lines = self.lines or (_default_line(points),)
        deliveries = np.zeros((1, len(days)), dtype=np.int64)
        for day, count in self.deliveries:
            later = [number for number, planned in enumerate(days) if planned >= day]
            if later:
                deliveries[0, later[0]] += count
        return Supply(
            tuple(line for line, _ in lines),
            np.stack([hours.capacity(days, calendar) for _, hours in lines]),
            np.array([self.in_hand], dtype=np.int64),
            deliveries,
        )

    def delivery(self, days: Sequence[date], calendar: WorkingCalendar, points: Sequence[OfficePoint]) -> Delivery:
        """Couriers and windows by day."""
        rounds = [{**self.courier, **self.points.get(point.code, {})} for point in points]
        working = np.array([calendar.is_working(day) for day in days])
        return Delivery(
            departs=np.stack(
                [Round(frozenset(one.get("weekdays", WORKING_WEEK))).departures(days, calendar) for one in rounds]
            ),
            transit=np.array([one.get("transit", 0) for one in rounds], dtype=np.int64),
            volume=np.array([one.get("volume", 10_000) for one in rounds], dtype=np.int64),
            cost=np.array([one.get("cost", 0) for one in rounds], dtype=float),
            hand_over=np.stack([np.where(working, point.daily, 0) for point in points]).astype(np.int64),
        )

    def places(self, points: Sequence[OfficePoint]) -> tuple[Place, ...]:
        """The points with their safes; twenty days' hand-overs fit where nothing is said."""
        return tuple(
            Place(
                one.code,
                one.name_ru,
                one.name_en,
                one.municipality,
                int(self.points.get(one.code, {}).get("storage", 20 * one.daily)),
            )
            for one in points
        )


def facts_from(table: Mapping[str, Any]) -> Facts:
    """Check a parsed TOML table; raises `PlanningError` naming the entry that is wrong."""
    _only(table, "")
    chips = table.get("chips", {})
    _only(chips, "chips")
    _only(table.get("courier", {}), "courier")
    points = table.get("points", {})
    for code, entry in points.items():
        _only(entry, "points", code)
    try:
        return Facts(
            lines=tuple(_line(entry) for entry in table.get("lines", ())),
            in_hand=int(chips.get("in_hand", PLENTY)),
            deliveries=tuple((entry["day"], int(entry["count"])) for entry in chips.get("deliveries", ())),
            courier=dict(table.get("courier", {})),
            points={code: dict(entry) for code, entry in points.items()},
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise PlanningError(
            f"The planning facts have an entry that cannot be read ({problem}): correct it."
        ) from problem


def _line(entry: Mapping[str, Any]) -> tuple[Line, LineHours]:
    _only(entry, "lines", str(entry.get("code", "")))
    hours = LineHours(
        machines=int(entry["machines"]),
        cards_per_hour=int(entry["cards_per_hour"]),
        shift_hours=int(entry.get("shift_hours", 8)),
        shifts=tuple(entry.get("shifts", (1, 1, 1, 1, 1, 0, 0))),
        maintenance=tuple(Maintenance(**work) for work in entry.get("maintenance", ())),
    )
    code = str(entry["code"])
    names = (str(entry.get("name_ru", code)), str(entry.get("name_en", code)))
    return Line(code, *names, makes=(0,), shift=hours.shift_cards), hours


def _default_line(points: Sequence[OfficePoint]) -> tuple[Line, LineHours]:
    daily = sum(point.daily for point in points)
    hours = LineHours(machines=1, cards_per_hour=daily, shift_hours=1)
    return Line("centre", "Центр", "Centre", (0,), hours.shift_cards), hours


def _only(table: Mapping[str, Any], part: str, which: str = "") -> None:
    for name in table:
        if name not in KNOWN[part]:
            where = " ".join(word for word in (part, which) if word) or "the planning facts"
            known = ", ".join(sorted(KNOWN[part]))
            raise PlanningError(f"{where}: unknown entry {name!r}; the known ones are {known}.")
