"""What a bureau knows of a card ends at the window: its card gets keys of the newest master at its hand-over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.engine import VaultEngine
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from tests.flow.test_bureau_life import answer, finish_at_window
from tests.support.bureau_office import BureauOffice, open_bureau_office
from uec.domain.bureau import Certificates
from uec.domain.lifecycle import CardState, OperationState
from uec.services import key_rotation

FIRST, SECOND = KeyRef(KeyPurpose.CARD_MASTER, 1), KeyRef(KeyPurpose.CARD_MASTER, 2)


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    yield opened
    opened.office.desk.bench.vault.close()


def rotate(bureau: BureauOffice) -> None:
    vault = bureau.office.desk.bench.vault
    assert isinstance(vault, VaultEngine)
    vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=bureau.office.clock())


def move(bureau: BureauOffice, ref: KeyRef, event: KeyEvent) -> None:
    vault = bureau.office.desk.bench.vault
    assert isinstance(vault, VaultEngine)
    vault.move(ref, event)


@pytest.mark.slow
@pytest.mark.parametrize("certificates", list(Certificates))
def test_a_card_of_a_bureau_is_handed_over_with_keys_that_no_bureau_knows(
    bureau: BureauOffice, certificates: Certificates
) -> None:
    office = bureau.office
    rotate(bureau)
    order_id = bureau.order(1, certificates=certificates)
    assert bureau.row(order_id).key_version == FIRST.version, "the keys of the master before the one in use"
    bureau.standin()
    bureau.take_all()
    if certificates is Certificates.ANSWER:
        answer(bureau, order_id)
        bureau.standin()
        bureau.take_all()
    (card,) = bureau.cards(order_id)
    finish_at_window(bureau, card.id)
    made = office.card(card.id)
    assert (made.state, made.key_version) == (CardState.PERSONALISED, FIRST.version)

    assert office.hand_over(card.id).state is OperationState.DONE
    held = office.card(card.id)
    assert (held.state, held.key_version) == (CardState.ACTIVE, SECOND.version)
    assert held.kvn == office.desk.bench.profile.secure_channel.kvn(SECOND.version) != made.kvn
    # The keys that the bureau was sent open nothing any more, and their master may go.
    with office.sessions() as session:
        key_rotation.require_no_cards(session, FIRST)
    move(bureau, FIRST, KeyEvent.DESTROY)
    with office.sessions() as session:
        assert key_rotation.cards_by_version(session) == {SECOND.version: 1}


def test_a_master_is_needed_while_a_bureau_makes_cards_of_it(bureau: BureauOffice) -> None:
    rotate(bureau)
    order_id = bureau.order(1, 2)
    with bureau.office.sessions() as session:
        assert key_rotation.cards_by_version(session) == {FIRST.version: 2}
        with pytest.raises(key_rotation.CardsLeft):
            key_rotation.require_no_cards(session, FIRST)
    bureau.standin()
    bureau.take_all()
    assert len(bureau.cards(order_id)) == 2
    with bureau.office.sessions() as session:
        assert key_rotation.cards_by_version(session) == {FIRST.version: 2}, "made, they are not counted twice"


@pytest.mark.parametrize(("event", "version"), [(None, 2), (KeyEvent.COMPROMISE, 3), (KeyEvent.DESTROY, 3)])
def test_only_a_master_that_is_merely_retired_goes_to_a_bureau(
    bureau: BureauOffice, event: KeyEvent | None, version: int
) -> None:
    rotate(bureau)
    rotate(bureau)
    move(bureau, FIRST, KeyEvent.DESTROY)
    if event is not None:
        move(bureau, SECOND, event)
    assert bureau.row(bureau.order(1)).key_version == version


def test_an_order_is_made_again_after_its_master_was_retired(bureau: BureauOffice) -> None:
    """Its keys are decided once: the file made anew says the same."""
    order_id = bureau.order(1)
    rotate(bureau)
    assert bureau.row(order_id).key_version == FIRST.version
    bureau.standin()
    assert [taken.kind for taken in bureau.take_all()] == ["acknowledgement", "results"]
