"""Moving the first day of mass emission plans its cards anew: none is made before it; who applied is served."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import (
    NOW,
    POLICY,
    RULES,
    Office,
    add_resident,
    form,
    open_office,
    publish_notice,
    seeded_random,
)
from uec.domain.actors import CITIZEN
from uec.domain.lifecycle import ApplicationState, Route
from uec.domain.policy import PolicyBook
from uec.services import batches, cohort, phases, plan_people
from uec.services.intake import submit_application
from uec.store.tables import Application, Batch, Card, EmissionBatch, EmissionPlan, EmissionSlot

BASE = PolicyBook(POLICY)
APPLIED, COHORT = (1, 2, 3), tuple(range(11, 31))


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    """Three people have applied, twenty are of a list; a day is enough for all of them."""
    made = open_office(sessions, points=1)
    with sessions() as session:
        for number in (*APPLIED, *COHORT):
            add_resident(session, number)
        session.commit()
        for number in APPLIED:
            submit_application(
                session,
                form=form(number, point_id=made.points[0]),
                route=Route.WEB,
                actor=CITIZEN,
                policy=POLICY,
                now=NOW,
                random=seeded_random(number),
            )
        for one in session.scalars(select(Application)):
            for state in (ApplicationState.CHECKING, ApplicationState.CHECKED, ApplicationState.APPROVED):
                one.state = state
                session.flush()
        session.commit()
        publish_notice(session, made)
        listed = cohort.compute(session, actor=made.planner, as_of=NOW.date(), policy=POLICY, now=NOW)
        cohort.propose(session, listed.id, actor=made.planner, now=NOW)
        cohort.approve(session, listed.id, actor=made.releaser, digest=listed.digest, now=NOW)
        assert cohort.open_applications(session, listed.id, actor=made.planner, policy=POLICY, now=NOW) == len(COHORT)
    return made


def move_phase(session: Session, office: Office, day: date, now: datetime) -> None:
    change = phases.propose(
        session,
        rules={"mass_emission_from": day.isoformat()},
        valid_from=BASE.day(now),
        act="Закон",
        actor=office.planner,
        base=BASE,
        now=now,
    )
    assert change.effects["waiting"]["day"] == max(day, BASE.day(now)).isoformat()
    phases.confirm(session, change.id, shown=change.effects, actor=office.releaser, base=BASE, now=now)


def plan(session: Session, office: Office, now: datetime) -> None:
    rules = replace(RULES, policy=phases.book(session, BASE).at(now))
    batches.plan(session, actor=office.planner, rules=rules, now=now)


def days(session: Session, route: Route) -> list[tuple[date | None, date | None]]:
    """(day made, day promised) of everybody on the newest plan or in a batch, by the application."""
    newest = session.scalars(select(EmissionPlan.id).order_by(EmissionPlan.id.desc())).first()
    seats = plan_people.people(session, EmissionSlot.plan_id == newest)
    planned = (
        select(Application.id, EmissionBatch.day, EmissionSlot.promised_on)
        .join(seats, seats.c.application_id == Application.id)
        .join(EmissionSlot, EmissionSlot.id == seats.c.slot_id)
        .outerjoin(EmissionBatch, (EmissionBatch.plan_id == newest) & (EmissionBatch.position == EmissionSlot.position))
        .where(Application.route == route, Application.state == ApplicationState.APPROVED)
    )
    cut = (
        select(Application.id, Batch.planned_for, Card.promised_on)
        .join(Card, Card.application_id == Application.id)
        .join(Batch, Batch.id == Card.batch_id)
        .where(Application.route == route)
    )
    found = {row[0]: (row[1], row[2]) for query in (planned, cut) for row in session.execute(query)}
    return [found[one] for one in sorted(found)]


def test_cards_of_the_mass_emission_are_made_from_its_first_day_on_and_everybody_has_a_day(
    sessions: sessionmaker[Session], office: Office
) -> None:
    opening = date(2026, 4, 6)  # a Monday, 35 days ahead
    with sessions() as session:
        move_phase(session, office, opening, NOW)
        plan(session, office, NOW)
        mass = days(session, Route.MASS)
        assert len(mass) == len(COHORT)
        assert all(made and made >= opening and promised and promised > opening for made, promised in mass)
        served = days(session, Route.WEB)
        assert len(served) == len(APPLIED) and all(made and made < opening for made, _promised in served)
        assert {one.state for one in session.scalars(select(Application).where(Application.route == Route.MASS))} == {
            ApplicationState.APPROVED
        }


def test_a_first_day_that_moves_moves_their_days_both_ways(sessions: sessionmaker[Session], office: Office) -> None:
    late, early = date(2026, 5, 4), date(2026, 4, 6)
    with sessions() as session:
        for number, opening in enumerate((early, late, early)):
            now = NOW + timedelta(hours=number)
            move_phase(session, office, opening, now)
            plan(session, office, now)
            made = {day for day, _promised in days(session, Route.MASS)}
            assert all(day and opening <= day < opening + timedelta(days=14) for day in made), opening
        # A night later nothing has changed: the days stay.
        before = days(session, Route.MASS)
        plan(session, office, NOW + timedelta(days=1))
        assert days(session, Route.MASS) == before


def test_a_first_day_behind_every_plan_leaves_them_without_a_day_and_says_so(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        move_phase(session, office, date(2029, 1, 1), NOW)
        plan(session, office, NOW)
        assert days(session, Route.MASS) == []
        assert len(days(session, Route.WEB)) == len(APPLIED)
        newest = session.scalars(select(EmissionPlan).order_by(EmissionPlan.id.desc())).first()
        assert newest is not None
        assert any("20 cards" in said["en"] and "01.01.2029" in said["en"] for said in newest.facts["doubts"])
        # Their phase comes back before any card was made of them.
        move_phase(session, office, NOW.date(), NOW + timedelta(hours=1))
        plan(session, office, NOW + timedelta(hours=1))
        assert len(days(session, Route.MASS)) == len(COHORT)


def test_what_is_cut_into_batches_stays(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        plan(session, office, NOW)
        cut = days(session, Route.MASS)
        assert len(cut) == len(COHORT)
        frozen = session.scalars(select(Card.application_id)).all()
        assert frozen
        move_phase(session, office, date(2026, 6, 1), NOW + timedelta(hours=1))
        plan(session, office, NOW + timedelta(hours=1))
        assert set(session.scalars(select(Card.application_id))) == set(frozen)
        later = days(session, Route.MASS)
        stays = [now == then for now, then in zip(later, cut, strict=True)]
        moved = [now[0] for now, same in zip(later, stays, strict=True) if not same]
        assert all(day and day >= date(2026, 6, 1) for day in moved)
