"""The office's region: demand, lines, chips, couriers and points as counts by day, from its own tables and facts."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import numpy as np
from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.doubts import doubts_of, overloads, unopened
from issuance.planning.facts import Facts, OfficePoint
from issuance.planning.region import CLASSES, Counts, Demand, Kind, Place, Prices, Region, Supply
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import BatchState, CardState, Route
from uec.services import plan_facts, plan_people
from uec.store.tables import Application, Batch, Bureau, Card, IssuancePoint

HORIZON_LIMIT_DAYS = 800
SHORTEST_DAYS = 30
LONGEST_DAYS = 400
# Who was called this lately is expected at the window; what lies there for longer only fills the safe.
EXPECTED_DAYS = 14
# The applications of this many days tell how many are expected.
LATELY_DAYS = 28
UNCLAIMED = (CardState.PLANNED, CardState.PREPARED, CardState.WRITING, CardState.PERSONALISED)


def region_of(
    session: Session,
    *,
    facts: Facts | None = None,
    calendar: WorkingCalendar,
    profile: str,
    today: date,
    horizon_days: int | None = None,
    cohort_from: date | None = None,
) -> Region:
    """The region from the tables and the facts (the office's own without `facts`).

    `cohort_from` is the first day of mass emission: before it no card is made that nobody applied for.
    Without `horizon_days` it reaches as far as serving everybody takes, 30 to 400 days. Where the calendar has no
    working day, every day counts, and a doubt says so. Raises `InvalidInput` without points.
    """
    if horizon_days is not None and not 1 <= horizon_days <= HORIZON_LIMIT_DAYS:
        raise InvalidInput(f"A plan covers 1 to {HORIZON_LIMIT_DAYS} days: choose another number.", field="days")
    known = plan_facts.current(session, today=today) if facts is None else facts
    points = office_points(session)
    if not points:
        raise InvalidInput("A plan needs an issuance point: add one.")
    waiting = plan_people.demand(session, profile)
    offered = list(points.values())
    opening = max(today, cohort_from or today)
    cohort = sum(row[-1] for row in waiting if row[1] == Kind.COHORT)
    if horizon_days is None:
        served = _far_enough(_people(waiting, points), known, calendar, offered, today)
        # Who waits for the first day of mass emission is served behind it.
        horizon_days = min(LONGEST_DAYS, served + ((opening - today).days if cohort else 0))
    days = _days(known, calendar, offered, today, horizon_days)
    index = {point_id: number for number, point_id in enumerate(points)}
    variants = (profile, *sorted({row[2] for row in waiting} - {profile}))
    arrived = plan_facts.arrived(session)
    chips = plan_facts.free_chips(session, known, variants)
    supply = known.supply(days, calendar, offered, variants=variants, chips=chips, arrived=arrived)
    _leave_leads(supply, days, calendar)
    overload = _leave_to_batches(session, supply, days)
    stock, unclaimed = _at_points(session, index, variants, today)
    demand = _demand(waiting, index, variants, days, stock, opening)
    if known.intake:
        demand = _expecting(demand, _lately(session, index, today) * known.intake, days, calendar)
    delivery = known.delivery(days, calendar, offered)
    _leave_to_called(session, delivery.hand_over, index, days)
    places = _with_room(known.places(offered), unclaimed)
    doubts = doubts_of(known, days, calendar=calendar, points=offered, usual=profile, arrived=arrived)
    # A village of five, for whom no trip pays within a short plan, would wait for ever.
    prices = Prices().serving(float(delivery.cost[delivery.departs.any(axis=1)].max(initial=0.0)))
    doubts = (*(unopened(cohort, opening, days) if cohort else ()), *overloads(overload), *doubts)
    return Region(days, variants, places, supply, delivery, demand, prices=prices, doubts=doubts)


def _people(waiting: Sequence[tuple[int, int, str, date, int]], points: Iterable[int]) -> list[int]:
    """How many wait, by point."""
    people = Counter[int]()
    for point_id, *_queue, count in waiting:
        people[point_id] += count
    return [people[one] for one in points]


def _days(
    facts: Facts, calendar: WorkingCalendar, points: Sequence[OfficePoint], today: date, horizon_days: int
) -> tuple[date, ...]:
    """The days of the horizon on which anything is worked; all its days where the calendar has none there."""
    last = today + timedelta(days=horizon_days - 1)
    every = (today + timedelta(days=number) for number in range(horizon_days))
    return facts.days(today, last, calendar, points) or tuple(every)


def office_points(session: Session) -> dict[int, OfficePoint]:
    """The points by their id, in the order that plans have them."""
    rows = session.scalars(select(IssuancePoint).order_by(IssuancePoint.id))
    return {row.id: OfficePoint(row.code, row.name_ru, row.name_en, row.oktmo, row.daily_capacity) for row in rows}


def refitted(
    region: Region,
    before: Facts,
    after: Facts,
    *,
    calendar: WorkingCalendar,
    points: Sequence[OfficePoint],
    arrived: frozenset[str] = frozenset(),
) -> Region:
    """The same region with other facts; what batches had taken of lines, chips and windows they still take.

    `arrived` are the delivery notes in the stock's books.
    """
    same = {"variants": region.variants, "chips": region.supply.chips.tolist()}
    old, new = (one.supply(region.days, calendar, points, **same) for one in (before, after))
    by_code = {line.code: number for number, line in enumerate(region.supply.lines)}
    _leave_leads(new, region.days, calendar)
    capacity = new.capacity.copy()
    for number, line in enumerate(new.lines):
        if line.code in by_code:
            was = by_code[line.code]
            capacity[number] = np.maximum(capacity[number] - (old.capacity[was] - region.supply.capacity[was]), 0)
    usual, delivery = (one.delivery(region.days, calendar, points) for one in (before, after))
    hand_over = np.maximum(delivery.hand_over - (usual.hand_over - region.delivery.hand_over), 0)
    deliveries = np.maximum(new.deliveries - (old.deliveries - region.supply.deliveries), 0)
    rooms = zip(after.places(points), before.places(points), region.places, strict=True)
    return replace(
        region,
        doubts=doubts_of(
            after, region.days, calendar=calendar, points=points, usual=region.variants[0], arrived=arrived
        ),
        places=tuple(
            replace(place, storage=max(0, place.storage - (was.storage - now.storage))) for place, was, now in rooms
        ),
        supply=Supply(new.lines, capacity, new.chips, deliveries),
        delivery=replace(delivery, hand_over=hand_over),
    )


def _far_enough(
    people: Sequence[int], facts: Facts, calendar: WorkingCalendar, points: Sequence[OfficePoint], today: date
) -> int:
    """Days in which lines and windows together, and each point by itself, serve everybody, with a quarter to spare.

    `people` wait at each of the `points`. A point keeps the plan open as long as it serves anybody more.
    """
    days = facts.days(today, today + timedelta(days=LONGEST_DAYS - 1), calendar, points)
    if not days:
        return SHORTEST_DAYS
    delivery = facts.delivery(days, calendar, points)
    made = facts.supply(days, calendar, points).capacity.sum(axis=0)
    served = np.cumsum(np.minimum(made, delivery.hand_over.sum(axis=0)))
    trip = np.minimum(delivery.volume, [place.storage for place in facts.places(points)])
    brought = np.cumsum(delivery.departs * trip[:, None], axis=1)
    handed = np.minimum(brought, np.cumsum(delivery.hand_over, axis=1))
    wanted = 1.25 * np.array(people)
    reached = [int(np.searchsorted(row, min(most, row[-1]))) for row, most in zip(handed, wanted, strict=True)]
    last = max(int(np.searchsorted(served, wanted.sum())), *reached)
    reach = (days[min(last, len(days) - 1)] - today).days + 1
    return min(LONGEST_DAYS, SHORTEST_DAYS + reach)


def _demand(
    waiting: Sequence[tuple[int, int, str, date, int]],
    index: Mapping[int, int],
    variants: Sequence[str],
    days: Sequence[date],
    stock: Counts,
    opening: date,
) -> Demand:
    """What is wanted from the first day on; cards of the mass emission from its opening, none where that is beyond."""
    shape = stock.shape
    known = np.zeros((*shape, len(days)), dtype=np.int64)
    due = np.zeros((*shape, len(days) + 1), dtype=np.int64)
    ordinals = np.array([day.toordinal() for day in days])
    for point_id, kind, name, due_on, count in waiting:
        point, variant = index[point_id], variants.index(name)
        first = int(np.searchsorted(ordinals, opening.toordinal())) if kind == Kind.COHORT else 0
        if first == len(days):
            continue
        known[point, kind, variant, first] += count
        # The last planned day on or before the due day; what was due before the plan is due on its first day.
        last = int(np.searchsorted(ordinals, due_on.toordinal(), side="right")) - 1
        # Mass emission has an order but no clock: the law's 30 days run from an application.
        beyond = due_on > days[-1] or kind == Kind.COHORT
        due[point, kind, variant, len(days) if beyond else max(0, last)] += count
    return Demand(known, due, stock, np.zeros(shape, dtype=np.int64))


def _lately(session: Session, index: Mapping[int, int], today: date) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """[P] applications a working day of late."""
    since = datetime.combine(today - timedelta(days=LATELY_DAYS), time.min).astimezone()
    rows = session.execute(
        select(Application.point_id, func.count())
        .where(Application.submitted_at >= since, Application.route != Route.MASS)
        .group_by(Application.point_id)
    )
    found = np.zeros(len(index))
    for point_id, count in rows:
        found[index[point_id]] = count * 7 / (5 * LATELY_DAYS)
    return found


def _expecting(
    demand: Demand,
    daily: np.ndarray[tuple[int], np.dtype[np.float64]],
    days: Sequence[date],
    calendar: WorkingCalendar,
) -> Demand:
    """With applications to come on working days from the second day on, each with a clock of the law's 30 days."""
    known, due = demand.known.copy(), demand.due.copy()
    ordinals = np.array([day.toordinal() for day in days])
    so_far = np.cumsum([False, *(calendar.is_working(day) for day in days[1:])])
    coming = np.diff(np.floor(daily[:, None] * so_far[None, :]), axis=1, prepend=0).astype(np.int64)
    known[:, Kind.CLOCK, 0] += coming
    for number, day in enumerate(ordinals):
        last = int(np.searchsorted(ordinals, day + 30, side="right")) - 1
        beyond = day + 30 > ordinals[-1]
        due[:, Kind.CLOCK, 0, len(days) if beyond else last] += coming[:, number]
    return replace(demand, known=known, due=due)


def _at_points(
    session: Session, index: Mapping[int, int], variants: Sequence[str], today: date
) -> tuple[Counts, Counts]:
    """[P, C, V] cards whose owners were called lately and have not come, and [P] those that nobody has come for.

    Cards of variants that nobody waits for any more only fill the safe.
    """
    since = today - timedelta(days=EXPECTED_DAYS)
    recent = case((Card.promised_on >= since, 1), else_=0)
    rows = session.execute(
        select(Application.point_id, plan_people.KIND, Card.profile, recent, func.count())
        .join(Application, Application.id == Card.application_id)
        .where(Card.state == CardState.PERSONALISED, or_(Card.promised_on.is_(None), Card.promised_on < today))
        .group_by(Application.point_id, plan_people.KIND, Card.profile, recent)
    )
    stock = np.zeros((len(index), CLASSES, len(variants)), dtype=np.int64)
    unclaimed = np.zeros(len(index), dtype=np.int64)
    for point_id, kind, name, lately, count in rows:
        if lately and name in variants:
            stock[index[point_id], kind, variants.index(name)] += count
        else:
            unclaimed[index[point_id]] += count
    return stock, unclaimed


def _leave_to_called(session: Session, hand_over: Counts, index: Mapping[int, int], days: Sequence[date]) -> None:
    """Take from the windows those whose card is in a batch and who are promised a day to come."""
    rows = session.execute(
        select(Application.point_id, Card.promised_on, func.count())
        .join(Application, Application.id == Card.application_id)
        .where(Card.state.in_(UNCLAIMED), Card.promised_on.between(days[0], days[-1]))
        .group_by(Application.point_id, Card.promised_on)
    )
    place = {day: number for number, day in enumerate(days)}
    for point_id, day, count in rows:
        if day in place:
            at = (index[point_id], place[day])
            hand_over[at] = max(0, int(hand_over[at]) - count)


def _with_room(places: Sequence[Place], unclaimed: Counts) -> tuple[Place, ...]:
    return tuple(
        replace(place, storage=max(0, place.storage - int(lying)))
        for place, lying in zip(places, unclaimed, strict=True)
    )


def _leave_leads(supply: Supply, days: Sequence[date], calendar: WorkingCalendar) -> None:
    """What is ordered today is back from a bureau after its working days; before that nothing of it can be planned."""
    for number, line in enumerate(supply.lines):
        if line.lead:
            supply.capacity[number, : bisect_left(days, calendar.after(days[0], line.lead))] = 0


def _leave_to_batches(session: Session, supply: Supply, days: Sequence[date]) -> dict[str, int]:
    """Take from the lines what batches make there that are planned already; returns what is too much for each.

    A line that has lost capacity, or is gone, cannot make all that was cut for it: what others can is taken from them.
    What a bureau was ordered is its own to make.
    """
    taken = session.execute(
        select(Batch.planned_for, Batch.line, func.count())
        .join(Card, Card.batch_id == Batch.id)
        .where(
            Batch.state != BatchState.CANCELLED,
            Batch.planned_for >= days[0],
            Card.state != CardState.ANNULLED,
        )
        .group_by(Batch.planned_for, Batch.line)
    )
    place = {day: number for number, day in enumerate(days)}
    lines = {line.code: number for number, line in enumerate(supply.lines)}
    bureaux = set(session.scalars(select(Bureau.code)))
    overload: dict[str, int] = {}
    for day, code, count in taken:
        if day in place:
            free = supply.capacity[:, place[day]]
            own = [lines[code]] if code in lines else []
            rest = _take(free, own, count)
            if rest and code and code not in bureaux:
                overload[code] = overload.get(code, 0) + rest
            _take(free, [number for number in range(len(supply.lines)) if number not in own], rest)
    return overload


def _take(free: Counts, order: Sequence[int], count: int) -> int:
    """Take from the lines in order; returns what none of them has."""
    for line in order:
        used = min(count, int(free[line]))
        free[line] -= used
        count -= used
    return count
