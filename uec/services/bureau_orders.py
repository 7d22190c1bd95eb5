"""Orders to outside bureaux: one person draws a released batch up for a bureau, another approves it; and their end.

Blanks for all cards and some spare ones are given out of the bureau's own store with the order (ledger: STORE to HAND),
so that no chip's keys go out with two orders. While an order stands, no station of ours makes its cards.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from sqlalchemy import Select, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from issuance.production.profile import CardProfile
from uec.domain.actors import Actor
from uec.domain.bureau import (
    CONSIGNMENT,
    ORDER,
    BureauRefused,
    Certificates,
    ConsignmentEvent,
    ConsignmentState,
    OrderedState,
    OrderEvent,
)
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import BatchState, CardState, OperationState, advance
from uec.domain.permissions import Permission
from uec.domain.stock import Motion, Place, SealBroken, SerialRange, take_first
from uec.services import bureaux, numbering, stock_ledger
from uec.services.rows import locked, present
from uec.services.stock_ledger import Held, cut, held_in
from uec.store import audit
from uec.store.tables import Batch, Bureau, BureauCard, BureauChip, BureauConsignment, BureauOrder, Card, CardOperation

SPARE_SHARE, SPARE_MIN = 0.05, 2
OPEN_OPERATIONS = (OperationState.REQUESTED, OperationState.RUNNING)


@dataclass(frozen=True)
class Drawing:
    """What is ordered from whom; `spare` blanks beside one a card (None: a share of them)."""

    batch_id: int
    bureau_id: int
    certificates: Certificates
    spare: int | None = None


def draw(session: Session, drawing: Drawing, *, profile: CardProfile, actor: Actor, now: datetime) -> int:
    """Draw up an order for a released and prepared batch; returns its id.

    Raises `BureauNotReady`, `BureauRefused` (`finding` says what stands against it), `NotInStock`.
    """
    actor.require(Permission.PLAN_BATCH)
    found = bureaux.ready_for_orders(session, drawing.bureau_id, now=now)
    batch = locked(session, Batch, drawing.batch_id)
    cards = _require_fit(session, batch, profile)
    spare = max(SPARE_MIN, ceil(cards * SPARE_SHARE)) if drawing.spare is None else drawing.spare
    row = BureauOrder(
        number=f"BO-{numbering.take(session, 'bureau-order').start:06d}",
        bureau_id=found.bureau.id,
        batch_id=batch.id,
        certificates=drawing.certificates,
        cards=cards,
        chips=[],
        drawn_by=actor.staff_id,
        drawn_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise BureauRefused(
            f"Batch {batch.number} is ordered from a bureau already: look at its order.", finding="ordered-before"
        ) from error
    row.chips = _give_out(session, found.bureau.store_id, cards + spare, actor, now)
    _list_cards(session, row)
    tell(session, row, "draw", actor, now, batch=batch.number, cards=cards, spare=spare)
    session.commit()
    return row.id


def approve(session: Session, order_id: int, *, actor: Actor, now: datetime) -> None:
    """Let an order go out, as another person than the one who drew it up; raises `SamePerson`, `IllegalMove`."""
    actor.require(Permission.RELEASE_BATCH)
    row = locked(session, BureauOrder, order_id)
    stock_ledger.refuse_same(actor, row.drawn_by, did="drew the order up", now="approve it")
    if row.drawn_by is None:
        # Drawn up by itself: then the release is what another person did for it.
        released_by = present(session, Batch, row.batch_id).released_by
        stock_ledger.refuse_same(actor, released_by, did="released the batch", now="approve its order")
    row.state = advance(ORDER, row.state, OrderEvent.APPROVE)
    row.approved_by, row.approved_at = actor.staff_id, now
    tell(session, row, "approve", actor, now)
    session.commit()


def cancel(session: Session, order_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """Call an order off before it is sent: its blanks go back, its batch may be made elsewhere."""
    actor.require(Permission.PLAN_BATCH)
    row = locked(session, BureauOrder, order_id)
    row.state = advance(ORDER, row.state, OrderEvent.CANCEL)
    row.reason, row.ended_at = stock_ledger.checked_reason(reason), now
    row.held_up_by = row.held_up_why = None
    recall(session, row, actor, now)
    tell(session, row, "cancel", actor, now, reason=row.reason)
    session.commit()


def receive(session: Session, consignment_id: int, seal: str, *, actor: Actor, now: datetime) -> None:
    """Take a consignment in whose seal is the one that the bureau told; raises `SealBroken`."""
    actor.require(Permission.KEEP_STOCK)
    row = locked(session, BureauConsignment, consignment_id)
    state = advance(CONSIGNMENT, row.state, ConsignmentEvent.RECEIVE)
    if " ".join(seal.upper().split()) != " ".join(row.seal.upper().split()):
        raise SealBroken(
            f"Seal {seal} was found on {row.number} and the bureau told another: leave it shut and report it.",
            transfer=row.number,
            found=seal,
        )
    row.state, row.received_by, row.received_at = state, actor.staff_id, now
    order = present(session, BureauOrder, row.order_id)
    tell(session, order, "receive", actor, now, consignment=row.number, cards=row.cards)
    session.commit()


def close(session: Session, order_id: int, *, actor: Actor, now: datetime) -> None:
    """End an order whose cards are all accounted for and here; blanks left over go back into the bureau's store.

    Raises `BureauRefused` while cards are on their way, `IllegalMove` while some are outstanding.
    """
    actor.require(Permission.KEEP_STOCK)
    row = locked(session, BureauOrder, order_id)
    state = advance(ORDER, row.state, OrderEvent.CLOSE)
    waiting = select(func.count()).where(
        BureauConsignment.order_id == order_id, BureauConsignment.state == ConsignmentState.ANNOUNCED
    )
    unsent = select(func.count()).where(
        BureauCard.order_id == order_id,
        BureauCard.state.in_((OrderedState.MADE, OrderedState.FINISHED)),
        BureauCard.consignment_id.is_(None),
    )
    for counted, finding, sentence in (
        (unsent, "not-sent", "cards were made and not sent yet"),
        (waiting, "on-the-way", "consignments are on their way"),
    ):
        if count := session.scalar(counted):
            raise BureauRefused(
                f"{count} {sentence}: close the order once they are here.", finding=finding, order=row.number
            )
    row.state, row.ended_at = state, now
    back = give_back(session, row, actor, now)
    tell(session, row, "close", actor, now, blanks_back=back)
    session.commit()


def lock_cards(session: Session, cards: Select[int]) -> list[int]:
    """The ids of cards, locked one after the other by their ids, as everywhere: before requests, blanks and batches."""
    return list(session.scalars(cards.order_by(Card.id).with_for_update(of=Card, key_share=True)))


def recall(session: Session, row: BureauOrder, actor: Actor, now: datetime) -> None:
    """Nothing of an order counts any more: cards and blanks are free again. The caller commits."""
    ordered = (BureauCard.order_id == row.id, BureauCard.state == OrderedState.ORDERED)
    session.execute(update(BureauCard).where(*ordered).values(state=OrderedState.RECALLED))
    give_back(session, row, actor, now)


def give_back(session: Session, row: BureauOrder, actor: Actor, now: datetime) -> int:
    """Blanks given out with an order that became nothing go back into the bureau's store; returns how many."""
    store_id = present(session, Bureau, row.bureau_id).store_id
    lying = held_in(session, [stock_ledger.account(session, Place.HAND, store_id=store_id)])
    left = [part for chips in ranges_of(row) for part in overlapping(lying, chips)]
    store = stock_ledger.account(session, Place.STORE, store_id=store_id)
    return stock_ledger.move(session, Motion.GIVE_BACK, left, taker_id=store, actor=actor, now=now)


def ranges_of(row: BureauOrder) -> list[SerialRange]:
    """The blanks given out with an order."""
    return [SerialRange.between(first, last) for first, last in row.chips]


def overlapping(lying: list[Held], chips: SerialRange) -> list[Held]:
    """The parts of a range that lie there now."""
    parts = [
        SerialRange(chips.lot, max(one.chips.first, chips.first), min(one.chips.last, chips.last))
        for one in lying
        if one.chips.overlaps(chips)
    ]
    return [held for part in parts for held in cut(lying, part)]


def tell(session: Session, row: BureauOrder, action: str, actor: Actor, now: datetime, **facts: object) -> None:
    """Put a step of an order into the audit; the caller commits."""
    audit.record(
        session,
        actor=actor.reference,
        action=f"bureau_order.{action}",
        subject_kind="bureau_order",
        subject_id=row.id,
        details={"number": row.number, **facts},
        now=now,
    )


def _require_fit(session: Session, batch: Batch, profile: CardProfile) -> int:
    """How many cards there are to order; raises `BureauRefused`."""
    if profile.piv is not None or profile.name != batch.profile:
        raise BureauRefused(
            f"Cards of the profile {batch.profile} have no key set to send: make them at an own station.",
            finding="profile",
        )
    if batch.state is not BatchState.RELEASED:
        raise BureauRefused(
            f"Batch {batch.number} is {batch.state}: only a released batch that nobody began is ordered.",
            finding="batch-state",
            state=batch.state,
        )
    counts: Mapping[Any, int] = dict(
        session.execute(select(Card.state, func.count()).where(Card.batch_id == batch.id).group_by(Card.state)).all()
    )
    if counts.get(CardState.PLANNED):
        raise BureauRefused(
            f"{counts[CardState.PLANNED]} cards of batch {batch.number} are not prepared yet: wait for the worker.",
            finding="not-prepared",
        )
    busy = select(func.count()).select_from(CardOperation).join(Card, Card.id == CardOperation.card_id)
    if session.scalar(busy.where(Card.batch_id == batch.id, CardOperation.state.in_(OPEN_OPERATIONS))):
        raise BureauRefused(
            f"Cards of batch {batch.number} wait at stations: call these operations off first.", finding="begun"
        )
    if not counts.get(CardState.PREPARED):
        raise BureauRefused(f"Batch {batch.number} has no card to make.", finding="empty")
    return counts[CardState.PREPARED]


def _give_out(session: Session, store_id: int, count: int, actor: Actor, now: datetime) -> list[list[str]]:
    """Blanks of the bureau's store, in order of their serials, as ranges for the order."""
    store = stock_ledger.account(session, Place.STORE, store_id=store_id)
    lying = held_in(session, [store])
    stock_ledger.lock_lots(session, {one.chips.lot for one in lying})
    lying = held_in(session, [store])
    taken = take_first([one.chips for one in lying], count)
    hand = stock_ledger.account(session, Place.HAND, store_id=store_id)
    parts = [part for chips in taken for part in cut(lying, chips)]
    stock_ledger.move(session, Motion.ISSUE, parts, taker_id=hand, actor=actor, now=now)
    return [[chips.chip(chips.first), chips.chip(chips.last)] for chips in taken]


def _list_cards(session: Session, row: BureauOrder) -> None:
    types = BureauCard.__table__.c
    chosen = select(
        literal(row.id, types.order_id.type), Card.id, literal(OrderedState.ORDERED, types.state.type)
    ).where(Card.batch_id == row.batch_id, Card.state == CardState.PREPARED)
    session.execute(
        insert(BureauCard).from_select(
            ["order_id", "card_id", "state"], chosen.order_by(Card.id), include_defaults=False
        )
    )


def find_batch(session: Session, number: str) -> Batch:
    """The batch of a number; raises `InvalidInput`."""
    row = session.scalar(select(Batch).where(Batch.number == number.strip().upper()))
    if row is None:
        raise InvalidInput(f"There is no batch {number}: look at `uec batches list`.", field="batch")
    return row


def usual_way(profile: CardProfile) -> Certificates:
    """When certificates get onto cards of a profile, where nobody says otherwise."""
    return Certificates(profile.bureau_certificates.value)


def number_of(session: Session, order_id: int) -> str:
    """An order's number."""
    return present(session, BureauOrder, order_id).number


def profile_name(session: Session, order_id: int) -> str:
    """The card profile of an order."""
    return present(session, Batch, present(session, BureauOrder, order_id).batch_id).profile


def parts(items: Sequence[Any], size: int = 500) -> Iterator[Sequence[Any]]:
    """Items in pieces that fit a statement."""
    return (items[at : at + size] for at in range(0, len(items), size))


def counts(session: Session, order_id: int) -> Mapping[OrderedState, int]:
    """The cards of an order by what became of them."""
    grouped = select(BureauCard.state, func.count()).where(BureauCard.order_id == order_id)
    return dict(session.execute(grouped.group_by(BureauCard.state)).all())


def spoiled(session: Session, order_id: int) -> int:
    """Blanks of an order that were spoiled."""
    wanted = select(func.count()).where(BureauChip.order_id == order_id, BureauChip.spoiled.is_not(None))
    return session.scalar(wanted) or 0
