"""The mass balance: blanks in = good + spoiled + returned + destroyed + in hand (+ missing, + sent on), by any scope.

A box and a batch are balanced by where their chips are now; a shift and a point by what went in and out of their
accounts. `difference` is nought by construction of the ledger; it is shown all the same, and `verify` proves it anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

from sqlalchemy import ColumnElement, ScalarSelect, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from uec.domain.actors import Actor
from uec.domain.errors import NotFound
from uec.domain.lifecycle import BatchState, CardState
from uec.domain.permissions import Permission
from uec.domain.stock import Motion, Place, SerialRange
from uec.services.views import Page
from uec.store.lengths import length_of
from uec.store.stock_guards import OUTSIDE_ID
from uec.store.tables import (
    Batch,
    Card,
    StockAccount,
    StockBox,
    StockDestruction,
    StockHolding,
    StockMovement,
    StockShift,
    StockStore,
    StockTransfer,
)

T = TypeVar("T")
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
# Motions within a shift: two entries of the ledger a card.
WITHIN = (Motion.CLAIM, Motion.MAKE)
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
    if box_ids is not None:
        gone = gone.where(StockMovement.box_id.in_(wanted))
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
    return _by_shifts(session, [shift.id])[0]


def by_store(session: Session, *, actor: Actor) -> list[Line]:
    """The balance of every store with its shifts, which is that of a point where the store is a point's."""
    actor.require(Permission.VIEW_STOCK)
    stores = session.execute(select(StockStore.id, StockStore.code, StockStore.name).order_by(StockStore.code)).all()
    balances = _crossing(session, "store_id")
    return [Line(store_id, f"{code} {name}", balances[store_id]) for store_id, code, name in stores]


def by_batch(session: Session, *, actor: Actor, batch_ids: Iterable[int] | None = None) -> list[Line]:
    """The balance of batches of cards: every blank that was taken for a card of it, by what became of it."""
    actor.require(Permission.VIEW_STOCK)
    return _taken_for(session, *([] if batch_ids is None else [Batch.id.in_(set(batch_ids))]))


def _taken_for(session: Session, *which: ColumnElement[bool]) -> list[Line]:
    taken = (
        select(Batch.id, Batch.number, StockAccount.kind, func.count())
        .select_from(StockMovement)
        .join(Card, Card.id == StockMovement.card_id)
        .join(Batch, Batch.id == Card.batch_id)
        .join(StockAccount, StockAccount.id == range_now(StockHolding.account_id))
        .where(StockMovement.motion == Motion.CLAIM, *which)
    )
    names: dict[int, str] = {}
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for batch_id, number, kind, blanks in session.execute(taken.group_by(Batch.id, Batch.number, StockAccount.kind)):
        names[batch_id] = number
        counts[batch_id][_NOW[kind]] += int(blanks)
        counts[batch_id]["received"] += int(blanks)
    ordered = sorted(names, key=names.__getitem__, reverse=True)
    return [Line(batch_id, names[batch_id], Balance(**counts[batch_id])) for batch_id in ordered]


def page_of(
    session: Session, by: Literal["box", "batch", "shift"], *, actor: Actor, offset: int, limit: int
) -> Page[Line]:
    """Some of the balances: boxes by their number; batches that were begun, and shifts, the newest first."""
    actor.require(Permission.VIEW_STOCK)
    everything = _LISTED[by]
    ids = session.scalars(everything.limit(limit).offset(offset)).all()
    length = length_of(session, everything, offset=offset, limit=limit, shown=len(ids))
    if by == "shift":
        lines = _by_shifts(session, ids)
    else:
        lines = by_box(session, actor=actor, box_ids=ids) if by == "box" else _by_batches(session, ids)
    return Page(tuple(lines), length.rows, offset, limit, length.about)


_LISTED = {
    "box": select(StockBox.id).order_by(StockBox.number),
    "batch": select(Batch.id)
    .where(Batch.state.in_((BatchState.IN_PRODUCTION, BatchState.CLOSED)))
    .order_by(Batch.id.desc()),
    "shift": select(StockShift.id).order_by(StockShift.id.desc()),
}


def _by_batches(session: Session, ids: Sequence[int]) -> list[Line]:
    """The balances of these batches; one of which no blank was taken, a bureau's, has nothing in it."""
    taken = {line.id: line.balance for line in _taken_for(session, Batch.id.in_(ids))}
    rows = session.execute(select(Batch.id, Batch.number).where(Batch.id.in_(ids)).order_by(Batch.id.desc()))
    return [Line(key, number, taken.get(key, Balance())) for key, number in rows]


def _by_shifts(session: Session, ids: Sequence[int]) -> list[Line]:
    balances = _crossing(session, "shift_id", ids)
    rows = session.execute(select(StockShift.id, StockShift.number).where(StockShift.id.in_(ids)))
    return sorted((Line(key, number, balances[key]) for key, number in rows), key=lambda line: -line.id)


def range_now(column: InstrumentedAttribute[T]) -> ScalarSelect[T]:
    """A column of the range in which a ledger entry's first blank lies now: the last that begins there or before."""
    near = aliased(StockHolding)
    return (
        select(getattr(near, column.key))
        .where(near.lot == StockMovement.lot, near.first <= StockMovement.first)
        .order_by(near.first.desc())
        .limit(1)
        .scalar_subquery()
    )


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


def _crossing(
    session: Session, name: Literal["shift_id", "store_id"], owners: Sequence[int] | None = None
) -> Mapping[int, Balance]:
    """The balances of owners of accounts (all without `owners`): what crossed their borders, and what they hold."""
    mine = getattr(StockAccount, name)
    chosen = mine.is_not(None) if owners is None else mine.in_(owners)
    accounts = None if owners is None else session.scalars(select(StockAccount.id).where(chosen)).all()
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for motion, giver, taker, blanks in _crossings(session, name, accounts):
        if giver is not None:
            counts[giver][_LEAVING[motion]] += blanks
        if taker is not None and motion in _UNDOING:
            counts[taker][_UNDOING[motion]] -= blanks
        elif taker is not None:
            counts[taker]["received"] += blanks
    held = select(mine, StockAccount.kind, func.sum(BLANKS)).join(
        StockHolding, StockHolding.account_id == StockAccount.id
    )
    for owner, kind, blanks in session.execute(held.where(chosen).group_by(mine, StockAccount.kind)):
        counts[owner][_NOW[kind]] += int(blanks)
    return defaultdict(Balance, {owner: Balance(**found) for owner, found in counts.items()})


def _crossings(
    session: Session, name: Literal["shift_id", "store_id"], accounts: Sequence[int] | None
) -> Iterator[tuple[Motion, int | None, int | None, int]]:
    """Blanks that went from one owner to another: motion, who gave, who took, how many.

    A blank is claimed and made within its shift, and so are nearly all entries of the ledger: only what was set aside
    is made by somebody else. Without them what is left is short.
    """
    giver, taker = aliased(StockAccount), aliased(StockAccount)
    left, entered = getattr(giver, name), getattr(taker, name)
    crossed = (
        select(StockMovement.motion, left, entered, func.sum(StockMovement.blanks))
        .join(giver, giver.id == StockMovement.giver_id)
        .join(taker, taker.id == StockMovement.taker_id)
        .where(left.is_distinct_from(entered))
        .group_by(StockMovement.motion, left, entered)
    )
    if accounts is not None:
        crossed = crossed.where(or_(StockMovement.giver_id.in_(accounts), StockMovement.taker_id.in_(accounts)))
    aside = select(StockAccount.id).where(StockAccount.kind == Place.UNFINISHED)
    for part in (
        crossed.where(StockMovement.motion.not_in(WITHIN)),
        crossed.where(StockMovement.motion == Motion.MAKE, StockMovement.giver_id.in_(aside)),
    ):
        for motion, gave, took, blanks in session.execute(part):
            yield motion, gave, took, int(blanks)


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
    """Cards whose chip was taken from the stock and is not where the state of the card says.

    The newest one counts: a blank taken before it was none for the card, and was let go.
    """
    newest = select(func.max(StockMovement.id)).where(StockMovement.motion == Motion.CLAIM)
    newest = newest.group_by(StockMovement.card_id)
    rows = (
        select(Card.number, Card.state, StockAccount.kind)
        .select_from(StockMovement)
        .join(Card, Card.id == StockMovement.card_id)
        .join(StockAccount, StockAccount.id == range_now(StockHolding.account_id))
        .where(StockMovement.id.in_(newest), Card.chip_id.is_not(None))
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
