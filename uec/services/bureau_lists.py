"""Bureaux, orders and files for pages and commands: reconciliation by order, set-based, for reading only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from uec.domain.bureau import Certificates, FileOutcome, OrderedState, OrderState
from uec.domain.errors import NotFound
from uec.domain.lifecycle import BatchState, CardState
from uec.services.bureau_custody import OVER
from uec.services.bureau_orders import ranges_of, spoiled
from uec.services.rows import present
from uec.services.views import Page
from uec.store.lengths import length_of
from uec.store.tables import (
    Batch,
    Bureau,
    BureauCard,
    BureauChip,
    BureauConsignment,
    BureauFile,
    BureauOrder,
    Card,
)

ROWS = 50


@dataclass(frozen=True)
class Reconciliation:
    """Cards of an order: ordered = made + rejected + recalled + outstanding; and its blanks."""

    ordered: int
    made: int
    rejected: int
    recalled: int
    outstanding: int
    finished: int
    blanks: int
    blanks_used: int
    blanks_spoiled: int

    @property
    def blanks_left(self) -> int:
        """Blanks that are neither a card nor spoiled."""
        return self.blanks - self.blanks_used - self.blanks_spoiled

    @property
    def difference(self) -> int:
        """Cards nobody can account for; nought, or something is wrong."""
        return self.ordered - self.made - self.rejected - self.recalled - self.outstanding


@dataclass(frozen=True)
class OrderRow:
    """An order in a list."""

    id: int
    number: str
    state: OrderState
    bureau: str
    batch: str
    batch_id: int
    certificates: Certificates
    cards: int
    outstanding: int
    drawn_at: datetime
    held_up: bool
    """Whether its file or answer could not be made when it was tried last."""


@dataclass(frozen=True)
class Rejected:
    """A card that is made again, or not any more: its number, and why (a word, a colon, a sentence)."""

    number: str
    reason: str


@dataclass(frozen=True)
class OrderPage:
    """An order with everything that belongs to it."""

    row: BureauOrder
    bureau: Bureau
    batch: Batch
    sums: Reconciliation
    files: Sequence[BureauFile]
    consignments: Sequence[BureauConsignment]
    rejected: Sequence[Rejected]
    ranges: Sequence[str]


def orders(
    session: Session,
    *,
    bureau_id: int | None = None,
    states: Sequence[OrderState] = (),
    offset: int = 0,
    limit: int = ROWS,
) -> Page[OrderRow]:
    """A page of orders, newest first."""
    left = (
        select(func.count())
        .where(BureauCard.order_id == BureauOrder.id, BureauCard.state == OrderedState.ORDERED)
        .correlate(BureauOrder)
        .scalar_subquery()
    )
    wanted = (
        select(
            BureauOrder.id,
            BureauOrder.number,
            BureauOrder.state,
            Bureau.name,
            Batch.number,
            Batch.id,
            BureauOrder.certificates,
            BureauOrder.cards,
            left,
            BureauOrder.drawn_at,
            BureauOrder.held_up_by.is_not(None),
        )
        .join(Bureau, Bureau.id == BureauOrder.bureau_id)
        .join(Batch, Batch.id == BureauOrder.batch_id)
        .order_by(BureauOrder.id.desc())
    )
    chosen = [BureauOrder.bureau_id == bureau_id] if bureau_id else []
    chosen += [BureauOrder.state.in_(states)] if states else []
    rows = tuple(OrderRow(*row) for row in session.execute(wanted.where(*chosen).offset(offset).limit(limit)))
    every = select(BureauOrder.id).where(*chosen)
    length = length_of(session, every, offset=offset, limit=limit, shown=len(rows))
    return Page(rows, length.rows, offset, limit, length.about)


def find_order(session: Session, number: str) -> BureauOrder:
    """The order of a number; raises `NotFound`."""
    row = session.scalar(select(BureauOrder).where(BureauOrder.number == number.strip().upper()))
    if row is None:
        raise NotFound(f"There is no order {number}: look at `uec bureau orders`.", kind="BureauOrder", id=number)
    return row


def sent_file(session: Session, order_id: int, file_id: int) -> BureauFile:
    """A file that was made for the bureau with this order; raises `NotFound`."""
    row = present(session, BureauFile, file_id)
    if row.order_id != order_id or row.outcome is not FileOutcome.SENT:
        raise NotFound(f"File {file_id} was not made with this order.", kind="BureauFile", id=file_id)
    return row


def order_page(session: Session, order_id: int) -> OrderPage:
    """Everything about one order; raises `NotFound`."""
    row = present(session, BureauOrder, order_id)
    files = select(BureauFile).where(BureauFile.order_id == order_id).order_by(BureauFile.id.desc()).limit(ROWS)
    sent = select(BureauConsignment).where(BureauConsignment.order_id == order_id).order_by(BureauConsignment.id)
    gone = (
        select(Card.number, BureauCard.reason)
        .join(Card, Card.id == BureauCard.card_id)
        .where(BureauCard.order_id == order_id, BureauCard.state == OrderedState.REJECTED)
        .order_by(Card.number)
        .limit(ROWS)
    )
    return OrderPage(
        row=row,
        bureau=present(session, Bureau, row.bureau_id),
        batch=present(session, Batch, row.batch_id),
        sums=reconcile(session, row),
        files=session.scalars(files).all(),
        consignments=session.scalars(sent).all(),
        rejected=[Rejected(number, reason or "") for number, reason in session.execute(gone)],
        ranges=[str(chips) for chips in ranges_of(row)],
    )


def reconcile(session: Session, row: BureauOrder) -> Reconciliation:
    """What became of the cards and blanks of an order."""
    grouped = select(BureauCard.state, func.count()).where(BureauCard.order_id == row.id).group_by(BureauCard.state)
    counts: Mapping[OrderedState, int] = dict(session.execute(grouped).all())
    made = sum(counts.get(state, 0) for state in (OrderedState.MADE, OrderedState.ANSWERED, OrderedState.FINISHED))
    used = select(func.count()).where(BureauChip.order_id == row.id, BureauChip.card_id.is_not(None))
    return Reconciliation(
        ordered=sum(counts.values()),
        made=made,
        rejected=counts.get(OrderedState.REJECTED, 0),
        recalled=counts.get(OrderedState.RECALLED, 0),
        outstanding=counts.get(OrderedState.ORDERED, 0),
        finished=counts.get(OrderedState.FINISHED, 0),
        blanks=sum(chips.blanks for chips in ranges_of(row)),
        blanks_used=session.scalar(used) or 0,
        blanks_spoiled=spoiled(session, row.id),
    )


def refused_files(session: Session, *, limit: int = ROWS) -> Sequence[BureauFile]:
    """Refused files that belong to no order of ours, newest first."""
    wanted = select(BureauFile).where(BureauFile.order_id.is_(None)).order_by(BureauFile.id.desc())
    return session.scalars(wanted.limit(limit)).all()


def standing_order(session: Session, batch_id: int) -> BureauOrder | None:
    """The order that a batch stands in."""
    return session.scalar(select(BureauOrder).where(BureauOrder.batch_id == batch_id, BureauOrder.state.not_in(OVER)))


def orderable_batches(session: Session, *, limit: int = 200) -> list[tuple[int, str, int, str | None]]:
    """Released batches that stand in no order, all cards prepared: id, number, cards, and the bureau of the plan."""
    standing = select(BureauOrder.batch_id).where(BureauOrder.state.not_in(OVER))
    planned = func.sum(case((Card.state == CardState.PLANNED, 1), else_=0))
    prepared = func.sum(case((Card.state == CardState.PREPARED, 1), else_=0))
    wanted = (
        select(Batch.id, Batch.number, prepared, Bureau.name)
        .join(Card, Card.batch_id == Batch.id)
        .outerjoin(Bureau, Bureau.code == Batch.line)
        .where(Batch.state == BatchState.RELEASED, Batch.id.not_in(standing))
        .group_by(Batch.id, Batch.number, Bureau.name)
        .having(planned == 0, prepared > 0)
        .order_by(Bureau.name.is_(None), Batch.planned_for, Batch.id)
        .limit(limit)
    )
    return [(key, number, int(cards), bureau) for key, number, cards, bureau in session.execute(wanted)]
