"""What a batch on another day or line means: variants, clocks, couriers, windows, days with room, two at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.region import Line
from tests.integration.services.test_plan_office import CALENDAR, TODAY, applicants
from tests.integration.services.test_plan_steering import told
from tests.support.office import NOW, RULES, Office, open_office
from uec.domain.errors import InvalidInput, PlanInMaking, StoreUnavailable, UecError
from uec.domain.lifecycle import Route
from uec.services import batch_lists, batch_moves, batches, numbering, plan_lists
from uec.services.batch_moves import Load, Move
from uec.services.batch_room import Room
from uec.services.rows import locked_batch
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Application, AuditEntry, Batch, Card, PromiseMove

LINE = {"code": "L1", "machines": 1, "cards_per_hour": 10, "shift_hours": 1}
THURSDAY, FRIDAY, MONDAY = date(2026, 3, 5), date(2026, 3, 6), date(2026, 3, 9)


def ways(office: Office) -> dict[str, Any]:
    return {"actor": office.planner, "rules": RULES, "today": TODAY}


def cut(session: Session, office: Office, count: int, facts: dict[str, Any], *, route: Route = Route.WINDOW) -> Batch:
    """The first batch of a plan over so many people by these facts."""
    told(session, office, facts)
    applicants(session, office, count, route=route)
    batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
    return session.scalars(select(Batch).order_by(Batch.planned_for, Batch.id)).first()  # type: ignore[return-value]


def considered(session: Session, office: Office, batch: Batch, day: date, line: str | None = None) -> Move:
    return batch_moves.consider(session, batch.id, day=day, line=line, **ways(office))


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    """One point that hands over five a day."""
    return open_office(sessions, points=1, daily_capacity=5)


def test_a_line_takes_only_the_variants_it_makes(sessions: sessionmaker[Session], office: Office) -> None:
    lines = [LINE, LINE | {"code": "PASS", "makes": ["piv"]}, LINE | {"code": "ALL"}]
    with sessions() as session:
        batch = cut(session, office, 4, {"lines": lines})
        usual = batch_moves.lines_for(session, batch.id, **ways(office))
        assert [one.code for one in usual] == ["L1", "ALL"]
        assert considered(session, office, batch, THURSDAY, "ALL").fits
        for line in ("PASS", "L9"):
            with pytest.raises(InvalidInput) as refused:
                considered(session, office, batch, THURSDAY, line)
            assert refused.value.facts["field"] == "line"
        session.execute(update(Batch).values(profile="piv"))
        assert [one.code for one in batch_moves.lines_for(session, batch.id, **ways(office))] == ["L1", "PASS", "ALL"]
        assert considered(session, office, batch, THURSDAY, "PASS").fits


@pytest.mark.parametrize(("route", "remake", "late"), [("WINDOW", False, 3), ("MASS", False, 0), ("MASS", True, 3)])
def test_only_who_has_a_clock_can_be_late(
    sessions: sessionmaker[Session], office: Office, route: str, remake: bool, late: int
) -> None:
    with sessions() as session:
        batch = cut(session, office, 3, {"lines": [LINE]}, route=Route(route))
        session.execute(update(Application).values(due_on=THURSDAY, remake=remake))
        before = considered(session, office, batch, batch.planned_for).people
        after = considered(session, office, batch, MONDAY).people
    assert (before.late_before, before.late, before.later) == (0, 0, 0)
    assert (after.late_before, after.late, after.later, after.earlier) == (0, late, 3, 0)
    assert before.first == before.last == after.first is not None


def test_who_has_no_day_yet_comes_earlier_and_who_loses_it_later(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        batch = cut(session, office, 3, {"lines": [LINE]})
        session.execute(update(Card).values(promised_on=None))
        found = considered(session, office, batch, THURSDAY)
        assert (found.people.later, found.people.earlier, found.people.late_before, found.people.late) == (0, 3, 3, 0)
        told(session, office, {"lines": [LINE], "courier": {"weekdays": []}})
        gone = considered(session, office, batch, THURSDAY)
        assert (gone.departs_on, gone.promised_on, gone.courier, gone.windows) == (None, None, None, None)
        assert (gone.people.later, gone.people.earlier, gone.people.late) == (0, 0, 3)
        session.execute(update(Card).values(promised_on=FRIDAY))
        assert considered(session, office, batch, THURSDAY).people.later == 3


def test_a_courier_or_windows_too_full_are_told(sessions: sessionmaker[Session], office: Office) -> None:
    rounds = {"weekdays": [4], "volume": 6, "transit": 0}
    with sessions() as session:
        first = cut(session, office, 4, {"lines": [LINE], "courier": rounds})
        applicants(session, office, 4, route=Route.MASS, seed=2)
        batches.plan(session, actor=office.planner, rules=replace(RULES, freeze_days=20), now=NOW)
        other = session.scalars(select(Batch).where(Batch.id != first.id).order_by(Batch.id)).first()
        assert other is not None and first.departs_on == FRIDAY
        count = session.query(Card).filter(Card.batch_id == other.id).count()
        beside = session.query(Card).join(Batch, Batch.id == Card.batch_id)
        with_it = count + beside.filter(Batch.departs_on == FRIDAY, Batch.id != other.id).count()
        promised = count + beside.filter(Card.promised_on == FRIDAY, Batch.id != other.id).count()
        found = considered(session, office, other, THURSDAY)
        assert found.departs_on == found.promised_on == FRIDAY
        assert found.courier == Load(with_it, 6) and found.windows == Load(promised, 5)
        assert found.courier.over == max(0, with_it - 6) and found.windows.over == max(0, promised - 5) > 0


def test_a_saturday_on_which_only_a_line_works_makes_no_courier_quicker(
    sessions: sessionmaker[Session], office: Office
) -> None:
    rounds = {"weekdays": [4], "transit": 2}
    with sessions() as session:
        batch = cut(session, office, 3, {"lines": [LINE], "courier": rounds})
        usual = considered(session, office, batch, THURSDAY)
        told(session, office, {"lines": [LINE | {"shifts": [1, 1, 1, 1, 1, 1, 0]}], "courier": rounds})
        assert considered(session, office, batch, THURSDAY) == usual
    assert (usual.departs_on, usual.promised_on) == (FRIDAY, date(2026, 3, 10))


def test_days_with_room_are_named_on_its_own_line_first(sessions: sessionmaker[Session], office: Office) -> None:
    stop = {"maintenance": [{"first": "2026-03-03", "last": "2026-03-11", "machines": 1}]}
    other = LINE | {"code": "L2", "shifts": [0, 0, 1, 0, 0, 0, 0]}
    with sessions() as session:
        batch = cut(session, office, 5, {"lines": [LINE | stop, other]})
        own = batch_moves.openings(session, batch.id, line="L1", **ways(office))
        assert batch.planned_for == TODAY and {code for _, code in own} == {"L1"}
        assert [day.day for day, _ in own] == [12, 13, 16, 17], "its own place is none to go to"
        told(session, office, {"lines": [LINE | {"machines": 0}, other]})
        rest = batch_moves.openings(session, batch.id, line="L1", **ways(office))
        assert rest[0] == (date(2026, 3, 4), "L2") and all(CALENDAR.is_working(day) for day, _ in rest)
        told(session, office, {"lines": [LINE | {"cards_per_hour": 1}]})
        assert batch_moves.openings(session, batch.id, line="L1", **ways(office)) == []


def test_days_off_days_gone_and_released_batches_are_refused(sessions: sessionmaker[Session], office: Office) -> None:
    calendar = WorkingCalendar(holidays=frozenset({(5, 1), (1, 4)}))
    asked: dict[str, Any] = {"line": None, **ways(office), "rules": replace(RULES, calendar=calendar)}
    with sessions() as session:
        batch = cut(session, office, 3, {"lines": [LINE]})
        saturday, gone = date(2026, 3, 7), TODAY - timedelta(days=3)
        for day in (saturday, date(2026, 5, 1), date(2027, 1, 4), gone, date.min, date(2200, 1, 1), date.max):
            with pytest.raises(InvalidInput) as refused:
                batch_moves.consider(session, batch.id, day=day, **asked)
            assert refused.value.facts["field"] == "day", day
        told(session, office, {"lines": [LINE | {"shifts": [1, 1, 1, 1, 1, 1, 0]}], "courier": {"weekdays": [5]}})
        worked = batch_moves.consider(session, batch.id, day=saturday, **asked)
        assert worked.fits and worked.departs_on == date(2026, 3, 14), "a shift on Saturday, and the courier after it"
        batches.release(session, batch.id, actor=office.releaser, now=NOW)
        with pytest.raises(InvalidInput) as refused:
            batch_moves.consider(session, batch.id, day=THURSDAY, **asked)
        assert refused.value.facts["field"] == "batch"


def test_a_picture_says_which_variants_a_line_makes(sessions: sessionmaker[Session], office: Office) -> None:
    lines = [LINE, LINE | {"code": "PASS", "makes": ["piv"]}]
    with sessions() as session:
        batch = cut(session, office, 4, {"lines": lines})
        asked: dict[str, Any] = {"first": TODAY, "last": FRIDAY, "calendar": CALENDAR, "today": TODAY}
        drawn = plan_lists.gantt(session, actor=office.planner, variants=("uec", "piv"), **asked)
    assert [row.makes for row in drawn.rows] == [None, ("piv",)]
    assert {bar.variant for row in drawn.rows for cell in row.cells for bar in cell.bars} == {batch.profile}


def test_two_who_see_the_same_room_do_not_fill_it_twice(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        cut(session, office, 30, {"lines": [LINE]})
        small = replace(RULES, batch_limit=6)
        for one in session.scalars(select(Batch.id)).all():
            batches.cancel(session, one, actor=office.planner, reason="anew", now=NOW)
        batches.plan_anew(session, actor=office.planner, rules=small, now=NOW)
        live = batch_lists.find(session, actor=office.planner, states=("PLANNED",), limit=200).rows  # type: ignore[arg-type]
        first, second = [one for one in live if one.total == 6][:2]
        assert considered(session, office, session.get_one(Batch, first.id), MONDAY).free == 10

    start = Barrier(2)

    def work(batch_id: int) -> object:
        start.wait()
        while True:
            try:
                with sessions() as session:
                    return batch_moves.move(session, batch_id, day=MONDAY, line="L1", now=NOW, **ways(office))
            except PlanInMaking:
                continue  # the other one is at it
            except UecError as error:
                return error

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, (first.id, second.id)))
    refused = [one for one in results if isinstance(one, InvalidInput)]
    assert len(refused) == 1 and refused[0].facts["field"] == "room", results
    with sessions() as session:
        assert (
            session.query(Card).join(Batch, Batch.id == Card.batch_id).filter(Batch.planned_for == MONDAY).count() == 6
        )


def test_who_moves_a_batch_while_the_plan_is_made_is_told_so_at_once(database_url: str) -> None:
    """He waits for nothing, holds nothing and leaves nothing behind; on SQLite he waits as every writer does."""
    engine = make_engine(database_url, busy_timeout_s=0)
    sessions = session_factory(engine)
    office = open_office(sessions, points=1, daily_capacity=5)
    many = engine.dialect.name == "postgresql"
    with sessions() as planner, sessions() as clerk:
        batch_id = cut(clerk, office, 4, {"lines": [LINE]}).id
        clerk.rollback()
        asked: dict[str, Any] = {"day": THURSDAY, "line": "L1", "now": NOW, **ways(office)}
        numbering.take(planner, "batch", count=0)
        if many:
            for one in (planner, clerk):
                one.execute(text("SET lock_timeout = '1s'"))
        with pytest.raises(PlanInMaking if many else StoreUnavailable):
            batch_moves.move(clerk, batch_id, **asked)
        locked_batch(planner, batch_id)
        clerk.rollback()
        planner.rollback()
        assert clerk.get_one(Batch, batch_id).planned_for == TODAY
        assert clerk.scalars(select(AuditEntry.id).where(AuditEntry.action == "batch.move")).all() == []
        assert clerk.scalars(select(PromiseMove.application_id)).all() == []
        assert batch_moves.move(clerk, batch_id, **asked).day == clerk.get_one(Batch, batch_id).planned_for == THURSDAY
    engine.dispose()


def test_what_lines_of_other_variants_make_takes_no_room_from_a_batch_without_a_line() -> None:
    lines = tuple(Line(code, code, code, (0,)) for code in ("L1", "L2"))
    taken: dict[str | None, int] = {"L1": 3, "L2": 1, "PASS": 40, None: 2}
    room = Room(lines, (MONDAY,), np.array([[10], [5]]), {MONDAY: taken})
    assert [room.free(MONDAY, code) for code in (None, "L1", "L2")] == [9, 5, 2]


def test_one_points_batches_are_drawn_where_all_are_too_many(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = open_office(sessions, points=3, daily_capacity=5)
    drawn: Callable[..., plan_lists.Gantt] = plan_lists.gantt
    asked: dict[str, Any] = {
        "actor": office.planner,
        "first": TODAY,
        "last": FRIDAY,
        "calendar": CALENDAR,
        "today": TODAY,
    }
    with sessions() as session:
        cut(session, office, 40, {"lines": [LINE]})
        monkeypatch.setattr(plan_lists, "DRAWN_ONE_BY_ONE", 5)
        whole, one = drawn(session, **asked), drawn(session, point_id=office.points[0], **asked)
        nowhere = drawn(session, point_id=10**6, **asked)
        of_point = session.query(Batch).filter(Batch.point_id == office.points[0]).count()
    assert whole.any_cut and not whole.one_by_one and one.one_by_one
    bars = [bar for row in one.rows for cell in row.cells for bar in cell.bars]
    assert len(bars) == of_point
    cards = [[cell.cut for row in gantt.rows for cell in row.cells] for gantt in (whole, one, nowhere)]
    assert cards[0] == cards[1] == cards[2], "what the lines make is the whole, whosever batches are drawn"
    assert nowhere.any_cut and not nowhere.one_by_one and whole.off == frozenset()
