"""The bottleneck of every week, and what would relieve it, in words: shadow prices made sentences, each tried.

One more card of capacity on a day lets one card come forward; its price in the linear programme, divided by what a day
of waiting costs, is by how many days. That says what is worth trying (`remedies`). What a change really brings is
counted on the plan with it: the cards that can be collected earlier, and by how many days.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from issuance.planning.forward import Walk, course_of, walk
from issuance.planning.optimiser import Plan, cheapest
from issuance.planning.region import Reals, Region
from issuance.planning.relaxation import Relaxed, relax
from issuance.planning.remedies import (
    NOTICEABLE_DAYS,
    Bottleneck,
    Remedy,
    centre_remedies,
    days_forward,
    point_remedies,
    spaced,
)

# The whole plan is walked for each, so only the most promising are tried.
TRIED_AT_CENTRE, TRIED_AT_POINTS = 4, 2


@dataclass(frozen=True)
class Week:
    """What one more card would bring in the week that begins on `first`: `days` by which one card comes forward."""

    first: date
    bottleneck: Bottleneck
    days: float
    variant: int | None = None


@dataclass(frozen=True)
class Relief:
    """One change, and that it brings `cards` cards forward by `days` days each, on average."""

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
    lines, windows, chips = (days_forward(plan, one) for one in prices)
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
    """The changes that are worth most card-days, the best first: shifts, chips, and what the slowest points lack."""
    tried = [*centre_remedies(plan)[:TRIED_AT_CENTRE], *point_remedies(plan)[:TRIED_AT_POINTS]]
    if not tried:
        return []
    before = _walked(plan, plan.region, plan.relaxed)
    found = [relief for one in tried if (relief := _tried(plan, one, before)) is not None]
    return sorted(found, key=lambda one: -one.card_days)[:limit]


def _walked(plan: Plan, region: Region, relaxed: Relaxed) -> Walk:
    """The plan of a region, on the trips of the plan and those it has more."""
    trips = plan.trips | (region.delivery.departs & ~plan.region.delivery.departs)
    return cheapest(
        region, relaxed, lambda paid: walk(course_of(region, targets=relaxed.targets, trips=trips, paid=paid))
    )


def _tried(plan: Plan, remedy: Remedy, before: Walk) -> Relief | None:
    """What a remedy brings in the plan with it; None where that is next to nothing."""
    after = _walked(plan, remedy.region, relax(remedy.region))
    ahead = np.cumsum((after.handed - before.handed).sum(axis=(1, 2, 3)))
    cards = int(ahead.max())
    days = float(ahead @ plan.region.time) / cards if cards > 0 else 0.0
    if days < NOTICEABLE_DAYS:
        return None
    ru = f"{remedy.ru}: карт раньше — {spaced(cards)}, дней — {days:.0f}."
    en = f"{remedy.en} {cards:,} cards forward by {days:.0f} days."
    return Relief(remedy.bottleneck, cards, days, ru, en)
