"""Which cards are at an outside bureau: no station of ours may begin or go on with them until it has reported."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from uec.domain.bureau import BureauRefused, OrderedState
from uec.store.tables import BureauCard, BureauOrder, Card

AWAY = (OrderedState.ORDERED, OrderedState.ANSWERED)


def away() -> ColumnElement[bool]:
    """Whether the card of an enclosing statement is at a bureau."""
    return select(BureauCard.id).where(BureauCard.card_id == Card.id, BureauCard.state.in_(AWAY)).exists()


def refuse_if_away(session: Session, card: Card) -> None:
    """Raise `BureauRefused` for a card that a bureau was asked to make, or to finish, and has not reported."""
    wanted = select(BureauOrder.number).join(BureauCard, BureauCard.order_id == BureauOrder.id)
    number = session.scalar(wanted.where(BureauCard.card_id == card.id, BureauCard.state.in_(AWAY)))
    if number is not None:
        raise BureauRefused(
            f"Card {card.number} is at a bureau with order {number}: wait for its results.",
            finding="away",
            order=number,
        )
