"""Ends the card of somebody who may have none any more: who has died, refused, or is gone from the register.

Who may have none is said by `refusals.barred`; here is what becomes of such a card when it is met. What nobody began
is annulled, a begun one is spoiled and, unlike others, not made again.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import ApplicationEvent, ApplicationState, CardEvent, CardState
from uec.services.cards import apply_event
from uec.services.moves import move
from uec.services.refusals import barred
from uec.services.rows import locked
from uec.store.tables import Application, Card

CODE = "uec.card_barred"
SENTENCE = "The person has died or refused to receive a card: put this card aside."
_REASON = "refused or deceased"


def is_barred(session: Session, card: Card) -> bool:
    """Whether nobody may get this card any more."""
    wanted = select(Application.id).where(Application.id == card.application_id, barred())
    return session.scalar(wanted) is not None


def end_card(session: Session, card: Card, *, actor: Actor, now: datetime) -> None:
    """End a locked card for good, and its application with it; the caller commits."""
    begun = card.state is CardState.WRITING
    apply_event(session, card, CardEvent.SPOIL if begun else CardEvent.ANNUL, actor=actor, reason=_REASON, now=now)
    if begun:
        refuse_remake(session, card, actor=actor, now=now)


def refuse_remake(session: Session, card: Card, *, actor: Actor, now: datetime) -> None:
    """End the application of a spoiled card, which would be made again; the caller commits."""
    application = locked(session, Application, card.application_id)
    if application.state is ApplicationState.APPROVED:
        application.closed_at, application.remake = now, False
        move(session, application, ApplicationEvent.WITHDRAW, actor=actor, now=now)
