"""Plans of mass emission in the database, on SQLite and PostgreSQL: places, invariants, refusals, scenarios."""

import random
import re
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.facts import Facts
from issuance.planning.facts_table import facts_from
from issuance.planning.region import Kind
from tests.support.office import NOW, Office, open_office, snils_of
from uec.domain.errors import InvalidInput, NotAllowed, NotFound
from uec.domain.lifecycle import ApplicationReason, ApplicationState, Route
from uec.services import plan_office, plan_people, plan_region, refusals
from uec.store.tables import (
    Application,
    Cohort,
    EmissionBatch,
    EmissionPlan,
    EmissionSlot,
)

TODAY = date(2026, 3, 2)
CALENDAR = WorkingCalendar()


def applicants(session: Session, office: Office, count: int, *, route: Route, seed: int = 1) -> list[int]:
    """Approved applications at points by chance, due and registered by chance; their ids."""
    chance = random.Random(seed)
    cohort_id = None
    if route is Route.MASS:
        cohort = Cohort(number=f"C-{seed}", as_of=TODAY, count=count, digest="", created_at=NOW)
        session.add(cohort)
        session.flush()
        cohort_id = cohort.id
    first = (session.scalar(select(func.max(Application.id))) or 0) + 1
    rows = [_row(office, first + number, route, cohort_id, chance) for number in range(count)]
    session.execute(insert(Application), rows)
    if route is not Route.MASS:
        for state in (ApplicationState.CHECKING, ApplicationState.CHECKED, ApplicationState.APPROVED):
            session.execute(update(Application).where(Application.id >= first).values(state=state))
    session.commit()
    return list(range(first, first + count))


def _row(office: Office, number: int, route: Route, cohort_id: int | None, chance: random.Random) -> dict[str, Any]:
    registered = chance.randrange(5)
    return {
        "id": number,
        "number": f"2026-{number:07}",
        "route": route,
        "reason": ApplicationReason.FIRST,
        "state": ApplicationState.APPROVED if route is Route.MASS else ApplicationState.SUBMITTED,
        "surname": "Иванов",
        "name": "Иван",
        "birth_date": date(1980, 1, 1),
        "birth_place": "Тюмень",
        "sex": "M",
        "snils": snils_of(number),
        "doc_type": "passport",
        "doc_series": "7110",
        "doc_number": "123456",
        "doc_date": date(2010, 1, 1),
        "doc_issuer": "УФМС",
        "address": "Тюмень",
        "point_id": chance.choice(office.points),
        "secret_hash": "",
        "submitted_at": NOW - timedelta(days=registered),
        "due_on": TODAY + timedelta(days=300 if route is Route.MASS else 30 - registered),
        "cohort_id": cohort_id,
        "remake": False,
        "version": 1,
    }


def planned(session: Session, office: Office, facts: Facts | None = None, *, days: int = 60) -> EmissionPlan:
    region = plan_region.region_of(
        session, facts=facts or Facts(), calendar=CALENDAR, profile="uec", today=TODAY, horizon_days=days
    )
    made = plan_office.make(session, region=region, actor=office.planner, now=NOW)
    session.commit()
    return made


def places(session: Session, plan: EmissionPlan) -> list[Any]:
    """(application id, point, class, due, registered, promised day, batch position, day made) of everybody."""
    seats = plan_people.people(session, EmissionSlot.plan_id == plan.id)
    return list(
        session.execute(
            select(
                Application.id,
                EmissionSlot.point_id,
                EmissionSlot.kind,
                Application.due_on,
                Application.submitted_at,
                EmissionSlot.promised_on,
                EmissionSlot.position,
                EmissionBatch.day,
            )
            .join(seats, seats.c.application_id == Application.id)
            .join(EmissionSlot, EmissionSlot.id == seats.c.slot_id)
            .outerjoin(
                EmissionBatch,
                (EmissionBatch.plan_id == plan.id) & (EmissionBatch.position == EmissionSlot.position),
            )
        )
    )


def test_everybody_waiting_has_one_place_and_batches_hold_exactly_their_people(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=3, daily_capacity=7)
    with sessions() as session:
        everybody = applicants(session, office, 60, route=Route.WINDOW)
        everybody += applicants(session, office, 300, route=Route.MASS, seed=2)
        plan = planned(session, office)
        rows = places(session, plan)
        assert sorted(row[0] for row in rows) == everybody
        assert plan.people == len(everybody)
        in_batches = Counter(row.position for row in rows if row.position is not None)
        wanted = session.execute(select(EmissionBatch.position, EmissionBatch.cards))
        assert in_batches == dict(wanted.all())
        own = dict(session.execute(select(Application.id, Application.point_id)).all())
        assert all(row.point_id == own[row.id] for row in rows)


def test_nothing_made_or_handed_over_beyond_capacity_and_no_queue_inverted(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=2, daily_capacity=5)
    with sessions() as session:
        applicants(session, office, 50, route=Route.WINDOW)
        applicants(session, office, 200, route=Route.MASS, seed=3)
        rows = places(session, planned(session, office))
    made = Counter(row.day for row in rows if row.day)
    assert max(made.values()) <= 10
    assert all(day.weekday() < 5 for day in made)
    handed = Counter((row.point_id, row.promised_on) for row in rows if row.promised_on)
    assert max(handed.values()) <= 5
    assert all(row.promised_on > row.day for row in rows if row.promised_on)
    for point in office.points:
        for kind in Kind:
            queue = [row for row in rows if row.point_id == point and row.kind == kind]
            queue.sort(key=lambda row: (row.due_on, row.submitted_at, row.id))
            days = [row.promised_on or date.max for row in queue]
            assert days == sorted(days)
    clocks = [row.day for row in rows if row.kind == Kind.CLOCK]
    cohort = [row.day for row in rows if row.kind == Kind.COHORT and row.day]
    assert max(clocks) <= min(day for day in cohort if day >= max(clocks))


def test_who_refused_gets_no_place_and_remakes_go_first(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=5)
    with sessions() as session:
        people = applicants(session, office, 40, route=Route.MASS)
        refused, remade = people[7], people[30]
        # Behind the back of the service, so that the planner itself must look.
        from uec.store.tables import Refusal

        session.add(Refusal(number="R-1", snils=snils_of(refused), channel="web", filed_at=NOW))
        session.execute(update(Application).where(Application.id == remade).values(remake=True))
        session.commit()
        free = select(Application.id).where(Application.state == ApplicationState.APPROVED, ~refusals.barred())
        assert session.scalars(free.order_by(Application.id)).all() == sorted(
            session.scalars(select(Application.id).where(*plan_people.waiting()))
        )
        rows = places(session, planned(session, office))
    assert sorted(row.id for row in rows) == [one for one in people if one != refused]
    first = min(row.promised_on for row in rows if row.promised_on)
    assert next(row.promised_on for row in rows if row.id == remade) == first


def test_a_new_plan_replaces_the_places_and_only_the_newest_promises(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=2, daily_capacity=5)
    with sessions() as session:
        applicants(session, office, 30, route=Route.MASS)
        first = planned(session, office)
        applicants(session, office, 10, route=Route.WINDOW, seed=5)
        second = planned(session, office)
        assert plan_office.newest(session, actor=office.planner).id == second.id
        assert len(places(session, second)) == 40
        assert plan_people.place_of(session, second.id, 1) is not None
        third = planned(session, office)
        assert plan_people.place_of(session, first.id, 1) is None, "only the last two plans keep their people"
        assert plan_people.place_of(session, second.id, 1) is not None
        assert plan_people.place_of(session, third.id, 1) is not None


def test_an_application_is_explained(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=5)
    with sessions() as session:
        people = applicants(session, office, 30, route=Route.MASS)
        with pytest.raises(NotFound, match="no plan yet"):
            plan_office.newest(session, actor=office.planner)
        planned(session, office)
        told = plan_office.explain(session, f"2026-{people[0]:07}", actor=office.planner)
        assert told.kind is Kind.COHORT
        assert told.promised_on is not None
        assert told.made_on is not None
        assert told.made_on < told.promised_on
        assert 0 <= told.place < 30
        assert told.late_for is None
        story = plan_office.story(session, told, language="ru")
        assert story is not None and f"{told.made_on:%d.%m.%Y}" in story and f"{told.promised_on:%d.%m.%Y}" in story
        assert f"Перед этой картой в очереди {told.place}." in story
        with pytest.raises(NotFound, match="no place"):
            plan_office.explain(session, "2026-9999999", actor=office.planner)
        with pytest.raises(NotAllowed):
            planned_by = plan_region.region_of(
                session, facts=Facts(), calendar=CALENDAR, profile="uec", today=TODAY, horizon_days=9
            )
            plan_office.make(session, region=planned_by, actor=office.operator, now=NOW)


def test_without_lines_the_plan_comes_and_says_why(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=5)
    facts = facts_from({"lines": [{"code": "L1", "machines": 0, "cards_per_hour": 5}]})
    with sessions() as session:
        applicants(session, office, 12, route=Route.WINDOW)
        plan = planned(session, office, facts)
        assert plan.promised == 0
        assert plan.people == 12
        assert plan.facts["late_cards"] == 12
        assert {late["reason"] for late in plan.facts["late"]} == {"no_lines"}
        one = plan_office.explain(session, "2026-0000005", actor=office.planner)
        assert (one.promised_on, one.late_for) == (None, "no_lines")


def test_an_office_without_points_or_with_no_day_cannot_plan(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        for days in (0, 30):
            with pytest.raises(InvalidInput):
                plan_region.region_of(
                    session, facts=Facts(), calendar=CALENDAR, profile="uec", today=TODAY, horizon_days=days
                )


def test_the_database_s_order_is_the_plan_s(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """The one statement against a count in Python, for queues of any length."""
    office = open_office(sessions, points=3, daily_capacity=4)
    with sessions() as session:
        applicants(session, office, 80, route=Route.MASS, seed=9)
        applicants(session, office, 33, route=Route.WINDOW, seed=10)
        plan = planned(session, office, days=20)
        slots: dict[tuple[int, int], list[EmissionSlot]] = {}
        for slot in session.scalars(select(EmissionSlot).order_by(EmissionSlot.first)):
            slots.setdefault((slot.point_id, slot.kind), []).append(slot)
        seats = plan_people.people(session, EmissionSlot.plan_id == plan.id)
        written = dict(session.execute(select(seats.c.application_id, seats.c.slot_id)).all())
        queues: dict[tuple[int, int], list[Any]] = {}
        for row in session.scalars(select(Application)):
            kind = int(Kind.COHORT if row.route is Route.MASS else Kind.CLOCK)
            queues.setdefault((row.point_id, kind), []).append((row.due_on, row.submitted_at, row.id))
        for key, queue in queues.items():
            expected = [slot.id for slot in slots[key] for _ in range(slot.count)]
            assert [written[row[2]] for row in sorted(queue)] == expected
        assert plan.people == 113


@pytest.mark.parametrize("cost", [0, 700, 2500])
def test_no_trip_is_too_dear_for_the_few_people_of_a_village(sessions: sessionmaker[Session], cost: int) -> None:
    office = open_office(sessions, points=12)
    dear = facts_from({"courier": {"cost": cost, "weekdays": [0, 2, 4]}})
    with sessions() as session:
        applicants(session, office, 25, route=Route.MASS)
        plan = planned(session, office, dear, days=31)
        assert Counter(promised is None for *_, promised, _, _ in places(session, plan)) == {False: 25}
        assert plan.facts["late"] == [] and plan.facts["open_cards"] == 0


def test_what_nobody_can_bring_is_no_dearer_in_words(sessions: sessionmaker[Session]) -> None:
    """Days that a remedy is said to bring are those a person waits, whatever leaving them without a day is priced."""
    office = open_office(sessions, points=2)
    with sessions() as session:
        applicants(session, office, 60, route=Route.MASS)
        line = {"code": "A", "name_ru": "А", "name_en": "A", "machines": 1, "cards_per_hour": 1, "shift_hours": 1}
        table = {"lines": [line | {"kind": "own", "shifts": [1, 1, 1, 1, 1, 0, 0]}], "courier": {"cost": 700}}
        plan = planned(session, office, facts_from(table), days=31)
        assert plan.facts["open_cards"] > 0
        said = [int(days) for one in plan.facts["reliefs"] for days in re.findall(r"by (\d+) days", one["en"])]
        assert said and max(said) <= 31 + 30
