"""Makes the office's plan: its region into a plan over counts, the plan into its tables, an answer for anybody.

`issuance.planning` plans counts; people get their places set-based (`plan_people`), and `plan_freeze` cuts the batches
of the next days out of the plan. A plan keeps the days of the one before (`renew`) unless it is asked to be a new
one (`make`). Only the newest plan promises; people whose day moved are listed (`plan_moves`).
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, undefer

from issuance.errors import IssuanceError
from issuance.planning.archive import pack, unpack
from issuance.planning.lateness import explain as explain_place
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.region import Kind, Region
from issuance.planning.replan import renew as renew_plan
from uec.domain.actors import Actor
from uec.domain.errors import NotFound
from uec.domain.permissions import Permission
from uec.services import plan_moves, plan_people, plan_words, plan_writer
from uec.store import audit
from uec.store.tables import Application, EmissionBatch, EmissionPlan, EmissionSlot, IssuancePoint

# Where more of the cohort than this had no day yet, keeping the old days would leave the new people the crumbs.
NEW_SHARE = 0.1


class Making(Protocol):
    """`make` or `renew`: a way to come to a plan."""

    def __call__(self, session: Session, /, *, region: Region, actor: Actor, now: datetime) -> EmissionPlan:
        """Make and write it."""


@dataclass(frozen=True)
class Place:
    """Where an application stands: its queue, its place in it, and the days that follow; None is "not in the plan".

    `late_for` is why its day comes after its clock, or why it has none.
    """

    application: str
    plan_id: int
    point_id: int
    point: str
    kind: Kind
    variant: str
    place: int
    made_on: date | None
    line: str | None
    departs_on: date | None
    promised_on: date | None
    due_on: date
    late_for: str | None = None


def make(session: Session, *, region: Region, actor: Actor, now: datetime) -> EmissionPlan:
    """Make a new plan and write it; the caller commits. Raises `NotAllowed`."""
    actor.require(Permission.PLAN_BATCH)
    return _written(session, make_plan(region), actor=actor, now=now)


def renew(session: Session, *, region: Region, actor: Actor, now: datetime) -> EmissionPlan:
    """Make a plan that keeps the days of the one before as far as it can; the caller commits.

    Without one before, or when points have changed or many are new, it is a new plan. Raises `NotAllowed`.
    """
    actor.require(Permission.PLAN_BATCH)
    before = _newest(session)
    kept = None if before is None else _kept(before, region)
    return _written(session, kept or make_plan(region), actor=actor, now=now)


def _kept(before: EmissionPlan, region: Region) -> Plan | None:
    if before.archive is None:
        return None
    try:
        old = unpack(before.archive)
        made = renew_plan(old, region, frozen_until=before.frozen_until)
    except IssuanceError:
        return None
    if _opening(old.region, not_before=region.days[0]) != _opening(region, not_before=region.days[0]):
        return None  # days kept would be those of another first day of mass emission
    cohort = int(region.demand.known[:, Kind.COHORT].sum())
    had_days = int(old.region.demand.known[:, Kind.COHORT].sum())
    return made if cohort - had_days <= NEW_SHARE * cohort else None


def _opening(region: Region, *, not_before: date) -> date | None:
    """The first day on which a card of a cohort may be made; None without any."""
    by_day = region.demand.known[:, Kind.COHORT].sum(axis=(0, 1))
    return max(not_before, region.days[int((by_day > 0).argmax())]) if by_day.any() else None


def _written(session: Session, made: Plan, *, actor: Actor, now: datetime) -> EmissionPlan:
    before = _newest(session)
    row = EmissionPlan(
        made_at=now,
        made_by=actor.staff_id,
        first_day=made.region.days[0],
        last_day=made.region.days[-1],
        people=0,
        promised=0,
        facts=plan_words.facts_of(made),
        archive=pack(made),
    )
    session.add(row)
    session.flush()
    point_ids = list(session.scalars(select(IssuancePoint.id).order_by(IssuancePoint.id)))
    row.people = plan_writer.write(session, row.id, made, point_ids)
    promised = select(func.coalesce(func.sum(EmissionSlot.count), 0)).where(
        EmissionSlot.plan_id == row.id, EmissionSlot.promised_on.is_not(None)
    )
    row.promised = session.scalar(promised) or 0
    if before is not None:
        plan_moves.list_moves(session, before.id, row.id, now=now)
        _forget_before(session, before.id)
    audit.record(
        session,
        actor=actor.reference,
        action="emission.plan",
        subject_kind="emission_plan",
        subject_id=row.id,
        details={"people": row.people, "promised": row.promised, "gap": row.facts["gap"]},
        now=now,
    )
    return row


def _forget_before(session: Session, plan_id: int) -> None:
    """Of plans before the last two only their facts are kept."""
    plan_people.forget_before(session, plan_id)
    session.execute(delete(EmissionBatch).where(EmissionBatch.plan_id < plan_id))
    old = update(EmissionPlan).where(EmissionPlan.id < plan_id, EmissionPlan.archive.is_not(None))
    session.execute(old.values(archive=None))


def newest(session: Session, *, actor: Actor) -> EmissionPlan:
    """The plan that promises; raises `NotFound` before there is one."""
    actor.require(Permission.VIEW_BATCHES)
    found = session.scalar(select(EmissionPlan).order_by(EmissionPlan.id.desc()).limit(1))
    if found is None:
        raise NotFound("There is no plan yet: make one with `uec plan make`.", kind="emission_plan", id=0)
    return found


def archived(session: Session) -> tuple[EmissionPlan, Plan] | None:
    """The newest plan with its counts by day, as far as this version can read them."""
    row = _newest(session)
    if row is None or row.archive is None:
        return None
    try:
        return row, unpack(row.archive)
    except IssuanceError:
        return None


def _newest(session: Session) -> EmissionPlan | None:
    return session.scalar(
        select(EmissionPlan).options(undefer(EmissionPlan.archive)).order_by(EmissionPlan.id.desc()).limit(1)
    )


@dataclass(frozen=True)
class BatchPlan:
    """A batch of a plan, for showing; `point` by its Russian name and by its code."""

    day: date
    line: str
    variant: str
    point: str
    point_code: str
    departs_on: date | None
    cards: int


def batches(session: Session, plan_id: int, *, until: date) -> list[BatchPlan]:
    """The batches of a plan up to a day, in order."""
    rows = session.execute(
        select(EmissionBatch, IssuancePoint.name_ru, IssuancePoint.code)
        .join(IssuancePoint, IssuancePoint.id == EmissionBatch.point_id)
        .where(EmissionBatch.plan_id == plan_id, EmissionBatch.day <= until)
        .order_by(EmissionBatch.position)
    )
    return [BatchPlan(b.day, b.line, b.variant, point, code, b.departs_on, b.cards) for b, point, code in rows]


def explain(session: Session, number: str, *, actor: Actor) -> Place:
    """Where the application with this number stands in the newest plan; raises `NotFound`."""
    plan = newest(session, actor=actor)
    application = session.scalar(select(Application).where(Application.number == number))
    stands = None if application is None else plan_people.place_of(session, plan.id, application.id)
    if application is None or stands is None:
        raise NotFound(
            f"Application {number} has no place in plan {plan.id}: it is not waiting, or came after the plan was made.",
            kind="application",
            id=number,
        )
    slot, batch, point = session.execute(
        select(EmissionSlot, EmissionBatch, IssuancePoint.name_ru)
        .join(IssuancePoint, IssuancePoint.id == EmissionSlot.point_id)
        .outerjoin(
            EmissionBatch, (EmissionBatch.plan_id == plan.id) & (EmissionBatch.position == EmissionSlot.position)
        )
        .where(EmissionSlot.id == stands.slot_id)
    ).one()
    return Place(
        application=number,
        plan_id=plan.id,
        point_id=stands.point_id,
        point=point,
        kind=stands.kind,
        variant=stands.variant,
        place=stands.place,
        made_on=batch.day if batch else None,
        line=batch.line if batch else None,
        departs_on=batch.departs_on if batch else None,
        promised_on=slot.promised_on,
        due_on=application.due_on,
        late_for=_late_for(session, plan, stands, slot.promised_on, application.due_on),
    )


def _late_for(
    session: Session, plan: EmissionPlan, stands: plan_people.SlotPlace, promised_on: date | None, due_on: date
) -> str | None:
    """The reason most people of its queue are late for, when it is late itself; its own where the page has none."""
    if promised_on is not None and (promised_on <= due_on or stands.kind is Kind.COHORT):
        return None
    ids = list(session.scalars(select(IssuancePoint.id).order_by(IssuancePoint.id)))
    mine = (ids.index(stands.point_id), int(stands.kind), stands.variant)
    late = plan.facts["late"]
    reasons = [str(one["reason"]) for one in late if (one["point"], one["kind"], one["variant"]) == mine]
    return reasons[0] if reasons else _own_reason(session, plan, stands, mine)


def _own_reason(
    session: Session, plan: EmissionPlan, stands: plan_people.SlotPlace, queue: tuple[int, int, str]
) -> str | None:
    kept = archived(session)
    if kept is None or kept[0].id != plan.id:
        return None
    point, _kind, name = queue
    variant = kept[1].region.variants.index(name)
    told = explain_place(kept[1], point=point, kind=stands.kind, variant=variant, number=stands.place)
    return told.reason.value if told.reason else None


def story(session: Session, place: Place, *, language: str) -> str | None:
    """The same in sentences, Russian (`ru`) or English, counted out of the kept plan; None where it is not kept."""
    kept = archived(session)
    point = session.scalar(select(func.count()).select_from(IssuancePoint).where(IssuancePoint.id < place.point_id))
    if kept is None or kept[0].id != place.plan_id or point is None:
        return None
    variant = kept[1].region.variants.index(place.variant)
    told = explain_place(kept[1], point=point, kind=place.kind, variant=variant, number=place.place)
    return told.ru if language == "ru" else told.en
