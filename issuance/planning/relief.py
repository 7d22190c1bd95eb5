"""The bottleneck of every week, and what would relieve it, in words: shadow prices made sentences.

One more card of capacity on a day lets one card come forward; its price in the linear programme, divided by what a day
of waiting costs, is by how many days. So a shift of n cards through a month brings n x its days cards forward. A price
holds for a small change; for a large one it is the most that can be hoped for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np

from issuance.planning.allot import line_groups
from issuance.planning.optimiser import Plan
from issuance.planning.region import OWN, Kind, Line, Reals

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
class Week:
    """What one more card would bring in the week that begins on `first`: `days` by which one card comes forward."""

    first: date
    bottleneck: Bottleneck
    days: float
    variant: int | None = None


@dataclass(frozen=True)
class Relief:
    """One change, and that it brings `cards` cards forward by `days` days each."""

    bottleneck: Bottleneck
    cards: int
    days: float
    ru: str
    en: str

    @property
    def card_days(self) -> float:
        """What it is worth in all."""
        return self.cards * self.days


def bottlenecks(plan: Plan) -> list[Week]:
    """The bottleneck of every week of the plan."""
    prices = (plan.relaxed.lines, plan.relaxed.windows, plan.relaxed.chips)
    weeks: dict[date, list[int]] = {}
    for index, day in enumerate(plan.region.days):
        weeks.setdefault(date.fromordinal(day.toordinal() - day.weekday()), []).append(index)
    return [_week(first, plan, indexes, prices) for first, indexes in weeks.items()]


def _week(first: date, plan: Plan, days: list[int], prices: tuple[Reals, Reals, Reals]) -> Week:
    lines, windows, chips = (_days_forward(plan, one) for one in prices)
    worth: list[tuple[float, Bottleneck, int | None]] = [
        (float(lines[:, days].max(axis=0).mean()), Bottleneck.LINES, None),
        (float(windows[:, days].max(axis=0).mean()), Bottleneck.WINDOWS, None),
    ]
    worth += [(float(chips[variant, days].mean()), Bottleneck.CHIPS, variant) for variant in range(len(chips))]
    forward, bottleneck, which = max(worth, key=lambda one: one[0])
    if forward < NOTICEABLE_DAYS:
        return Week(first, Bottleneck.POINTS if _waits_for_points(plan, days[-1]) else Bottleneck.NONE, 0.0)
    return Week(first, bottleneck, forward, which)


def _waits_for_points(plan: Plan, day: int) -> bool:
    """Whether anybody waits that day whom no courier, safe or window can ever serve."""
    region = plan.region
    room = np.array([place.storage for place in region.places]) > 0
    unserved = ~(region.reachable & room & region.delivery.hand_over.any(axis=1))
    return bool(region.demand.known[unserved, ..., : day + 1].any() or region.demand.finished[unserved].any())


def reliefs(plan: Plan, *, limit: int = 10) -> list[Relief]:
    """The changes that are worth most card-days, the best first: a shift on a line for a month, chips on a day."""
    found = [*_new_line(plan), *_shifts(plan), *_chips(plan)]
    return sorted(found, key=lambda one: -one.card_days)[:limit]


def _shifts(plan: Plan) -> Iterator[Relief]:
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
    worth = _days_forward(plan, plan.relaxed.lines)
    for group, number in best.items():
        line = region.supply.lines[number]
        for (year, month), within in months.items():
            works = [day for day in within if region.supply.capacity[number, day]]
            # A day on which nothing can be made has no price of its own, unless the line stands still all month.
            days = works or within
            cards = line.shift * len(days)
            forward = float(worth[group, days].mean())
            if not cards or forward < NOTICEABLE_DAYS:
                continue
            more_ru, more_en = _more(line) if works else _any_at_all(line)
            yield Relief(
                Bottleneck.LINES,
                cards,
                forward,
                f"{more_ru} в {MONTHS_RU[month - 1]} {year}: карт раньше — {_spaced(cards)}, дней — {forward:.0f}.",
                f"{more_en} in {MONTHS_EN[month - 1]} {year} brings {cards:,} cards forward by {forward:.0f} days.",
            )


def _new_line(plan: Plan) -> Iterator[Relief]:
    """Where no line there is could make a card even with a shift more, the line that it takes."""
    region = plan.region
    if region.supply.capacity.any() or any(line.shift for line in region.supply.lines):
        return
    waiting = int(region.demand.known[region.reachable].sum())
    soon = sum(1 for day in region.days if (day - region.days[0]).days < CLOCK_DAYS)
    if waiting:
        daily = -(-waiting // soon)
        yield Relief(
            Bottleneck.LINES,
            waiting,
            float(plan.region.prices.beyond_days),
            f"Ни одна линия не может сделать ни одной карты: нужна линия на {_spaced(daily)} карт в день, "
            f"чтобы за {CLOCK_DAYS} дней изготовить {_spaced(waiting)}.",
            f"No line can make a card: it takes a line of {daily:,} cards a day to make {waiting:,} within "
            f"{CLOCK_DAYS} days.",
        )


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


def _days_forward(plan: Plan, prices: Reals) -> Reals:
    """[..., D] prices as days by which a card comes forward: never more than are left of the plan."""
    days = np.array([day.toordinal() for day in plan.region.days])
    left = days[-1] - days + plan.region.prices.beyond_days
    forward: Reals = np.minimum(prices / plan.region.prices.wait[Kind.COHORT], left)
    return forward


def _chips(plan: Plan) -> Iterator[Relief]:
    region = plan.region
    for variant, name in enumerate(region.variants):
        price = _days_forward(plan, plan.relaxed.chips[variant])
        # Chips are worth having from a day on: just before each fall of their price is when they are needed.
        falls = np.flatnonzero(np.diff(np.append(price, 0.0)) < -NOTICEABLE_DAYS)
        for day in falls:
            forward = float(price[day])
            yield Relief(
                Bottleneck.CHIPS,
                CHIPS,
                forward,
                f"Ещё {_spaced(CHIPS)} чипов {name} к {region.days[day]:%d.%m.%Y}: карт раньше — {_spaced(CHIPS)}, "
                f"дней — {forward:.0f}.",
                f"{CHIPS:,} more chips {name} by {region.days[day]:%d.%m.%Y} bring {CHIPS:,} cards forward by "
                f"{forward:.0f} days.",
            )


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", "\u00a0")
