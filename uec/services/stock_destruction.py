"""Acts of destruction: spoiled and handed-in cards of a store, listed by one person and destroyed before another.

From the proposal on the listed cards are in the act's own account, so no second act can name them. With the
confirmation the cards behind the chips become DESTROYED in the same transaction.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import CardEvent, CardState, advance
from uec.domain.permissions import Permission
from uec.domain.stock import (
    DESTRUCTION,
    DestructionEvent,
    Motion,
    Place,
    SerialRange,
    StockRefused,
)
from uec.domain.texts import typed
from uec.services import numbering, stock_ledger
from uec.services.moves import move_all
from uec.services.rows import locked, present
from uec.services.stock_ledger import Held, note
from uec.store.tables import Card, StockAccount, StockDestruction, StockHolding, StockMovement, StockStore

METHOD_LIMIT = 120
CHUNK = 200
_WASTE = (Place.SPOILED, Place.HANDED_IN)
_SPARING = {Place.SPOILED: Motion.SPARE, Place.HANDED_IN: Motion.SPARE_CARD}


class CardStillServes(StockRefused):
    """A card in the act has not ended. Facts: `cards`."""

    code = "uec.card_still_serves"


def waste(session: Session, store_id: int) -> list[Held]:
    """What waits for destruction in a store: spoiled blanks and cards, and cards that were handed in."""
    accounts = select(StockAccount.id).where(StockAccount.store_id == store_id, StockAccount.kind.in_(_WASTE))
    return stock_ledger.held_in(session, session.scalars(accounts).all())


def waiting(session: Session) -> dict[int, int]:
    """How many cards and blanks wait for destruction in each store; stores without any are left out."""
    lying = select(StockAccount.store_id, func.sum(StockHolding.last - StockHolding.first + 1))
    lying = lying.join(StockHolding, StockHolding.account_id == StockAccount.id)
    rows = session.execute(lying.where(StockAccount.kind.in_(_WASTE)).group_by(StockAccount.store_id))
    return {store_id: int(blanks) for store_id, blanks in rows if store_id is not None}


def propose(session: Session, *, store_id: int, method: str, actor: Actor, now: datetime) -> int:
    """List everything that waits for destruction in a store in a new act; returns its id."""
    actor.require(Permission.DESTROY_STOCK)
    plain = typed(method)
    if not plain or len(plain) > METHOD_LIMIT:
        raise InvalidInput(f"Say in 1 to {METHOD_LIMIT} characters how they are destroyed.", field="method")
    present(session, StockStore, store_id)
    stock_ledger.lock_lots(session, {part.chips.lot for part in waste(session, store_id)})
    parts = waste(session, store_id)
    if not parts:
        raise InvalidInput("Nothing in this store waits for destruction.", field="store")
    row = StockDestruction(
        number=f"A-{numbering.take(session, 'stock-destruction').start:06d}",
        store_id=store_id,
        method=plain,
        blanks=sum(part.chips.blanks for part in parts),
        proposed_by=actor.staff_id,
        proposed_at=now,
    )
    session.add(row)
    session.flush()
    doomed = _doomed(session, row)
    stock_ledger.move(session, Motion.DOOM, parts, taker_id=doomed, actor=actor, now=now, reason=f"act {row.number}")
    note(
        session, "propose_destruction", ("stock_destruction", row.id), actor=actor, now=now,
        number=row.number, blanks=row.blanks, method=plain,
    )  # fmt: skip
    session.commit()
    return row.id


def confirm(session: Session, act_id: int, *, actor: Actor, now: datetime) -> int:
    """Put the second name to an act: its cards are destroyed; returns how many. Raises `SamePerson` for the first."""
    actor.require(Permission.DESTROY_STOCK)
    row = locked(session, StockDestruction, act_id)
    row.state = advance(DESTRUCTION, row.state, DestructionEvent.CONFIRM)
    stock_ledger.refuse_same(actor, row.proposed_by, did="proposed the act", now="confirm it")
    row.ended_by, row.ended_at = actor.staff_id, now
    parts = content(session, row)
    destroyed = stock_ledger.account(session, Place.DESTROYED, store_id=row.store_id, destruction_id=row.id)
    moved = stock_ledger.move(
        session, Motion.DESTROY, parts, taker_id=destroyed, actor=actor, now=now, reason=f"act {row.number}"
    )
    _end_cards(session, [part.chips for part in parts], row.number, actor, now)
    note(session, "destroy", ("stock_destruction", row.id), actor=actor, now=now, number=row.number, blanks=moved)
    session.commit()
    return moved


def withdraw(session: Session, act_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """Call an act off: everything goes back to where it lay."""
    actor.require(Permission.DESTROY_STOCK)
    row = locked(session, StockDestruction, act_id)
    plain = stock_ledger.checked_reason(reason)
    row.state = advance(DESTRUCTION, row.state, DestructionEvent.WITHDRAW)
    row.ended_by, row.ended_at = actor.staff_id, now
    doomed = _doomed(session, row)
    listed = select(StockMovement, StockAccount.kind).join(StockAccount, StockAccount.id == StockMovement.giver_id)
    listed = listed.where(StockMovement.taker_id == doomed)
    for entry, kind in session.execute(listed).all():
        part = Held(SerialRange(entry.lot, entry.first, entry.last), entry.box_id, doomed)
        stock_ledger.move(session, _SPARING[kind], [part], taker_id=entry.giver_id, actor=actor, now=now, reason=plain)
    note(
        session, "withdraw_destruction", ("stock_destruction", row.id), actor=actor, now=now,
        number=row.number, reason=plain,
    )  # fmt: skip
    session.commit()


def content(session: Session, row: StockDestruction) -> list[Held]:
    """The chips of an act, proposed or carried out."""
    accounts = select(StockAccount.id).where(StockAccount.destruction_id == row.id)
    return stock_ledger.held_in(session, session.scalars(accounts).all())


def reasons(session: Session, row: StockDestruction) -> list[tuple[Held, str]]:
    """The chips of an act, each range with why it is in it: what spoiled it, or why it was handed in."""
    told = []
    for part in content(session, row):
        entries = (
            select(StockMovement)
            .where(
                StockMovement.lot == part.chips.lot,
                StockMovement.first <= part.chips.last,
                StockMovement.last >= part.chips.first,
                StockMovement.motion.in_((Motion.SPOIL, Motion.HAND_IN)),
            )
            .order_by(StockMovement.first, StockMovement.id.desc())
        )
        newest: dict[tuple[int, int], StockMovement] = {}
        for entry in session.scalars(entries):
            newest.setdefault((max(entry.first, part.chips.first), min(entry.last, part.chips.last)), entry)
        for (first, last), entry in sorted(newest.items()):
            chips = SerialRange(part.chips.lot, first, last)
            told.append((Held(chips, part.box_id, part.account_id), entry.reason or ""))
    return told


def list_acts(session: Session, *, limit: int = 100) -> list[StockDestruction]:
    """Acts, newest first."""
    return list(session.scalars(select(StockDestruction).order_by(StockDestruction.id.desc()).limit(limit)))


def _doomed(session: Session, row: StockDestruction) -> int:
    return stock_ledger.account(session, Place.DOOMED, store_id=row.store_id, destruction_id=row.id)


def _end_cards(session: Session, chips: list[SerialRange], act: str, actor: Actor, now: datetime) -> None:
    """Cards whose chip is destroyed are destroyed; one that has not ended stops the act."""
    for start in range(0, len(chips), CHUNK):
        among = _chip_among(chips[start : start + CHUNK])
        move_all(session, Card, CardEvent.DESTROY, among, actor=actor, now=now, details={"reason": f"act {act}"})
        serving = select(Card.number).where(among, Card.state != CardState.DESTROYED)
        left = list(session.scalars(serving.order_by(Card.number)))
        if left:
            raise CardStillServes(
                f"Cards {', '.join(left[:10])} have not ended and cannot be destroyed: annul them, or take them out.",
                cards=left,
            )


def _chip_among(chips: Iterable[SerialRange]) -> ColumnElement[bool]:
    # Chip ids are hex digits of one length, so their order as texts is that of their numbers.
    return or_(*(and_(Card.chip_id >= one.chip(one.first), Card.chip_id <= one.chip(one.last)) for one in chips))
