"""Lists of the stock for pages, the API and the command line: deliveries, shifts, where the blanks of something are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from uec.domain.errors import InvalidInput, NotFound
from uec.domain.stock import Motion, Place, SerialRange
from uec.domain.texts import typed
from uec.services import stock_balance
from uec.services.stock_balance import Lying
from uec.services.views import Page
from uec.store.tables import (
    Batch,
    Card,
    Staff,
    StockAccount,
    StockBox,
    StockDelivery,
    StockHolding,
    StockMovement,
    StockShift,
    StockStore,
)

LIMIT = 200
MOVEMENTS = 100
"""So many entries of the ledger are shown at once; the file taken out of the page has all of them."""
BOXES = 50
"""So many boxes are shown to choose from; a central store has thousands."""


@dataclass(frozen=True)
class Moved:
    """An entry of the ledger as people read it."""

    at: datetime
    motion: Motion
    chips: SerialRange
    giver: Place
    taker: Place
    actor: str
    reason: str


@dataclass(frozen=True)
class OfBox:
    """Blanks of one box that lie in an account: for choosing what is sent or issued."""

    box_id: int
    number: str
    blanks: int


def deliveries(session: Session, *, limit: int = LIMIT) -> list[StockDelivery]:
    """Deliveries, newest first."""
    return list(session.scalars(select(StockDelivery).order_by(StockDelivery.id.desc()).limit(limit)))


def shift_ids(session: Session, *, limit: int = LIMIT) -> list[int]:
    """The newest shifts."""
    return list(session.scalars(select(StockShift.id).order_by(StockShift.id.desc()).limit(limit)))


def boxes_of(
    session: Session, place: Place, *, store_id: int | None = None, shift_id: int | None = None, named: str = ""
) -> Page[OfBox]:
    """The first boxes that have blanks in a store, or in a shift's hand, by number; `named` is a part of it."""
    owner = StockAccount.shift_id == shift_id if shift_id is not None else StockAccount.store_id == store_id
    lying = (
        select(StockBox.id, StockBox.number, func.sum(stock_balance.BLANKS).label("blanks"))
        .join(StockHolding, StockHolding.box_id == StockBox.id)
        .join(StockAccount, StockAccount.id == StockHolding.account_id)
        .where(StockAccount.kind == place, owner, StockBox.number.icontains(typed(named), autoescape=True))
        .group_by(StockBox.id, StockBox.number)
    )
    found = session.execute(lying.order_by(StockBox.number).limit(BOXES))
    rows = tuple(OfBox(box_id, number, int(count)) for box_id, number, count in found)
    total = len(rows) if len(rows) < BOXES else session.scalar(select(func.count()).select_from(lying.subquery()))
    return Page(rows, total or 0, 0, BOXES)


def names_of(session: Session, staff_ids: Iterable[int | None]) -> dict[int, str]:
    """Names of people by id."""
    wanted = {one for one in staff_ids if one is not None}
    rows = session.execute(select(Staff.id, Staff.display_name).where(Staff.id.in_(wanted)))
    return {row.id: row.display_name for row in rows}


def box_numbers(session: Session, box_ids: Iterable[int | None]) -> dict[int | None, str]:
    """Numbers of boxes by id; a card that came in without a box has a dash."""
    wanted = {one for one in box_ids if one is not None}
    rows = session.execute(select(StockBox.id, StockBox.number).where(StockBox.id.in_(wanted)))
    numbers: dict[int | None, str] = {row.id: row.number for row in rows}
    return {**numbers, None: "-"}


def box_of_number(session: Session, number: str) -> int:
    """The id of the box with a number on it; raises `NotFound`."""
    found = session.scalar(select(StockBox.id).where(StockBox.number == number))
    if found is None:
        raise NotFound(f"There is no box {number}: look at the list of boxes.", kind="StockBox", id=number)
    return found


def boxes_of_numbers(session: Session, numbers: Sequence[str]) -> list[int]:
    """The ids of the boxes with these numbers on them, in their order; raises `InvalidInput` for one there is not."""
    rows = session.execute(select(StockBox.number, StockBox.id).where(StockBox.number.in_(numbers)))
    known = dict(rows.all())
    missing = [number for number in numbers if number not in known]
    if missing:
        raise InvalidInput(f"There is no box {missing[0]}: read its number off the box.", field="numbers")
    return [known[number] for number in dict.fromkeys(numbers)]


def ranges_on_the_way(session: Session, transfer_id: int) -> list[Lying]:
    """What a consignment carries now."""
    return stock_balance.lying(session, StockAccount.transfer_id == transfer_id, limit=LIMIT)


def title_of(session: Session, what: str, key: int) -> str:
    """How a box, store, shift or batch is called; raises `NotFound`."""
    named: dict[str, tuple[type[Any] | None, str]] = {
        "box": (StockBox, "number"),
        "point": (StockStore, "name"),
        "shift": (StockShift, "number"),
        "batch": (Batch, "number"),
    }
    table, name = named.get(what, (None, ""))
    row = session.get(table, key) if table is not None else None
    if row is None:
        raise NotFound("There is nothing of this number in the stock: look at the lists.", kind=what, id=key)
    return str(getattr(row, name))


def ranges_of(session: Session, what: str, key: int) -> list[Lying]:
    """Where the blanks of a box, store, shift or batch are now."""
    return stock_balance.lying(session, _held_by(what, key), limit=LIMIT)


def movements_of(session: Session, what: str, key: int) -> list[Moved]:
    """The newest entries of the ledger about a box, store, shift or batch."""
    giver, taker = aliased(StockAccount), aliased(StockAccount)
    rows = (
        select(StockMovement, giver.kind, taker.kind)
        .join(giver, giver.id == StockMovement.giver_id)
        .join(taker, taker.id == StockMovement.taker_id)
        .where(moved_with(session, what, key))
        .order_by(StockMovement.id.desc())
        .limit(MOVEMENTS)
    )
    return [
        Moved(
            row.at, row.motion, SerialRange(row.lot, row.first, row.last), source, target, row.actor, row.reason or ""
        )
        for row, source, target in session.execute(rows)
    ]


def moved_with(session: Session, what: str, key: int) -> ColumnElement[bool]:
    """Whether an entry of the ledger is about a box, store, shift or batch."""
    of_account = {"point": "store_id", "shift": "shift_id"}
    if what in of_account:
        # The accounts first: the ledger has an index for each of its two sides, and none for whose accounts they are.
        mine = select(StockAccount.id).where(getattr(StockAccount, of_account[what]) == key)
        accounts = session.scalars(mine).all()
        return StockMovement.giver_id.in_(accounts) | StockMovement.taker_id.in_(accounts)
    if what == "batch":
        return StockMovement.card_id.in_(select(Card.id).where(Card.batch_id == key))
    return StockMovement.box_id == key


def _held_by(what: str, key: int) -> ColumnElement[bool]:
    if what == "box":
        return StockHolding.box_id == key
    if what == "batch":
        begins = stock_balance.range_now(StockHolding.first)
        claimed = select(StockMovement.lot, begins).join(Card, Card.id == StockMovement.card_id)
        claimed = claimed.where(Card.batch_id == key, StockMovement.motion == Motion.CLAIM)
        return tuple_(StockHolding.lot, StockHolding.first).in_(claimed)
    return (StockAccount.store_id if what == "point" else StockAccount.shift_id) == key
