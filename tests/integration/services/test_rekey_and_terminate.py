"""Work at a window on cards that exist already: their keys are changed, and one that came back is made mute."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import FaultPlan
from issuance.keys.engine import VaultEngine
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.production.bundle import RecordKind
from issuance.production.check import check_card
from issuance.production.errors import CardLocked
from tests.support.desk import PINS, CardOffice, open_card_office
from tests.support.line import blank_card, slot_of
from uec.domain.errors import NotAllowed
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import cards, journal, operations
from uec.services.operations import CardNotReady
from uec.services.views import OperationView
from uec.store.engine import make_engine, session_factory

TERMINATED = 0xFF


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def ask(office: CardOffice, kind: OperationKind, card_id: int) -> int:
    with office.sessions() as session:
        return operations.request_operation(
            session,
            kind=kind,
            card_id=card_id,
            station_id=None,
            reader=None,
            actor=office.staff.second_operator,
            now=office.clock(),
        )


def work(office: CardOffice, kind: OperationKind, card_id: int, chip: VirtualCard | None = None) -> OperationView:
    asked = ask(office, kind, card_id)
    with office.sessions() as session:
        claimed = operations.claim_operation(session, now=office.clock(), operation_id=asked)
    assert claimed is not None
    return office.do(claimed, chip)


def rotate(office: CardOffice) -> None:
    vault = office.desk.bench.vault
    assert isinstance(vault, VaultEngine)
    vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=office.clock())


def kinds(office: CardOffice, card_id: int) -> list[RecordKind]:
    with office.sessions() as session:
        return [record.kind for record in journal.records(session, card_id)]


def returned(office: CardOffice, person: int = 1) -> int:
    """A card that was handed over, annulled and came back."""
    (card_id,) = office.make_cards(person)
    assert office.hand_over(card_id).state is OperationState.DONE
    with office.sessions() as session:
        cards.annul(session, card_id, actor=office.staff.security, reason="вернул", now=office.clock())
    return card_id


def test_a_card_gets_the_newest_keys_at_a_window(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    assert office.hand_over(card_id).state is OperationState.DONE
    rotate(office)
    done = work(office, OperationKind.REKEY, card_id)
    assert (done.state, done.result["changed"]) == (OperationState.DONE, True)
    assert office.card(card_id).key_version == 2
    again = work(office, OperationKind.REKEY, card_id)
    assert (again.state, again.result["changed"]) == (OperationState.DONE, False)
    report = check_card(
        slot_of(office.chips[card_id]),
        office.desk.bench.profile,
        office.desk.anchors,
        now=office.clock(),
        random=office.desk.bench.random,
        pins=PINS,
    )
    assert report.genuine, "data, keys and PINs are as they were"


def test_a_card_with_older_keys_is_moved_within_its_hand_over(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    rotate(office)
    ended = office.hand_over(card_id)
    assert ended.state is OperationState.DONE, ended.error_text
    assert (office.card(card_id).state, office.card(card_id).key_version) == (CardState.ACTIVE, 2)
    order = [kind for kind in kinds(office, card_id) if kind in (RecordKind.KEY_CHANGED, RecordKind.HANDED_OVER)]
    assert order == [RecordKind.KEY_CHANGED, RecordKind.KEY_CHANGED, RecordKind.HANDED_OVER]


def test_a_card_with_the_newest_keys_is_handed_over_without_a_change(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    assert kinds(office, card_id).count(RecordKind.KEY_CHANGED) == 1


def test_a_blank_in_the_reader_is_not_taken_for_the_card(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    failed = work(office, OperationKind.REKEY, card_id, blank_card(99))
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "wrong-card")
    assert RecordKind.SCRAPPED not in kinds(office, card_id)


def test_a_card_that_serves_is_never_made_mute(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with pytest.raises(CardNotReady, match="reload"):
        ask(office, OperationKind.TERMINATE, card_id)
    with office.sessions() as session, pytest.raises(NotAllowed):
        operations.request_operation(
            session,
            kind=OperationKind.TERMINATE,
            card_id=card_id,
            station_id=None,
            reader=None,
            actor=office.staff.planner,
            now=office.clock(),
        )


def test_a_returned_card_is_made_mute_for_good(office: CardOffice) -> None:
    card_id = returned(office)
    done = work(office, OperationKind.TERMINATE, card_id)
    assert done.state is OperationState.DONE, done.error_text
    assert kinds(office, card_id)[-3:-1] == [RecordKind.TERMINATE_INTENT, RecordKind.TERMINATED]
    chip = office.chips[card_id]
    assert chip.platform.life_cycle == TERMINATED
    with pytest.raises(CardLocked):
        check_card(
            slot_of(chip),
            office.desk.bench.profile,
            office.desk.anchors,
            now=office.clock(),
            random=office.desk.bench.random,
        )
    again = work(office, OperationKind.TERMINATE, card_id)
    assert (again.state, again.result["resumed"]) == (OperationState.DONE, True), "it is seen to be mute"


def test_an_annulled_card_that_is_another_one_stays_as_it_is(office: CardOffice) -> None:
    one, other = returned(office, 1), returned(office, 2)
    failed = work(office, OperationKind.TERMINATE, one, office.chips[other])
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "wrong-card")
    assert office.chips[other].platform.life_cycle != TERMINATED
    done = work(office, OperationKind.TERMINATE, one)
    assert done.state is OperationState.DONE
    mute = work(office, OperationKind.TERMINATE, other, office.chips[one])
    assert mute.error_code in ("wrong-card", "foreign-card"), "a mute card is not taken for another"


def test_a_profile_may_forbid_it(office: CardOffice) -> None:
    card_id = returned(office)
    profile = office.desk.bench.profile
    kept = replace(profile, secure_channel=replace(profile.secure_channel, terminate_returned=False))
    office.desk = replace(office.desk, bench=replace(office.desk.bench, profile=kept))
    failed = work(office, OperationKind.TERMINATE, card_id)
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "uec.not_for_this_card")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [OperationKind.REKEY, OperationKind.TERMINATE])
def test_torn_at_every_command_it_is_finished_the_next_time(sqlite_office: CardOffice, kind: OperationKind) -> None:
    office = sqlite_office
    ready = returned if kind is OperationKind.TERMINATE else _active
    card_id = ready(office, 1)
    rotate(office)
    chip = office.chips[card_id]
    chip.faults = FaultPlan()
    assert work(office, kind, card_id).state is OperationState.DONE
    commands, cases = chip.faults.commands, 0
    for person, (k, when) in enumerate(
        ((k, when) for k in range(1, commands + 1) for when in ("tear_before", "tear_after")), start=2
    ):
        card_id = ready(office, person)
        rotate(office)
        chip = office.chips[card_id]
        chip.faults = FaultPlan(**{when: k})
        torn = work(office, kind, card_id)
        assert (torn.state, torn.error_code) == (OperationState.FAILED, "card-lost"), (k, when)
        chip.faults = FaultPlan()
        done = work(office, kind, card_id)
        assert done.state is OperationState.DONE, (k, when, done.error_text)
        if kind is OperationKind.TERMINATE:
            assert chip.platform.life_cycle == TERMINATED
        else:
            assert office.card(card_id).key_version == person + 1, "each rotation makes one version"
        cases += 1
    print(f"torn test, {kind}: {cases} tears of {commands} commands, each finished the next time")


def _active(office: CardOffice, person: int) -> int:
    (card_id,) = office.make_cards(person)
    assert office.hand_over(card_id).state is OperationState.DONE
    return card_id


@pytest.fixture
def sqlite_office(sqlite_url: str, tmp_path: Path) -> Iterator[CardOffice]:
    """On SQLite only: what is torn is the card, not the database."""
    engine = make_engine(sqlite_url)
    opened = open_card_office(session_factory(engine), tmp_path)
    yield opened
    opened.desk.bench.vault.close()
    engine.dispose()
