"""The mass balance: blanks in = good + spoiled + returned + destroyed + in hand (+ missing, + sent on), by any scope.

A box and a batch are balanced by where their chips are now; a shift and a point by what went in and out of their
accounts. `difference` is nought by construction of the ledger; it is shown all the same, and `verify` proves it anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, aliased

from uec.domain.actors import Actor
from uec.domain.errors import NotFound
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Permission
from uec.domain.stock import Motion, Place, SerialRange
from uec.store.stock_guards import OUTSIDE_ID
from uec.store.tables import (
    Batch,
    Card,
    IssuancePoint,
    StockAccount,
    StockBox,
    StockDestruction,
    StockHolding,
    StockMovement,
    StockShift,
    StockStore,
    StockTransfer,
)

BLANKS = StockHolding.last - StockHolding.first + 1


@dataclass(frozen=True)
class Balance:
    """Blanks of one box, batch, shift or point, by what became of them."""

    received: int = 0
    good: int = 0
    spoiled: int = 0
    returned: int = 0
    destroyed: int = 0
    in_hand: int = 0
    missing: int = 0
    sent: int = 0

    @property
    def accounted(self) -> int:
        """Everything but what was received."""
        counts: list[int] = [getattr(self, one.name) for one in fields(self)]
        return sum(counts) - self.received

    @property
    def difference(self) -> int:
        """Blanks nobody can account for; nought, or something is wrong."""
        return self.received - self.accounted


@dataclass(frozen=True)
class Line:
    """One line of a report: whose balance it is, how people call it."""

    id: int
    name: str
    balance: Balance


@dataclass(frozen=True)
class Lying:
    """A range of blanks and where it is now: the kind of place, whose, and from which box."""

    chips: SerialRange
    box: str
    place: Place
    owner: str


# Where a blank is now, as the balance of its box and batch counts it.
_NOW = {
    Place.GOOD: "good",
    Place.SPOILED: "spoiled",
    Place.DOOMED: "spoiled",
    Place.HANDED_IN: "returned",
    Place.DESTROYED: "destroyed",
    Place.MISSING: "missing",
    Place.STORE: "in_hand",
    Place.TRANSIT: "in_hand",
    Place.HAND: "in_hand",
    Place.WORK: "in_hand",
    Place.UNFINISHED: "in_hand",
}
# What leaves a scope by a motion, and what such a motion brings back into it is taken off again.
_LEAVING = {
    Motion.GIVE_BACK: "returned",
    Motion.SET_ASIDE: "returned",
    Motion.RETURN_TO_MAKER: "returned",
    Motion.SEND: "sent",
    # Found in another store than the one that misses it; begun in the shift of one store, finished in another's.
    Motion.FIND: "sent",
    Motion.MAKE: "sent",
    Motion.MISS: "missing",
    Motion.DOOM: "destroyed",
    Motion.HAND_IN: "good",
}
_UNDOING = {
    Motion.RECALL: "sent",
    Motion.SPARE: "destroyed",
    Motion.SPARE_CARD: "destroyed",
}


def by_box(session: Session, *, actor: Actor, box_ids: Iterable[int] | None = None) -> list[Line]:
    """The balance of each box (or of those named), by its number."""
    actor.require(Permission.VIEW_STOCK)
    boxes = select(StockBox.id, StockBox.number, StockBox.blanks).order_by(StockBox.number)
    chosen: list[ColumnElement[bool]] = []
    if box_ids is not None:
        wanted = set(box_ids)
        boxes, chosen = boxes.where(StockBox.id.in_(wanted)), [StockHolding.box_id.in_(wanted)]
    lying = select(StockHolding.box_id, StockAccount.kind, func.sum(BLANKS)).join(
        StockAccount, StockAccount.id == StockHolding.account_id
    )
    counts: dict[int | None, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    grouped = lying.where(StockHolding.box_id.is_not(None), *chosen)
    for box_id, kind, blanks in session.execute(grouped.group_by(StockHolding.box_id, StockAccount.kind)):
        counts[box_id][_NOW[kind]] += int(blanks)
    gone = select(StockMovement.box_id, func.sum(StockMovement.blanks)).where(StockMovement.taker_id == OUTSIDE_ID)
    for box_id, blanks in session.execute(gone.group_by(StockMovement.box_id)):
        counts[box_id]["returned"] += int(blanks)
    return [Line(row.id, row.number, Balance(row.blanks, **counts[row.id])) for row in session.execute(boxes)]


def by_shift(session: Session, shift_id: int, *, actor: Actor) -> Line:
    """The balance of a shift: what it was issued, against what it made, spoiled, gave back and still has."""
    shift = session.get(StockShift, shift_id)
    if shift is None:
        raise NotFound("There is no such shift: look at the list of shifts.", kind="StockShift", id=shift_id)
    if actor.staff_id != shift.operator_id or not actor.may(Permission.OPERATE_SHIFT):
        actor.require(Permission.VIEW_STOCK)
    return Line(shift.id, shift.number, _crossing(session, "shift_id", shift_id))


def by_store(session: Session, *, actor: Actor) -> list[Line]:
    """The balance of every store with its shifts, which is that of a point where the store is a point's."""
    actor.require(Permission.VIEW_STOCK)
    stores = session.execute(
        select(StockStore.id, StockStore.code, StockStore.name, IssuancePoint.code)
        .outerjoin(IssuancePoint, IssuancePoint.id == StockStore.point_id)
        .order_by(StockStore.code)
    )
    return [
        Line(store_id, f"{code} {name}", _crossing(session, "store_id", store_id))
        for store_id, code, name, _point in stores.all()
    ]


def by_batch(session: Session, *, actor: Actor, batch_ids: Iterable[int] | None = None) -> list[Line]:
    """The balance of batches of cards: every blank that was taken for a card of it, by what became of it."""
    actor.require(Permission.VIEW_STOCK)
    near = aliased(StockHolding)
    holder = (
        select(near.account_id)
        .where(near.lot == StockMovement.lot, near.first <= StockMovement.first)
        .order_by(near.first.desc())
        .limit(1)
        .scalar_subquery()
    )
    taken = (
        select(Batch.id, Batch.number, StockAccount.kind, func.count())
        .select_from(StockMovement)
        .join(Card, Card.id == StockMovement.card_id)
        .join(Batch, Batch.id == Card.batch_id)
        .join(StockAccount, StockAccount.id == holder)
        .where(StockMovement.motion == Motion.CLAIM)
    )
    if batch_ids is not None:
        taken = taken.where(Batch.id.in_(set(batch_ids)))
    names: dict[int, str] = {}
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for batch_id, number, kind, blanks in session.execute(taken.group_by(Batch.id, Batch.number, StockAccount.kind)):
        names[batch_id] = number
        counts[batch_id][_NOW[kind]] += int(blanks)
        counts[batch_id]["received"] += int(blanks)
    ordered = sorted(names, key=names.__getitem__, reverse=True)
    return [Line(batch_id, names[batch_id], Balance(**counts[batch_id])) for batch_id in ordered]


def lying(session: Session, *where: ColumnElement[bool], limit: int = 500) -> list[Lying]:
    """Where ranges of blanks are now, in order of serials: what a balance is drilled down to."""
    number = func.coalesce(StockTransfer.number, StockDestruction.number, StockAccount.key)
    rows = (
        select(StockHolding, StockAccount.kind, number, StockBox.number, StockStore.code, StockShift.number)
        .join(StockAccount, StockAccount.id == StockHolding.account_id)
        .outerjoin(StockBox, StockBox.id == StockHolding.box_id)
        .outerjoin(StockStore, StockStore.id == StockAccount.store_id)
        .outerjoin(StockShift, StockShift.id == StockAccount.shift_id)
        .outerjoin(StockTransfer, StockTransfer.id == StockAccount.transfer_id)
        .outerjoin(StockDestruction, StockDestruction.id == StockAccount.destruction_id)
        .where(*where)
        .order_by(StockHolding.lot, StockHolding.first)
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return [
        Lying(
            SerialRange(row.lot, row.first, row.last),
            box or "-",
            kind,
            " ".join(filter(None, (store, shift))) or str(paper),
        )
        for row, kind, paper, box, store, shift in session.execute(rows)
    ]


def verify(session: Session) -> list[str]:
    """What is wrong with the stock: the ledger added up anew against what is held, cards against their chips.

    Empty when all is well. Reads the whole ledger, set-based.
    """
    return [*_ledger_against_holdings(session), *_boxes_out_of_balance(session), *_cards_against_chips(session)]


def _crossing(session: Session, name: Literal["shift_id", "store_id"], owner: int) -> Balance:
    """The balance of all accounts of one owner: what crossed its border, and what it still holds."""
    giver, taker = aliased(StockAccount), aliased(StockAccount)
    left, entered = getattr(giver, name), getattr(taker, name)
    crossed = (
        select(StockMovement.motion, entered, func.sum(StockMovement.blanks))
        .join(giver, giver.id == StockMovement.giver_id)
        .join(taker, taker.id == StockMovement.taker_id)
        .where(or_(left == owner, entered == owner), left.is_distinct_from(entered))
        .group_by(StockMovement.motion, entered)
    )
    counts: dict[str, int] = defaultdict(int)
    for motion, entering, blanks in session.execute(crossed):
        if entering != owner:
            counts[_LEAVING[motion]] += int(blanks)
        elif motion in _UNDOING:
            counts[_UNDOING[motion]] -= int(blanks)
        else:
            counts["received"] += int(blanks)
    held = select(StockAccount.kind, func.sum(BLANKS)).join(StockHolding, StockHolding.account_id == StockAccount.id)
    mine = getattr(StockAccount, name) == owner
    for kind, blanks in session.execute(held.where(mine).group_by(StockAccount.kind)):
        counts[_NOW[kind]] += int(blanks)
    return Balance(**counts)


def _ledger_against_holdings(session: Session) -> list[str]:
    sums: dict[int, int] = defaultdict(int)
    for side, sign in ((StockMovement.taker_id, 1), (StockMovement.giver_id, -1)):
        for account_id, blanks in session.execute(select(side, func.sum(StockMovement.blanks)).group_by(side)):
            sums[account_id] += sign * int(blanks)
    held = dict.fromkeys(sums, 0)
    for account_id, blanks in session.execute(
        select(StockHolding.account_id, func.sum(BLANKS)).group_by(StockHolding.account_id)
    ):
        held[account_id] = int(blanks)
    outside = sums.pop(OUTSIDE_ID, 0)
    held.pop(OUTSIDE_ID, None)
    keys = {row.id: row.key for row in session.execute(select(StockAccount.id, StockAccount.key))}
    wrong = [
        f"{keys[one]}: the ledger says {sums.get(one, 0)}, {there} are held"
        for one, there in sorted(held.items())
        if sums.get(one, 0) != there
    ]
    if sum(held.values()) != -outside:
        wrong.append(f"{-outside} blanks came in and {sum(held.values())} are held")
    return wrong


def _boxes_out_of_balance(session: Session) -> list[str]:
    held = (
        select(StockHolding.box_id, func.sum(BLANKS).label("there"))
        .where(StockHolding.box_id.is_not(None))
        .group_by(StockHolding.box_id)
        .subquery()
    )
    gone = (
        select(StockMovement.box_id, func.sum(StockMovement.blanks).label("gone"))
        .where(StockMovement.taker_id == OUTSIDE_ID)
        .group_by(StockMovement.box_id)
        .subquery()
    )
    there = func.coalesce(held.c.there, 0) + func.coalesce(gone.c.gone, 0)
    off = (
        select(StockBox.number, StockBox.blanks, there)
        .outerjoin(held, held.c.box_id == StockBox.id)
        .outerjoin(gone, gone.c.box_id == StockBox.id)
        .where(there != StockBox.blanks)
    )
    return [f"box {number}: {blanks} came, {found} are there" for number, blanks, found in session.execute(off)]


def _cards_against_chips(session: Session) -> list[str]:
    """Cards whose chip was taken from the stock and is not where the state of the card says."""
    near = aliased(StockHolding)
    holder = (
        select(near.account_id)
        .where(near.lot == StockMovement.lot, near.first <= StockMovement.first)
        .order_by(near.first.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = (
        select(Card.number, Card.state, StockAccount.kind)
        .select_from(StockMovement)
        .join(Card, Card.id == StockMovement.card_id)
        .join(StockAccount, StockAccount.id == holder)
        .where(StockMovement.motion == Motion.CLAIM)
    )
    return [
        f"card {number} is {state} and its blank is {kind}"
        for number, state, kind in session.execute(rows)
        if kind not in _WHERE_CARDS_ARE.get(state, (Place.GOOD, Place.HANDED_IN, Place.DOOMED))
    ]


_WHERE_CARDS_ARE: Mapping[CardState, tuple[Place, ...]] = {
    CardState.WRITING: (Place.WORK, Place.UNFINISHED),
    CardState.SPOILED: (Place.SPOILED, Place.DOOMED),
    CardState.DESTROYED: (Place.DESTROYED,),
}
