"""The code that unblocks a card, over the database: drawn once, told once, and a PIN set anew by it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.applets.uec.layout import PinRef
from card_io.applets.uec.session import UecSession, WrongPin
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from issuance.keys.engine import VaultEngine
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.production import codes
from issuance.production.bundle import Record, RecordKind
from issuance.production.pin_profile import Keeping
from issuance.production.sealing import SealingKey, seal_pins
from tests.support.desk import PINS, SETTINGS, CardOffice, open_card_office
from tests.support.leaks import leaked
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotAllowed, NotFound, SamePerson
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import cards, handover, journal, operations, unblock, unblock_letters
from uec.services.operations import CardNotReady
from uec.services.unblock_letters import Letter, LetterBox, LetterGone, LetterLocked
from uec.services.views import OperationView
from uec.store.tables import AuditEntry, Card, CardOperation, JournalEntry, UnblockLetter

NEW = Secret(b"730264")


@pytest.fixture
def kept() -> Keeping:
    """How the office's holders keep their codes; some tests go through both ways."""
    return Keeping.PRINTED


EITHER_WAY = pytest.mark.parametrize("kept", list(Keeping))


@pytest.fixture
def office(kept: Keeping, sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    """An office whose profile has its holders keep the whole code, or a share of it."""
    opened = open_card_office(sessions, tmp_path)
    profile = opened.desk.bench.profile
    pins = tuple(replace(pin, after_hand_over=kept) if pin.name == "krp" else pin for pin in profile.pins)
    opened.desk = replace(opened.desk, bench=replace(opened.desk.bench, profile=replace(profile, pins=pins)))
    yield opened
    opened.desk.bench.vault.close()


def active(office: CardOffice, *people: int) -> list[int]:
    """Cards that their holders have."""
    made = office.make_cards(*people)
    for card_id in made:
        assert office.hand_over(card_id).state is OperationState.DONE
    return made


def take(office: CardOffice, card_id: int, *, actor: Actor | None = None, box: LetterBox | None = None) -> Letter:
    with office.sessions() as session:
        taken = unblock_letters.take(
            session,
            card_id,
            box=box or office.letters,
            settings=SETTINGS,
            actor=actor or office.staff.second_operator,
            now=office.clock(),
        )
        session.commit()
    return taken


def ask(office: CardOffice, card_id: int, typed: dict[str, Secret], *, actor: Actor | None = None) -> int:
    with office.sessions() as session:
        number = session.get_one(Card, card_id).number
        return unblock.request(
            session,
            card_id,
            actor=actor or office.staff.second_operator,
            station_id=None,
            reader=None,
            sealed_pins=seal_pins(office.desk.sealing_key.public_key, typed, card_number=number),
            holder_checked=True,
            settings=SETTINGS,
            now=office.clock(),
        )


def claimed(office: CardOffice, operation_id: int) -> OperationView:
    with office.sessions() as session:
        found = operations.claim_operation(session, now=office.clock(), operation_id=operation_id)
    assert found is not None
    return found


def unblocked(
    office: CardOffice, card_id: int, typed: dict[str, Secret], chip: VirtualCard | None = None
) -> OperationView:
    return office.do(claimed(office, ask(office, card_id, typed)), chip)


def opened(office: CardOffice, card_id: int) -> UecSession:
    chip = office.chips[card_id]
    chip.power_on()
    session = UecSession(InProcessConnection(chip))
    session.select()
    return session


def row_of(office: CardOffice, card_id: int) -> UnblockLetter | None:
    with office.sessions() as session:
        return session.get(UnblockLetter, card_id)


def everything_stored(office: CardOffice) -> str:
    """What journal, operations, letters and audit hold, as text."""
    kept: list[object] = []
    with office.sessions() as session:
        for table in (JournalEntry, CardOperation, UnblockLetter, AuditEntry):
            columns = [column.name for column in table.__table__.columns]  # type: ignore[attr-defined]
            kept += [[getattr(row, name) for name in columns] for row in session.scalars(select(table))]
    return json.dumps(kept, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))


@EITHER_WAY
def test_the_letter_is_told_once_and_opens_a_blocked_pin(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    letter = take(office, card_id)
    row = row_of(office, card_id)
    assert row is not None and row.sealed is None and row.printed_at is not None
    assert row.printed_by == office.staff.second_operator.staff_id
    with pytest.raises(LetterGone, match="kept nowhere else"):
        take(office, card_id)

    for _ in range(3):
        with pytest.raises(WrongPin):
            opened(office, card_id).verify_pin(PinRef.PIN1, NEW)
    done = unblocked(office, card_id, {"pin1": NEW, "krp": letter.digits})
    assert (done.state, done.result["pin"]) == (OperationState.DONE, "pin1")
    session = opened(office, card_id)
    session.verify_pin(PinRef.PIN1, NEW)
    session.verify_pin(PinRef.PIN2, PINS["pin2"])

    stored = everything_stored(office)
    for secret in (letter.digits, NEW, PINS["pin1"]):
        assert not leaked(stored, secret)
    with office.sessions() as session_:
        told = session_.scalars(select(AuditEntry).where(AuditEntry.action == "card.print_letter")).one()
        assert (told.actor, told.subject_id) == (office.staff.second_operator.reference, str(card_id))
        assert (
            session_.scalars(select(CardOperation.sealed_pins).where(CardOperation.card_id == card_id)).all()
            == [None] * 3
        )


@EITHER_WAY
def test_the_letter_is_the_whole_code_or_a_share_of_it(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    letter = take(office, card_id)
    krp = next(pin for pin in office.desk.bench.profile.pins if pin.name == "krp")
    assert letter.kept is krp.after_hand_over and letter.tries == krp.tries
    session = opened(office, card_id)
    if letter.kept is Keeping.PRINTED:
        session.unblock_pin(PinRef.PIN1, letter.digits, NEW)
    else:
        with pytest.raises(WrongPin):
            session.unblock_pin(PinRef.PIN1, letter.digits, NEW)


def test_the_transport_code_died_at_the_hand_over(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    vault = office.desk.bench.vault
    derived = vault.transport_pins(vault.active(KeyPurpose.PIN_MASTER), office.card(card_id).number, {"krp": 8})
    with pytest.raises(WrongPin):
        opened(office, card_id).unblock_pin(PinRef.PIN1, derived["krp"], NEW)


@EITHER_WAY
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_torn_hand_over_asked_for_anew_sets_the_code_of_the_same_letter(office: CardOffice, when: str) -> None:
    """The last command changes the code: whether or not it was executed, the second request finishes with it."""
    first, card_id = office.make_cards(1, 2)
    office.chips[first].faults = FaultPlan()
    office.hand_over(first)
    last = office.chips[first].faults.commands
    office.chips[card_id].faults = FaultPlan(tear_before=last) if when == "before" else FaultPlan(tear_after=last)
    assert office.hand_over(card_id).error_code == "card-lost"
    drawn = row_of(office, card_id)
    assert drawn is not None
    office.chips[card_id].faults = FaultPlan()
    assert office.hand_over(card_id, {"pin1": Secret(b"4711"), "pin2": Secret(b"471108")}).state is OperationState.DONE
    again = row_of(office, card_id)
    assert again is not None and again.sealed == drawn.sealed
    done = unblocked(office, card_id, {"pin2": NEW, "krp": take(office, card_id).digits})
    assert done.state is OperationState.DONE
    opened(office, card_id).verify_pin(PinRef.PIN2, NEW)


@EITHER_WAY
def test_a_newer_pin_master_leaves_the_offices_share_as_it_was(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    vault = office.desk.bench.vault
    assert isinstance(vault, VaultEngine)
    vault.generate(KeyPurpose.PIN_MASTER, KeyAlgorithm.AES_256, now=office.clock())
    done = unblocked(office, card_id, {"pin1": NEW, "krp": take(office, card_id).digits})
    assert done.state is OperationState.DONE


def test_a_wrong_code_is_told_with_the_tries_left_and_at_last_that_it_is_blocked(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    right = take(office, card_id).digits.reveal()
    wrong = Secret(bytes([0x30 + (right[0] - 0x30 + 1) % 10]) + right[1:])
    told = [unblocked(office, card_id, {"pin1": NEW, "krp": wrong}) for _ in range(10)]
    assert [(one.state, one.error_code) for one in told] == [(OperationState.FAILED, "unblock-refused")] * 10
    assert [one.result["tries_left"] for one in told] == list(range(9, -1, -1))
    assert told[-1].error_text and "Replace the card" in told[-1].error_text
    with office.sessions() as session:
        refused = [one for one in journal.records(session, card_id) if one.kind is RecordKind.UNBLOCK_REFUSED]
    assert len(refused) == 10
    assert unblocked(office, card_id, {"pin1": NEW, "krp": Secret(right)}).result == {"tries_left": 0}


def test_somebody_elses_card_in_the_reader_is_refused_by_name(office: CardOffice) -> None:
    mine, other = active(office, 1, 2)
    letter = take(office, mine)
    failed = unblocked(office, mine, {"pin1": NEW, "krp": letter.digits}, office.chips[other])
    assert failed.error_code == "wrong-card"
    left = {pin.ref: pin.tries_left for pin in opened(office, other).pins()}
    assert left[PinRef.KRP] == 10, "no try was spent on it"


@EITHER_WAY
def test_a_card_handed_over_before_there_were_letters_is_unblocked_by_the_vaults_code(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    letter = take(office, card_id)
    with office.sessions() as session:
        now_asked = unblock.asking(session, card_id, settings=SETTINGS)
    pins = tuple(pin for pin in office.desk.bench.profile.pins if pin.name in ("pin1", "pin2"))
    assert now_asked == unblock.Asking(pins, "krp", 8, letter.kept, at_readers=True)
    before_letters(office, card_id, letter)
    with office.sessions() as session:
        assert unblock.asking(session, card_id, settings=SETTINGS) == replace(now_asked, kept=None)
    with pytest.raises(SamePerson):
        ask(office, card_id, {"pin1": NEW}, actor=office.staff.operator)
    assert unblocked(office, card_id, {"pin1": NEW}).state is OperationState.DONE
    opened(office, card_id).verify_pin(PinRef.PIN1, NEW)


def before_letters(office: CardOffice, card_id: int, letter: Letter) -> None:
    """Make the card what it would have been: the transport code on it, no word of another in the journal."""
    vault, number = office.desk.bench.vault, office.card(card_id).number
    (code,) = office.desk.bench.profile.unblock_codes
    wanted = {code.name: code.transport_digits} | codes.shares_wanted([code], {code.name: letter.kept})
    derived = vault.transport_pins(vault.active(KeyPurpose.PIN_MASTER), number, wanted)
    present = codes.whole(code, letter.digits, kept=letter.kept, derived=derived)
    opened(office, card_id).change_pin(PinRef.KRP, present, derived[code.name])
    facts = {"chip_id": office.card(card_id).chip_id, "pins": ["pin1", "pin2"]}
    with office.sessions() as session:
        journal.append(
            session,
            card_id,
            Record(RecordKind.PIN_CHANGED, facts),
            operation_id=None,
            actor=office.staff.second_operator,
            now=office.clock(),
        )


@pytest.mark.parametrize("end", [cards.report_lost, cards.annul])
def test_a_letter_that_was_not_printed_goes_with_its_card(office: CardOffice, end: object) -> None:
    (card_id,) = active(office, 1)
    with office.sessions() as session:
        end(session, card_id, actor=office.staff.security, reason="украдена", now=office.clock())  # type: ignore[operator]
    kept = row_of(office, card_id)
    assert kept is not None and kept.sealed is None and kept.printed_at is None
    with pytest.raises(CardNotReady):
        take(office, card_id)
    with office.sessions() as session:
        assert not unblock_letters.state_of(session, card_id).waits
    with pytest.raises(CardNotReady):
        ask(office, card_id, {"pin1": NEW})


def test_a_letter_that_was_not_printed_goes_with_the_last_day_of_its_card(office: CardOffice) -> None:
    first, second = active(office, 1, 2)
    taken = take(office, second)
    with office.sessions() as session:
        last = session.get_one(Card, first).expires_on
        cards.expire_due(session, today=last.replace(year=last.year + 1), now=office.clock())
    kept = row_of(office, first)
    assert office.card(first).state is CardState.EXPIRED and kept is not None and kept.sealed is None
    assert taken.card_number == office.card(second).number


def test_no_letter_is_told_before_the_card_is_its_holders(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with pytest.raises(NotFound):
        take(office, card_id)
    office.chips[card_id].faults = FaultPlan(tear_before=1)
    office.hand_over(card_id)
    with pytest.raises(CardNotReady):
        take(office, card_id)
    office.chips[card_id].faults = FaultPlan()
    office.hand_over(card_id)
    with pytest.raises(NotAllowed):
        take(office, card_id, actor=office.staff.officer)
    with pytest.raises(LetterLocked, match="secret_key_file"):
        take(office, card_id, box=LetterBox(bytes(32), office.letters.random))
    take(office, card_id)


def test_one_who_made_the_card_does_not_see_its_letter(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    with pytest.raises(SamePerson):
        take(office, card_id, actor=office.staff.operator)


def test_a_letter_under_another_key_is_drawn_anew_before_the_card_was_begun(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with office.sessions() as session:
        other = LetterBox(bytes(32), office.letters.random)
        drawn = unblock_letters.draw(session, card_id, box=other, settings=SETTINGS, now=office.clock())
        session.commit()
    office.hand_over(card_id)
    letter = take(office, card_id)
    assert letter.digits.reveal() != drawn["krp"].reveal()
    assert unblocked(office, card_id, {"pin1": NEW, "krp": letter.digits}).state is OperationState.DONE


def test_a_card_reported_lost_while_it_lies_in_the_reader_gets_no_pin(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    work = claimed(office, ask(office, card_id, {"pin1": NEW, "krp": take(office, card_id).digits}))
    with office.sessions() as session:
        cards.report_lost(session, card_id, actor=office.staff.security, reason="украдена", now=office.clock())
    assert office.do(work).error_code == "uec.card_moved_on"
    opened(office, card_id).verify_pin(PinRef.PIN1, PINS["pin1"])


def test_what_a_dead_hub_left_is_done_by_its_journal_or_asked_for_again(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    letter = take(office, card_id)
    begun = claimed(office, ask(office, card_id, {"pin1": NEW, "krp": letter.digits}))
    with office.sessions() as session:
        operations.release_operations(session, [begun.id], now=office.clock())
        failed = operations.operation(session, begun.id)
        assert (failed.state, failed.error_code) == (OperationState.FAILED, "uec.hub_restarted")
        assert session.get_one(CardOperation, begun.id).sealed_pins is None
    second = claimed(office, ask(office, card_id, {"pin1": NEW, "krp": letter.digits}))
    assert office.do(second).state is OperationState.DONE
    with office.sessions() as session:
        kinds = [record.kind for record in journal.records(session, card_id)]
    assert kinds.count(RecordKind.UNBLOCKED) == 1


def test_pins_sealed_to_another_hub_are_asked_for_again(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    with office.sessions() as session:
        number = session.get_one(Card, card_id).number
        operation_id = operations.request_operation(
            session,
            kind=OperationKind.UNBLOCK,
            card_id=card_id,
            station_id=None,
            reader=None,
            actor=office.staff.second_operator,
            now=office.clock(),
            sealed_pins=seal_pins(SealingKey().public_key, {"pin1": NEW}, card_number=number),
        )
    assert office.do(claimed(office, operation_id)).error_code == "seal-broken"


@pytest.mark.parametrize("typed", [{}, {"krp": NEW}, {"pin3": NEW}])
def test_what_names_no_pin_of_the_card_is_refused(office: CardOffice, typed: dict[str, Secret]) -> None:
    (card_id,) = active(office, 1)
    assert unblocked(office, card_id, typed).error_code == "unfit-pin"


def test_nothing_is_asked_without_the_holder_and_without_a_pin(office: CardOffice) -> None:
    (card_id,) = active(office, 1)
    for changes, field in (({"holder_checked": False}, "holder_checked"), ({"sealed_pins": b""}, "new")):
        usual = {"holder_checked": True, "sealed_pins": b"x"}
        with office.sessions() as session, pytest.raises(InvalidInput) as caught:
            unblock.request(
                session,
                card_id,
                actor=office.staff.second_operator,
                station_id=None,
                reader=None,
                settings=SETTINGS,
                now=office.clock(),
                **{**usual, **changes},  # type: ignore[arg-type]
            )
        assert caught.value.facts["field"] == field
    with pytest.raises(NotAllowed):
        ask(office, card_id, {"pin1": NEW}, actor=office.staff.officer)


def test_a_hand_over_without_the_letters_digits_touches_no_card(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with office.sessions() as session:
        number = session.get_one(Card, card_id).number
        handover.request(
            session,
            card_id,
            actor=office.staff.second_operator,
            station_id=None,
            reader=None,
            sealed_pins=seal_pins(office.desk.sealing_key.public_key, PINS, card_number=number),
            holder_checked=True,
            now=office.clock(),
        )
    (failed,) = office.work()
    assert failed.error_code == "unfit-pin"
    assert office.hand_over(card_id).state is OperationState.DONE
