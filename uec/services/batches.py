"""Plans batches from approved applications, releases them by a second person, and shows their calendar.

Planning itself is pure (`issuance.planning`); here its answer is written, set-based. Preparing the data of a released
batch is `uec.services.preparation`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.planner import Demand, Plan, PlannedBatch, PlanningRules, Priority
from issuance.planning.planner import plan as make_plan
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, SamePerson
from uec.domain.lifecycle import (
    ApplicationEvent,
    ApplicationState,
    BatchEvent,
    BatchState,
    CardEvent,
    CardState,
    Route,
)
from uec.domain.names import printed_name
from uec.domain.numbers import make_card_number
from uec.domain.permissions import Permission
from uec.domain.policy import Policy
from uec.domain.texts import typed
from uec.services import numbering, preparation
from uec.services.batch_lists import batch_rows
from uec.services.duties import Duty, refuse_second_in_batch
from uec.services.moves import move, move_all
from uec.services.refusals import barred
from uec.services.rows import locked
from uec.services.twins import held
from uec.services.views import PlanOutcome
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Application, Batch, Card, IssuancePoint

UNWRITTEN = (CardState.PLANNED, CardState.PREPARED)
CHUNK = 500


@dataclass(frozen=True)
class BatchRules:
    """What a batch is made by: the working days, the card profile, the numbers' prefix and the size of a lot."""

    calendar: WorkingCalendar
    policy: Policy
    profile: str
    transport: str
    number_prefix: str
    horizon_days: int = 30
    batch_limit: int = 500


def plan(session: Session, *, actor: Actor, rules: BatchRules, now: datetime) -> PlanOutcome:
    """Give every approved application its batch, day and card number, as far as capacity reaches.

    Application -> PLANNED, one PLANNED card each; who died or refused since approval is not planned any more. Raises
    `NotAllowed`.
    """
    actor.require(Permission.PLAN_BATCH)
    # The series' row is the planners' lock: a second planner waits here and then finds nothing left to plan.
    numbering.take(session, "batch", count=0)
    gone = {"closed_at": now}
    unplanned = (Application.state == ApplicationState.APPROVED, barred())
    move_all(session, Application, ApplicationEvent.WITHDRAW, *unplanned, actor=actor, now=now, values=gone)
    demands, today = _demands(session, rules.policy), rules.policy.day(now)
    made = make_plan(
        demands,
        capacity=_capacity(session),
        used=_used(session, today),
        rules=PlanningRules(rules.calendar, today, rules.horizon_days, rules.batch_limit),
    )
    batches = _write_batches(session, made.batches, actor, rules, now)
    cards = _write_cards(session, list(zip(batches, made.batches, strict=True)), rules)
    planned = [key for batch in made.batches for key in batch.keys]
    for first in range(0, len(planned), CHUNK):
        chosen = planned[first : first + CHUNK]
        move_all(session, Application, ApplicationEvent.PLAN, Application.id.in_(chosen), actor=actor, now=now)
    outcome = _outcome(session, batches, cards, made)
    session.commit()
    return outcome


def release(session: Session, batch_id: int, *, actor: Actor, now: datetime) -> None:
    """Release a planned batch for production; by someone who planned, took and decided nothing in it."""
    actor.require(Permission.RELEASE_BATCH)
    batch = locked(session, Batch, batch_id)
    if actor.staff_id is not None and batch.planned_by == actor.staff_id:
        raise SamePerson(
            f"{actor.display} planned this batch and may not also release it: ask a colleague.",
            actor=actor.reference,
            earlier="plan",
            now=str(Duty.RELEASE),
        )
    refuse_second_in_batch(session, batch_id=batch_id, actor=actor, duty=Duty.RELEASE)
    batch.released_by, batch.released_at = actor.staff_id, now
    move(session, batch, BatchEvent.RELEASE, actor=actor, now=now)
    preparation.hand_over(session, batch_id)
    session.commit()


def cancel(session: Session, batch_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """Call a batch off before anything is written: its cards are annulled, its applications may be planned again."""
    actor.require(Permission.PLAN_BATCH)
    reason = typed(reason)
    if not reason:
        raise InvalidInput("Calling a batch off needs a reason: write it.", field="reason")
    # Cards before their batch, in the order of the hub, so that neither waits for the other for ever.
    session.execute(select(Card.id).where(Card.batch_id == batch_id).order_by(Card.id).with_for_update())
    batch = locked(session, Batch, batch_id)
    move(session, batch, BatchEvent.CANCEL, actor=actor, now=now, details={"reason": reason})
    in_batch = select(Card.application_id).where(Card.batch_id == batch_id, Card.state.in_(UNWRITTEN))
    move_all(session, Application, ApplicationEvent.UNPLAN, Application.id.in_(in_batch), actor=actor, now=now)
    move_all(session, Card, CardEvent.ANNUL, Card.batch_id == batch_id, actor=actor, now=now, values={"ended_at": now})
    session.commit()


def _demands(session: Session, policy: Policy) -> list[Demand]:
    """Everybody approved and not in doubt, locked: who is taken back meanwhile waits, and finds the card."""
    wanted = (
        select(
            Application.id,
            Application.point_id,
            Application.route,
            Application.remake,
            Application.submitted_at,
            Application.due_on,
        )
        .where(Application.state == ApplicationState.APPROVED, ~held(Application.resident_id))
        .order_by(Application.id)
        .with_for_update()
    )
    return [
        Demand(key, point, _priority(route, remake=remake), policy.day(submitted_at), due_on)
        for key, point, route, remake, submitted_at, due_on in session.execute(wanted)
    ]


def _priority(route: Route, *, remake: bool) -> Priority:
    if remake:
        return Priority.REMAKE
    return Priority.COHORT if route is Route.MASS else Priority.APPLICATION


def _capacity(session: Session) -> dict[int, int]:
    rows = session.execute(select(IssuancePoint.id, IssuancePoint.daily_capacity))
    return dict(rows.all())


def _used(session: Session, first: date) -> dict[tuple[int, date], int]:
    taken = (
        select(Batch.point_id, Batch.planned_for, func.count())
        .join(Card, Card.batch_id == Batch.id)
        .where(Batch.state != BatchState.CANCELLED, Batch.planned_for >= first, Card.state != CardState.ANNULLED)
        .group_by(Batch.point_id, Batch.planned_for)
    )
    return {(point, day): count for point, day, count in session.execute(taken)}


def _write_batches(
    session: Session, planned: Sequence[PlannedBatch], actor: Actor, rules: BatchRules, now: datetime
) -> list[Batch]:
    numbers = numbering.take(session, "batch", count=len(planned))
    batches = [
        Batch(
            number=f"B-{number:06d}",
            planned_for=one.day,
            point_id=one.point,
            profile=rules.profile,
            transport=rules.transport,
            planned_by=actor.staff_id,
            planned_at=now,
        )
        for number, one in zip(numbers, planned, strict=True)
    ]
    session.add_all(batches)
    session.flush()
    audit.record_many(session, [Note(actor.reference, "batch.plan", "batch", str(batch.id), now) for batch in batches])
    return batches


def _write_cards(session: Session, planned: Sequence[tuple[Batch, PlannedBatch]], rules: BatchRules) -> int:
    """Insert the cards in the order of production, so that numbers rise along each batch."""
    total = sum(len(one.keys) for _, one in planned)
    numbers = iter(numbering.take(session, "card", count=total))
    for batch, one in planned:
        for first in range(0, len(one.keys), CHUNK):
            applications = _in_order(session, one.keys[first : first + CHUNK])
            session.execute(
                insert(Card),
                [_card_of(batch, row, next(numbers), rules) for row in applications],
            )
    return total


def _in_order(session: Session, keys: Sequence[int]) -> list[Application]:
    found = {row.id: row for row in session.scalars(select(Application).where(Application.id.in_(keys)))}
    return [found[key] for key in keys]


def _card_of(batch: Batch, application: Application, number: int, rules: BatchRules) -> dict[str, object]:
    return {
        "number": make_card_number(rules.number_prefix, number),
        "application_id": application.id,
        "batch_id": batch.id,
        "resident_id": application.resident_id,
        "state": CardState.PLANNED,
        "profile": rules.profile,
        "printed_name": printed_name(application.surname, application.name),
        "expires_on": rules.policy.expires_on(batch.planned_for),
        "replaces_card_id": application.replaces_card_id,
        "version": 1,
    }


def _outcome(session: Session, batches: Sequence[Batch], cards: int, made: Plan) -> PlanOutcome:
    return PlanOutcome(
        batches=tuple(batch_rows(session, Batch.id.in_([batch.id for batch in batches]))),
        cards=cards,
        late=len(made.late),
        unplaced=Counter(row.reason for row in made.unplaced),
    )
