"""What pages and commands show of a plan, counted once when it is made: weeks, points, reliefs, who is late and why.

A page over 1.4 million people then reads one row.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from issuance.planning.facts import PLENTY
from issuance.planning.lateness import Late, late_cards
from issuance.planning.optimiser import Plan
from issuance.planning.relief import bottlenecks, reliefs
from issuance.planning.remedies import Bottleneck

SHOWN_LATE = 50
SHOWN_RELIEFS = 8


def facts_of(plan: Plan) -> dict[str, Any]:
    """The facts of a plan, as JSON."""
    late = late_cards(plan)
    return {
        "cost": round(plan.cost.total, 2),
        "bound": round(plan.bound, 2),
        "gap": round(plan.gap, 5),
        "cards": int(plan.walk.made.sum()),
        "weeks": _weeks(plan),
        "points": _points(plan),
        "reliefs": [{"ru": one.ru, "en": one.en} for one in reliefs(plan, limit=SHOWN_RELIEFS)],
        "reasons": _reasons(late),
        "late": [
            {
                "point": one.point,
                "kind": int(one.kind),
                "variant": plan.region.variants[one.variant],
                "reason": one.reason.value,
                "count": one.count,
                "open": one.open,
                "days": one.days,
                "ru": one.ru,
                "en": one.en,
            }
            for one in late[:SHOWN_LATE]
        ],
        "doubts": [{"ru": ru, "en": en} for ru, en in plan.region.doubts],
        "late_cards": sum(one.count for one in late),
        "open_cards": sum(one.open for one in late),
    }


def _reasons(late: Sequence[Late]) -> list[dict[str, Any]]:
    """Late cards by class and reason, over all points, with the first sentence as what it would take there."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for one in late:
        row = found.setdefault(
            (int(one.kind), one.reason.value),
            {"kind": int(one.kind), "reason": one.reason.value, "count": 0, "open": 0, "points": set()},
        )
        row["count"] += one.count
        row["open"] += one.open
        row["points"].add(one.point)
    return [row | {"points": len(row["points"])} for row in found.values()]


def _weeks(plan: Plan) -> list[dict[str, Any]]:
    """Each week: its bottleneck, what is made and handed over against what could be, chips left, cards at points."""
    monday = np.array([day.toordinal() - day.weekday() for day in plan.region.days])
    made = plan.walk.made.sum(axis=(1, 2, 3))
    handed = plan.walk.handed.sum(axis=(1, 2, 3))
    could = plan.region.supply.capacity.sum(axis=0)
    windows = plan.region.delivery.hand_over.sum(axis=0)
    lying = plan.walk.stock.sum(axis=(1, 2, 3))
    # Of variants that nobody counts there is no number to show.
    counted = plan.region.supply.chips < PLENTY
    found = []
    for week in bottlenecks(plan):
        days = np.flatnonzero(monday == week.first.toordinal())
        found.append(
            {
                "first": week.first.isoformat(),
                "bottleneck": week.bottleneck.value,
                "days": round(week.days, 1) if week.bottleneck is not Bottleneck.NONE else 0,
                "made": int(made[days].sum()),
                "capacity": int(could[days].sum()),
                "handed": int(handed[days].sum()),
                "windows": int(windows[days].sum()),
                "chips": int(plan.walk.chips[days[-1]][counted].sum()) if counted.any() else PLENTY,
                "lying": int(lying[days[-1]]),
            }
        )
    return found


def _points(plan: Plan) -> list[dict[str, Any]]:
    """Each point: who waits, when the last of them can come, how full its safe gets, its next couriers."""
    region, days = plan.region, plan.region.days
    waiting = region.demand.known.sum(axis=(2, 3)) + region.demand.finished.sum(axis=2)
    handed = plan.walk.handed.sum(axis=(2, 3))
    lying = plan.walk.stock.sum(axis=(2, 3))
    left = plan.walk.left.sum(axis=(2, 3)) > 0
    stock = region.demand.stock.sum(axis=(1, 2))
    found = []
    for number, place in enumerate(region.places):
        served = np.flatnonzero(handed[:, number])
        trips = np.flatnonzero(left[:, number])
        total = int(waiting[number].sum())
        found.append(
            {
                "code": place.code,
                "ru": place.name_ru,
                "en": place.name_en,
                "remakes": int(waiting[number, 0]),
                "clocks": int(waiting[number, 1]),
                "cohort": int(waiting[number, 2]),
                "open": max(0, total + int(stock[number]) - int(handed[:, number].sum())),
                "last": _iso(days, served[-1:]),
                "courier": _iso(days, trips[:1]),
                "trips": len(trips),
                "storage": place.storage,
                "peak": int(lying[:, number].max()),
            }
        )
    return found


def _iso(days: tuple[date, ...], at: Any) -> str | None:
    return days[int(at[0])].isoformat() if len(at) else None
