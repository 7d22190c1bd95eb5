"""Somebody dies, refuses, or is said to be gone, at every moment between approval and the window: no card for them.

The one beside them, of whom nothing is known, gets a card each time; and no chip is touched for the others.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import CardOffice, open_card_office
from tests.support.office import NOW, add_resident, form
from uec.domain.absences import AbsenceState
from uec.domain.lifecycle import ApplicationState, CardState, OperationKind, Route
from uec.services import batches, operations, preparation, refusals
from uec.store.tables import Application, Card, RegisterAbsence, Resident

DEAD, REFUSED, GONE, NOTHING = 1, 2, 3, 4
LIVING = (CardState.PERSONALISED, CardState.ACTIVE, CardState.WRITING, CardState.PREPARED, CardState.PLANNED)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    """Four people of a list of mass emission, approved."""
    opened = open_card_office(sessions, tmp_path)
    with opened.sessions() as session:
        for number in (DEAD, REFUSED, GONE, NOTHING):
            add_resident(session, number)
        session.commit()
    opened.approve_applicants(DEAD, REFUSED, GONE, NOTHING)
    with opened.sessions() as session:
        for row in session.scalars(select(Application)):
            row.route = Route.MASS
        session.commit()
    yield opened
    opened.desk.bench.vault.close()


def strike(office: CardOffice) -> None:
    """What nobody could know before."""
    with office.sessions() as session:
        people = {one.snils: one for one in session.scalars(select(Resident))}
        mine = {number: people[form(number, point_id=1).snils] for number in (DEAD, REFUSED, GONE)}
        mine[DEAD].death_date = NOW.date()
        gone = mine[GONE]
        session.add(
            RegisterAbsence(resident_id=gone.id, state=AbsenceState.GONE, import_id=gone.import_id, found_at=NOW)
        )
        session.commit()
        refusals.file(
            session, snils=mine[REFUSED].snils, channel="post", actor=office.staff.operator, now=office.clock()
        )


def plan(office: CardOffice) -> None:
    office.plan()


def release(office: CardOffice) -> None:
    with office.sessions() as session:
        for batch_id in session.scalars(select(Card.batch_id).distinct()).all():
            batches.release(session, batch_id, actor=office.staff.releaser, now=office.clock())


def prepare(office: CardOffice) -> None:
    profile = office.desk.bench.profile
    with office.sessions() as session:
        for batch_id in session.scalars(select(Card.batch_id).distinct()).all():
            preparation.prepare(session, batch_id, profile=profile, issuer="УОС", now=office.clock())


def request(office: CardOffice) -> None:
    with office.sessions() as session:
        for batch_id in session.scalars(select(Card.batch_id).distinct()).all():
            operations.request_batch(
                session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
            )


def write(office: CardOffice) -> None:
    office.work()


STEPS: tuple[Callable[[CardOffice], None], ...] = (plan, release, prepare, request, write)


@pytest.mark.parametrize("before", STEPS, ids=lambda step: f"before-{step.__name__}")
def test_no_card_is_made(office: CardOffice, before: Callable[[CardOffice], None]) -> None:
    for step in STEPS:
        if step is before:
            strike(office)
        step(office)
    with office.sessions() as session:
        cards = select(Application.snils, Card.state).join(Card, Card.application_id == Application.id)
        states = dict(session.execute(cards).all())
        mine = {number: form(number, point_id=1).snils for number in (DEAD, REFUSED, GONE, NOTHING)}
        assert states[mine[NOTHING]] is CardState.PERSONALISED
        for number in (DEAD, REFUSED, GONE):
            assert states.get(mine[number]) not in LIVING
        left = dict(session.execute(select(Application.snils, Application.state)).all())
        assert [left[mine[number]] for number in (DEAD, REFUSED, GONE)] == [ApplicationState.WITHDRAWN] * 3
    assert len(office.chips) == 1, "one chip for one card: no other was touched"


def test_a_card_that_lies_at_the_window_is_not_handed_over(office: CardOffice) -> None:
    for step in STEPS:
        step(office)
    strike(office)
    with office.sessions() as session:
        cards = dict(
            session.execute(select(Application.snils, Card.id).join(Card, Card.application_id == Application.id)).all()
        )
    for number in (DEAD, REFUSED, GONE):
        card_id = cards[form(number, point_id=1).snils]
        with office.sessions() as session:
            operations.request_operation(
                session,
                kind=OperationKind.HAND_OVER,
                card_id=card_id,
                station_id=None,
                reader=None,
                actor=office.staff.second_operator,
                now=office.clock(),
            )
        assert office.work() == [], "the claim is where it is looked at once more"
        assert office.card(card_id).state is CardState.ANNULLED
    assert office.hand_over(cards[form(NOTHING, point_id=1).snils]).state == "DONE"
