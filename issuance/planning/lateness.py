"""Says who is late or without a date, and explains one place, in Russian and English; `reasons` says why.

A plan never refuses: a card that cannot be in time is made as soon as it can be, and stands here with its reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from issuance.planning.optimiser import Plan
from issuance.planning.reasons import REASONS, Reason, reasons_of, told_cure, told_reason
from issuance.planning.region import Counts, Flags, Kind


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
class LatePlaces:
    """Places `first` to before `first + count` of a stream's queue, which are late for one reason."""

    point: int
    kind: Kind
    variant: int
    reason: Reason
    first: int
    count: int


@dataclass(frozen=True)
class Place:
    """Why a place in a queue has its date: days are indexes, the number of days means "not within the horizon".

    `reason` is why it is late, None where it is not.
    """

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
    reason: Reason | None
    ru: str
    en: str


@dataclass(frozen=True)
class _Rows:
    """Late rows of a plan's slots, with their streams' parts, days of arrival, and reasons as numbers."""

    rows: Counts
    point: Counts
    kind: Counts
    variant: Counts
    arrives: Counts
    reasons: Counts


def late_cards(plan: Plan) -> list[Late]:
    """Every stream's late or undated cards by reason, the most first."""
    slots, _ = plan.pieces
    late, days = _late_rows(plan), len(plan.region.days)
    found: dict[tuple[int, Kind, int, Reason], list[int]] = {}
    for n, row in enumerate(late.rows):
        key = (int(late.point[n]), Kind(int(late.kind[n])), int(late.variant[n]), REASONS[late.reasons[n]])
        facts = found.setdefault(key, [0, 0, 0])
        facts[0] += int(slots.count[row])
        facts[1] += int(slots.count[row]) if max(late.arrives[n], slots.promised[row]) >= days else 0
        facts[2] = max(facts[2], int(late.arrives[n] - slots.due[row]))
    cards = [
        Late(p, k, v, why, count, undated, most, *told_cure(plan.region, p, v, kind=k, reason=why, count=count))
        for (p, k, v, why), (count, undated, most) in found.items()
    ]
    return sorted(cards, key=lambda one: (one.kind, -one.count))


def late_places(plan: Plan) -> Iterator[LatePlaces]:
    """The places that `late_cards` counts, in the order of points, classes, variants and places."""
    slots, _ = plan.pieces
    late = _late_rows(plan)
    first, last = slots.first[late.rows], slots.first[late.rows] + slots.count[late.rows]
    # Slots that follow each other and are late for one reason are one range.
    same = (slots.stream[late.rows][1:] == slots.stream[late.rows][:-1]) & (late.reasons[1:] == late.reasons[:-1])
    begins = np.flatnonzero(np.concatenate([[True], ~(same & (first[1:] == last[:-1]))])) if len(first) else first
    for begin, end in pairwise([*begins.tolist(), len(first)]):
        stream = (int(late.point[begin]), Kind(int(late.kind[begin])), int(late.variant[begin]))
        reason, place = REASONS[late.reasons[begin]], int(first[begin])
        yield LatePlaces(*stream, reason, place, int(last[end - 1]) - place)


def _late_rows(plan: Plan) -> _Rows:
    slots, _ = plan.pieces
    point, kind, variant = np.unravel_index(slots.stream, plan.region.demand.finished.shape)
    arrives: Counts = plan.region.delivery.arrives[point, slots.left]
    rows = np.flatnonzero(_late(plan, point, arrives))
    reasons = reasons_of(plan, rows, point[rows], kind[rows], variant[rows])
    # What becomes known so late that its first trip comes after the horizon is the next plan's.
    ours = (reasons != REASONS.index(Reason.BEYOND_HORIZON)) | (slots.known[rows] == 0)
    rows = rows[ours]
    return _Rows(rows, point[rows], kind[rows], variant[rows], arrives[rows], reasons[ours])


def _late(plan: Plan, point: Counts, arrives: Counts) -> Flags:
    """Which slots are late: not at the point by their due day, or no day to collect them by then or at all."""
    slots, _ = plan.pieces
    days = len(plan.region.days)
    # What lies in time at a point that hands nothing over is in time for nobody.
    shut: Flags = np.logical_not(plan.region.delivery.hand_over.any(axis=1))
    undated = (slots.promised == days) & ((slots.due < days) | shut[point])
    late: Flags = undated | (arrives > slots.due) | ((arrives == days) & (slots.due == days))
    return late


def explain(plan: Plan, *, point: int, kind: Kind, variant: int, number: int) -> Place:
    """Say when the card with the place `number` (from 0) in a stream's queue comes, and what decides that.

    Raises `IndexError` for a place that is not in the queue.
    """
    slots, _ = plan.pieces
    points, *_rest = np.unravel_index(slots.stream, plan.region.demand.finished.shape)
    stream = int(np.ravel_multi_index((point, kind, variant), plan.region.demand.finished.shape))
    found = np.flatnonzero((slots.stream == stream) & (slots.first <= number) & (number < slots.first + slots.count))
    if not len(found):
        raise IndexError(f"the queue has no place {number}")
    row = int(found[0])
    arrives: Counts = plan.region.delivery.arrives[points, slots.left]
    reason = None
    if _late(plan, points, arrives)[row]:
        (number_of,) = reasons_of(plan, found[:1], *(np.array([part]) for part in (point, int(kind), variant)))
        reason = REASONS[number_of]
    known, due, made, line, left, promised = (
        int(values[row]) for values in (slots.known, slots.due, slots.made, slots.line, slots.left, slots.promised)
    )
    days = (made, line, left, int(arrives[row]), promised)
    ru, en = _story(plan, point, number, days)
    if reason is not None:
        why = told_reason(plan.region, point, variant, reason)
        ru, en = f"{ru} {why[0]}", f"{en} {why[1]}"
    return Place(point, kind, variant, number, known, due, *days, reason, ru, en)


def _story(plan: Plan, point: int, number: int, facts: tuple[int, ...]) -> tuple[str, str]:
    made, line, left, arrives, promised = facts
    place, lines = plan.region.places[point], plan.region.supply.lines
    day = [f"{one:%d.%m.%Y}" for one in plan.region.days] + [""]
    ru = [f"Перед этой картой в очереди {number}."]
    en = [f"{number} cards are ahead of this one in its queue."]
    if line >= 0 and made < len(plan.region.days):
        ru.append(f"Изготовление {day[made]} ({lines[line].name_ru}).")
        en.append(f"It is made on {day[made]} ({lines[line].name_en}).")
    if left < len(plan.region.days):
        ru.append(f"Курьер в {place.name_ru} {day[left]}, прибытие {day[arrives] or 'после конца плана'}.")
        en.append(
            f"The courier leaves for {place.name_en} on {day[left]}, arriving {day[arrives] or 'after the plan'}."
        )
    if promised < len(plan.region.days):
        ru.append(f"Выдача с {day[promised]}.")
        en.append(f"It can be collected from {day[promised]}.")
    return " ".join(ru), " ".join(en)
