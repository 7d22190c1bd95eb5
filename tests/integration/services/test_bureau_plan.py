"""The plan gives work to a bureau by itself: capacity, price and days, batches cut ahead, orders, forbidding."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_plan_office import CALENDAR, TODAY, applicants
from tests.support.bureau_office import BureauOffice, open_bureau_office
from tests.support.desk import SETTINGS
from tests.support.office import NOW, RULES, Office, add_staff, open_office
from uec.domain.bureau import BureauRefused, CertificateUse, OrderState, PartnerState
from uec.domain.errors import InvalidInput, SamePerson
from uec.domain.lifecycle import BatchState, OperationKind, Route
from uec.domain.permissions import Role
from uec.domain.stock import StoreKind
from uec.jobs import Tools, do
from uec.services import (
    batch_moves,
    batches,
    bureau_drawing,
    bureau_lists,
    bureau_orders,
    operations,
    plan_changes,
    plan_events,
    plan_facts,
    plan_lists,
    plan_region,
    preparation,
    scenario_approval,
    scenario_years,
    stock_intake,
)
from uec.services.plan_scenarios import Trial
from uec.services.scenario_facts import Ground
from uec.store.tables import Batch, Bureau, BureauCertificate, BureauOrder, Card, EmissionBatch

FACTS = {
    "lines": [{"code": "own", "machines": 1, "cards_per_hour": 2, "shift_hours": 1}],
    "bureaux": {"NORTH": {"daily": 4, "price": 0.1, "days": 3}},
}
SOON = replace(RULES, freeze_days=2)


def let_in(session: Session, office: Office, *, until: date = date(2027, 1, 1)) -> None:
    """A bureau with everything that makes it ready, its certificates good until a day."""
    keeper = add_staff(session, "bureau-keeper", Role.STOREKEEPER)
    store = stock_intake.add_store(
        session, code="NORTH", name="North", kind=StoreKind.CENTRAL, point_id=None, enforced=True, actor=keeper, now=NOW
    )
    row = Bureau(
        code="NORTH", name="Northern bureau", store_id=store, transport_version=1, cards_per_day=6, proposed_at=NOW
    )
    session.add(row)
    session.flush()
    end = NOW + timedelta(days=(until - NOW.date()).days)
    dated = {"not_before": NOW - timedelta(days=9), "not_after": end, "proposed_at": NOW}
    rows = [
        BureauCertificate(bureau_id=row.id, use=use, der=b"-", fingerprint="-", subject="-", **dated)
        for use in CertificateUse
    ]
    session.add_all(rows)
    session.flush()
    for one in (row, *rows):
        one.state = PartnerState.APPROVED
    session.commit()


def told(session: Session, office: Office, facts: dict[str, Any]) -> None:
    plan_facts.store(session, facts, reason="lines", actor=office.planner, now=NOW)
    session.commit()


def cards_by_line(session: Session) -> dict[tuple[str | None, date], int]:
    rows = session.execute(
        select(Batch.line, Batch.planned_for, func.count(Card.id))
        .join(Card, Card.batch_id == Batch.id)
        .where(Batch.state != BatchState.CANCELLED)
        .group_by(Batch.line, Batch.planned_for)
    )
    return {(line, day): count for line, day, count in rows}


def test_what_own_lines_cannot_make_goes_to_the_bureau_and_is_cut_so_much_earlier(
    sessions: sessionmaker[Session],
) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        let_in(session, office)
        told(session, office, FACTS)
        everybody = applicants(session, office, 60, route=Route.MASS)
        batches.plan(session, actor=office.planner, rules=SOON, now=NOW)
        planned = session.execute(select(EmissionBatch.line, EmissionBatch.day, EmissionBatch.cards)).all()
        first = min(day for line, day, _ in planned if line == "NORTH")
        assert first == CALENDAR.after(TODAY, 3), "nothing can be back from a bureau before its days are over"
        made = Counter[tuple[str, date]]()
        for line, day, cards in planned:
            made[line, day] += cards
        assert max(count for (line, _), count in made.items() if line == "NORTH") == 4, "the office's limit, not 6"
        assert max(count for (line, _), count in made.items() if line == "own") == 2
        cut = cards_by_line(session)
        assert {day for line, day in cut if line == "own"} == {TODAY, CALENDAR.after(TODAY, 1)}
        assert max(day for line, day in cut if line == "NORTH") == CALENDAR.after(TODAY, 4)
        for days in range(1, 6):
            now = NOW + timedelta(days=days)
            batches.plan(session, actor=office.planner, rules=SOON, now=now)
            drawn = plan_lists.gantt(
                session,
                actor=office.planner,
                first=now.date(),
                last=TODAY + timedelta(days=40),
                calendar=CALENDAR,
                today=now.date(),
            )
            for row in drawn.rows:
                assert all(cell.cut + cell.planned <= cell.capacity for cell in row.cells), "nothing is counted twice"
        cut = cards_by_line(session)
        assert max(count for (line, _), count in cut.items() if line == "NORTH") == 4
        ids = session.scalars(select(Card.application_id)).all()
        assert len(ids) == len(set(ids)) <= len(everybody)


def test_the_office_forbids_a_bureau_and_sees_what_follows_first(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        let_in(session, office)
        told(session, office, FACTS)
        applicants(session, office, 60, route=Route.MASS)
        batches.plan(session, actor=office.planner, rules=SOON, now=NOW)
        points = list(plan_region.office_points(session).values())
        fields = {"bureau": "NORTH", "use": "no", "price": "", "daily": "", "days": ""}
        table = plan_events.edited(plan_facts.table(session), "bureau", fields, points=points)
        assert table["bureaux"]["NORTH"] == {"daily": 4, "price": 0.1, "days": 3, "use": False}
        seen = plan_changes.consequences(session, table, actor=office.planner, calendar=CALENDAR, today=TODAY)
        assert seen.later > 0, "fewer lines, later days"
        before = cards_by_line(session)
        told(session, office, table)
        batches.plan(session, actor=office.planner, rules=SOON, now=NOW + timedelta(days=1))
        newest = select(func.max(EmissionBatch.plan_id)).scalar_subquery()
        lines = set(session.scalars(select(EmissionBatch.line).where(EmissionBatch.plan_id == newest)))
        assert lines == {"own"}
        after = cards_by_line(session)
        assert {key: count for key, count in after.items() if key[0] == "NORTH"} == {
            key: count for key, count in before.items() if key[0] == "NORTH"
        }, "what is cut stays"
        with pytest.raises(InvalidInput, match="Choose a bureau"):
            plan_events.edited(table, "bureau", {}, points=points)
        allowed = plan_events.edited(table, "bureau", {"bureau": "NORTH", "days": "5"}, points=points)
        assert allowed["bureaux"]["NORTH"] == {"daily": 4, "price": 0.1, "days": 5, "use": True}


def test_a_bureau_whose_certificate_ends_or_that_is_dear_gets_nothing(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        let_in(session, office, until=TODAY + timedelta(days=2))
        told(session, office, FACTS)
        region = plan_region.region_of(session, calendar=CALENDAR, profile="uec", today=TODAY, horizon_days=30)
        assert [(line.code, line.price, line.lead) for line in region.supply.lines] == [
            ("own", 0.0, 0),
            ("NORTH", 0.1, 3),
        ]
        later = plan_region.region_of(
            session, calendar=CALENDAR, profile="uec", today=TODAY + timedelta(days=3), horizon_days=30
        )
        assert [line.code for line in later.supply.lines] == ["own"]
        applicants(session, office, 60, route=Route.MASS)
        dear = FACTS | {"bureaux": {"NORTH": {"price": 100_000}}}
        told(session, office, dear)
        batches.plan(session, actor=office.planner, rules=SOON, now=NOW)
        assert set(session.scalars(select(EmissionBatch.line))) == {"own"}


def test_a_batch_is_moved_to_a_bureau_only_for_a_day_it_can_keep(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        let_in(session, office)
        told(session, office, FACTS)
        applicants(session, office, 2, route=Route.WINDOW)
        batches.plan(session, actor=office.planner, rules=SOON, now=NOW)
        (batch_id,) = session.scalars(select(Batch.id))
        free = {}
        for days in (2, 3):
            found = batch_moves.consider(
                session,
                batch_id,
                day=CALENDAR.after(TODAY, days),
                line="NORTH",
                actor=office.planner,
                rules=SOON,
                today=TODAY,
            )
            free[days] = found.free
        assert free == {2: 0, 3: 4}


def test_a_scenario_without_the_bureau_becomes_the_plan(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        let_in(session, office)
        told(session, office, FACTS)
        applicants(session, office, 20, route=Route.MASS)
        ground = Ground(CALENDAR, "uec", TODAY)
        trial = Trial({"stopped": ["NORTH"]}, runs=1, days=20)
        watch = scenario_years.Watch(lambda: NOW)
        row = scenario_years.run(session, "alone", trial, ground=ground, actor=office.planner, watch=watch)
        scenario_approval.propose(session, row.id, actor=office.planner, now=NOW)
        scenario_approval.approve(session, row.id, ground=ground, actor=office.releaser, now=NOW)
        assert plan_facts.table(session)["bureaux"]["NORTH"]["use"] is False


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    opened.exchange.mkdir()
    (tmp_path / "bureaux").symlink_to(opened.exchange)
    yield opened
    opened.office.desk.bench.vault.close()


@pytest.mark.slow
def test_a_batch_planned_for_a_bureau_is_ordered_by_itself(bureau: BureauOffice) -> None:
    office, bench = bureau.office, bureau.office.desk.bench
    nobody: Any = None  # this job asks no register
    settings = replace(SETTINGS, state_dir=bureau.folder)
    worker = Tools(settings, office.sessions, bench.vault, nobody, office.clock, bench.random)
    nothing = {"lines": [{"code": "own", "machines": 0, "cards_per_hour": 1}], "bureaux": {"NORTH": {"days": 2}}}
    office.approve_applicants(1, 2)
    with office.sessions() as session:
        told(session, office.staff, nothing)
    (batch_id,) = office.plan()
    assert do("bureaux", worker) == "nothing new", "it is not released"
    with office.sessions() as session:
        batches.release(session, batch_id, actor=office.staff.releaser, now=office.clock())
        batch = session.get_one(Batch, batch_id)
        number = batch.number
        assert batch.line == "NORTH"
        found = bureau_drawing.bureau_of(session, batch)
        assert found is not None and found.code == "NORTH"
    assert do("bureaux", worker) == "nothing new", "its data are not prepared"
    with office.sessions() as session:
        preparation.prepare(session, batch_id, profile=bench.profile, issuer="УОС", now=office.clock())
        assert bureau_lists.orderable_batches(session) == [(batch_id, number, 2, "Northern bureau")]
        asked = operations.request_batch(
            session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
        )
        assert asked == 0, "no station of ours begins with it meanwhile"
        session.rollback()
        forbidden = {"lines": nothing["lines"], "bureaux": {"NORTH": {"use": False}}}
        told(session, office.staff, forbidden)
    assert do("bureaux", worker) == "nothing new", "the office forbids the bureau"
    with office.sessions() as session:
        told(session, office.staff, nothing)
    assert do("bureaux", worker) == f"drew up the order of {number}"
    assert do("bureaux", worker) == "nothing new"
    with office.sessions() as session:
        (order,) = session.scalars(select(BureauOrder))
        assert (order.state, order.drawn_by, order.cards) == (OrderState.DRAWN, None, 2)
        with pytest.raises(SamePerson):
            bureau_orders.approve(session, order.id, actor=office.staff.releaser, now=office.clock())
        second = add_staff(session, "second-releaser", Role.RELEASER)
        bureau_orders.approve(session, order.id, actor=second, now=office.clock())
    assert do("bureaux", worker) == "made 1 files, took 0, refused 0"


@pytest.mark.slow
def test_what_stands_against_an_order_is_said_and_a_cancelled_one_is_left_to_people(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    bureau = open_bureau_office(sessions, tmp_path, blanks=1)
    office, profile = bureau.office, bureau.office.desk.bench.profile
    try:
        batch_id = bureau.batch(1)
        with office.sessions() as session:
            session.get_one(Batch, batch_id).line = "NORTH"
            session.commit()
            draw = {"profiles": lambda _: profile, "actor": office.staff.planner, "today": TODAY, "clock": office.clock}
            (one,) = bureau_drawing.draw_due(session, **draw)
            assert one.order_id is None and one.refusal is not None
            (card,) = session.scalars(select(Card).where(Card.batch_id == batch_id))
            with pytest.raises(BureauRefused) as refused:
                operations.request_operation(
                    session,
                    kind=OperationKind.PERSONALISE,
                    card_id=card.id,
                    station_id=None,
                    reader=None,
                    actor=office.staff.producer,
                    now=office.clock(),
                )
            assert refused.value.finding == "destined"
            drawing = bureau_orders.Drawing(batch_id, bureau.bureau_id, bureau_orders.usual_way(profile), spare=0)
            order_id = bureau_orders.draw(
                session, drawing, profile=profile, actor=office.staff.planner, now=office.clock()
            )
            bureau_orders.cancel(session, order_id, reason="no", actor=office.staff.planner, now=office.clock())
            assert list(bureau_drawing.draw_due(session, **draw)) == []
            assert operations.request_batch(
                session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
            ), "after that it may be made here"
    finally:
        bureau.office.desk.bench.vault.close()
