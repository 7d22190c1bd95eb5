"""Plans mass emission for the office: its own counts into a region, the plan into its tables, an answer for anybody.

The plan (`issuance.planning.optimiser`) is made over counts; people get their places set-based (`plan_people`). It only
promises: batches of the next days are cut from applications by `uec.services.batches`, as ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.facts import Facts, OfficePoint
from issuance.planning.lateness import late_cards
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.region import CLASSES, Counts, Demand, Kind, Region
from issuance.planning.relief import bottlenecks, reliefs
from issuance.planning.slots import slots_of
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.lifecycle import BatchState, CardState
from uec.domain.permissions import Permission
from uec.services import plan_people
from uec.store import audit
from uec.store.tables import (
    Application,
    Batch,
    Card,
    EmissionBatch,
    EmissionPlace,
    EmissionPlan,
    EmissionSlot,
    IssuancePoint,
)

HORIZON_LIMIT_DAYS = 800
CHUNK = 5000


@dataclass(frozen=True)
class Place:
    """Where an application stands: its queue, its place in it, and the days that follow; None is "not in the plan"."""

    application: str
    plan_id: int
    point: str
    kind: Kind
    place: int
    made_on: date | None
    line: str | None
    departs_on: date | None
    promised_on: date | None
    due_on: date


def region_of(
    session: Session, *, facts: Facts, calendar: WorkingCalendar, profile: str, today: date, horizon_days: int
) -> Region:
    """The office's region from the tables and the facts; raises `InvalidInput` without points or working days."""
    if not 1 <= horizon_days <= HORIZON_LIMIT_DAYS:
        raise InvalidInput(f"A plan covers 1 to {HORIZON_LIMIT_DAYS} days: choose another number.", field="days")
    days = tuple(calendar.between(today, today + timedelta(days=horizon_days - 1)))
    rows = session.scalars(select(IssuancePoint).order_by(IssuancePoint.id)).all()
    if not rows or not days:
        raise InvalidInput("A plan needs an issuance point and a working day: add a point, or plan for longer.")
    points = [OfficePoint(row.code, row.name_ru, row.name_en, row.oktmo, row.daily_capacity) for row in rows]
    supply = facts.supply(days, calendar, points)
    _leave_to_batches(session, supply.capacity, days)
    return Region(
        days,
        (profile,),
        facts.places(points),
        supply,
        facts.delivery(days, calendar, points),
        _demand(session, {row.id: number for number, row in enumerate(rows)}, days),
    )


def make(session: Session, *, region: Region, actor: Actor, now: datetime) -> EmissionPlan:
    """Make the plan and write it: batches, slots, and a place for everybody who waits; the plans before are kept.

    The places of earlier plans are dropped: only the newest plan promises. Raises `NotAllowed`.
    """
    actor.require(Permission.PLAN_BATCH)
    made = make_plan(region)
    row = EmissionPlan(
        made_at=now,
        made_by=actor.staff_id,
        first_day=region.days[0],
        last_day=region.days[-1],
        people=0,
        promised=0,
        facts=facts_of(made),
    )
    session.add(row)
    session.flush()
    session.execute(delete(EmissionPlace).where(EmissionPlace.plan_id < row.id))
    point_ids = list(session.scalars(select(IssuancePoint.id).order_by(IssuancePoint.id)))
    write(session, row.id, made, point_ids)
    row.people = plan_people.give_places(session, row.id)
    row.promised = (
        session.scalar(
            select(func.coalesce(func.sum(EmissionSlot.count), 0)).where(
                EmissionSlot.plan_id == row.id, EmissionSlot.promised_on.is_not(None)
            )
        )
        or 0
    )
    audit.record(
        session,
        actor=actor.reference,
        action="emission.plan",
        subject_kind="emission_plan",
        subject_id=row.id,
        details={"people": row.people, "promised": row.promised, "gap": row.facts["gap"]},
        now=now,
    )
    session.commit()
    return row


def write(session: Session, plan_id: int, plan: Plan, point_ids: Sequence[int]) -> None:
    """Write the batches and slots of a plan; the caller commits."""
    region = plan.region
    slots, batches = slots_of(region, plan.walk, by_demand=False)
    days = [*region.days, None]
    lines, variants = [line.code for line in region.supply.lines], region.variants
    table = zip(batches.made, batches.line, batches.variant, batches.point, batches.left, batches.count, strict=True)
    _insert(
        session,
        EmissionBatch,
        [
            {
                "plan_id": plan_id,
                "position": position,
                "day": days[made],
                "line": lines[line],
                "variant": variants[variant],
                "point_id": point_ids[point],
                "departs_on": days[left],
                "cards": int(count),
            }
            for position, (made, line, variant, point, left, count) in enumerate(table)
        ],
    )
    point, kind, _ = np.unravel_index(slots.stream, region.demand.finished.shape)
    rows = zip(point, kind, slots.first, slots.count, slots.batch, slots.promised, strict=True)
    _insert(
        session,
        EmissionSlot,
        [
            {
                "plan_id": plan_id,
                "point_id": point_ids[p],
                "kind": int(k),
                "first": int(first),
                "count": int(count),
                "position": int(batch) if batch >= 0 else None,
                "promised_on": days[promised],
            }
            for p, k, first, count, batch, promised in rows
        ],
    )


def newest(session: Session, *, actor: Actor) -> EmissionPlan:
    """The plan that promises; raises `NotFound` before there is one."""
    actor.require(Permission.VIEW_BATCHES)
    found = session.scalar(select(EmissionPlan).order_by(EmissionPlan.id.desc()).limit(1))
    if found is None:
        raise NotFound("There is no plan yet: make one with `uec plan make`.", kind="emission_plan", id=0)
    return found


@dataclass(frozen=True)
class BatchPlan:
    """A batch of a plan, for showing."""

    day: date
    line: str
    variant: str
    point: str
    departs_on: date | None
    cards: int


def batches(session: Session, plan_id: int, *, until: date) -> list[BatchPlan]:
    """The batches of a plan up to a day, in order."""
    rows = session.execute(
        select(EmissionBatch, IssuancePoint.name_ru)
        .join(IssuancePoint, IssuancePoint.id == EmissionBatch.point_id)
        .where(EmissionBatch.plan_id == plan_id, EmissionBatch.day <= until)
        .order_by(EmissionBatch.position)
    )
    return [BatchPlan(b.day, b.line, b.variant, point, b.departs_on, b.cards) for b, point in rows]


def explain(session: Session, number: str, *, actor: Actor) -> Place:
    """Where the application with this number stands in the newest plan; raises `NotFound`."""
    plan = newest(session, actor=actor)
    row = session.execute(
        select(Application, IssuancePoint, EmissionSlot, EmissionBatch)
        .join(IssuancePoint, IssuancePoint.id == Application.point_id)
        .join(EmissionPlace, (EmissionPlace.application_id == Application.id) & (EmissionPlace.plan_id == plan.id))
        .join(EmissionSlot, EmissionSlot.id == EmissionPlace.slot_id)
        .outerjoin(
            EmissionBatch, (EmissionBatch.plan_id == plan.id) & (EmissionBatch.position == EmissionSlot.position)
        )
        .where(Application.number == number)
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"Application {number} has no place in plan {plan.id}: it is not waiting, or came after the plan was made.",
            kind="application",
            id=number,
        )
    application, point, slot, batch = row
    ahead = _ahead(session, application, slot.kind)
    return Place(
        application=number,
        plan_id=plan.id,
        point=point.name_ru,
        kind=Kind(slot.kind),
        place=ahead,
        made_on=batch.day if batch else None,
        line=batch.line if batch else None,
        departs_on=batch.departs_on if batch else None,
        promised_on=slot.promised_on,
        due_on=application.due_on,
    )


def facts_of(plan: Plan) -> dict[str, Any]:
    """What a page or a command shows of a plan, as JSON."""
    late = late_cards(plan)
    return {
        "cost": round(plan.cost.total, 2),
        "bound": round(plan.bound, 2),
        "gap": round(plan.gap, 5),
        "cards": int(plan.walk.made.sum()),
        "weeks": [
            {"first": week.first.isoformat(), "bottleneck": week.bottleneck.value, "days": round(week.days, 1)}
            for week in bottlenecks(plan)
        ],
        "reliefs": [{"ru": one.ru, "en": one.en} for one in reliefs(plan, limit=5)],
        "late": [
            {
                "point": one.point,
                "kind": int(one.kind),
                "reason": one.reason.value,
                "count": one.count,
                "open": one.open,
                "days": one.days,
                "ru": one.ru,
                "en": one.en,
            }
            for one in late[:50]
        ],
        "late_cards": sum(one.count for one in late),
    }


def _ahead(session: Session, application: Application, kind: int) -> int:
    """How many stand before an application in its queue now."""
    queue = plan_people.numbered().subquery()
    found = session.scalar(select(queue.c.place).where(queue.c.application_id == application.id, queue.c.kind == kind))
    return int(found or 0)


def _insert(session: Session, table: type[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert plain rows: by COPY on PostgreSQL, else in parts."""
    connection = session.connection()
    if connection.dialect.name == "postgresql" and rows:
        names = list(rows[0])
        driver: Any = connection.connection.driver_connection
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY {table.__tablename__} ({', '.join(names)}) FROM STDIN") as out,
        ):
            for row in rows:
                out.write_row([row[name] for name in names])
        return
    for first in range(0, len(rows), CHUNK):
        session.execute(insert(table), rows[first : first + CHUNK])


def _demand(session: Session, points: Mapping[int, int], days: Sequence[date]) -> Demand:
    shape = (len(points), CLASSES, 1)
    known = np.zeros((*shape, len(days)), dtype=np.int64)
    due = np.zeros((*shape, len(days) + 1), dtype=np.int64)
    ordinals = np.array([day.toordinal() for day in days])
    for point_id, kind, due_on, count in plan_people.demand(session):
        point = points[point_id]
        known[point, kind, 0, 0] += count
        # The last planned day on or before the due day; what was due before the plan is due on its first day.
        last = int(np.searchsorted(ordinals, due_on.toordinal(), side="right")) - 1
        beyond = due_on > days[-1]
        due[point, kind, 0, len(days) if beyond else max(0, last)] += count
    nothing = np.zeros(shape, dtype=np.int64)
    return Demand(known, due, nothing, nothing.copy())


def _leave_to_batches(session: Session, capacity: Counts, days: Sequence[date]) -> None:
    """Take from the lines what batches that are planned already will make there."""
    taken = session.execute(
        select(Batch.planned_for, func.count())
        .join(Card, Card.batch_id == Batch.id)
        .where(
            Batch.state.not_in((BatchState.CANCELLED, BatchState.CLOSED)),
            Batch.planned_for >= days[0],
            Card.state.in_((CardState.PLANNED, CardState.PREPARED, CardState.WRITING)),
        )
        .group_by(Batch.planned_for)
    )
    place = {day: number for number, day in enumerate(days)}
    for day, count in taken:
        if day in place:
            rest = count
            for line in range(len(capacity)):
                used = min(rest, int(capacity[line, place[day]]))
                capacity[line, place[day]] -= used
                rest -= used
