"""Sealed consignments between stores: one person sends, another compares seal and count and receives.

What does not agree is refused at the door and recorded as disputed; the blanks stay on the way, in nobody's store,
until quality says which of them are missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import advance
from uec.domain.permissions import Permission
from uec.domain.stock import (
    TRANSFER,
    CountDiffers,
    Motion,
    Place,
    SealBroken,
    SealUsed,
    SerialRange,
    TransferEvent,
)
from uec.domain.texts import typed
from uec.services import numbering, stock_ledger
from uec.services.rows import locked, present
from uec.services.stock_ledger import Held, Wanted, cut, note
from uec.services.views import Page
from uec.store.lengths import length_of
from uec.store.tables import StockStore, StockTransfer

SEAL_LIMIT = 60


@dataclass(frozen=True)
class Found:
    """What the receiver reads and counts, before opening."""

    seal: str
    blanks: int


def send(
    session: Session,
    *,
    giver_id: int,
    taker_id: int,
    seal: str,
    contents: Sequence[Wanted],
    actor: Actor,
    now: datetime,
) -> int:
    """Put blanks of one store under a seal and on the way to another; returns the transfer's id.

    Raises `SealUsed` for a seal that was on a consignment before: each is used once.
    """
    actor.require(Permission.KEEP_STOCK)
    if giver_id == taker_id:
        raise InvalidInput("A transfer goes from one store to another: choose two.", field="taker")
    present(session, StockStore, taker_id)
    store = stock_ledger.account(session, Place.STORE, store_id=present(session, StockStore, giver_id).id)
    parts = stock_ledger.pick(session, store, contents)
    number = f"T-{numbering.take(session, 'stock-transfer').start:06d}"  # one sender after the other from here on
    row = StockTransfer(
        number=number,
        giver_id=giver_id,
        taker_id=taker_id,
        seal=_unused(session, _seal(seal)),
        blanks=sum(part.chips.blanks for part in parts),
        sent_by=actor.staff_id,
        sent_at=now,
    )
    session.add(row)
    session.flush()
    transit = stock_ledger.account(session, Place.TRANSIT, transfer_id=row.id)
    stock_ledger.move(session, Motion.SEND, parts, taker_id=transit, actor=actor, now=now)
    note(
        session, "send", ("stock_transfer", row.id), actor=actor, now=now,
        number=row.number, seal=row.seal, blanks=row.blanks, giver=giver_id, taker=taker_id,
    )  # fmt: skip
    session.commit()
    return row.id


def receive(session: Session, transfer_id: int, found: Found, *, actor: Actor, now: datetime) -> None:
    """Take a consignment whose seal and count agree into its store, as another person than the sender.

    Raises `SealBroken` or `CountDiffers` when they do not agree: then `dispute` records what was found.
    """
    row = _to_receive(session, transfer_id, found, actor)
    if _seal(found.seal) != row.seal:
        raise SealBroken(
            f"Seal {found.seal} was found on {row.number} and another was put on: leave it shut and report it.",
            transfer=row.number,
            found=found.seal,
        )
    if found.blanks != row.blanks:
        raise CountDiffers(
            f"{row.blanks} blanks were sent with {row.number}, {found.blanks} were counted: count again, or report it.",
            transfer=row.number,
            sent=row.blanks,
            counted=found.blanks,
        )
    row.state = advance(TRANSFER, row.state, TransferEvent.RECEIVE)
    _take_note_of(row, found, actor, now)
    taker = stock_ledger.account(session, Place.STORE, store_id=row.taker_id)
    stock_ledger.move(session, Motion.RECEIVE, _content(session, row), taker_id=taker, actor=actor, now=now)
    note(session, "receive", ("stock_transfer", row.id), actor=actor, now=now, number=row.number, blanks=row.blanks)
    session.commit()


def dispute(session: Session, transfer_id: int, found: Found, *, remark: str, actor: Actor, now: datetime) -> None:
    """Record that seal or count do not agree; the blanks stay on the way until it is settled."""
    row = _to_receive(session, transfer_id, found, actor)
    plain = stock_ledger.checked_reason(remark)
    if _seal(found.seal) == row.seal and found.blanks == row.blanks:
        raise InvalidInput("Seal and count agree: receive the consignment.", field="seal")
    row.state = advance(TRANSFER, row.state, TransferEvent.DISPUTE)
    row.remark = plain
    _take_note_of(row, found, actor, now)
    note(
        session, "dispute", ("stock_transfer", row.id), actor=actor, now=now,
        number=row.number, seal=row.seal, seal_found=row.seal_found, blanks=row.blanks, blanks_found=found.blanks,
        reason=plain,
    )  # fmt: skip
    session.commit()


def settle(
    session: Session, transfer_id: int, *, missing: Sequence[SerialRange], remark: str, actor: Actor, now: datetime
) -> int:
    """End a dispute: the named chips are missing, all others go into the store; returns how many are missing."""
    actor.require(Permission.CONTROL_QUALITY)
    row = locked(session, StockTransfer, transfer_id)
    plain = stock_ledger.checked_reason(remark)
    stock_ledger.refuse_same(actor, row.sent_by, did="sent the consignment", now="settle it")
    row.state = advance(TRANSFER, row.state, TransferEvent.SETTLE)
    row.remark = f"{row.remark}\n{plain}"
    content = _content(session, row)
    lost = [part for chips in missing for part in cut(content, chips)]
    gone = stock_ledger.account(session, Place.MISSING, store_id=row.taker_id)
    count = stock_ledger.move(session, Motion.MISS, lost, taker_id=gone, actor=actor, now=now, reason=plain)
    store = stock_ledger.account(session, Place.STORE, store_id=row.taker_id)
    stock_ledger.move(session, Motion.RECEIVE, _content(session, row), taker_id=store, actor=actor, now=now)
    note(session, "settle", ("stock_transfer", row.id), actor=actor, now=now, missing=count, reason=plain)
    session.commit()
    return count


def recall(session: Session, transfer_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """Take a consignment that nobody has received back into the store it came from."""
    actor.require(Permission.KEEP_STOCK)
    row = locked(session, StockTransfer, transfer_id)
    row.state = advance(TRANSFER, row.state, TransferEvent.RECALL)
    row.remark = stock_ledger.checked_reason(reason)
    store = stock_ledger.account(session, Place.STORE, store_id=row.giver_id)
    stock_ledger.move(session, Motion.RECALL, _content(session, row), taker_id=store, actor=actor, now=now)
    note(session, "recall", ("stock_transfer", row.id), actor=actor, now=now, number=row.number, reason=row.remark)
    session.commit()


def list_transfers(session: Session, *, limit: int = 25, offset: int = 0) -> Page[StockTransfer]:
    """A page of consignments, newest first."""
    newest = select(StockTransfer).order_by(StockTransfer.id.desc())
    rows = tuple(session.scalars(newest.limit(limit).offset(offset)))
    length = length_of(session, select(StockTransfer.id), offset=offset, limit=limit, shown=len(rows))
    return Page(rows, length.rows, offset, limit, length.about)


def content(session: Session, transfer_id: int) -> list[Held]:
    """The ranges that are on the way with a consignment."""
    return _content(session, present(session, StockTransfer, transfer_id))


def _content(session: Session, row: StockTransfer) -> list[Held]:
    return stock_ledger.held_in(session, [stock_ledger.account(session, Place.TRANSIT, transfer_id=row.id)])


def _to_receive(session: Session, transfer_id: int, found: Found, actor: Actor) -> StockTransfer:
    actor.require(Permission.KEEP_STOCK)
    if found.blanks < 0:
        raise InvalidInput("A count is not below nothing: count the blanks.", field="blanks")
    row = locked(session, StockTransfer, transfer_id)
    advance(TRANSFER, row.state, TransferEvent.RECEIVE)  # one that came in before is refused by its state first
    stock_ledger.refuse_same(actor, row.sent_by, did="sent the consignment", now="receive it")
    return row


def _take_note_of(row: StockTransfer, found: Found, actor: Actor, now: datetime) -> None:
    row.seal_found, row.blanks_found = _seal(found.seal), found.blanks
    row.received_by, row.received_at = actor.staff_id, now


def _unused(session: Session, seal: str) -> str:
    before = session.scalar(select(StockTransfer.number).where(StockTransfer.seal == seal).limit(1))
    if before is not None:
        raise SealUsed(
            f"Seal {seal} was put on {before} already: read the number off the seal, or take a new one.",
            seal=seal,
            transfer=before,
        )
    return seal


def _seal(seal: str) -> str:
    plain = " ".join(typed(seal).upper().split())
    if not plain or len(plain) > SEAL_LIMIT:
        raise InvalidInput(f"A seal's number has 1 to {SEAL_LIMIT} characters: read it off the seal.", field="seal")
    return plain
