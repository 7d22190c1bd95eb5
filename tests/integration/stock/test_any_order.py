"""Whatever is done in whatever order: every balance holds, nothing is below nothing, no blank is in two places."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.orm import Session

from tests.integration.stock.model import adds_up, check_places
from tests.support.office import NOW
from tests.support.stock import Stockroom, box, chips, open_stockroom
from uec.domain.errors import UecError
from uec.domain.stock import Motion, Place, SerialRange
from uec.services import (
    stock_balance,
    stock_cards,
    stock_destruction,
    stock_intake,
    stock_ledger,
    stock_shifts,
    stock_transfers,
)
from uec.services.stock_ledger import Wanted
from uec.services.stock_transfers import Found
from uec.store.engine import make_engine, session_factory
from uec.store.tables import StockBox, StockDestruction, StockHolding, StockShift, StockTransfer

serials = st.integers(0, 60)


class Blanks(RuleBasedStateMachine):
    """Every service of the stock, tried at random; the model follows those that are not refused."""

    prepared: Stockroom
    file: Path
    done = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copyfile(self.file, self.folder / "uec.db")
        self.engine = _quick(self.folder / "uec.db")
        event.listen(self.engine, "commit", self.committed)
        self.changed = True
        self.room = replace(self.prepared, sessions=session_factory(self.engine))
        self.where: dict[int, str] = {}
        self.notes = 2
        self.look()

    def committed(self, _connection: Connection) -> None:
        """Something is in the database that was not looked at yet."""
        self.changed = True

    def teardown(self) -> None:
        self.engine.dispose()
        shutil.rmtree(self.folder)

    def attempt(self, call: Callable[[Session], object]) -> bool:
        """Do something; a refusal must leave everything as it was, which the invariant then sees."""
        try:
            with self.room.sessions() as session:
                call(session)
        except UecError:
            return False
        type(self).done += 1
        return True

    def look(self) -> None:
        """Take over where the blanks are after a step whose outcome the step's own rule has checked."""
        with self.room.sessions() as session:
            self.where = {
                serial: one.place.value
                for one in stock_balance.lying(session, limit=10_000)
                for serial in range(one.chips.first, one.chips.last + 1)
            }

    def moved(self, before: dict[int, str], source: set[str], target: set[str]) -> None:
        """Blanks that changed place went from `source` to `target` and nowhere else; none appeared or vanished."""
        self.look()
        assert before.keys() == self.where.keys()
        for serial, place in self.where.items():
            if before[serial] != place:
                assert before[serial] in source and place in target

    @rule(first=serials, size=st.integers(1, 12), store=st.booleans())
    def deliver(self, first: int, size: int, store: bool) -> None:
        self.notes += 1
        wanted = set(range(first, first + size))
        known = set(self.where)
        made = self.attempt(
            lambda _session: self.room.deliver(
                box(f"b{self.notes}", first, first + size - 1), note=f"n{self.notes}",
                store=self.room.point if store else None,
            )
        )  # fmt: skip
        assert made is not bool(wanted & known), "a chip came twice, or was refused for nothing"
        if made:
            self.where |= dict.fromkeys(wanted, "STORE")

    @rule(number=st.integers(1, 3), count=st.one_of(st.none(), st.integers(-1, 14)), back=st.booleans())
    def send(self, number: int, count: int | None, back: bool) -> None:
        giver, taker = (self.room.point, self.room.central) if back else (self.room.central, self.room.point)
        before = dict(self.where)
        self.notes += 1
        self.attempt(
            lambda session: stock_transfers.send(
                session, giver_id=giver, taker_id=taker, seal=f"A{self.notes}", contents=[Wanted(number, count)],
                actor=self.room.keeper, now=NOW,
            )
        )  # fmt: skip
        self.moved(before, {"STORE"}, {"TRANSIT"})

    @rule(key=st.integers(1, 2), wrong=st.booleans(), read=st.sampled_from([str.upper, str.lower, "B{}".format]))
    def receive(self, key: int, wrong: bool, read: Callable[[str], str]) -> None:
        before = dict(self.where)
        with self.room.sessions() as session:
            row = session.get(StockTransfer, key)
            blanks, put_on = (row.blanks, row.seal) if row else (0, "A")
        seal, blanks = read(put_on), blanks - wrong
        done = self.attempt(
            lambda session: stock_transfers.receive(
                session, key, Found(seal, blanks), actor=self.room.second_keeper, now=NOW
            )
        )
        assert not (done and (wrong or seal.upper() != put_on))
        self.moved(before, {"TRANSIT"}, {"STORE"})

    @rule(key=st.integers(1, 2), lost=serials)
    def dispute_and_settle(self, key: int, lost: int) -> None:
        before = dict(self.where)
        self.attempt(
            lambda session: stock_transfers.dispute(
                session, key, Found("Z9", 1), remark="не сходится", actor=self.room.second_keeper, now=NOW
            )
        )
        self.attempt(
            lambda session: stock_transfers.settle(
                session, key, missing=[chips(lost)], remark="искали", actor=self.room.quality, now=NOW
            )
        )
        self.moved(before, {"TRANSIT"}, {"STORE", "MISSING"})

    @rule(key=st.integers(1, 2))
    def recall(self, key: int) -> None:
        before = dict(self.where)
        self.attempt(lambda session: stock_transfers.recall(session, key, reason="x", actor=self.room.keeper, now=NOW))
        self.moved(before, {"TRANSIT"}, {"STORE"})

    @rule()
    def open_shift(self) -> None:
        self.attempt(
            lambda session: stock_shifts.open_shift(
                session, store_id=self.room.point, station_id=None, actor=self.room.producer, now=NOW
            )
        )

    def shift(self) -> int:
        with self.room.sessions() as session:
            return session.scalar(select(StockShift.id).order_by(StockShift.id.desc()).limit(1)) or 999

    @rule(number=st.integers(1, 3), count=st.one_of(st.none(), st.integers(-1, 14)))
    def issue(self, number: int, count: int | None) -> None:
        before = dict(self.where)
        self.attempt(
            lambda session: stock_shifts.issue(
                session, self.shift(), [Wanted(number, count)], actor=self.room.keeper, now=NOW
            )
        )
        self.moved(before, {"STORE"}, {"HAND"})

    @rule(number=st.integers(1, 3), count=st.one_of(st.none(), st.integers(-1, 14)))
    def give_back(self, number: int, count: int | None) -> None:
        before = dict(self.where)
        self.attempt(
            lambda session: stock_shifts.give_back(
                session, self.shift(), [Wanted(number, count)], actor=self.room.keeper, now=NOW
            )
        )
        self.moved(before, {"HAND"}, {"STORE"})

    @rule(serial=serials, finish=st.sampled_from(["make", "spoil", "leave"]))
    def make(self, serial: int, finish: str) -> None:
        """What the journal proves: a chip claimed, then good or spoiled."""
        before = dict(self.where)
        target = {"make": Place.GOOD, "spoil": Place.SPOILED, "leave": Place.WORK}[finish]

        def work(session: Session) -> None:
            found = stock_ledger.whereabouts(session, chips(serial).chip(serial))
            if found is None or found[1].kind is not Place.HAND:
                raise stock_cards.ChipNotInStock("not in hand")
            part, account = found
            owner = {"store_id": account.store_id, "shift_id": account.shift_id}
            for motion, place in ((Motion.CLAIM, Place.WORK), (Motion.MAKE, Place.GOOD), (Motion.SPOIL, Place.SPOILED)):
                if place in {Place.WORK, target}:
                    taker = stock_ledger.account(session, place, **owner)
                    stock_ledger.move(session, motion, [part], taker_id=taker, actor=self.room.producer, now=NOW)
                    part = stock_ledger.Held(part.chips, part.box_id, taker)
            session.commit()

        done = self.attempt(work)
        assert done is (before.get(serial) == "HAND")
        self.moved(before, {"HAND"}, {target.value})

    @rule(first=serials, size=st.integers(1, 4))
    def spoil(self, first: int, size: int) -> None:
        before = dict(self.where)
        lot = SerialRange(chips(0).lot, first, first + size - 1)
        self.attempt(
            lambda session: stock_shifts.spoil(
                session, self.shift(), [lot], reason="брак", actor=self.room.producer, now=NOW
            )
        )
        self.moved(before, {"HAND", "WORK"}, {"SPOILED"})

    @rule(serial=serials)
    def miss_and_find(self, serial: int) -> None:
        before = dict(self.where)
        lost = self.attempt(
            lambda session: stock_shifts.miss(
                session, self.shift(), [chips(serial)], reason="нет", actor=self.room.quality, now=NOW
            )
        )
        self.moved(before, {"HAND", "WORK"}, {"MISSING"})
        before = dict(self.where)
        if not lost or serial % 2:
            return
        self.attempt(
            lambda session: stock_cards.found_again(
                session, [chips(serial)], store_id=self.room.central, reason="есть", actor=self.room.quality, now=NOW
            )
        )
        self.moved(before, {"MISSING"}, {"STORE"})

    @rule()
    def set_aside(self) -> None:
        before = dict(self.where)
        self.attempt(lambda session: stock_shifts.set_aside(session, self.shift(), actor=self.room.keeper, now=NOW))
        self.moved(before, {"WORK"}, {"UNFINISHED"})

    @rule()
    def close(self) -> None:
        """Closes exactly when nothing of the shift is in hand or in work."""
        with self.room.sessions() as session:
            row = session.get(StockShift, self.shift())
            open_now = row is not None and row.closed_at is None
        left = {"HAND", "WORK"} & set(self.where.values())
        closed = self.attempt(
            lambda session: stock_shifts.close(session, self.shift(), actor=self.room.producer, now=NOW)
        )
        assert closed is (open_now and not left)

    @rule(withdrawn=st.booleans(), same=st.booleans())
    def destroy(self, withdrawn: bool, same: bool) -> None:
        before = dict(self.where)
        self.attempt(
            lambda session: stock_destruction.propose(
                session, store_id=self.room.point, method="шредер", actor=self.room.keeper, now=NOW
            )
        )
        self.moved(before, {"SPOILED", "HANDED_IN"}, {"DOOMED"})
        before = dict(self.where)
        with self.room.sessions() as session:
            act = session.scalar(select(StockDestruction.id).order_by(StockDestruction.id.desc()).limit(1)) or 999
        actor = self.room.keeper if same else self.room.quality
        if withdrawn:
            self.attempt(
                lambda session: stock_destruction.withdraw(session, act, reason="ошибка", actor=actor, now=NOW)
            )
            self.moved(before, {"DOOMED"}, {"SPOILED", "HANDED_IN"})
        else:
            done = self.attempt(lambda session: stock_destruction.confirm(session, act, actor=actor, now=NOW))
            assert not (done and same)
            self.moved(before, {"DOOMED"}, {"DESTROYED"})

    @precondition(lambda self: self.notes > 2)
    @rule(number=st.integers(1, 3))
    def return_to_maker(self, number: int) -> None:
        before = dict(self.where)
        self.attempt(
            lambda session: stock_intake.return_to_maker(
                session, number, store_id=self.room.central, reason="отзыв", actor=self.room.keeper, now=NOW
            )
        )
        self.look()
        gone = before.keys() - self.where.keys()
        assert all(before[serial] == "STORE" for serial in gone)
        assert {serial: before[serial] for serial in self.where} == self.where

    @invariant()
    def everything_adds_up(self) -> None:
        if not self.changed:
            return  # nothing was committed since it was looked at
        self.changed = False
        check_places(self.room, self.where)
        with self.room.sessions() as session:
            for shift_id in session.scalars(select(StockShift.id)):
                adds_up(stock_balance.by_shift(session, shift_id, actor=self.room.keeper).balance)
            # Ranges are as long as they can be: neighbours of one box in one place have melted.
            ends = select(StockHolding.last, StockHolding.account_id, StockHolding.box_id)
            starts = select(StockHolding.first, StockHolding.account_id, StockHolding.box_id)
            ended = {(last + 1, account, number) for last, account, number in session.execute(ends)}
            assert not ended & {tuple(row) for row in session.execute(starts)}
            assert session.query(StockBox).count() <= self.notes


def _quick(file: Path) -> Engine:
    """A database that survives no power cut, which none of this is about."""
    engine = make_engine(f"sqlite:///{file}")

    @event.listens_for(engine, "connect")
    def careless(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    return engine


@pytest.fixture(scope="module")
def stocked(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What every run begins with: two stores, two boxes, a shift with eight blanks; made once and copied."""
    Blanks.file = tmp_path_factory.mktemp("stocked") / "uec.db"
    shutil.copyfile(sqlite_template, Blanks.file)
    engine = _quick(Blanks.file)
    Blanks.prepared = open_stockroom(session_factory(engine))
    here = Blanks.prepared.deliver(box("b1", 10, 29), note="n1", store=Blanks.prepared.point)
    Blanks.prepared.deliver(box("b2", 40, 49), note="n2")
    Blanks.prepared.shift(Wanted(here["b1"], 8))
    engine.dispose()  # the last connection writes the log back into the file


def play(examples: int, steps: int) -> int:
    """Run the machine; returns how many steps were not refused."""
    Blanks.done = 0
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Blanks, settings=chosen)
    return Blanks.done


@pytest.mark.slow
@pytest.mark.usefixtures("stocked")
def test_any_order_of_everything() -> None:
    assert play(8, 20) > 10


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("stocked")
def test_any_order_of_everything_at_length() -> None:
    done = play(200, 50)
    assert done > 600
    print(f"stock in any order: {done} steps that were not refused, every balance held after each")
