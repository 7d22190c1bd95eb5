"""Batches: planned from approved applications, released by a second person, called off.

The plan is made over everybody who waits (`plan_office`), and the batches of its next days are cut out of it
(`plan_freeze`). Preparing the data of a released batch is `uec.services.preparation`.
"""

from collections import Counter
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.absences import AbsenceState
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, SamePerson
from uec.domain.lifecycle import ApplicationEvent, ApplicationState, BatchEvent, CardEvent, CardState
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services import numbering, plan_freeze, plan_moves, plan_office, plan_people, plan_region, preparation
from uec.services.batch_lists import batch_rows
from uec.services.batch_rules import BatchRules
from uec.services.bureau_custody import refuse_if_ordered
from uec.services.duties import Duty, refuse_second_in_batch
from uec.services.moves import move, move_all
from uec.services.rows import locked, locked_batch
from uec.services.views import PlanOutcome
from uec.store.tables import Application, Batch, Card, EmissionPlan

UNWRITTEN = (CardState.PLANNED, CardState.PREPARED)


def plan(session: Session, *, actor: Actor, rules: BatchRules, now: datetime) -> PlanOutcome:
    """Plan everybody approved, keeping the days of the plan before, and cut the batches of the next days.

    Application -> PLANNED, one PLANNED card each; who died or refused since approval is not planned any more. Raises
    `NotAllowed`, and `InvalidInput` without points.
    """
    return _planned(session, plan_office.renew, actor, rules, now)


def plan_anew(session: Session, *, actor: Actor, rules: BatchRules, now: datetime) -> PlanOutcome:
    """Like `plan`, by a new plan, which keeps only what is cut into batches: better days, more moved promises."""
    return _planned(session, plan_office.make, actor, rules, now)


def _planned(session: Session, make: plan_office.Making, actor: Actor, rules: BatchRules, now: datetime) -> PlanOutcome:
    actor.require(Permission.PLAN_BATCH)
    # The series' row is the planners' lock: a second planner waits here and then finds nothing left to plan.
    numbering.take(session, "batch", count=0)
    gone = {"closed_at": now}
    barred = select(plan_people.barred_ids([AbsenceState.GONE]).c.id)
    unplanned = (Application.state == ApplicationState.APPROVED, Application.id.in_(barred))
    move_all(session, Application, ApplicationEvent.WITHDRAW, *unplanned, actor=actor, now=now, values=gone)
    region = plan_region.region_of(
        session,
        calendar=rules.calendar,
        profile=rules.profile,
        today=rules.policy.day(now),
        horizon_days=rules.horizon_days,
        cohort_from=rules.policy.mass_emission_from,
    )
    made = make(session, region=region, actor=actor, now=now)
    leads = {line.code: line.lead for line in region.supply.lines}
    frozen = plan_freeze.freeze(session, made, leads=leads, rules=rules, actor=actor, now=now)
    outcome = _outcome(session, made, frozen)
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
    """Call a batch off before anything is written: its cards are annulled, its applications may be planned again.

    Raises `BureauRefused` for one that stands in an order to a bureau.
    """
    actor.require(Permission.PLAN_BATCH)
    reason = typed(reason)
    if not reason:
        raise InvalidInput("Calling a batch off needs a reason: write it.", field="reason")
    batch = locked_batch(session, batch_id)
    refuse_if_ordered(session, batch)
    move(session, batch, BatchEvent.CANCEL, actor=actor, now=now, details={"reason": reason})
    in_batch = select(Card.application_id).where(Card.batch_id == batch_id, Card.state.in_(UNWRITTEN))
    plan_moves.list_batch(session, batch_id, None, now=now)
    move_all(session, Application, ApplicationEvent.UNPLAN, Application.id.in_(in_batch), actor=actor, now=now)
    move_all(session, Card, CardEvent.ANNUL, Card.batch_id == batch_id, actor=actor, now=now, values={"ended_at": now})
    session.commit()


def _outcome(session: Session, made: EmissionPlan, frozen: plan_freeze.Frozen) -> PlanOutcome:
    """Who has no day yet is counted by the reason; what the plan only leaves to later days is in it, with a day."""
    facts = made.facts
    open_by_reason: Counter[str] = Counter()
    for late in facts["late"]:
        open_by_reason[late["reason"]] += late["open"]
    undated = made.people - made.promised
    open_by_reason["beyond_horizon"] += max(0, undated - open_by_reason.total())
    return PlanOutcome(
        batches=tuple(batch_rows(session, Batch.id.in_(frozen.batches))),
        cards=frozen.cards,
        late=facts["late_cards"] - facts["open_cards"],
        unplaced=+open_by_reason,
    )
