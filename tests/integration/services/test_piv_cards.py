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
from issuance.production.profile import load_profile
from tests.support.desk import CardOffice, open_card_office
from tests.support.line import PIV_PROFILE, UEC_PROFILE, blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import operations
from uec.services.views import OperationView
from uec.store.tables import Card, CardData

PIN = Secret(b"604815")


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    opened.desk = replace(opened.desk, bench=replace(opened.desk.bench, profile=load_profile(PIV_PROFILE)))
    yield opened
    opened.desk.bench.vault.close()


def prepared(office: CardOffice, *people: int) -> list[int]:
    cards = office.prepare_cards(*people)
    for card_id in cards:
        office.chips[card_id] = blank_card(card_id, kind="piv")
    return cards


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
    assert [len(one) for one in office.trips(card_id)] == [7], "five to write it, two to inspect it"
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


def test_a_card_that_nobody_named_is_read_by_the_profile_it_was_made_by(office: CardOffice) -> None:
    (card_id,) = prepared(office, 1)
    office.request(OperationKind.PERSONALISE, card_id)
    office.work()
    with office.sessions() as session:
        session.get_one(Card, card_id).profile = "piv"
        session.commit()
    office.desk = replace(office.desk, bench=replace(office.desk.bench, profile=load_profile(UEC_PROFILE)))
    known = read(office, office.chips[card_id])
    assert known.state is OperationState.DONE, known.error_text
    assert known.result is not None and known.result["genuine"] and known.result["card_id"] == card_id
    stranger = read(office, blank_card(900, kind="piv"))
    assert (stranger.state, stranger.error_code) == (OperationState.FAILED, "foreign-card")


def read(office: CardOffice, chip: VirtualCard) -> OperationView:
    """Ask which card lies in the reader, without naming one."""
    with office.sessions() as session:
        asked = operations.request_operation(
            session,
            kind=OperationKind.READ,
            card_id=None,
            station_id=None,
            reader=None,
            actor=office.staff.operator,
            now=office.clock(),
        )
        operation = operations.claim_operation(session, now=office.clock(), operation_id=asked)
    assert operation is not None
    return office.do(operation, chip)
