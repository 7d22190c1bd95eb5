"""What a bureau knows of a card ends at the window: its card gets keys of the newest master at its hand-over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.engine import VaultEngine
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import KeyPurpose, KeyRef
from tests.flow.test_bureau_life import answer, finish_at_window
from tests.support.bureau_office import BureauOffice, open_bureau_office, rotate_master
from uec.domain.bureau import BureauRefused, Certificates, OrderState
from uec.domain.lifecycle import CardState, OperationState
from uec.services import bureau_masters, bureaux, key_rotation
from uec.services.bureau_masters import HeldKeys
from uec.store.tables import Card

FIRST, SECOND = KeyRef(KeyPurpose.CARD_MASTER, 1), KeyRef(KeyPurpose.CARD_MASTER, 2)


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    yield opened
    opened.office.desk.bench.vault.close()


def rotate(bureau: BureauOffice) -> None:
    rotate_master(bureau.office.desk.bench.vault, bureau.office.clock())


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
    assert held(bureau) == [HeldKeys(FIRST.version, chips=3, cards=1, given=0)]

    assert office.hand_over(card.id).state is OperationState.DONE
    taken = office.card(card.id)
    assert (taken.state, taken.key_version) == (CardState.ACTIVE, SECOND.version)
    assert taken.kvn == office.desk.bench.profile.secure_channel.kvn(SECOND.version) != made.kvn
    # The keys that the bureau was sent open nothing any more, and their master may go.
    assert held(bureau) == [HeldKeys(FIRST.version, chips=3, cards=0, given=0)]
    with office.sessions() as session:
        key_rotation.require_no_cards(session, FIRST)
    move(bureau, FIRST, KeyEvent.DESTROY)
    with office.sessions() as session:
        assert key_rotation.cards_by_version(session) == {SECOND.version: 1}


def test_a_master_is_needed_while_a_bureau_makes_cards_of_it(bureau: BureauOffice) -> None:
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


@pytest.mark.parametrize("event", [KeyEvent.COMPROMISE, KeyEvent.DESTROY])
def test_no_bureau_gets_keys_of_the_master_in_use(bureau: BureauOffice, event: KeyEvent) -> None:
    """Without an earlier one that is merely retired no file is made; the next version makes it at once."""
    order_id = bureau.draw(bureau.batch(1))
    bureau.approve(order_id)
    move(bureau, FIRST, event)
    with pytest.raises(BureauRefused, match="uec keys rotate card-master") as refused:
        bureau.send(order_id)
    assert refused.value.finding == "one-master" and refused.value.message.count(". ") == 0
    row = bureau.row(order_id)
    assert (row.state, row.key_version) == (OrderState.APPROVED, None)
    assert list(bureau.folder.rglob("*.p7m")) == []
    rotate(bureau)
    bureau.send(order_id)
    assert bureau.row(order_id).key_version == SECOND.version


def test_nothing_is_drawn_up_while_the_office_knows_of_one_master_only(bureau: BureauOffice) -> None:
    office = bureau.office
    batch = bureau.batch(1)
    move(bureau, FIRST, KeyEvent.DESTROY)
    with office.sessions() as session:
        key_rotation.refresh(session, office.desk.bench.vault, now=office.clock())
        assert bureaux.partners(session, now=office.clock()) == [], "the plan gives it nothing either"
    with pytest.raises(BureauRefused) as refused:
        bureau.draw(batch)
    assert refused.value.finding == "one-master" and bureau.blanks() == {"STORE": 200}
    rotate(bureau)
    with office.sessions() as session:
        key_rotation.refresh(session, office.desk.bench.vault, now=office.clock())
        assert [one.code for one in bureaux.partners(session, now=office.clock())] == ["NORTH"]
    bureau.draw(batch)


def test_a_card_handed_over_with_the_keys_of_its_bureau_is_told_of(bureau: BureauOffice) -> None:
    """As one was before bureaux got keys of an earlier master only: the office sees it until it is moved."""
    order_id = bureau.order(1)
    bureau.standin()
    bureau.take_all()
    (card,) = bureau.cards(order_id)
    with bureau.office.sessions() as session:
        session.execute(update(Card).where(Card.id == card.id).values(state=CardState.PERSONALISED))
        session.execute(update(Card).where(Card.id == card.id).values(state=CardState.ACTIVE))
        session.commit()
    assert held(bureau) == [HeldKeys(FIRST.version, chips=3, cards=0, given=1)]


def held(bureau: BureauOffice) -> list[HeldKeys]:
    with bureau.office.sessions() as session:
        return bureau_masters.held(session, bureau.bureau_id)


def test_an_order_is_made_again_after_its_master_was_retired(bureau: BureauOffice) -> None:
    """Its keys are decided once: the file made anew says the same."""
    order_id = bureau.order(1)
    rotate(bureau)
    assert bureau.row(order_id).key_version == FIRST.version
    bureau.standin()
    assert [taken.kind for taken in bureau.take_all()] == ["acknowledgement", "results"]
