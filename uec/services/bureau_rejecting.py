"""A card of an order that is not coming: its request comes first in the next plan, or ends with who was barred."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.bureau import ORDERED, OrderedEvent, OrderedState
from uec.domain.lifecycle import CardEvent, CardState, advance
from uec.services import barring
from uec.services.bureau_orders import parts
from uec.services.cards import apply_event
from uec.services.refusals import barred
from uec.services.rows import locked
from uec.store.tables import Application, BureauCard, Card

REASON_LIMIT = 500
NOT_WANTED = "not-wanted"
BARRED = f"{NOT_WANTED}: its person has died or refused a card"


def reject(
    session: Session, row_id: int, card_id: int, *, state: OrderedState, reason: str, actor: Actor, now: datetime
) -> None:
    """Take a card out of its order; the caller commits. One that stands in it as `state` no more is left alone.

    Nobody who was barred meanwhile is made another one.
    """
    target = advance(ORDERED, state, OrderedEvent.REJECT)
    standing = update(BureauCard).where(BureauCard.id == row_id, BureauCard.state == state)
    values = {"state": target, "reason": reason[:REASON_LIMIT]}
    if session.scalar(standing.values(values).returning(BureauCard.id)) is None:
        return
    card = locked(session, Card, card_id)
    if card.state in {CardState.WRITING, CardState.PREPARED}:
        apply_event(session, card, CardEvent.SPOIL, actor=actor, reason=reason, now=now)
        if barring.is_barred(session, card):
            barring.refuse_remake(session, card, actor=actor, now=now)


def barred_among(session: Session, card_ids: Iterable[int]) -> set[int]:
    """Those of the cards that nobody may have any more: their people have died, refused, or are gone."""
    found: set[int] = set()
    for chosen in parts(list(card_ids)):
        wanted = select(Card.id).join(Application, Application.id == Card.application_id)
        found.update(session.scalars(wanted.where(Card.id.in_(chosen), barred())))
    return found
