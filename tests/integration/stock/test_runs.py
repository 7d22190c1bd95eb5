"""Thousands of entries in one statement, as results of a bureau are: ranges as if each had come by itself."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW
from tests.support.stock import LOT, Stockroom, box, open_stockroom
from uec.domain.stock import Motion, Place
from uec.services import stock_balance, stock_ledger
from uec.store.bulk import insert_rows
from uec.store.tables import StockBox, StockHolding, StockMovement

FIRST, MIDDLE, LAST = 1, 20, 40


@pytest.fixture
def room(sessions: sessionmaker[Session]) -> Stockroom:
    made = open_stockroom(sessions)
    made.deliver(box("17", FIRST, MIDDLE), box("18", MIDDLE + 1, LAST))
    return made


def entries(session: Session, serials: Sequence[int], motion: Motion, giver: int, taker: int) -> None:
    """One entry a blank, all in one statement."""
    boxes = dict(session.execute(select(StockBox.number, StockBox.id)).all())
    rows = [
        {
            "at": NOW, "actor": "staff:1", "motion": motion, "lot": LOT, "first": one, "last": one, "blanks": 1,
            "box_id": boxes["17" if one <= MIDDLE else "18"], "giver_id": giver, "taker_id": taker, "card_id": None,
            "reason": None,
        }
        for one in serials
    ]  # fmt: skip
    insert_rows(session, StockMovement, rows)


def lying(session: Session, account_id: int) -> list[tuple[int, int]]:
    wanted = select(StockHolding.first, StockHolding.last).where(StockHolding.account_id == account_id)
    return [(first, last) for first, last in session.execute(wanted.order_by(StockHolding.first))]


def ranges(serials: set[int]) -> list[tuple[int, int]]:
    """The fewest ranges of these serials, none across two boxes."""
    begins = [one for one in sorted(serials) if one - 1 not in serials or one == MIDDLE + 1]
    ends = [one for one in sorted(serials) if one + 1 not in serials or one == MIDDLE]
    return list(zip(begins, ends, strict=True))


SERIALS = st.lists(st.integers(FIRST, LAST), unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(taken=SERIALS, back=st.sets(st.integers(FIRST, LAST)))
def test_any_blanks_in_any_order(room: Stockroom, taken: list[int], back: set[int]) -> None:
    with room.sessions() as session:
        store, hand = (stock_ledger.account(session, kind, store_id=1) for kind in (Place.STORE, Place.HAND))
        entries(session, taken, Motion.ISSUE, store, hand)
        returned = sorted(set(taken) & back)
        entries(session, returned, Motion.GIVE_BACK, hand, store)
        left = set(taken) - back
        assert lying(session, hand) == ranges(left)
        assert lying(session, store) == ranges(set(range(FIRST, LAST + 1)) - left)
        assert stock_balance.verify(session) == []
        session.rollback()


@pytest.mark.parametrize("wrong", [(5, 6, LAST + 1), (5, 6, 5), (LAST + 1,), (1, 2, 3, 2)])
def test_one_that_is_not_there_refuses_all(room: Stockroom, wrong: tuple[int, ...]) -> None:
    with room.sessions() as session:
        store, hand = (stock_ledger.account(session, kind, store_id=1) for kind in (Place.STORE, Place.HAND))
        session.commit()
        with pytest.raises(Exception, match="stock: not there"):
            entries(session, wrong, Motion.ISSUE, store, hand)
        session.rollback()
        assert lying(session, hand) == [] and lying(session, store) == [(FIRST, MIDDLE), (MIDDLE + 1, LAST)]
        assert session.scalar(select(func.count()).where(StockMovement.motion == Motion.ISSUE)) == 0


def test_an_illegal_motion_in_a_run_is_refused(room: Stockroom) -> None:
    with room.sessions() as session:
        store, work = (stock_ledger.account(session, kind, store_id=1) for kind in (Place.STORE, Place.WORK))
        with pytest.raises(Exception, match="stock: no such motion"):
            entries(session, (1, 2, 3), Motion.CLAIM, store, work)
        session.rollback()
