"""People steer the plan: events seen before they are saved, moved promises told once, batches moved, scenarios."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.facts import PLENTY, Facts
from tests.integration.services.test_plan_office import CALENDAR, TODAY, applicants
from tests.support.office import NOW, RULES, Office, open_office
from uec.domain.errors import InvalidInput, NotAllowed, SamePerson, Stale
from uec.domain.lifecycle import ApplicationState, BatchState, Route
from uec.services import (
    batch_lists,
    batch_moves,
    batches,
    plan_changes,
    plan_events,
    plan_facts,
    plan_lists,
    plan_moves,
    plan_office,
    plan_region,
)
from uec.store.tables import (
    Application,
    AuditEntry,
    Batch,
    Card,
    EmissionPlan,
    IssuancePoint,
    Message,
    PromiseMove,
    ScheduledRun,
)

LINE = {"code": "L1", "machines": 1, "cards_per_hour": 10, "shift_hours": 1}
FEW = replace(RULES, freeze_days=2, horizon_days=60)


def told(session: Session, office: Office, table: Mapping[str, Any], *, reason: str = "test") -> None:
    plan_facts.store(session, table, reason=reason, actor=office.planner, now=NOW)
    session.commit()


def points_of(session: Session) -> list[Any]:
    return list(plan_region.office_points(session).values())


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    """Two points that hand over five each, and a line of ten a day that is told of."""
    made = open_office(sessions, points=2, daily_capacity=5)
    with sessions() as session:
        told(session, made, {"lines": [LINE]})
    return made


def test_an_event_is_seen_before_it_is_saved_and_moves_as_few_as_it_can(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        applicants(session, office, 150, route=Route.MASS)
        batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        before = session.scalars(select(EmissionPlan)).one()
        fields = {"line": "L1", "first": "2026-03-05", "last": "2026-03-06"}
        table = plan_events.edited(plan_facts.table(session), "stop", fields, points=points_of(session))
        ways = {"actor": office.planner, "calendar": CALENDAR, "today": TODAY}
        found = plan_changes.consequences(session, table, **ways)
        # Two days of ten cards: nobody comes earlier, and those after the stop by two working days.
        assert found.later > 0
        assert found.earlier == 0
        assert 1 <= found.longest_days <= 6
        assert sum(one.later for one in found.points) == found.later
        assert sum(now for _, now, _ in found.weeks) == sum(then for _, _, then in found.weeks)
        assert session.scalar(select(func.count()).select_from(EmissionPlan)) == 1, "nothing is saved by looking"
        assert plan_facts.table(session) == {"lines": [LINE]}
        same = plan_changes.consequences(session, plan_facts.table(session), **ways)
        assert (same.later, same.earlier) == (0, 0)

        with pytest.raises(InvalidInput, match="reason"):
            plan_changes.save(session, table, reason=" ", actor=office.planner, now=NOW)
        session.rollback()
        with pytest.raises(NotAllowed):
            plan_changes.save(session, table, reason="x", actor=office.operator, now=NOW)
        plan_changes.save(session, table, reason="поломка", actor=office.planner, now=NOW)
        asked = session.scalars(select(ScheduledRun)).one()
        assert (asked.job, asked.asked_by) == ("plan", office.planner.reference)
        batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        moved = session.scalars(select(PromiseMove)).all()
        assert len(moved) == found.later
        assert all(one.now is not None and one.now > one.was for one in moved)
        assert plan_office.newest(session, actor=office.planner).id > before.id
        assert [one.reason for one in plan_facts.history(session, actor=office.planner)] == ["поломка", "test"]


def test_whoever_is_moved_is_told_once_and_nobody_who_moved_back(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        applicants(session, office, 100, route=Route.MASS)
        batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        stopped = LINE | {"maintenance": [{"first": "2026-03-05", "last": "2026-03-11", "machines": 1}]}
        told(session, office, {"lines": [stopped]})
        batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        count = plan_moves.untold(session, actor=office.planner)
        assert count > 0
        by_point = plan_moves.summary(session, actor=office.planner)
        assert sum(one.later + one.earlier for one in by_point) == count
        listed = plan_moves.people(session, actor=office.planner)
        assert listed and all(one.now is None or one.now != one.was for one in listed)
        # The line is repaired at once, and a new plan moves the days back: hardly anybody needs to hear of it.
        told(session, office, {"lines": [LINE]})
        batches.plan_anew(session, actor=office.planner, rules=FEW, now=NOW)
        assert plan_moves.untold(session, actor=office.planner) <= count / 20
        assert all(one.now != one.was for one in plan_moves.people(session, actor=office.planner))

        told(session, office, {"lines": [stopped]})
        batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        count = plan_moves.untold(session, actor=office.planner)
        with pytest.raises(NotAllowed):
            plan_moves.tell(session, actor=office.operator, now=NOW)
        assert plan_moves.tell(session, actor=office.planner, now=NOW) == count
        assert plan_moves.tell(session, actor=office.planner, now=NOW) == 0, "nobody is told twice"
        assert session.scalar(select(func.count()).select_from(Message)) == count
        kept = session.scalars(select(PromiseMove)).all()
        assert {one.told_at for one in kept} == {NOW}


def test_what_is_cut_stays_in_every_later_plan(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        applicants(session, office, 60, route=Route.WINDOW)
        batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        cut = session.execute(select(Card.application_id, Card.promised_on, Batch.planned_for).join(Batch)).all()
        assert len(cut) == 20
        told(session, office, {"lines": [LINE | {"machines": 0}]})
        applicants(session, office, 10, route=Route.WINDOW, seed=5)
        assert batches.plan_anew(session, actor=office.planner, rules=FEW, now=NOW).cards == 0
        again = session.execute(select(Card.application_id, Card.promised_on, Batch.planned_for).join(Batch)).all()
        assert sorted(again) == sorted(cut)
        newest = plan_office.newest(session, actor=office.planner)
        assert (newest.people, newest.promised) == (50, 0)
        assert newest.facts["late"][0]["reason"] == "no_lines"


def test_a_batch_is_moved_by_its_new_planner_and_released_by_another(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        applicants(session, office, 8, route=Route.WINDOW)
        made = batches.plan(session, actor=office.planner, rules=RULES, now=NOW).batches
        ways: dict[str, Any] = {"actor": office.planner, "rules": RULES, "today": TODAY}
        found = batch_moves.consider(session, made[0].id, day=date(2026, 3, 4), line="L1", **ways)
        assert found.fits and found.departs_on == date(2026, 3, 5)
        assert found.promised_on == date(2026, 3, 5)
        assert found.people.later == found.cards == made[0].total
        for wrong in (date(2026, 3, 7), TODAY - timedelta(days=3)):
            with pytest.raises(InvalidInput, match="working day"):
                batch_moves.consider(session, made[0].id, day=wrong, line="L1", **ways)
        with pytest.raises(InvalidInput, match="no line"):
            batch_moves.consider(session, made[0].id, day=date(2026, 3, 4), line="L7", **ways)
        was = made[0].planned_for
        batch_moves.move(session, made[0].id, day=date(2026, 3, 4), line="L1", now=NOW, seen=(was, "L1"), **ways)
        with pytest.raises(Stale, match="meanwhile"):
            batch_moves.move(session, made[0].id, day=date(2026, 3, 5), line="L1", now=NOW, seen=(was, "L1"), **ways)
        session.rollback()
        row = session.get_one(Batch, made[0].id)
        assert (row.planned_for, row.departs_on, row.line) == (date(2026, 3, 4), date(2026, 3, 5), "L1")
        promised = session.scalars(select(Card.promised_on).where(Card.batch_id == row.id)).all()
        assert set(promised) == {date(2026, 3, 5)}
        assert plan_moves.untold(session, actor=office.planner) == found.people.later
        assert session.scalars(select(AuditEntry.action).where(AuditEntry.action == "batch.move")).all()
        planner_too = replace(office.releaser, id=office.planner.id)
        with pytest.raises(SamePerson):
            batches.release(session, row.id, actor=planner_too, now=NOW)
        session.rollback()
        batches.release(session, row.id, actor=office.releaser, now=NOW)
        with pytest.raises(InvalidInput, match="released"):
            batch_moves.consider(session, row.id, day=date(2026, 3, 9), line="L1", **ways)


def test_a_full_line_takes_no_other_batch(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        applicants(session, office, 20, route=Route.WINDOW)
        made = batches.plan(session, actor=office.planner, rules=RULES, now=NOW).batches
        last = next(one for one in made if one.planned_for == date(2026, 3, 3))
        with pytest.raises(InvalidInput, match="0 more cards"):
            batch_moves.move(
                session,
                last.id,
                day=date(2026, 3, 2),
                line="L1",
                actor=office.planner,
                rules=RULES,
                today=TODAY,
                now=NOW,
            )
        session.rollback()
        assert session.get_one(Batch, last.id).planned_for == date(2026, 3, 3)


def test_a_batch_called_off_loses_its_promise_until_the_next_plan_gives_one(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        applicants(session, office, 8, route=Route.WINDOW)
        made = batches.plan(session, actor=office.planner, rules=RULES, now=NOW).batches
        for one in made:
            batches.cancel(session, one.id, actor=office.planner, reason="брак", now=NOW)
        assert plan_moves.untold(session, actor=office.planner) == 8
        assert {one.now for one in session.scalars(select(PromiseMove))} == {None}
        batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        assert plan_moves.untold(session, actor=office.planner) == 0, "they have their old day again"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"lines": [LINE | {"machines": 0}]}, "no_lines"),
        ({"lines": [LINE], "chips": {"in_hand": 0}}, "no_chips"),
        ({"lines": [LINE], "courier": {"weekdays": []}}, "no_courier"),
    ],
)
def test_whatever_is_missing_the_plan_comes_and_says_who_why_and_what_it_takes(
    sessions: sessionmaker[Session], office: Office, facts: Mapping[str, Any], reason: str
) -> None:
    with sessions() as session:
        told(session, office, facts)
        applicants(session, office, 12, route=Route.WINDOW)
        made = batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        assert made.cards == 0
        assert dict(made.unplaced) == {reason: 12}
        late = plan_office.newest(session, actor=office.planner).facts["late"]
        assert sum(one["open"] for one in late) == 12
        assert {one["reason"] for one in late} == {reason}
        assert all(one["ru"].endswith(".") and one["en"].endswith(".") for one in late)


def test_chips_that_are_cut_into_batches_are_not_there_twice(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        told(session, office, {"lines": [LINE], "chips": {"in_hand": 25}})
        applicants(session, office, 60, route=Route.WINDOW)
        assert batches.plan(session, actor=office.planner, rules=FEW, now=NOW).cards == 20
        assert plan_facts.free_chips(session, plan_facts.current(session, today=TODAY), ["uec"]) == [5]
        made = batches.plan_anew(session, actor=office.planner, rules=RULES, now=NOW)
        assert (made.cards, dict(made.unplaced)) == (5, {"no_chips": 35})


def test_clocks_that_cannot_be_kept_are_late_and_first(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        applicants(session, office, 40, route=Route.WINDOW)
        session.execute(update(Application).values(due_on=TODAY))
        session.commit()
        made = batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        assert (made.cards, made.late, dict(made.unplaced)) == (40, 40, {})
        late = plan_office.newest(session, actor=office.planner).facts["late"]
        assert {one["reason"] for one in late} == {"clock_too_short"}
        assert all("special trip" in one["en"] for one in late)


def test_a_line_that_vanishes_leaves_its_batches_in_sight(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        two = {"lines": [LINE, LINE | {"code": "L2"}]}
        told(session, office, two)
        applicants(session, office, 40, route=Route.WINDOW)
        batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        table = plan_events.edited(plan_facts.table(session), "drop", {"line": "L2"}, points=points_of(session))
        ways = {"actor": office.planner, "calendar": CALENDAR, "today": TODAY}
        assert plan_changes.consequences(session, table, **ways).later >= 0
        told(session, office, table)
        drawn = plan_lists.gantt(session, actor=office.planner, first=TODAY, last=TODAY, calendar=CALENDAR, today=TODAY)
        assert [row.code for row in drawn.rows] == ["L1", "L2"]
        gone = drawn.rows[1].cells[0]
        assert gone.capacity == 0 and gone.cut > 0 and gone.load == 1
        batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        (page,) = [batch_lists.find(session, actor=office.planner, day=TODAY, line="L2")]
        assert page.total == len(gone.bars) > 0
        # Its last line cannot vanish into the one that is taken for granted.
        table = plan_events.edited(plan_facts.table(session), "drop", {"line": "L1"}, points=points_of(session))
        assert table["lines"] == [LINE | {"machines": 0}]


def test_the_picture_of_lines_shows_what_is_cut_and_what_comes_behind(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        applicants(session, office, 45, route=Route.WINDOW)
        batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        last = TODAY + timedelta(days=13)
        drawn = plan_lists.gantt(session, actor=office.planner, first=TODAY, last=last, calendar=CALENDAR, today=TODAY)
        (row,) = drawn.rows
        assert [cell.cut for cell in row.cells[:3]] == [10, 10, 0]
        assert [cell.planned for cell in row.cells[:9]] == [0, 0, 10, 10, 5, 0, 0, 0, 0]
        assert [cell.capacity for cell in row.cells[4:7]] == [10, 0, 0]
        assert drawn.one_by_one and drawn.frozen_until == date(2026, 3, 3)
        assert sum(bar.cards for cell in row.cells for bar in cell.bars) == 20
        assert {bar.state for cell in row.cells for bar in cell.bars} == {BatchState.PLANNED}
        with pytest.raises(InvalidInput, match="92"):
            plan_lists.gantt(
                session, actor=office.planner, first=TODAY, last=date(2027, 1, 1), calendar=CALENDAR, today=TODAY
            )


def test_a_mobile_office_and_a_point_with_hours_of_its_own(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        code, _other = session.scalars(select(IssuancePoint.code).order_by(IssuancePoint.id)).all()
        fields = {
            "point": code,
            "stops": "2026-03-10 2026-03-17",
            "stop_minutes": "60",
            "windows": "1",
            "minutes_a_card": "10",
        }
        table = plan_events.edited(plan_facts.table(session), "point", fields, points=points_of(session))
        told(session, office, table)
        region = plan_region.region_of(session, calendar=CALENDAR, profile="uec", today=TODAY, horizon_days=30)
        stands = [day for day, there in zip(region.days, region.delivery.departs[0], strict=True) if there]
        assert stands == [date(2026, 3, 10), date(2026, 3, 17)]
        # Half of sixty minutes goes into hand-overs of ten minutes each.
        assert region.delivery.hand_over[0].sum() == 2 * 3
        assert region.delivery.hand_over[1].max() == 5
        applicants(session, office, 20, route=Route.WINDOW)
        batches.plan(session, actor=office.planner, rules=replace(RULES, horizon_days=30), now=NOW)
        promised = session.execute(
            select(Card.promised_on)
            .join(Application, Application.id == Card.application_id)
            .where(Application.point_id == office.points[0])
        )
        assert {day for (day,) in promised} <= {date(2026, 3, 10), date(2026, 3, 17), None}


def test_applications_that_are_expected_leave_room(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        applicants(session, office, 40, route=Route.WINDOW)
        applicants(session, office, 100, route=Route.MASS, seed=2)
        alone = plan_region.region_of(session, calendar=CALENDAR, profile="uec", today=TODAY, horizon_days=40)
        told(session, office, {"lines": [LINE], "intake": {"factor": 2.0}})
        expecting = plan_region.region_of(session, calendar=CALENDAR, profile="uec", today=TODAY, horizon_days=40)
        more = expecting.demand.known.sum() - alone.demand.known.sum()
        # Forty in four weeks are two a working day, and twice as many are expected.
        assert 0.8 <= more / (2 * 2 * (len(alone.days) - 1)) <= 1.2
        made = batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        assert made.cards == 20
        assert plan_office.newest(session, actor=office.planner).people == 140, "nobody stands for the expected ones"


@pytest.mark.parametrize(
    ("kind", "fields", "wrong"),
    [
        ("wish", {}, "event"),
        ("stop", {"line": "L9", "first": "2026-03-05", "last": "2026-03-06"}, "line"),
        ("stop", {"line": "L1", "first": "2026-03-06", "last": "2026-03-05"}, "last day"),
        ("stop", {"line": "L1", "first": "soon", "last": "2026-03-05"}, "day"),
        ("line", {"line": "", "machines": "1"}, "code"),
        ("line", {"line": "L3", "machines": "many", "cards_per_hour": "1", "shift_hours": "8"}, "whole number"),
        ("delivery", {"day": "2026-03-09", "count": "0"}, "makes no sense"),
        ("late", {"delivery": "4", "day": "2026-03-09"}, "delivery"),
        ("point", {"point": "P1", "weekdays": "9"}, "Weekdays"),
        ("intake", {"factor": "-1"}, "between"),
        ("windows", {"factor": "lots"}, "number"),
    ],
)
def test_a_wrong_event_names_its_field(kind: str, fields: Mapping[str, str], wrong: str) -> None:
    with pytest.raises(InvalidInput, match=wrong):
        plan_events.edited({"lines": [dict(LINE)]}, kind, fields, points=[])


def test_an_edit_leaves_the_table_it_was_made_from(sessions: sessionmaker[Session], office: Office) -> None:
    before = {"lines": [dict(LINE)], "chips": {"deliveries": [{"day": "2026-03-09", "count": 5}]}}
    after = plan_events.edited(before, "late", {"delivery": "0", "day": "2026-04-01"}, points=[])
    assert before["chips"]["deliveries"][0]["day"] == "2026-03-09"
    assert after["chips"]["deliveries"][0] == {"day": "2026-04-01", "count": 5}
    with sessions() as session:
        assert plan_facts.free_chips(session, Facts(), ["uec"]) == [PLENTY], "nobody keeps books of chips"
        bad = plan_events.edited(before, "line", {"line": "L2", "machines": "1", "cards_per_hour": "1",
                                                  "shift_hours": "8", "line_kind": "wish"}, points=[])  # fmt: skip
        with pytest.raises(InvalidInput, match="kind"):
            told(session, office, bad)


def test_nobody_waits_for_ever_who_came_between(sessions: sessionmaker[Session], office: Office) -> None:
    """A day later the plan goes on from where it was: the next days are cut, and nobody's day has moved."""
    with sessions() as session:
        applicants(session, office, 100, route=Route.MASS)
        batches.plan(session, actor=office.planner, rules=FEW, now=NOW)
        for day in range(1, 5):
            made = batches.plan(session, actor=office.planner, rules=FEW, now=NOW + timedelta(days=day))
            assert made.cards == 10
            assert plan_moves.untold(session, actor=office.planner) == 0
        waiting = select(func.count()).where(Application.state == ApplicationState.APPROVED)
        assert session.scalar(waiting) == 100 - 20 - 4 * 10
