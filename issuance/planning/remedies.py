"""What could relieve a plan, and what may be hoped of each: more of a line, chips, and what the slowest points lack.

A remedy is the region with the change made, so that `relief` can plan with it. What is hoped of lines and chips are
their prices in the linear programme, which hold for a small change; of points, what their people wait longer than the
region's do on average.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from issuance.planning.allot import line_groups
from issuance.planning.optimiser import Plan
from issuance.planning.region import OWN, Counts, Kind, Line, Place, Reals, Region, Supply

MONTHS_RU = (
    "январе",
    "феврале",
    "марте",
    "апреле",
    "мае",
    "июне",
    "июле",
    "августе",
    "сентябре",
    "октябре",
    "ноябре",
    "декабре",
)
MONTHS_EN = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS_RU = ("понедельникам", "вторникам", "средам", "четвергам", "пятницам", "субботам", "воскресеньям")
WEEKDAYS_EN = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
CHIPS = 1000
# Below this many days a card, a bottleneck is none.
NOTICEABLE_DAYS = 0.5
# The law's clock: a line that has yet to be found should make within it what waits.
CLOCK_DAYS = 30


class Bottleneck(StrEnum):
    """What holds a week back; `POINTS` where all that waits is for points without courier, room or windows."""

    LINES = "lines"
    CHIPS = "chips"
    WINDOWS = "windows"
    POINTS = "points"
    NONE = "none"


@dataclass(frozen=True)
class Remedy:
    """A change in words without their end (Russian: what; English: what brings), and the region with it.

    `hoped` card-days are what it may bring at most.
    """

    bottleneck: Bottleneck
    hoped: float
    ru: str
    en: str
    region: Region


def days_forward(plan: Plan, prices: Reals) -> Reals:
    """[..., D] prices as days by which a card comes forward: never more than are left of the plan."""
    days = np.array([day.toordinal() for day in plan.region.days])
    left = days[-1] - days + plan.region.time[-1]
    forward: Reals = np.minimum(prices / plan.region.prices.wait[Kind.COHORT], left)
    return forward


def spaced(number: int) -> str:
    """A number in groups, as Russian writes it."""
    return f"{number:,}".replace(",", "\u00a0")


def centre_remedies(plan: Plan) -> list[Remedy]:
    """A line where there is none, a shift on a line for a month, chips by a day: the most hopeful first."""
    return sorted([*_new_line(plan), *_shifts(plan), *_chips(plan)], key=lambda one: -one.hoped)


def point_remedies(plan: Plan) -> list[Remedy]:
    """For points whose people wait longer than the others', what lets the fewest cards through: the worst first."""
    region = plan.region
    known = np.moveaxis(region.demand.known, -1, 0).sum(axis=(2, 3))
    there = region.demand.finished.sum(axis=(1, 2)) + region.demand.stock.sum(axis=(1, 2))
    open_cards = np.cumsum(known - plan.walk.handed.sum(axis=(2, 3)), axis=0) + there
    waits, people = region.time @ open_cards, known.sum(axis=0) + there
    excess = waits - people * waits.sum() / max(1, int(people.sum()))
    if len(people) == 1:
        excess = waits
    worst = [int(point) for point in np.argsort(-excess, kind="stable") if excess[point] > people[point]]
    return [found for point in worst if (found := _at_point(region, point, float(excess[point]))) is not None]


def _shifts(plan: Plan) -> Iterator[Remedy]:
    region = plan.region
    member = line_groups(region.supply).member
    months: dict[tuple[int, int], list[int]] = {}
    for index, day in enumerate(region.days):
        months.setdefault((day.year, day.month), []).append(index)
    # Lines that make the same have one price: the one with the largest shift speaks for them.
    best = {
        int(group): max(np.flatnonzero(member == group), key=lambda n: _speaks(region.supply.lines[n]))
        for group in member
    }
    worth = days_forward(plan, plan.relaxed.lines)
    for group, number in best.items():
        line = region.supply.lines[number]
        for (year, month), within in months.items():
            works = [day for day in within if region.supply.capacity[number, day]]
            # A day on which nothing can be made has no price of its own, unless the line stands still all month.
            days = works or within
            hoped = float(line.shift * worth[group, days].sum())
            if hoped < NOTICEABLE_DAYS * line.shift * len(days) or not line.shift:
                continue
            more_ru, more_en = _more(line) if works else _any_at_all(line)
            yield Remedy(
                Bottleneck.LINES,
                hoped,
                f"{more_ru} в {MONTHS_RU[month - 1]} {year}",
                f"{more_en} in {MONTHS_EN[month - 1]} {year} {'brings' if line.kind == OWN else 'bring'}",
                _with_supply(region, capacity=_more_on(region.supply, int(number), days, line.shift)),
            )


def _more_on(supply: Supply, line: int, days: list[int], cards: int) -> Counts:
    capacity = supply.capacity.copy()
    capacity[line, days] += cards
    return capacity


def _new_line(plan: Plan) -> Iterator[Remedy]:
    """Where no line there is could make a card even with a shift more, the line that it takes."""
    region = plan.region
    if region.supply.capacity.any() or any(line.shift for line in region.supply.lines):
        return
    waiting = int(region.demand.known[region.reachable].sum())
    soon = sum(1 for day in region.days if (day - region.days[0]).days < CLOCK_DAYS)
    if waiting:
        daily = -(-waiting // soon)
        every = tuple(range(len(region.variants)))
        line = Line("new", "Линия", "Line", every, daily)
        capacity = np.concatenate([region.supply.capacity, np.full((1, len(region.days)), daily, dtype=np.int64)])
        yield Remedy(
            Bottleneck.LINES,
            float(waiting * region.time[-1]),
            f"Ни одна линия не может сделать ни одной карты. Нужна линия на {spaced(daily)} карт в день",
            f"No line can make a card: it takes a line of {daily:,} cards a day, which brings",
            _with_supply(region, lines=(*region.supply.lines, line), capacity=capacity),
        )


def _with_supply(region: Region, **parts: object) -> Region:
    return replace(region, supply=replace(region.supply, **parts))  # type: ignore[arg-type]


def _speaks(line: Line) -> tuple[bool, int]:
    """Of lines that make the same, an own one with the largest shift speaks for all."""
    return line.kind == OWN, line.shift


def _more(line: Line) -> tuple[str, str]:
    """More of a line in words: a shift of an own one, as much again of a bureau."""
    if line.kind == OWN:
        return f"Ещё одна смена ({line.name_ru})", f"One more shift on {line.name_en}"
    return f"Вдвое больше карт в день ({line.name_ru})", f"Twice the cards a day from {line.name_en}"


def _any_at_all(line: Line) -> tuple[str, str]:
    """The same of a line that makes nothing all month."""
    if line.kind == OWN:
        return f"Одна смена в день ({line.name_ru})", f"One shift a day on {line.name_en}"
    return f"Заказы ({line.name_ru})", f"Orders to {line.name_en}"


def _chips(plan: Plan) -> Iterator[Remedy]:
    region = plan.region
    for variant, name in enumerate(region.variants):
        price = days_forward(plan, plan.relaxed.chips[variant])
        # Chips are worth having from a day on: just before each fall of their price is when they are needed.
        falls = np.flatnonzero(np.diff(np.append(price, 0.0)) < -NOTICEABLE_DAYS)
        # Where it falls from day to day, one day speaks for its month.
        months = {(region.days[day].year, region.days[day].month): day for day in falls[::-1]}
        for day in months.values():
            deliveries = region.supply.deliveries.copy()
            deliveries[variant, day] += CHIPS
            yield Remedy(
                Bottleneck.CHIPS,
                CHIPS * float(price[day]),
                f"Ещё {spaced(CHIPS)} чипов {name} к {region.days[day]:%d.%m.%Y}",
                f"{CHIPS:,} more chips {name} by {region.days[day]:%d.%m.%Y} bring",
                _with_supply(region, deliveries=deliveries),
            )


def _at_point(region: Region, point: int, hoped: float) -> Remedy | None:
    """More of what is narrowest at a point: hours, courier or safe; None where there is nothing to make more of."""
    place, delivery = region.places[point], region.delivery
    volume, hours = int(delivery.volume[point]), delivery.hand_over[point]
    brought = int(delivery.departs[point].sum()) * min(volume, place.storage)
    if place.mobile or not volume or not place.storage or not hours.any():
        return None
    if delivery.departs[point].any() and int(hours.sum()) <= brought:
        more = delivery.hand_over.copy()
        more[point] += (hours + 1) // 2
        return Remedy(
            Bottleneck.WINDOWS,
            hoped,
            f"В полтора раза больше часов выдачи ({place.name_ru})",
            f"Half as many window hours again at {place.name_en} bring",
            replace(region, delivery=replace(delivery, hand_over=more)),
        )
    if delivery.departs[point].any() and place.storage < volume:
        return _more_room(region, point, hoped)
    return _more_trips(region, point, hoped)


def _more_room(region: Region, point: int, hoped: float) -> Remedy:
    places: list[Place] = list(region.places)
    place = places[point]
    places[point] = replace(place, storage=2 * place.storage)
    return Remedy(
        Bottleneck.POINTS,
        hoped,
        f"Вдвое больше места в сейфе ({place.name_ru})",
        f"Twice the room in the safe of {place.name_en} brings",
        replace(region, places=tuple(places)),
    )


def _more_trips(region: Region, point: int, hoped: float) -> Remedy:
    """A trip on a weekday more; as much again on each where one leaves on every day."""
    place, delivery = region.places[point], region.delivery
    weekdays = np.array([day.weekday() for day in region.days])
    goes = set(weekdays[delivery.departs[point]].tolist())
    free = [one for one in sorted(set(weekdays.tolist())) if one not in goes]
    if not free:
        volume = delivery.volume.copy()
        volume[point] *= 2
        return Remedy(
            Bottleneck.POINTS,
            hoped,
            f"Вдвое больше карт за рейс ({place.name_ru})",
            f"Twice the cards a trip to {place.name_en} bring",
            replace(region, delivery=replace(delivery, volume=volume)),
        )
    # The one that is farthest from the trips there are.
    day = max(free, key=lambda one: (min((min((one - at) % 7, (at - one) % 7) for at in goes), default=0), -one))
    departs = delivery.departs.copy()
    departs[point] |= weekdays == day
    more_ru, more_en = ("Ещё один рейс", "One more trip") if goes else ("Рейс", "A trip")
    return Remedy(
        Bottleneck.POINTS,
        hoped,
        f"{more_ru} в неделю, по {WEEKDAYS_RU[day]} ({place.name_ru})",
        f"{more_en} a week to {place.name_en}, on {WEEKDAYS_EN[day]}, brings",
        replace(region, delivery=replace(delivery, departs=departs)),
    )
