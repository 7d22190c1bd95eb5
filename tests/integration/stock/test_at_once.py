"""Two people at one box at the same moment: never twice the same blank, on SQLite and on PostgreSQL."""

import random
import threading
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.stock.model import blank_by_blank, check_places
from tests.support.office import NOW
from tests.support.stock import Stockroom, box, delivery, open_stockroom
from uec.domain.actors import Actor
from uec.domain.errors import UecError
from uec.domain.stock import MovedMeanwhile, NotInStock, OverlappingSerials, SealUsed
from uec.services import stock_balance, stock_intake, stock_shifts, stock_transfers
from uec.services.stock_ledger import Wanted
from uec.store.tables import Station, StockHolding


@pytest.fixture
def room(sessions: sessionmaker[Session]) -> Stockroom:
    return open_stockroom(sessions)


def together(*calls: Callable[[], object]) -> list[Exception]:
    """Run the calls at the same moment; what they raised."""
    start, raised = threading.Barrier(len(calls)), list[Exception]()

    def run(call: Callable[[], object]) -> None:
        start.wait(60)
        try:
            call()
        except UecError as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return raised


def places(room: Stockroom) -> dict[int, str]:
    with room.sessions() as session:
        return {
            serial: one.place.value
            for one in stock_balance.lying(session, limit=10_000)
            for serial in range(one.chips.first, one.chips.last + 1)
        }


@pytest.mark.slow
def test_two_issue_from_one_box_at_once(room: Stockroom) -> None:
    number = room.deliver(box("17", 1, 100), store=room.point)["17"]
    with room.sessions() as session:
        session.add_all([Station(id=1, name="1", readers=[]), Station(id=2, name="2", readers=[])])
        session.commit()
    shifts = [room.shift(station_id=1), room.shift(station_id=2, operator=room.second_producer)]

    def issue(shift: int) -> Callable[[], object]:
        def run() -> None:
            for _ in range(6):
                with room.sessions() as session:
                    stock_shifts.issue(session, shift, [Wanted(number, 7)], actor=room.keeper, now=NOW)

        return run

    assert together(*(issue(shift) for shift in shifts)) == []
    with room.sessions() as session:
        played = blank_by_blank(session)  # fails when a blank leaves an account twice
        assert len(played) == 100
        for shift in shifts:
            balance = stock_balance.by_shift(session, shift, actor=room.keeper).balance
            assert (balance.received, balance.in_hand) == (42, 42)
    check_places(room, places(room))


def test_the_last_blanks_go_to_one_of_two(room: Stockroom) -> None:
    number = room.deliver(box("17", 1, 10), store=room.point)["17"]
    first, second = (
        lambda: _send(room, number, 8, room.keeper, seal="A1"),
        lambda: _send(room, number, 8, room.second_keeper, seal="A2"),
    )
    (refusal,) = together(first, second)
    assert isinstance(refusal, NotInStock) and "asked for and 2 are there" in str(refusal)
    assert sorted(places(room).values()) == ["STORE"] * 2 + ["TRANSIT"] * 8


def test_a_seal_is_put_on_once_whoever_is_quicker(room: Stockroom) -> None:
    number = room.deliver(box("17", 1, 10), store=room.point)["17"]
    first, second = (
        lambda: _send(room, number, 3, room.keeper, seal="A1"),
        lambda: _send(room, number, 3, room.second_keeper, seal=" a1 "),
    )
    (refusal,) = together(first, second)
    assert isinstance(refusal, SealUsed) and refusal.facts == {"seal": "A1", "transfer": "T-000001"}
    assert sorted(places(room).values()) == ["STORE"] * 7 + ["TRANSIT"] * 3


def test_what_was_decided_on_an_old_look_is_done_once(room: Stockroom) -> None:
    number = room.deliver(box("17", 1, 10), store=room.point)["17"]
    shift = room.shift()

    def issue() -> None:
        with room.sessions() as session:
            stock_shifts.issue(session, shift, [Wanted(number, 4, seen=10)], actor=room.keeper, now=NOW)

    raised = together(issue, issue, issue)
    assert len(raised) == 2 and all(isinstance(error, MovedMeanwhile) for error in raised)
    assert {(error.facts["box"], error.facts["seen"], error.facts["there"]) for error in raised} == {("17", 10, 6)}  # type: ignore[attr-defined]
    assert sorted(places(room).values()) == ["HAND"] * 4 + ["STORE"] * 6


def _send(room: Stockroom, number: int, count: int, actor: Actor, *, seal: str) -> None:
    with room.sessions() as session:
        stock_transfers.send(
            session, giver_id=room.point, taker_id=room.central, seal=seal, contents=[Wanted(number, count)],
            actor=actor, now=NOW,
        )  # fmt: skip


def test_the_same_chips_are_delivered_once(room: Stockroom) -> None:
    def deliver(name: str) -> Callable[[], object]:
        def run() -> None:
            with room.sessions() as session:
                form = delivery(box(name, 1, 50), note=name, store_id=room.central)
                stock_intake.deliver(session, form, actor=room.keeper, now=NOW)

        return run

    raised = together(deliver("A"), deliver("B"), deliver("C"))
    assert len(raised) == 2 and all(isinstance(error, OverlappingSerials) for error in raised)
    with room.sessions() as session:
        assert session.query(StockHolding).count() == 1
        assert stock_balance.verify(session) == []


@pytest.mark.slow
def test_a_sample_of_any_order_on_both_databases(room: Stockroom) -> None:
    """The long one runs on SQLite (test_any_order); here a fixed sequence with every motion of a store and a shift."""
    chance = random.Random(5)
    numbers = list(room.deliver(box("1", 1, 30), box("2", 31, 60), store=room.point).values())
    shift = room.shift()
    for _ in range(25):
        count, number = chance.randint(1, 6), chance.choice(numbers)
        deed = chance.choice([stock_shifts.issue, stock_shifts.issue, stock_shifts.give_back])
        with room.sessions() as session:
            try:
                deed(session, shift, [Wanted(number, count)], actor=room.keeper, now=NOW)
            except NotInStock:
                session.rollback()
    check_places(room, places(room))


def test_a_million_blanks_are_cheap(room: Stockroom) -> None:
    """1.4 million blanks in 2,800 boxes: as many rows, and a pallet of 100 boxes is 100 entries."""
    boxes = [box(f"{number}", number * 500, number * 500 + 499) for number in range(2800)]
    ids = room.deliver(*boxes)
    with room.sessions() as session:
        assert session.query(StockHolding).count() == 2800
        (central, _point) = stock_balance.by_store(session, actor=room.keeper)
        assert central.balance.in_hand == 1_400_000
        stock_transfers.send(
            session, giver_id=room.central, taker_id=room.point, seal="A1",
            contents=[Wanted(ids[str(number)]) for number in range(100)], actor=room.keeper, now=NOW,
        )  # fmt: skip
        assert stock_balance.verify(session) == []
