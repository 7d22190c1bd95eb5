"""Service passes through the whole office: no key and no certificate, one round trip, handed over by their channel.

The sample profile as it is shipped; on both databases.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from card_io.secret import Secret
from card_io.virtual.faults import FaultPlan
from issuance.production.profile import load_profile
from issuance.production.sighting import sight
from tests.support.desk import CardOffice, open_card_office
from tests.support.line import PASS_PROFILE, blank_card, slot_of
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.store.tables import Certificate

PIN = Secret(b"2846")


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    opened.desk = replace(opened.desk, bench=replace(opened.desk.bench, profile=load_profile(PASS_PROFILE)))
    yield opened
    opened.desk.bench.vault.close()


def prepared(office: CardOffice, person: int) -> int:
    """A pass whose blank lies in the reader, and was seen there."""
    (card_id,) = office.prepare_cards(person)
    card = office.chips[card_id] = blank_card(card_id)
    office.desk = replace(office.desk, seen=lambda: sight(slot_of(card)))
    return card_id


def test_a_pass_is_made_and_becomes_its_holders(office: CardOffice) -> None:
    card_id = prepared(office, 1)
    office.request(OperationKind.PERSONALISE, card_id)
    (done,) = office.work()
    assert done.state is OperationState.DONE, done.error_text
    assert [len(one) for one in office.trips(card_id)] == [3], "one to write it, two to inspect it"
    handed = office.hand_over(card_id, {"pin1": PIN})
    assert handed.state is OperationState.DONE, handed.error_text
    assert office.card(card_id).state is CardState.ACTIVE
    with office.sessions() as session:
        of_card = select(func.count()).select_from(Certificate).where(Certificate.card_id == card_id)
        assert session.scalar(of_card) == 0


@pytest.mark.slow
@pytest.mark.parametrize("k", [3, 8, 24])
def test_a_torn_pass_is_finished(office: CardOffice, k: int) -> None:
    """Before anything was done, before PUT KEY, before its end."""
    card_id = prepared(office, 1)
    office.request(OperationKind.PERSONALISE, card_id)
    card = office.chips[card_id]
    card.faults = FaultPlan(tear_before=k + 3)  # the look has three commands
    (torn,) = office.work()
    assert (torn.state, torn.error_code) == (OperationState.FAILED, "card-lost")
    assert (office.card(card_id).chip_id is None) == (k == 3), "until its channel opens nothing can have happened to it"
    card.faults = FaultPlan()
    office.request(OperationKind.PERSONALISE, card_id)
    (done,) = office.work()
    assert done.state is OperationState.DONE, done.error_text
    assert office.card(card_id).state is CardState.PERSONALISED
