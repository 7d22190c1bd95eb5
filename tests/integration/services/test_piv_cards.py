"""PIV cards through the whole office: prepared, written in five round trips, torn and finished, inspected, handed over.

What the security object covers is made together with the card, so nothing is signed ahead of it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.applets.piv import ObjectId, PivSession
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from issuance.production.bundle import RecordKind
from issuance.production.profile import load_profile
from tests.support.desk import CardOffice, open_card_office
from tests.support.line import PIV_PROFILE, blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.store.tables import Card, CardData, JournalEntry

PIN = Secret(b"604815")


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    opened.desk = replace(opened.desk, bench=replace(opened.desk.bench, profile=load_profile(PIV_PROFILE)))
    yield opened
    opened.desk.bench.vault.close()


def prepared(office: CardOffice, *people: int) -> list[int]:
    office.approve_applicants(*people)
    for batch_id in office.plan():
        office.release(batch_id)
    with office.sessions() as session:
        cards = list(session.scalars(select(Card.id).where(Card.state == CardState.PREPARED).order_by(Card.id)))
    for card_id in cards:
        office.chips[card_id] = blank_card(card_id, kind="piv")
    return cards


def trips(office: CardOffice, card_id: int) -> list[int]:
    """How many round trips each session took."""
    with office.sessions() as session:
        wanted = select(JournalEntry.facts).where(
            JournalEntry.card_id == card_id, JournalEntry.kind == RecordKind.TRANSCRIPT.value
        )
        return [len(facts["trips"]) for facts in session.scalars(wanted.order_by(JournalEntry.seq))]


def printed(card: VirtualCard) -> bytes:
    card.power_on()
    session = PivSession(InProcessConnection(card))
    session.verify_pin(PIN)
    return session.get_object(ObjectId.PRINTED_INFORMATION) or b""


def test_a_piv_card_is_made_and_becomes_its_holders(office: CardOffice) -> None:
    (card_id,) = prepared(office, 1)
    with office.sessions() as session:
        assert session.scalars(select(CardData.signature)).all() == [None], "nothing is signed ahead"
    office.request(OperationKind.PERSONALISE, card_id)
    (done,) = office.work()
    assert done.state is OperationState.DONE, done.error_text
    assert trips(office, card_id) == [7], "five to write it, two to inspect it"
    handed = office.hand_over(card_id, {"pin1": PIN})
    assert handed.state is OperationState.DONE, handed.error_text
    card = office.card(card_id)
    assert card.state is CardState.ACTIVE
    content = printed(office.chips[card_id])
    assert card.number.encode() in content and card.printed_name.encode() in content
    assert f"{card.expires_on:%Y%b%d}".upper().encode() in content


@pytest.mark.slow
@pytest.mark.parametrize("back", [1, 4, 30])
def test_a_torn_piv_card_is_finished(office: CardOffice, back: int) -> None:
    whole, card_id = prepared(office, 1, 2)
    office.request(OperationKind.PERSONALISE, whole)
    office.work()
    chip = office.chips[card_id]
    chip.faults = FaultPlan(tear_after=office.chips[whole].faults.commands - back)
    office.request(OperationKind.PERSONALISE, card_id)
    (torn,) = office.work()
    assert torn.state is OperationState.FAILED
    chip.faults = FaultPlan()
    chip.put_back()
    office.request(OperationKind.PERSONALISE, card_id)
    (done,) = office.work()
    assert done.state is OperationState.DONE, done.error_text
    assert office.card(card_id).state is CardState.PERSONALISED
