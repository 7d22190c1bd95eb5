"""An application taken back at every stage: no card is left behind for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import CardOffice, open_card_office
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed
from uec.domain.lifecycle import ApplicationState, CardState, CertificateState
from uec.services.withdrawal import withdraw
from uec.store.tables import Application, Card, Certificate


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def take_back(office: CardOffice, application_id: int = 1) -> ApplicationState:
    with office.sessions() as session:
        withdraw(session, application_id, actor=office.staff.operator, reason="moved away", now=office.clock())
        return session.get_one(Application, application_id).state


def card_states(office: CardOffice) -> list[CardState]:
    with office.sessions() as session:
        return list(session.scalars(select(Card.state)))


def test_before_a_card_is_planned(office: CardOffice) -> None:
    office.approve_applicants(1)
    assert take_back(office) is ApplicationState.WITHDRAWN
    assert office.plan() == []


def test_with_a_planned_and_with_a_prepared_card(office: CardOffice) -> None:
    office.approve_applicants(1, 2)
    (batch_id,) = office.plan()
    assert take_back(office, 1) is ApplicationState.WITHDRAWN
    office.release(batch_id)
    assert take_back(office, 2) is ApplicationState.WITHDRAWN
    assert card_states(office) == [CardState.ANNULLED] * 2


def test_with_a_finished_card_its_certificates_are_revoked(office: CardOffice) -> None:
    office.make_cards(1)
    assert take_back(office) is ApplicationState.WITHDRAWN
    assert card_states(office) == [CardState.ANNULLED]
    with office.sessions() as session:
        assert set(session.scalars(select(Certificate.state).where(Certificate.card_id == 1))) == {
            CertificateState.REVOKED
        }


def test_a_closed_one_no_reason_and_no_permission(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    with pytest.raises(IllegalMove):
        take_back(office)
    with office.sessions() as session:
        with pytest.raises(InvalidInput):
            withdraw(session, 1, actor=office.staff.operator, reason=" ", now=office.clock())
        with pytest.raises(NotAllowed):
            withdraw(session, 1, actor=office.staff.officer, reason="x", now=office.clock())
    assert card_states(office) == [CardState.ACTIVE]
