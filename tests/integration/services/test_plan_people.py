"""Places of people in the slots of a plan: who stands where, who came too late, who was moved, who is forgotten."""

from datetime import date

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.region import Kind
from tests.integration.services.test_plan_office import applicants
from tests.support.office import NOW, open_office
from uec.domain.lifecycle import Route
from uec.services import plan_people
from uec.store.tables import Application, EmissionPlan, EmissionSlot

DAY = date(2026, 3, 2)


def plan_id(session: Session) -> int:
    row = EmissionPlan(made_at=NOW, first_day=DAY, last_day=DAY, people=0, promised=0, facts={})
    session.add(row)
    session.flush()
    return row.id


def slot(point_id: int, first: int, count: int, kind: Kind = Kind.COHORT) -> dict[str, object]:
    return {
        "point_id": point_id,
        "kind": int(kind),
        "variant": "uec",
        "first": first,
        "count": count,
        "position": 0,
        "promised_on": DAY,
    }


def queue(session: Session, plan: int) -> list[tuple[int, int]]:
    rows = plan_people.people(session, EmissionSlot.plan_id == plan)
    return [(place, one) for place, one in session.execute(select(rows.c.place, rows.c.application_id))]


def test_people_stand_in_the_order_of_their_queue(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1)
    with sessions() as session:
        applicants(session, office, 23, route=Route.MASS)
        order = select(Application.id).order_by(Application.due_on, Application.submitted_at, Application.id)
        plan = plan_id(session)
        rows = [slot(office.points[0], first, 5) for first in range(0, 25, 5)]
        assert plan_people.give_places(session, plan, rows, usual="uec") == 23
        assert sorted(queue(session, plan)) == list(enumerate(session.scalars(order)))
        assert plan_people.give_places(session, plan, [], usual="uec") == 0


def test_who_came_after_the_counting_waits_for_the_next_plan(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1)
    with sessions() as session:
        people = applicants(session, office, 10, route=Route.MASS)
        plan = plan_id(session)
        assert (
            plan_people.give_places(
                session, plan, [slot(office.points[0], 0, 4), slot(office.points[0], 4, 3)], usual="uec"
            )
            == 7
        )
        without = [one for one in people if plan_people.place_of(session, plan, one) is None]
        assert len(without) == 3
        assert plan_people.place_of(session, plan, 999_999) is None


@pytest.mark.parametrize("change", ["point", "class"])
def test_who_changed_since_still_stands_in_the_old_queue(sessions: sessionmaker[Session], change: str) -> None:
    office = open_office(sessions, points=2)
    with sessions() as session:
        applicants(session, office, 12, route=Route.MASS)
        session.execute(update(Application).values(point_id=office.points[0]))
        plan = plan_id(session)
        plan_people.give_places(session, plan, [slot(office.points[0], 0, 12)], usual="uec")
        place, somebody = max(queue(session, plan))
        moved = {"point_id": office.points[1]} if change == "point" else {"remake": True}
        session.execute(update(Application).where(Application.id == somebody).values(**moved))
        found = plan_people.place_of(session, plan, somebody)
        assert found is not None
        assert (found.point_id, found.kind, found.place) == (office.points[0], Kind.COHORT, place)


def test_a_slot_of_a_queue_without_people_is_empty_and_earlier_plans_are_forgotten(
    sessions: sessionmaker[Session],
) -> None:
    office = open_office(sessions, points=1)
    with sessions() as session:
        applicants(session, office, 3, route=Route.MASS)
        first, second = plan_id(session), plan_id(session)
        nobody = slot(office.points[0], 0, 5, Kind.REMAKE)
        for plan in (first, second):
            assert plan_people.give_places(session, plan, [slot(office.points[0], 0, 3), nobody], usual="uec") == 3
        plan_people.forget_before(session, second)
        assert session.scalars(select(EmissionSlot.plan_id).distinct()).all() == [second]
        empty = select(EmissionSlot.people).where(EmissionSlot.kind == Kind.REMAKE)
        assert session.scalars(empty).all() == [[]]
