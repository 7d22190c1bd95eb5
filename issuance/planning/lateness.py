"""Says who is late or without a date, why, and what it would take, in Russian and English; and explains one place.

A plan never refuses: a card that cannot be in time is made as soon as it can be, and stands here with its reason.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from issuance.planning.optimiser import Plan
from issuance.planning.region import Counts, Kind
from issuance.planning.rooms import next_trip


class Reason(StrEnum):
    """Why a card is late, the first that applies."""

    NO_COURIER = "no_courier"
    CLOCK_TOO_SHORT = "clock_too_short"
    NO_CHIPS = "no_chips"
    NO_LINES = "no_lines"
    POINT_FULL = "point_full"
    BEYOND_HORIZON = "beyond_horizon"


@dataclass(frozen=True)
class Late:
    """`count` cards of a stream that come late by at most `days` planning days, `open` of them without any date."""

    point: int
    kind: Kind
    variant: int
    reason: Reason
    count: int
    open: int
    days: int
    ru: str
    en: str


@dataclass(frozen=True)
class Place:
    """Why a place in a queue has its date: days are indexes, the number of days means "not within the horizon"."""

    point: int
    kind: Kind
    variant: int
    number: int
    known: int
    due: int
    made: int
    line: int
    left: int
    arrives: int
    promised: int
    ru: str
    en: str


def late_cards(plan: Plan) -> list[Late]:
    """Every stream's late or undated cards by reason, the most first."""
    slots, _ = plan.pieces
    days = len(plan.region.days)
    shape = plan.region.demand.finished.shape
    point, kind, variant = np.unravel_index(slots.stream, shape)
    arrives = arrival_days(plan, point, slots.left)
    behind = np.where((arrives > slots.due) | ((arrives == days) & (slots.due == days)))[0]
    reasons = _reasons(plan, behind, point, variant)
    found: dict[tuple[int, int, int, Reason], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row, reason in zip(behind, reasons, strict=True):
        facts = found[int(point[row]), int(kind[row]), int(variant[row]), reason]
        facts[0] += int(slots.count[row])
        facts[1] += int(slots.count[row]) if arrives[row] >= days else 0
        facts[2] = max(facts[2], int(arrives[row] - slots.due[row]))
    late = []
    for (p, k, v, reason), (count, undated, most) in found.items():
        # What becomes known so late that its first trip comes after the horizon is the next plan's.
        if reason is not Reason.BEYOND_HORIZON:
            words = _cure(plan, p, v, reason, count)
            late.append(Late(p, Kind(k), v, reason, count, undated, most, *words))
    return sorted(late, key=lambda one: (one.kind, -one.count))


def arrival_days(plan: Plan, point: Counts, left: Counts) -> Counts:
    """Index of the day of arrival at a point for a day of departure; the number of days for none."""
    days = len(plan.region.days)
    arrives: Counts = np.minimum(left + plan.region.delivery.transit[point], days)
    return arrives


def explain(plan: Plan, *, point: int, kind: Kind, variant: int, number: int) -> Place:
    """Say when the card with the place `number` (from 0) in a stream's queue comes, and what decides that.

    Raises `IndexError` for a place that is not in the queue.
    """
    slots, _ = plan.pieces
    shape = plan.region.demand.finished.shape
    stream = int(np.ravel_multi_index((point, kind, variant), shape))
    rows = np.flatnonzero((slots.stream == stream) & (slots.first <= number))
    if number < 0 or not len(rows) or number >= slots.first[rows[-1]] + slots.count[rows[-1]]:
        raise IndexError(f"the queue has no place {number}")
    row = rows[-1:]
    arrives = int(arrival_days(plan, np.array([point]), slots.left[row])[0])
    reason = _reasons(plan, row, np.full(len(slots.stream), point), np.full(len(slots.stream), variant))[0]
    known, due, made, line, left, promised = (
        int(values[row[0]]) for values in (slots.known, slots.due, slots.made, slots.line, slots.left, slots.promised)
    )
    told = _story(plan, point, number, (known, due, made, line, left, arrives, promised), reason)
    return Place(point, kind, variant, number, known, due, made, line, left, arrives, promised, *told)


def _reasons(plan: Plan, rows: Counts, point: Counts, variant: Counts) -> list[Reason]:
    region, (slots, _) = plan.region, plan.pieces
    days = len(region.days)
    trips = np.concatenate([next_trip(region.delivery.departs), np.full((len(region.places), 1), days)], axis=1)
    short = np.concatenate([np.zeros((1, plan.walk.chips.shape[1])), np.cumsum(plan.walk.chips == 0, axis=0)])
    full = np.concatenate([[0], np.cumsum(plan.walk.used.sum(axis=(1, 2)) >= region.supply.capacity.sum(axis=0))])
    reasons = []
    for row in rows:
        p, v = int(point[row]), int(variant[row])
        known, made = int(slots.known[row]), int(slots.made[row])
        first = int(trips[p, min(known, days)])
        if not region.reachable[p]:
            reasons.append(Reason.NO_COURIER)
        elif int(slots.due[row]) < days and first + int(region.delivery.transit[p]) > int(slots.due[row]):
            reasons.append(Reason.CLOCK_TOO_SHORT)
        elif first + int(region.delivery.transit[p]) >= days:
            reasons.append(Reason.BEYOND_HORIZON)
        elif made > known:
            without_chips = short[made][v] - short[known][v]
            reasons.append(Reason.NO_CHIPS if 2 * without_chips > full[made] - full[known] else Reason.NO_LINES)
        else:
            reasons.append(Reason.POINT_FULL)
    return reasons


def _cure(plan: Plan, point: int, variant: int, reason: Reason, count: int) -> tuple[str, str]:
    """What it would take, as sentences."""
    place, chip = plan.region.places[point], plan.region.variants[variant]
    sentences = {
        Reason.NO_COURIER: (
            f"К пункту «{place.name_ru}» не ездит ни один курьер: назначьте рейс хотя бы раз в неделю.",
            f"No courier goes to {place.name_en}: give it a trip, at least once a week.",
        ),
        Reason.CLOCK_TOO_SHORT: (
            f"Срок истекает раньше первого возможного рейса в «{place.name_ru}»: нужен внеочередной рейс.",
            f"The clock ends before the first trip that could arrive at {place.name_en}: it takes a special trip.",
        ),
        Reason.NO_CHIPS: (
            f"Не хватает чипов {chip}: нужно ещё {count} раньше, чем запланированы поставки.",
            f"Chips {chip} are short: {count} more are needed before the deliveries that are planned.",
        ),
        Reason.NO_LINES: (
            f"Не хватает мощности линий: нужно изготовить на {count} карт больше до истечения срока.",
            f"The lines are short: they would have to make {count} more cards before the clock ends.",
        ),
        Reason.POINT_FULL: (
            f"Пункт «{place.name_ru}» не успевает выдавать и хранить: нужны окна, часы или рейсы ещё для {count} карт.",
            f"{place.name_en} cannot take more: it needs windows, hours or trips for {count} more cards.",
        ),
        Reason.BEYOND_HORIZON: (
            "Первый возможный рейс уже после конца плана: дату даст следующий план.",
            "Its first possible trip comes after the plan ends: the next plan gives it a date.",
        ),
    }
    return sentences[reason]


def _story(plan: Plan, point: int, number: int, facts: tuple[int, ...], reason: Reason) -> tuple[str, str]:
    _, due, made, line, left, arrives, promised = facts
    place, lines = plan.region.places[point], plan.region.supply.lines
    day = [f"{one:%d.%m.%Y}" for one in plan.region.days] + [""]
    ru = [f"Перед этой картой в очереди {number}."]
    en = [f"{number} cards are ahead of this one in its queue."]
    if line >= 0 and made < len(plan.region.days):
        ru.append(f"Изготовление {day[made]} ({lines[line].name_ru}).")
        en.append(f"It is made on {day[made]} ({lines[line].name_en}).")
    if left < len(plan.region.days):
        ru.append(f"Курьер в «{place.name_ru}» {day[left]}, прибытие {day[arrives] or 'после конца плана'}.")
        en.append(
            f"The courier leaves for {place.name_en} on {day[left]}, arriving {day[arrives] or 'after the plan'}."
        )
    if promised < len(plan.region.days):
        ru.append(f"Выдача с {day[promised]}.")
        en.append(f"It can be collected from {day[promised]}.")
    if arrives > due or arrives >= len(plan.region.days):
        cure = _cure(plan, point, 0, reason, 1) if reason is Reason.NO_COURIER else _late_words(reason)
        ru.append(cure[0])
        en.append(cure[1])
    return " ".join(ru), " ".join(en)


def _late_words(reason: Reason) -> tuple[str, str]:
    words = {
        Reason.NO_COURIER: ("к пункту нет курьера", "no courier goes there"),
        Reason.CLOCK_TOO_SHORT: ("срок короче пути", "the clock is shorter than the way"),
        Reason.NO_CHIPS: ("не хватает чипов", "chips are short"),
        Reason.NO_LINES: ("не хватает мощности линий", "the lines are full"),
        Reason.POINT_FULL: ("пункт переполнен", "the point is full"),
        Reason.BEYOND_HORIZON: ("план кончается раньше", "the plan ends before"),
    }
    return f"Позже срока: {words[reason][0]}.", f"Later than its clock: {words[reason][1]}."
