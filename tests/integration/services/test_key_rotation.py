"""The card master is rotated while cards are out: both versions work, cards move over, the office sees what is left."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from card_io.reader_errors import CardRemoved
from card_io.secret import Secret
from card_io.virtual.connection import InProcessConnection
from issuance.keys.engine import VaultEngine
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.periods import Period
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef, KeyState
from issuance.production.drivers import run_local
from issuance.production.errors import CardLost, UnknownKeys, WrongCard
from issuance.production.rekey import RekeyedCard, rekey
from issuance.production.relay import OpenedSlot
from tests.support.desk import CardOffice, open_card_office
from tests.support.keys import NOW
from tests.support.line import slot_of
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import NotAllowed, NotFound
from uec.domain.lifecycle import CardEvent, CardState, OperationState
from uec.domain.permissions import Permission
from uec.services import cards, key_rotation
from uec.services.production_office import DatabaseOffice
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import upgrade
from uec.store.tables import Card, KeyVersion

SECURITY = Actor("staff", 1, "Security", frozenset({Permission.VIEW_KEYS}))
FIRST, SECOND = KeyRef(KeyPurpose.CARD_MASTER, 1), KeyRef(KeyPurpose.CARD_MASTER, 2)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def sqlite_office(tmp_path: Path) -> Iterator[CardOffice]:
    """The same on SQLite only: what is torn is the card, not the database."""
    engine = make_engine(f"sqlite:///{tmp_path / 'uec.db'}")
    upgrade(f"sqlite:///{tmp_path / 'uec.db'}")
    opened = open_card_office(session_factory(engine), tmp_path)
    yield opened
    opened.desk.bench.vault.close()
    engine.dispose()


def vault_of(office: CardOffice) -> VaultEngine:
    vault = office.desk.bench.vault
    assert isinstance(vault, VaultEngine)
    return vault


def rotate(office: CardOffice) -> None:
    vault_of(office).generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=office.clock())


def rekey_card(office: CardOffice, card_id: int, *, chip_of: int | None = None) -> RekeyedCard:
    """Put the card into a reader and move it to the newest master."""
    bench = office.desk.bench
    with office.sessions() as session:
        job = key_rotation.rekey_job(session, card_id, bench.vault)
    answers = DatabaseOffice(bench, card_id)
    slot = slot_of(office.chips[chip_of or card_id])
    return run_local(rekey(job, bench.profile, random=bench.random), slot, answers)


def left(office: CardOffice) -> dict[int, int]:
    with office.sessions() as session:
        return key_rotation.cards_by_version(session)


def test_rotation_from_end_to_end(office: CardOffice) -> None:
    old = office.make_cards(1, 2, 3)
    rotate(office)
    new = office.make_cards(4)
    assert [office.card(card).key_version for card in (*old, *new)] == [1, 1, 1, 2]
    assert left(office) == {1: 3, 2: 1}
    # Both versions are handed over and read.
    for card in (old[0], new[0]):
        assert office.hand_over(card).state is OperationState.DONE
        assert office.card(card).state is CardState.ACTIVE
    # Active and lying cards move over by PUT KEY; what is on them stays.
    assert office.card(old[0]).key_version == 2, "the one that was handed over was moved at the window"
    assert [rekey_card(office, card).changed for card in old] == [False, True, True]
    assert {office.card(card).key_version for card in old} == {2}
    assert len({office.card(card).kvn for card in (*old, *new)}) == 1
    assert office.card(old[0]).state is CardState.ACTIVE
    assert left(office) == {2: 4}
    assert office.hand_over(old[1]).state is OperationState.DONE
    with office.sessions() as session:
        key_rotation.require_no_cards(session, FIRST)
    vault_of(office).move(FIRST, KeyEvent.DESTROY)
    assert rekey_card(office, old[2]).changed is False  # once more does nothing, with only the new key there


def test_a_version_that_cards_hold_is_not_taken_out_of_use(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    rotate(office)
    with office.sessions() as session:
        with pytest.raises(key_rotation.CardsLeft) as caught:
            key_rotation.require_no_cards(session, FIRST)
        assert (caught.value.facts["count"], caught.value.facts["version"]) == (1, 1)
        key_rotation.require_no_cards(session, SECOND)
        key_rotation.require_no_cards(session, KeyRef(KeyPurpose.PIN_MASTER, 1))
        spoiled = session.get_one(Card, card)
        cards.apply_event(
            session, spoiled, CardEvent.SPOIL, actor=system_actor("test"), reason="bent", now=office.clock()
        )
        key_rotation.require_no_cards(session, FIRST)
        session.rollback()


def test_a_pin_master_is_kept_while_cards_were_made_with_it(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    first = KeyRef(KeyPurpose.PIN_MASTER, 1)
    for handed in (False, True):
        if handed:
            assert office.hand_over(card).state is OperationState.DONE
        with office.sessions() as session:
            with pytest.raises(key_rotation.CardsLeft, match="handed over nor unblocked") as caught:
                key_rotation.require_no_codes(session, first)
            assert (caught.value.facts["purpose"], caught.value.facts["count"]) == ("pin-master", 1)
            key_rotation.require_no_codes(session, KeyRef(KeyPurpose.PIN_MASTER, 2))
            key_rotation.require_no_codes(session, FIRST)
    with office.sessions() as session:
        cards.annul(session, card, actor=office.staff.security, reason="вернул", now=office.clock())
        key_rotation.require_no_codes(session, first)


def test_another_chip_is_refused_before_anything_is_changed(office: CardOffice) -> None:
    one, other = office.make_cards(1, 2)
    rotate(office)
    with pytest.raises(WrongCard):
        rekey_card(office, one, chip_of=other)
    assert left(office) == {1: 2}
    assert rekey_card(office, other).changed


def test_a_compromised_master_still_lets_its_cards_go(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    vault_of(office).move(FIRST, KeyEvent.COMPROMISE)
    rotate(office)
    assert rekey_card(office, card).key_version == 2


def test_a_card_that_was_never_written_has_no_keys_to_change(office: CardOffice) -> None:
    office.approve_applicants(1)
    office.plan()
    with office.sessions() as session, pytest.raises(NotFound):
        key_rotation.rekey_job(session, 1, office.desk.bench.vault)


class Torn:
    """A connection that dies when it has carried so many commands; the last one may still have reached the card."""

    def __init__(self, connection: InProcessConnection, commands: int, *, reached: bool) -> None:
        self.connection, self.left, self.reached = connection, commands, reached

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def transmit(self, command: bytes) -> bytes:
        if not self.left:
            if self.reached:
                self.connection.transmit(command)
            raise CardRemoved("reader")
        self.left -= 1
        return self.connection.transmit(command)


@pytest.mark.parametrize("reached", [False, True], ids=["lost", "arrived"])
@pytest.mark.parametrize(
    "commands", [pytest.param(count, marks=[] if count in (7, 8) else pytest.mark.nightly) for count in range(10)]
)
def test_a_torn_move_is_finished_by_putting_the_card_in_again(
    sqlite_office: CardOffice, commands: int, reached: bool
) -> None:
    """Wherever the reader dies: the card then has one of the two versions, and the journal knows both."""
    office = sqlite_office
    (card,) = office.make_cards(1)
    rotate(office)
    bench = office.desk.bench
    with office.sessions() as session:
        job = key_rotation.rekey_job(session, card, bench.vault)
    slot = OpenedSlot(lambda: Torn(InProcessConnection(office.chips[card]), commands, reached=reached))
    with contextlib.suppress(CardLost):
        run_local(rekey(job, bench.profile, random=bench.random), slot, DatabaseOffice(bench, card))
    assert rekey_card(office, card).key_version == 2
    assert office.card(card).key_version == 2
    assert office.hand_over(card).state is OperationState.DONE


def test_keys_that_the_journal_does_not_explain_are_refused(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    rotate(office)
    bench = office.desk.bench
    with office.sessions() as session:
        job = key_rotation.rekey_job(session, card, bench.vault)
    forgotten = type(job)(job.card_number, job.chip_id, job.card_master, ())
    with pytest.raises(UnknownKeys):
        run_local(
            rekey(forgotten, bench.profile, random=bench.random),
            slot_of(office.chips[card]),
            DatabaseOffice(bench, None),
        )


def test_the_page_shows_what_the_vault_told(office: CardOffice) -> None:
    office.make_cards(1, 2)
    rotate(office)
    vault, now = vault_of(office), NOW + timedelta(days=700)
    with office.sessions() as session:
        assert key_rotation.page(session, actor=SECURITY, now=now).rows == ()
        ending = key_rotation.refresh(session, vault, now=now)
        assert any(line.startswith("pin-master version 1 ends on") for line in ending)
        page = key_rotation.page(session, actor=SECURITY, now=now)
        with pytest.raises(NotAllowed):
            key_rotation.page(session, actor=office.staff.operator, now=now)
    assert (page.moving, page.moved, page.noted_at) == (2, 0, now)
    rows = {(row.purpose, row.version): row for row in page.rows}
    assert rows[KeyPurpose.CARD_MASTER, 1].cards == 2 and rows[KeyPurpose.CARD_MASTER, 2].cards == 0
    assert rows[KeyPurpose.CARD_MASTER, 1].state is KeyState.RETIRED
    assert rows[KeyPurpose.PIN_MASTER, 1].period is Period.ENDING
    assert rows[KeyPurpose.PIN_MASTER, 1].cards is None
    assert rows[KeyPurpose.CARD_MASTER, 1].period is Period.RUNNING  # a retired key has no period to end
    assert rows[KeyPurpose.CA_ISSUING, 1].uses > 0
    assert {info.ref for info in vault.describe()} == {KeyRef(*key) for key in rows}


def test_noting_again_replaces_what_was_known(office: CardOffice) -> None:
    vault = vault_of(office)
    with office.sessions() as session:
        key_rotation.refresh(session, vault, now=NOW)
        before = session.query(KeyVersion).count()
        key_rotation.refresh(session, vault, now=NOW + timedelta(hours=1))
        assert session.query(KeyVersion).count() == before
        assert {key.noted_at for key in session.query(KeyVersion)} == {NOW + timedelta(hours=1)}


def test_pins_of_a_card_made_before_the_pin_master_changed(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    vault_of(office).generate(KeyPurpose.PIN_MASTER, KeyAlgorithm.AES_256, now=office.clock())
    assert office.hand_over(card, {"pin1": Secret(b"4711"), "pin2": Secret(b"471108")}).state is OperationState.DONE
