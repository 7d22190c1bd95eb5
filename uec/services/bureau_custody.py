"""Which cards are at an outside bureau, or go to one: no station of ours may begin or go on with them.

A card is at a bureau until it has reported; a batch that the plan gave to a bureau is its own until there was an order.
"""

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from uec.domain.bureau import BureauRefused, OrderedState, OrderState, PartnerState
from uec.services.moves import CardNow
from uec.store.tables import Batch, Bureau, BureauCard, BureauOrder, Card

OVER = (OrderState.DECLINED, OrderState.CANCELLED)
UNSENT = (OrderState.DRAWN, OrderState.APPROVED)
AWAY = (OrderedState.ORDERED, OrderedState.ANSWERED)


def away() -> ColumnElement[bool]:
    """Whether the card of an enclosing statement is at a bureau, or goes to one."""
    ordered = select(BureauCard.id).where(BureauCard.card_id == Card.id, BureauCard.state.in_(AWAY)).exists()
    return or_(ordered, _destined().where(Batch.id == Card.batch_id).exists())


def refuse_if_ordered(session: Session, batch: Batch) -> None:
    """Raise `BureauRefused` for a batch that stands in an order: a bureau may be making its cards."""
    standing = select(BureauOrder).where(BureauOrder.batch_id == batch.id, BureauOrder.state.not_in(OVER))
    row = session.scalar(standing)
    if row is None:
        return
    unsent = row.state in UNSENT
    advice = "cancel that order first" if unsent else "its cards are being made, wait for what comes back"
    raise BureauRefused(
        f"Batch {batch.number} is ordered from a bureau with {row.number}: {advice}.",
        finding="order-stands" if unsent else "being-made",
        order=row.number,
    )


def _destined() -> Select[str]:
    """Codes of bureaux whose batch it is by the plan, while it was never ordered."""
    before = select(BureauOrder.id).where(BureauOrder.batch_id == Batch.id).exists()
    own = select(Bureau.code).select_from(Batch).join(Bureau, Bureau.code == Batch.line)
    return own.where(Bureau.state == PartnerState.APPROVED, ~before)


def refuse_if_away(session: Session, card: Card | CardNow) -> None:
    """Raise `BureauRefused` for a card that a bureau was asked to make, or to finish, and has not reported."""
    wanted = select(BureauOrder.number).join(BureauCard, BureauCard.order_id == BureauOrder.id)
    number = session.scalar(wanted.where(BureauCard.card_id == card.id, BureauCard.state.in_(AWAY)))
    if number is not None:
        raise BureauRefused(
            f"Card {card.number} is at a bureau with order {number}: wait for its results.",
            finding="away",
            order=number,
        )
    bureau = session.scalar(_destined().where(Batch.id == card.batch_id))
    if bureau is not None:
        raise BureauRefused(
            f"Card {card.number} is planned for bureau {bureau}: let its order be drawn up, or call its batch off.",
            finding="destined",
            bureau=bureau,
        )
