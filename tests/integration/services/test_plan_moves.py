"""The list of moved promises: by points and by people, on both databases, and told to everybody once in portions."""

from collections import Counter
from datetime import date, timedelta

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_plan_office import applicants, planned
from tests.support.office import NOW, Office, open_office
from uec.domain.errors import NotAllowed
from uec.domain.lifecycle import Route
from uec.services import plan_moves
from uec.store.tables import Application, EmissionPlan, EmissionSlot, Message, PromiseMove

DAY = date(2026, 4, 1)


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions, points=3, daily_capacity=5)


def listed(session: Session, office: Office, *later_by: int | None) -> list[int]:
    """One applicant a move, so many days later each (None: no day any more), in turn at the three points."""
    people = applicants(session, office, len(later_by), route=Route.MASS)
    for number, person in enumerate(people):
        point = office.points[number % 3]
        session.execute(update(Application).where(Application.id == person).values(point_id=point))
    days = [None if days is None else DAY + timedelta(days=days) for days in later_by]
    rows = [
        {"application_id": person, "point_id": office.points[number % 3], "was": DAY, "now": now, "listed_at": NOW}
        for number, (person, now) in enumerate(zip(people, days, strict=True))
    ]
    session.execute(insert(PromiseMove), rows)
    session.commit()
    return people


def test_each_point_has_its_own_figures(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        listed(session, office, 3, -2, None, 9, 1)
        first, second, third = plan_moves.summary(session, actor=office.planner)
        assert [one.point_id for one in (first, second, third)] == list(office.points)
        assert (first.later, first.earlier, first.open) == (2, 0, 0)
        assert (first.first, first.last) == (DAY + timedelta(days=3), DAY + timedelta(days=9))
        assert (second.later, second.earlier, second.open) == (1, 1, 0)
        assert (third.later, third.earlier, third.open, third.first, third.last) == (1, 0, 1, None, None)
        assert plan_moves.untold(session, actor=office.planner) == 5
        with pytest.raises(NotAllowed):
            plan_moves.summary(session, actor=office.operator)


def test_who_has_no_day_any_more_comes_first_then_who_waits_longest(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        listed(session, office, 3, None, -2, 9)
        rows = plan_moves.people(session, actor=office.planner)
        assert [one.now for one in rows] == [None, *(DAY + timedelta(days=days) for days in (9, 3, -2))]
        assert len(plan_moves.people(session, actor=office.planner, limit=2)) == 2
        assert rows[0].point_en and rows[0].application


def test_everybody_is_told_once_however_many_portions_it_takes(
    sessions: sessionmaker[Session], office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_moves, "CHUNK", 3)
    with sessions() as session:
        people = listed(session, office, *range(1, 9))
        assert plan_moves.tell(session, actor=office.planner, now=NOW) == 8
        assert sorted(session.scalars(select(Message.application_id))) == sorted(people)
        assert plan_moves.summary(session, actor=office.planner) == []
        assert plan_moves.people(session, actor=office.planner) == []
        assert plan_moves.tell(session, actor=office.planner, now=NOW) == 0


def test_a_move_between_plans_knows_the_point_it_was_promised_at(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        applicants(session, office, 60, route=Route.MASS)
        before = planned(session, office)
        # Ever more people with a clock come in between, so that those of mass emission wait longer.
        applicants(session, office, 90, route=Route.WINDOW, seed=2)
        after = planned(session, office)
        if not session.scalar(select(func.count()).select_from(PromiseMove)):
            plan_moves.list_moves(session, before.id, after.id, now=NOW)
        homes = select(PromiseMove.point_id, Application.point_id).join(
            Application, Application.id == PromiseMove.application_id
        )
        pairs = session.execute(homes).all()
        assert pairs and all(promised == home for promised, home in pairs)
        shown = {one.point_id: one.later + one.earlier for one in plan_moves.summary(session, actor=office.planner)}
        assert shown == Counter(point for point, _ in pairs)


def test_only_days_that_changed_are_written(sessions: sessionmaker[Session], office: Office) -> None:
    """Who is on the list and keeps its day stays there as it was; who moves again keeps what was told."""
    later = NOW + timedelta(days=1)
    with sessions() as session:
        applicants(session, office, 60, route=Route.MASS)
        before, after = planned(session, office), planned(session, office)
        session.execute(delete(PromiseMove))
        days = people_of(session, after)
        same, again, back, fresh = sorted(days)[:4]
        told, point = DAY, office.points[0]
        now_of = {same: days[same], again: DAY + timedelta(days=70), back: DAY + timedelta(days=71)}
        rows = [
            {
                "application_id": one,
                "point_id": point,
                "was": days[back] if one == back else told,
                "now": now,
                "listed_at": NOW,
            }
            for one, now in now_of.items()
        ]
        session.execute(insert(PromiseMove), rows)
        slot = session.scalars(select(EmissionSlot).where(EmissionSlot.plan_id == before.id)).all()
        for one in slot:
            if fresh in one.people:
                one.promised_on = DAY + timedelta(days=90)
        session.commit()
        plan_moves.list_moves(session, before.id, after.id, now=later)
        session.commit()
        found = {one.application_id: one for one in session.scalars(select(PromiseMove))}
        assert back not in found  # what it was told is so again, and it never heard of anything else
        assert (found[same].was, found[same].now, found[same].plan_id) == (told, days[same], None)
        assert (found[again].was, found[again].now, found[again].plan_id) == (told, days[again], after.id)
        assert found[again].listed_at == NOW
        assert (found[fresh].was, found[fresh].now) == (DAY + timedelta(days=90), days[fresh])
        assert (found[fresh].listed_at, found[fresh].plan_id) == (later, after.id)


def people_of(session: Session, plan: EmissionPlan) -> dict[int, date | None]:
    slots = session.scalars(select(EmissionSlot).where(EmissionSlot.plan_id == plan.id))
    return {person: slot.promised_on for slot in slots for person in slot.people}
