"""A model of the stock that knows every single blank, for comparison with ranges and ledger."""

from collections import Counter

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.support.stock import LOT, Stockroom
from uec.services import stock_balance
from uec.services.stock_balance import Balance
from uec.store.stock_guards import OUTSIDE_ID
from uec.store.tables import StockAccount, StockHolding, StockMovement


def blank_by_blank(session: Session) -> dict[int, int]:
    """Account of every blank, by playing the ledger from its beginning, one blank at a time."""
    where: dict[int, int] = {}
    for entry in session.scalars(select(StockMovement).order_by(StockMovement.id)):
        for serial in range(entry.first, entry.last + 1):
            assert where.get(serial, OUTSIDE_ID) == entry.giver_id, "a blank left an account it was not in"
            where[serial] = entry.taker_id
    return {serial: account for serial, account in where.items() if account != OUTSIDE_ID}


def check_places(room: Stockroom, expected: dict[int, str]) -> None:
    """Ledger, ranges, balances and the model's own notion say the same of every blank."""
    with room.sessions() as session:
        played = blank_by_blank(session)
        held: dict[int, int] = {}
        rows = session.execute(select(StockHolding.lot, StockHolding.first, StockHolding.last, StockHolding.account_id))
        for lot, first, last, account in rows:
            assert lot == LOT
            for serial in range(first, last + 1):
                assert serial not in held, "a blank is in two places"
                held[serial] = account
        assert held == played
        kinds = {row.id: row.kind.value for row in session.scalars(select(StockAccount))}
        assert {serial: kinds[account] for serial, account in held.items()} == expected
        assert stock_balance.verify(session) == []
        balances = [line.balance for line in stock_balance.by_box(session, actor=room.keeper)]
        balances += [line.balance for line in stock_balance.by_store(session, actor=room.keeper)]
        for balance in balances:
            adds_up(balance)
        total = Counter(expected.values())
        boxed = [line.balance for line in stock_balance.by_box(session, actor=room.keeper)]
        assert sum(one.good for one in boxed) == total["GOOD"]
        assert sum(one.destroyed for one in boxed) == total["DESTROYED"]
        assert sum(one.missing for one in boxed) == total["MISSING"]
        assert sum(one.spoiled for one in boxed) == total["SPOILED"] + total["DOOMED"]


def adds_up(balance: Balance) -> None:
    """What came in is what became of it, and nothing is below nothing."""
    assert balance.difference == 0
    for name, value in vars(balance).items():
        assert value >= 0, name
