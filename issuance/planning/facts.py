"""What an office tells its planner about lines, chips, couriers and points, made into the region's arrays.

Everything has a default, so that an office can plan before it has told anything: one line that makes what the points
hand over, chips without end, a courier to every point on every working day, the points' own daily capacity.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.region import BUREAU, Counts, Delivery, Flags, Line, Place, Supply
from issuance.planning.timetable import LineHours, PointHours, Round, mobile_hand_over, visits

WORKING_WEEK = frozenset(range(5))
# More chips than any region has people: whoever counts none has no shortage of them.
PLENTY = 10**9
# A delivery that is overdue is believed to come so many planning days from now, until somebody knows better.
OVERDUE_DAYS = 10
SAFE_DAYS = 20
# Working days from an order to the cards back at the centre, where nobody has said.
BUREAU_DAYS = 10
# One card variant without a name: where nobody tells them apart.
USUAL = ("",)


@dataclass(frozen=True)
class OfficePoint:
    """A point as the office's own tables have it; `daily` cards it can hand over on a working day."""

    code: str
    name_ru: str
    name_en: str
    municipality: str
    daily: int


@dataclass(frozen=True)
class Coming:
    """Chips that are ordered: `count` of them on `day`, by the maker's delivery note once it is known.

    Without a day nobody counts on them yet. `variant` names the card they are for; empty: the office's usual one.
    """

    day: date | None
    count: int
    note: str = ""
    variant: str = ""


@dataclass(frozen=True)
class Service:
    """How a point is served; None leaves it to the points' common rule or to the office's own tables.

    A point with `stops` is a mobile office, also with none of them: it stands there on these days only, `stop_minutes`
    each, and takes its cards along in the morning.
    """

    weekdays: frozenset[int] | None = None
    volume: int | None = None
    cost: float | None = None
    transit: int | None = None
    storage: int | None = None
    hours: PointHours | None = None
    stops: tuple[date, ...] | None = None
    stop_minutes: int = 0

    @property
    def mobile(self) -> bool:
        """Whether it is a mobile office."""
        return self.stops is not None

    def over(self, rule: "Service") -> "Service":
        """What this point says, and the common rule where it says nothing."""
        return Service(
            self.weekdays if self.weekdays is not None else rule.weekdays,
            self.volume if self.volume is not None else rule.volume,
            self.cost if self.cost is not None else rule.cost,
            self.transit if self.transit is not None else rule.transit,
            self.storage,
            self.hours,
            self.stops,
            self.stop_minutes,
        )


@dataclass(frozen=True)
class Partner:
    """A bureau that can take orders now, by the office's own tables; it promises `daily` cards a working day."""

    code: str
    name: str
    daily: int


@dataclass(frozen=True)
class Outside:
    """What the office says of a bureau: whether the plan may `use` it, and for how much.

    `daily` cards at most (None: what it promises), each for `price` more than at home; after an order they are back in
    `days` working days. `makes` are the card variants it can make; empty: the office's usual one.
    """

    use: bool = True
    daily: int | None = None
    price: float = 0.0
    days: int = BUREAU_DAYS
    makes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facts:
    """The checked table: lines with their hours, chips, and the couriers' rounds by point code.

    Card variants go by name; where none is named, the office's usual one is meant. `makes` says of a line by its code
    which variants it can make (all of them where it says nothing).
    `in_hand` is None where the stock's own books are to be believed; `intake` times the applications that came lately
    are expected to come every day (0: nobody is expected); `windows` times what points can hand over. `bureaux` says
    how each bureau may be used; those that can take orders join by `joined`.
    """

    lines: tuple[tuple[Line, LineHours], ...] = ()
    makes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    in_hand: Mapping[str, int] | None = None
    deliveries: tuple[Coming, ...] = ()
    courier: Service = field(default_factory=Service)
    points: Mapping[str, Service] = field(default_factory=dict)
    intake: float = 0.0
    windows: float = 1.0
    bureaux: Mapping[str, Outside] = field(default_factory=dict)
    partners: tuple[Partner, ...] = ()

    def joined(self, partners: Sequence[Partner]) -> "Facts":
        """With the bureaux that can take orders now, as lines beside the own ones, as far as the office uses them."""
        return replace(self, partners=tuple(partners))

    def outside(self, code: str) -> Outside:
        """What is said of the bureau with a code."""
        return self.bureaux.get(code, Outside())

    def free_chips(self, variants: Sequence[str] = USUAL) -> list[int]:
        """By variant, the usual one first: what is told to be in hand; plenty where nothing is told."""
        if self.in_hand is None:
            return [PLENTY] * len(variants)
        told = {name or variants[0]: count for name, count in self.in_hand.items()}
        return [told.get(name, 0) for name in variants]

    def days(
        self, first: date, last: date, calendar: WorkingCalendar, points: Sequence[OfficePoint]
    ) -> tuple[date, ...]:
        """The days from `first` to `last` on which anything is worked: working days, and weekends as far as told.

        A weekend counts where a line has shifts, a point is open, a courier goes or a mobile office stands; a holiday
        only where a mobile office stands.
        """
        served = [self.service(point.code) for point in points]
        fixed = [one for one in served if not one.mobile]
        rounds = [one.weekdays for one in fixed if one.weekdays is not None]
        opened = [one.hours.weekdays for one in fixed if one.hours]
        shifts = [hours.weekdays for _, hours in self.all_lines(points)]
        weekend = frozenset[int]().union(*rounds, *opened, *shifts) - WORKING_WEEK
        stops = {day for one in served for day in one.stops or ()}

        def worked(day: date) -> bool:
            usual = day.weekday() in weekend and not calendar.is_holiday(day)
            return usual or calendar.is_working(day) or day in stops

        every = (first + timedelta(days=number) for number in range((last - first).days + 1))
        return tuple(day for day in every if worked(day))

    def supply(
        self,
        days: Sequence[date],
        calendar: WorkingCalendar,
        points: Sequence[OfficePoint],
        *,
        variants: Sequence[str] = USUAL,
        chips: Sequence[int] | None = None,
        arrived: frozenset[str] = frozenset(),
    ) -> Supply:
        """Lines and chips by day, for card variants, the usual one first.

        `chips` [V] are free by the office's books, `arrived` are the delivery notes in them.
        """
        lines = self.all_lines(points)
        deliveries = np.zeros((len(variants), len(days)), dtype=np.int64)
        for coming in self.deliveries:
            name = coming.variant or variants[0]
            if coming.note not in arrived and name in variants:
                _deliver(deliveries[list(variants).index(name)], days, coming)
        return Supply(
            tuple(replace(line, makes=self._makes(line, variants)) for line, _ in lines),
            np.stack([hours.capacity(days, calendar) for _, hours in lines]),
            np.array(self.free_chips(variants) if chips is None else chips, dtype=np.int64),
            deliveries,
        )

    def _makes(self, line: Line, variants: Sequence[str]) -> tuple[int, ...]:
        """Indexes of the variants that a line makes: all but for what is said; a bureau the usual one."""
        if line.kind == BUREAU:
            named = self.outside(line.code).makes or frozenset(variants[:1])
        else:
            named = self.makes.get(line.code, frozenset(variants))
        return tuple(number for number, name in enumerate(variants) if name in named)

    def all_lines(self, points: Sequence[OfficePoint]) -> tuple[tuple[Line, LineHours], ...]:
        """Own lines, one where none is told, and bureaux; one that is forbidden or takes no orders makes nothing."""
        partners = {one.code for one in self.partners}
        told = {line.code: hours for line, hours in self.lines if line.kind == BUREAU}
        own = tuple(
            (line, replace(hours, machines=0) if line.kind == BUREAU else hours)
            for line, hours in self.lines or (_default_line(points),)
            if line.code not in partners
        )
        return (*own, *(_bureau_line(one, self.outside(one.code), told.get(one.code)) for one in self.partners))

    def delivery(self, days: Sequence[date], calendar: WorkingCalendar, points: Sequence[OfficePoint]) -> Delivery:
        """Couriers and windows by day."""
        served = [self.service(point.code) for point in points]
        by_point = [_hand_over(one, point.daily, days, calendar) for one, point in zip(served, points, strict=True)]
        return Delivery(
            departs=np.stack([_departs(one, days, calendar) for one in served]),
            transit=np.array([0 if one.mobile else one.transit or 0 for one in served], dtype=np.int64),
            volume=np.array([10_000 if one.volume is None else one.volume for one in served], dtype=np.int64),
            cost=np.array([one.cost or 0.0 for one in served], dtype=float),
            hand_over=np.floor(np.stack(by_point) * self.windows).astype(np.int64),
            worked=np.array([calendar.is_working(day) for day in days], dtype=np.bool_),
        )

    def service(self, code: str) -> Service:
        """How the point with a code is served."""
        return self.points.get(code, Service()).over(self.courier)

    def places(self, points: Sequence[OfficePoint]) -> tuple[Place, ...]:
        """The points with their safes; twenty days' hand-overs fit where nothing is said."""
        return tuple(
            Place(
                one.code,
                one.name_ru,
                one.name_en,
                one.municipality,
                self._storage(one),
                mobile=self.service(one.code).mobile,
            )
            for one in points
        )

    def _storage(self, point: OfficePoint) -> int:
        said = self.service(point.code)
        if said.storage is not None:
            return said.storage
        return SAFE_DAYS * max(point.daily, said.hours.on_a_day(max(said.hours.minutes)) if said.hours else 0)


def overdue_until(days: Sequence[date]) -> date:
    """The planned day on which a delivery that is overdue is believed to come."""
    return days[min(OVERDUE_DAYS, len(days) - 1)]


def _deliver(row: Counts, days: Sequence[date], coming: Coming) -> None:
    """A delivery is usable on the first planned day on or after its own; one that is overdue, some days from now."""
    if coming.day is None:
        return
    usable = overdue_until(days) if coming.day < days[0] else coming.day
    number = bisect_left(days, usable)
    if number < len(days):
        row[number] += coming.count


def _departs(service: Service, days: Sequence[date], calendar: WorkingCalendar) -> Flags:
    if service.stops is not None:
        return visits(days, service.stops)
    weekdays = WORKING_WEEK if service.weekdays is None else service.weekdays
    return Round(weekdays).departures(days, calendar)


def _hand_over(service: Service, daily: int, days: Sequence[date], calendar: WorkingCalendar) -> Counts:
    if service.stops is not None:
        hours = service.hours or PointHours(1, (0,) * 7)
        return mobile_hand_over(visits(days, service.stops), hours, service.stop_minutes)
    if service.hours:
        return service.hours.hand_over(days, calendar)
    return np.array([daily if calendar.is_working(day) else 0 for day in days], dtype=np.int64)


def _bureau_line(partner: Partner, said: Outside, hours: LineHours | None) -> tuple[Line, LineHours]:
    daily = partner.daily if said.daily is None else min(partner.daily, said.daily)
    usual = hours or LineHours(machines=1, cards_per_hour=daily, shift_hours=1)
    used = usual if said.use else replace(usual, machines=0)
    line = Line(partner.code, partner.name, partner.name, (0,), used.shift_cards, BUREAU, said.price, said.days)
    return line, used


def _default_line(points: Sequence[OfficePoint]) -> tuple[Line, LineHours]:
    hours = LineHours(machines=1, cards_per_hour=sum(point.daily for point in points), shift_hours=1)
    return Line("centre", "Центр", "Centre", (0,), hours.shift_cards), hours
