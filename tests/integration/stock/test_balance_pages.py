"""Balances page by page are those of the whole list, and what waits for destruction is summed up as it lies."""

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW
from tests.support.stock import Stockroom, box, chips, open_stockroom
from uec.domain.actors import Actor
from uec.domain.errors import NotAllowed
from uec.domain.lifecycle import BatchState
from uec.services import stock_balance, stock_destruction, stock_shifts
from uec.services.stock_ledger import Wanted
from uec.store.tables import Batch, StockStore

BOXES = 23


@pytest.fixture
def room(sessions: sessionmaker[Session]) -> Stockroom:
    """23 boxes of ten blanks at the point, and a shift that has three of one and has spoiled two."""
    made = open_stockroom(sessions)
    boxes = made.deliver(*(box(f"{n:03}", 100 * n, 100 * n + 9) for n in range(BOXES)), store=made.point)
    shift = made.shift(Wanted(boxes["007"], 3))
    with sessions() as session:
        stock_shifts.spoil(session, shift, [chips(700, 701)], reason="scratched", actor=made.producer, now=NOW)
    return made


@pytest.mark.parametrize(("offset", "limit"), [(0, 10), (10, 10), (20, 10), (0, BOXES), (0, 100), (50, 10)])
def test_boxes_page_by_page(room: Stockroom, offset: int, limit: int) -> None:
    with room.sessions() as session:
        whole = stock_balance.by_box(session, actor=room.keeper)
        page = stock_balance.page_of(session, "box", actor=room.keeper, offset=offset, limit=limit)
    assert len(whole) == BOXES and (page.total, page.about) == (BOXES, False)
    assert list(page.rows) == whole[offset : offset + limit]


def test_shifts_are_balanced_together_as_each_alone(room: Stockroom) -> None:
    with room.sessions() as session:
        page = stock_balance.page_of(session, "shift", actor=room.keeper, offset=0, limit=25)
        alone = [stock_balance.by_shift(session, line.id, actor=room.keeper) for line in page.rows]
    assert list(page.rows) == alone
    (balance,) = (line.balance for line in page.rows)
    assert (balance.received, balance.spoiled, balance.in_hand, balance.difference) == (3, 2, 1, 0)


def test_only_batches_that_were_begun_are_balanced(room: Stockroom) -> None:
    rows = [(f"B-{number}", state) for number, state in enumerate(BatchState)]
    with room.sessions() as session:
        point_id = session.scalars(select(StockStore.point_id).where(StockStore.id == room.point)).one()
        for number, _state in rows:
            session.add(
                Batch(
                    number=number, planned_for=NOW.date(), point_id=point_id, profile="uec", transport="pcsc",
                    planned_at=NOW,
                )
            )  # fmt: skip
        session.flush()
        for state in (BatchState.RELEASED, BatchState.IN_PRODUCTION, BatchState.CLOSED):
            later = [
                number for number, wanted in rows if list(BatchState).index(wanted) >= list(BatchState).index(state)
            ]
            session.execute(update(Batch).where(Batch.number.in_(later)).values(state=state))
        begun = session.scalars(select(Batch.number).where(Batch.state.in_(("IN_PRODUCTION", "CLOSED")))).all()
        page = stock_balance.page_of(session, "batch", actor=room.keeper, offset=0, limit=25)
        session.rollback()
    assert [line.name for line in page.rows] == sorted(begun, reverse=True) and len(begun) >= 2
    assert {line.balance for line in page.rows} == {stock_balance.Balance()}


def test_what_waits_for_destruction_is_what_lies_there(room: Stockroom) -> None:
    with room.sessions() as session:
        stores = session.scalars(select(StockStore.id)).all()
        one_by_one = {one: sum(part.chips.blanks for part in stock_destruction.waste(session, one)) for one in stores}
        assert stock_destruction.waiting(session) == {one: count for one, count in one_by_one.items() if count}
    assert one_by_one[room.point] == 2


def test_balances_are_not_for_everybody(room: Stockroom) -> None:
    nobody = Actor("staff", 1, "nobody")
    with room.sessions() as session, pytest.raises(NotAllowed):
        stock_balance.page_of(session, "box", actor=nobody, offset=0, limit=1)
