"""Orders to print cards, and their match with the chip: the number on the plastic must be the number in the chip.

Who holds the card reads the printed number (or scans its bar code); the chip's own number is what inspection proves. A
card with an order is not PERSONALISED before the two were seen to be one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, insert, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotFound, UecError
from uec.domain.lifecycle import CardState, advance
from uec.domain.numbers import parse_card_number
from uec.domain.permissions import Permission
from uec.domain.printing import PRINT, PrintEvent, PrintState
from uec.domain.texts import typed
from uec.services import printing
from uec.services.moves import CardNow
from uec.services.printing import Printer
from uec.services.rows import present
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Batch, Card
from uec.store.tables.printing import PrintOrder

PRINTABLE = (CardState.PREPARED, CardState.WRITING)
REASON_LIMIT = 500
_STANDING = (
    select(PrintOrder.state)
    .where(PrintOrder.card_id == bindparam("this"), PrintOrder.state != PrintState.SPOILED)
    .with_for_update()
)


class PrintNotMatched(UecError):
    """The printed number was not yet compared with the chip's. Facts: `card` (number), `state` of the order."""

    code = "uec.print_not_matched"


class WrongPrint(UecError):
    """The number on the plastic is not the chip's. Facts: `printed`, `expected`."""

    code = "uec.wrong_print"


@dataclass(frozen=True)
class PrintRow:
    """One card of a batch on the page of its printing; `state` is None without an order."""

    card_id: int
    number: str
    card_state: CardState
    state: PrintState | None
    printed_at: datetime | None
    matched_at: datetime | None


def of_batch(session: Session, batch_id: int, *, actor: Actor) -> list[PrintRow]:
    """Every card of a batch with its standing order, by number."""
    actor.require(Permission.VIEW_BATCHES)
    return _rows(session, Card.batch_id == batch_id)


def of_card(session: Session, card_id: int) -> PrintRow:
    """A card with its standing order."""
    present(session, Card, card_id)
    return _rows(session, Card.id == card_id)[0]


def print_batch(session: Session, batch_id: int, *, printer: Printer, actor: Actor, now: datetime) -> bytes:
    """Order what has no order yet, and return the sheet (PDF) of all that is ordered or printed and not matched.

    The orders are PRINTED with it. Raises `NotFound` when there is nothing to print, and `UnprintableCards`.
    """
    actor.require(Permission.PRODUCE_CARD)
    batch = present(session, Batch, batch_id)
    wanted = select(Card.id).where(Card.batch_id == batch_id, Card.state.in_(PRINTABLE)).order_by(Card.id)
    cards = list(session.scalars(wanted.with_for_update(key_share=True)))
    standing = {order.card_id: order for order in _standing(session, cards)}
    _order(session, [card for card in cards if card not in standing], actor, now)
    chosen = [order for order in _standing(session, cards) if order.state is not PrintState.MATCHED]
    if not chosen:
        raise NotFound(f"Nothing of batch {batch.number} is to be printed now.", kind="print", id=batch_id)
    made = printing.sheet(
        session, [order.card_id for order in chosen], printer=printer, title=f"{batch.number} {now:%Y-%m-%d}", now=now
    )
    for order in chosen:
        order.state, order.printed_at = advance(PRINT, order.state, PrintEvent.PRINT), now
    notes = [Note(actor.reference, "print.print", "card", str(order.card_id), now, None, {}) for order in chosen]
    audit.record_many(session, notes)
    session.commit()
    return made


def match(
    session: Session, number: str, *, batch_id: int, card_id: int | None = None, actor: Actor, now: datetime
) -> int:
    """Say which number is printed on the plastic in hand; returns the card's id, whose order is MATCHED then.

    With `card_id` (the card in the reader) its own number must be it. Raises `InvalidNumber` for a number that is
    none, `WrongPrint` for another card's, `NotFound` for one that was not printed.
    """
    actor.require(Permission.PRODUCE_CARD)
    digits = parse_card_number(typed(number))
    expected = present(session, Card, card_id).number if card_id is not None else digits
    if digits != expected:
        _tell(session, actor, "print.mismatch", card_id or 0, {"printed": digits}, now)
        session.commit()
        raise WrongPrint(
            f"The plastic says {digits}, the chip {expected}: take the card aside, spoil its print and print it anew.",
            printed=digits,
            expected=expected,
        )
    order = session.scalar(
        select(PrintOrder)
        .join(Card, Card.id == PrintOrder.card_id)
        .where(Card.number == digits, Card.batch_id == batch_id, PrintOrder.state != PrintState.SPOILED)
        .with_for_update(of=PrintOrder)
    )
    if order is None or order.state is PrintState.ORDERED:
        raise NotFound(
            f"No card {digits} of this batch was printed: look at the number again.", kind="print", id=digits
        )
    if order.state is PrintState.PRINTED:
        order.state = advance(PRINT, order.state, PrintEvent.MATCH)
        order.matched_by, order.matched_at = actor.staff_id, now
        _tell(session, actor, "print.match", order.card_id, {}, now)
    session.commit()
    return order.card_id


def spoil(session: Session, card_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """Give a card's print up; it can be ordered anew. Raises `NotFound` and `InvalidInput` without a reason."""
    actor.require(Permission.PRODUCE_CARD)
    reason = typed(reason)
    if not reason:
        raise InvalidInput("Giving a print up needs a reason: write it.", field="reason")
    order = next(iter(_standing(session, [card_id])), None)
    if order is None:
        raise NotFound("There is no print of this card.", kind="print", id=card_id)
    order.state, order.reason = advance(PRINT, order.state, PrintEvent.SPOIL), reason[:REASON_LIMIT]
    _tell(session, actor, "print.spoil", card_id, {"reason": order.reason}, now)
    session.commit()


def order_missing(session: Session, card_id: int, *, actor: Actor, now: datetime) -> None:
    """Order the print of a card that has no standing order, as its profile says; the caller commits."""
    if not _standing(session, [card_id]):
        _order(session, [card_id], actor, now)


def require_matched(session: Session, card: CardNow) -> None:
    """Raise `PrintNotMatched` when the card has an order whose print was not compared with it yet."""
    state = session.connection().execute(_STANDING, {"this": card.id}).scalar()
    if state is not None and state is not PrintState.MATCHED:
        raise PrintNotMatched(
            f"The print of card {card.number} was not compared with its chip: read the number on the plastic first.",
            card=card.number,
            state=state,
        )


def _order(session: Session, cards: Sequence[int], actor: Actor, now: datetime) -> None:
    if not cards:
        return
    fixed: dict[str, Any] = {"state": PrintState.ORDERED, "ordered_by": actor.staff_id, "ordered_at": now}
    session.execute(insert(PrintOrder), [{"card_id": card} | fixed for card in cards])
    notes = [Note(actor.reference, "print.order", "card", str(card), now, None, {}) for card in cards]
    audit.record_many(session, notes)


def _standing(session: Session, cards: Sequence[int]) -> list[PrintOrder]:
    wanted = select(PrintOrder).where(PrintOrder.card_id.in_(cards), PrintOrder.state != PrintState.SPOILED)
    return list(session.scalars(wanted.order_by(PrintOrder.card_id).with_for_update()))


def _rows(session: Session, chosen: ColumnElement[bool]) -> list[PrintRow]:
    standing = (PrintOrder.card_id == Card.id) & (PrintOrder.state != PrintState.SPOILED)
    found = session.execute(
        select(Card.id, Card.number, Card.state, PrintOrder.state, PrintOrder.printed_at, PrintOrder.matched_at)
        .outerjoin(PrintOrder, standing)
        .where(chosen)
        .order_by(Card.number)
    )
    return [PrintRow(*row) for row in found]


def _tell(session: Session, actor: Actor, action: str, card_id: int, details: dict[str, str], now: datetime) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=action,
        subject_kind="card",
        subject_id=card_id,
        details=details,
        now=now,
    )
