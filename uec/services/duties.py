"""Nobody alone: one person may have two of {take, approve, release, produce, hand over} for a card never.

Permissions say what somebody may do at all (`uec.domain.permissions`); this module looks at what was done for the very
card, since one person may well hold several roles.
"""

from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from uec.domain.actors import Actor
from uec.domain.errors import SamePerson
from uec.domain.lifecycle import OperationKind, OperationState
from uec.store.tables import Application, Batch, Card, CardOperation


class Duty(StrEnum):
    """The five separated duties, in the order in which a card meets them."""

    TAKE = "take"
    APPROVE = "approve"
    RELEASE = "release"
    PRODUCE = "produce"
    HAND_OVER = "hand over"


_VERBS = {
    Duty.TAKE: "took the application",
    Duty.APPROVE: "decided on the application",
    Duty.RELEASE: "released the batch",
    Duty.PRODUCE: "produced the card",
    Duty.HAND_OVER: "handed the card over",
}


def refuse_second(session: Session, *, card_id: int, actor: Actor, duty: Duty) -> None:
    """Raise `SamePerson` when the actor has had another duty for this card; a process of the system has none."""
    _refuse(session, Card.id, card_id, actor, duty)


def refuse_second_in_batch(session: Session, *, batch_id: int, actor: Actor, duty: Duty) -> None:
    """The same for every card of a batch at once."""
    _refuse(session, Card.batch_id, batch_id, actor, duty)


def refuse_decider(application: Application, *, actor: Actor) -> None:
    """Raise `SamePerson` when the one who took the application would decide on it."""
    if actor.staff_id is not None and application.taken_by == actor.staff_id:
        raise same_person(actor, Duty.TAKE, Duty.APPROVE)


def same_person(actor: Actor, earlier: Duty, now: Duty) -> SamePerson:
    """The refusal, in one sentence that says who else is needed."""
    return SamePerson(
        f"{actor.display} {_VERBS[earlier]} and may not also {now}: ask a colleague.",
        actor=actor.reference,
        earlier=str(earlier),
        now=str(now),
    )


def _refuse(session: Session, cards: InstrumentedAttribute[int], which: int, actor: Actor, duty: Duty) -> None:
    if actor.staff_id is None:
        return
    session.flush()
    had = session.connection().execute(_had(cards), {"which": which, "staff": actor.staff_id}).one()._mapping
    for earlier in Duty:
        if earlier != duty and had[earlier.name]:
            raise same_person(actor, earlier, duty)


@cache
def _had(cards: InstrumentedAttribute[int]) -> Any:
    """Which of the duties this person has had for one of these cards: one row, a column each."""
    doing = _doing(bindparam("staff", type_=Integer))
    return select(*(did.where(cards == bindparam("which")).exists().label(duty.name) for duty, did in doing.items()))


def _doing(staff_id: ColumnElement[int]) -> dict[Duty, Select[int]]:
    """For each duty the query of the cards for which this person has had it."""
    of_application = select(Card.id).join(Application, Application.id == Card.application_id)
    return {
        Duty.TAKE: of_application.where(Application.taken_by == staff_id),
        Duty.APPROVE: of_application.where(Application.decided_by == staff_id),
        Duty.RELEASE: select(Card.id).join(Batch, Batch.id == Card.batch_id).where(Batch.released_by == staff_id),
        Duty.PRODUCE: _operated(staff_id, OperationKind.PERSONALISE, OperationKind.INSPECT),
        Duty.HAND_OVER: _operated(staff_id, OperationKind.HAND_OVER),
    }


def _operated(staff_id: ColumnElement[int], *kinds: OperationKind) -> Select[int]:
    """Cards somebody put through an operation of these kinds; one that was called off counts for nothing."""
    undone = or_(CardOperation.state == OperationState.CANCELLED, CardOperation.started_at.is_(None))
    done = select(Card.id).join(CardOperation, CardOperation.card_id == Card.id)
    return done.where(CardOperation.requested_by == staff_id, CardOperation.kind.in_(kinds), ~undone)
