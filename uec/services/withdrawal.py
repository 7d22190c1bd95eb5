"""The applicant takes an application back; a card that is already made for it is annulled with it."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import ApplicationEvent, CardEvent, CardState
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services.cards import apply_event
from uec.services.moves import move
from uec.services.rows import locked
from uec.store.tables import Application, Card

MADE = (CardState.PLANNED, CardState.PREPARED, CardState.PERSONALISED)


def withdraw(session: Session, application_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """End an application that is not closed, at a window; raises `IllegalMove` while its card is being written."""
    actor.require(Permission.TAKE_APPLICATION)
    reason = typed(reason)
    if not reason:
        raise InvalidInput("Write why the application is taken back.", field="reason")
    made = select(Card.id).where(Card.application_id == application_id, Card.state.in_(MADE))
    # The card is locked before its application, as everywhere; only who has none yet is locked first, and looked at
    # again, since a plan may have come between.
    card_id = session.scalar(made)
    if card_id is None:
        application = locked(session, Application, application_id)
        card_id = session.scalar(made)
    if card_id is not None:
        apply_event(session, locked(session, Card, card_id), CardEvent.ANNUL, actor=actor, reason=reason, now=now)
    else:
        application.closed_at = now
        move(session, application, ApplicationEvent.WITHDRAW, actor=actor, now=now, details={"reason": reason})
    session.commit()
