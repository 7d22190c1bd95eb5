"""Ties the stock to production: what the journal and a card's life prove about a chip moves its blank in the ledger.

Called inside the transaction that proves it. Where a store keeps stock (`enforced`), a chip that is not in the hand of
the station's open shift is refused before anything is written to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, case, or_, select
from sqlalchemy.orm import Session

from issuance.production.bundle import RecordKind
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Permission
from uec.domain.stock import (
    ChipNotInStock,
    Motion,
    NoShift,
    Place,
    SerialRange,
    StockRefused,
    SubjectKind,
)
from uec.services import quality_refusals, stock_ledger
from uec.services.moves import CardNow
from uec.services.rows import locked, present
from uec.services.stock_ledger import Held, note, whereabouts
from uec.services.stock_shifts import hand, open_shift_at
from uec.store.stock_guards import OUTSIDE_ID
from uec.store.tables import (
    Batch,
    Card,
    OperationPlace,
    Station,
    StockAccount,
    StockBox,
    StockDelivery,
    StockMovement,
    StockShift,
    StockStore,
)

_ENDED = (CardState.LOST, CardState.ANNULLED, CardState.REPLACED, CardState.EXPIRED)
_WRITTEN = {Place.WORK, Place.UNFINISHED, Place.GOOD}
_PLACES = {
    Place.STORE: "lies in a store and was issued to nobody",
    Place.TRANSIT: "is on the way between two stores",
    Place.HAND: "was issued to another shift",
    Place.WORK: "is being made another card",
    Place.UNFINISHED: "is another card that was set aside",
    Place.GOOD: "was made another card",
    Place.SPOILED: "is spoiled",
    Place.HANDED_IN: "was handed in",
    Place.DOOMED: "is listed for destruction",
    Place.DESTROYED: "was destroyed",
    Place.MISSING: "is recorded as missing",
}


class DestroyByAct(StockRefused):
    """A card whose chip is in the stock is destroyed by an act of two people. Facts: `card`."""

    code = "uec.destroy_by_act"


def follow(
    session: Session,
    card: CardNow,
    kind: RecordKind,
    facts: Mapping[str, Any],
    *,
    operation_id: int | None,
    actor: Actor,
    now: datetime,
) -> None:
    """Move the blank that a journal entry speaks of; the caller commits.

    Raises `NoShift`, `ChipNotInStock` or `Quarantined` for a chip that may not become this card.
    """
    if kind is RecordKind.CHIP_CLAIMED:
        _claim(session, card, str(facts["chip_id"]), operation_id, actor, now)
    elif kind is RecordKind.CHIP_RELEASED and not facts.get("unwritten"):
        _spoil(session, card, str(facts["chip_id"]), str(facts["reason"]), actor, now)
    elif kind is RecordKind.INSPECTED and card.chip_id is not None:
        _make(session, card, operation_id, actor, now)


def spoiled(session: Session, card: Card, *, reason: str, actor: Actor, now: datetime) -> None:
    """Move the blank of a card that was spoiled, with the reason; the caller commits."""
    if card.chip_id:
        _spoil(session, card, card.chip_id, reason, actor, now)


def _spoil(session: Session, card: Card | CardNow, chip_id: str, reason: str, actor: Actor, now: datetime) -> None:
    found = whereabouts(session, chip_id)
    if found is None or found[1].kind not in _WRITTEN:
        return
    part, account = found
    shift_id = account.shift_id or _shift_of(session, card)
    taker = stock_ledger.account(session, Place.SPOILED, store_id=account.store_id, shift_id=shift_id)
    stock_ledger.move(
        session, Motion.SPOIL, [part], taker_id=taker, actor=actor, now=now, card_id=card.id, reason=reason or "spoiled"
    )


def hand_in(session: Session, card_id: int, *, store_id: int, reason: str, actor: Actor, now: datetime) -> None:
    """Take an ended card (replaced, found, not fetched) into a store's custody until it is destroyed.

    A card made where no stock was kept enters the ledger here. Raises `StockRefused` for a card that still serves.
    """
    if not actor.may(Permission.TAKE_APPLICATION):
        actor.require(Permission.KEEP_STOCK)
    store = present(session, StockStore, store_id)
    card = locked(session, Card, card_id)
    if card.state not in _ENDED or card.chip_id is None:
        raise StockRefused(
            f"Card {card.number} is {card.state}: only a lost, annulled, replaced or expired card is handed in.",
            card=card.number,
        )
    taken_in(session, card, store, reason=stock_ledger.checked_reason(reason), actor=actor, now=now)
    session.commit()


def taken_in(session: Session, card: Card, store: StockStore, *, reason: str, actor: Actor, now: datetime) -> None:
    """The same inside another change; the caller commits."""
    chip_id = str(card.chip_id)
    stock_ledger.lock_lots(session, [SerialRange.of_chip(chip_id).lot])
    found = whereabouts(session, chip_id)
    if found is not None and found[1].kind is not Place.GOOD:
        raise StockRefused(
            f"The chip of card {card.number} {_PLACES[found[1].kind]}: it cannot be handed in.", card=card.number
        )
    part = found[0] if found else Held(SerialRange.of_chip(chip_id), None, OUTSIDE_ID)
    taker = stock_ledger.account(session, Place.HANDED_IN, store_id=store.id)
    stock_ledger.move(
        session, Motion.HAND_IN, [part], taker_id=taker, actor=actor, now=now, card_id=card.id, reason=reason
    )
    note(session, "hand_in", ("card", card.id), actor=actor, now=now, store=store.code, reason=reason)


def surrendered(session: Session, card: Card, *, reason: str, actor: Actor, now: datetime) -> None:
    """A replaced card that the holder gave back: it goes into the store of its point, where that keeps one."""
    point_id = actor.point_id or present(session, Batch, card.batch_id).point_id
    store = session.scalar(select(StockStore).where(StockStore.point_id == point_id))
    if store is not None and card.chip_id is not None:
        taken_in(session, card, store, reason=reason, actor=actor, now=now)


def refuse_lone_destruction(session: Session, card: Card) -> None:
    """Raise `DestroyByAct` for a card whose chip is in the stock: two people destroy it, by an act."""
    if card.chip_id is not None and whereabouts(session, card.chip_id) is not None:
        raise DestroyByAct(
            f"Card {card.number} is in the stock: hand it in and destroy it by an act of two people.", card=card.number
        )


def found_again(
    session: Session, chips: list[SerialRange], *, store_id: int, reason: str, actor: Actor, now: datetime
) -> int:
    """Missing blanks that turned up go into a store; returns how many."""
    actor.require(Permission.CONTROL_QUALITY)
    plain = stock_ledger.checked_reason(reason)
    if not chips:
        raise InvalidInput("Name the chips: their serials stand on the blanks.", field="chips")
    stock_ledger.lock_lots(session, {one.lot for one in chips})
    accounts = select(StockAccount.id).where(StockAccount.kind == Place.MISSING)
    lost = stock_ledger.held_in(session, session.scalars(accounts).all())
    parts = [part for one in chips for part in stock_ledger.cut(lost, one)]
    store = stock_ledger.account(session, Place.STORE, store_id=present(session, StockStore, store_id).id)
    moved = stock_ledger.move(session, Motion.FIND, parts, taker_id=store, actor=actor, now=now, reason=plain)
    note(session, "find", ("stock_store", store_id), actor=actor, now=now, blanks=moved, reason=plain)
    session.commit()
    return moved


@dataclass(frozen=True)
class Boxed:
    """What the delivery note says of a blank: the card profile it is for, and the version of its transport keys."""

    profile: str
    transport_version: int


def boxed(session: Session, chip_id: str) -> Boxed | None:
    """What is known of the chip by its box; None for a chip that is in no box of ours."""
    chip = SerialRange.of_chip(chip_id)
    near = stock_ledger.nearest(session, chip)
    if near is None or near.last < chip.first or near.box_id is None:
        return None
    note = select(StockDelivery.profile, StockDelivery.transport_version)
    of_box = note.join(StockBox, StockBox.delivery_id == StockDelivery.id).where(StockBox.id == near.box_id)
    return Boxed(*session.execute(of_box).one())


def _claim(
    session: Session, card: CardNow, chip_id: str, operation_id: int | None, actor: Actor, now: datetime
) -> None:
    chip = SerialRange.of_chip(chip_id)
    quality_refusals.refuse(session, SubjectKind.LOT, chip.lot)
    store, station_id = _store_of(session, card, operation_id)
    if store is None:
        return
    stock_ledger.lock_lots(session, [chip.lot])
    shift = open_shift_at(session, store.id, station_id)
    found = whereabouts(session, chip_id)
    if shift is not None and found is not None and found[1].id == hand(session, shift):
        work = stock_ledger.account(session, Place.WORK, store_id=store.id, shift_id=shift.id)
        stock_ledger.move(session, Motion.CLAIM, [found[0]], taker_id=work, actor=actor, now=now, card_id=card.id)
        return
    # Claimed before and let go unwritten, since another card lay in the reader: it stands where it was claimed to.
    let_go = found is not None and found[1].kind in {Place.WORK, Place.UNFINISHED}
    if let_go or not store.enforced:
        return
    if shift is None:
        raise NoShift(
            f"Nobody has a shift open with blanks of {store.name}: open one, and have blanks issued to it.",
            store=store.code,
        )
    where = _PLACES[found[1].kind] if found else "was never delivered to us"
    raise ChipNotInStock(
        f"Chip {chip_id} is not among the blanks of shift {shift.number}: it {where}. Take it out and put it aside.",
        chip_id=chip_id,
        place=found[1].kind if found else None,
    )


def _make(session: Session, card: CardNow, operation_id: int | None, actor: Actor, now: datetime) -> None:
    found = whereabouts(session, str(card.chip_id))
    if found is None or found[1].kind not in {Place.WORK, Place.UNFINISHED}:
        return
    part, account = found
    store_id, shift_id = account.store_id, account.shift_id
    if shift_id is None:  # set aside by an earlier shift and finished in this one
        store, station_id = _store_of(session, card, operation_id)
        shift = open_shift_at(session, store.id, station_id) if store is not None else None
        shift_id = shift.id if shift is not None else _shift_of(session, card)
        store_id = shift.store_id if shift is not None else store_id
    taker = stock_ledger.account(session, Place.GOOD, store_id=store_id, shift_id=shift_id)
    stock_ledger.move(session, Motion.MAKE, [part], taker_id=taker, actor=actor, now=now, card_id=card.id)


def _store_of(session: Session, card: CardNow, operation_id: int | None) -> tuple[StockStore | None, int | None]:
    """The store whose blanks a station uses, with the station; without a station, that of the card's destination."""
    found = session.execute(_store(), {"operation": operation_id, "batch": card.batch_id}).first()
    return (None, None) if found is None else (found[0], found[1])


@cache
def _store() -> Any:
    """One statement for an office without stock, too: the station's own store before that of its point."""
    station = select(OperationPlace.station_id).where(OperationPlace.operation_id == bindparam("operation"))
    at = station.scalar_subquery()
    of_station = select(Station.point_id).where(Station.id == at).scalar_subquery()
    of_batch = select(Batch.point_id).where(Batch.id == bindparam("batch")).scalar_subquery()
    point = case((at.is_not(None), of_station), else_=of_batch)
    found = select(StockStore, at).where(or_(StockStore.station_id == at, StockStore.point_id == point))
    return found.order_by(case((StockStore.station_id == at, 0), else_=1)).limit(1)


def _shift_of(session: Session, card: Card | CardNow) -> int | None:
    """The shift whose blank became the card."""
    claimed = (
        select(StockShift.id)
        .join(StockAccount, StockAccount.shift_id == StockShift.id)
        .join(StockMovement, StockMovement.giver_id == StockAccount.id)
        .where(StockMovement.card_id == card.id, StockMovement.motion == Motion.CLAIM)
    )
    return session.scalar(claimed.order_by(StockMovement.id.desc()).limit(1))
