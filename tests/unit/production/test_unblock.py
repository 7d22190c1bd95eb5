"""A PIN is set anew at a window by the code of the holder's letter: printed (uec) and split (piv), torn and refused."""

import itertools
from dataclasses import replace

import pytest

from card_io.applets.piv import PivSession
from card_io.applets.piv import WrongPin as WrongPivPin
from card_io.applets.uec.layout import PinRef
from card_io.applets.uec.session import UecSession, WrongPin
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from issuance.keys.port import KeyPurpose
from issuance.production.bundle import Record, RecordKind
from issuance.production.errors import (
    CardLost,
    Counterfeit,
    ForeignCard,
    UnblockRefused,
    UnfitPin,
    WrongCard,
)
from issuance.production.journal import Journal
from issuance.production.pin_profile import Keeping
from issuance.production.profile import load_profile
from issuance.production.transcript import Transcript
from tests.support.leaks import leaked
from tests.support.line import LETTER, PIV_PROFILE, Line, blank_card, make_line
from tests.unit.production.piv_line import open_line

NEW = Secret(b"730264")
WRONG = Secret(b"40718266")
_serials = itertools.count(5000)


def active(line: Line) -> tuple[str, VirtualCard]:
    """A card that its holder has."""
    serial = next(_serials)
    number, card = line.order(serial), blank_card(serial, kind=line.profile.name)
    line.personalise(number, card)
    line.inspect(number, card)
    line.hand_over(number, card)
    card.faults = FaultPlan()
    return number, card


def opened(line: Line, card: VirtualCard) -> UecSession | PivSession:
    card.power_on()
    if line.profile.piv is not None:
        return PivSession(InProcessConnection(card))
    session = UecSession(InProcessConnection(card))
    session.select()
    return session


def verify(line: Line, card: VirtualCard, pin: Secret) -> None:
    session = opened(line, card)
    if isinstance(session, PivSession):
        session.verify_pin(pin)
    else:
        session.verify_pin(PinRef.PIN1, pin)


def block(line: Line, card: VirtualCard) -> None:
    """Wrong PINs until none counts any more."""
    for _ in range(line.profile.pin("pin1").tries):
        with pytest.raises(Exception, match="PIN"):
            verify(line, card, Secret(b"999999"))


def kinds(line: Line, number: str) -> list[RecordKind]:
    return [record.kind for record in line.office.cards[number].journal]


def test_a_blocked_pin_is_set_anew_in_two_round_trips(window: Line) -> None:
    number, card = active(window)
    block(window, card)
    trips = Transcript()
    done = window.unblock(number, card, "pin1", NEW, transcript=trips)
    assert (done.card_number, done.pin, trips.round_trips) == (number, "pin1", 2)
    verify(window, card, NEW)
    assert kinds(window, number)[-3:] == [RecordKind.UNBLOCK_INTENT, RecordKind.UNBLOCKED, RecordKind.TRANSCRIPT]
    for record in window.office.cards[number].journal:
        for secret in (NEW, LETTER, window.code(number)):
            assert not leaked(str(record), secret)


def test_a_wrong_code_says_how_many_tries_are_left_until_it_is_blocked(window: Line) -> None:
    number, card = active(window)
    tries = window.profile.pin("krp").tries
    for left in reversed(range(tries)):
        with pytest.raises(UnblockRefused) as caught:
            window.unblock(number, card, "pin1", NEW, code=WRONG)
        assert caught.value.tries_left == left
        assert ("Replace the card" in str(caught.value)) is (left == 0)
    refused = [record for record in window.office.cards[number].journal if record.kind is RecordKind.UNBLOCK_REFUSED]
    assert [record.facts["tries_left"] for record in refused] == list(reversed(range(tries)))
    with pytest.raises(UnblockRefused) as caught:
        window.unblock(number, card, "pin1", NEW)
    assert caught.value.tries_left == 0, "the right code comes too late"


def test_the_right_code_gives_all_tries_back(window: Line) -> None:
    number, card = active(window)
    for _ in range(2):
        for _ in range(window.profile.pin("krp").tries - 1):
            with pytest.raises(UnblockRefused):
                window.unblock(number, card, "pin1", NEW, code=WRONG)
        window.unblock(number, card, "pin1", NEW)
    verify(window, card, NEW)


def test_another_card_is_refused_by_name_before_a_try_is_spent(window: Line) -> None:
    number, _card = active(window)
    _other_number, other = active(window)
    for _ in range(window.profile.pin("krp").tries + 1):
        with pytest.raises(WrongCard):
            window.unblock(number, other, "pin1", NEW, code=WRONG)
    window.unblock(_other_number, other, "pin1", NEW)


def test_a_blank_and_a_clone_are_refused_by_name(window: Line) -> None:
    number, card = active(window)
    with pytest.raises(ForeignCard, match=number):
        window.unblock(number, blank_card(next(_serials), kind=window.profile.name), "pin1", NEW)
    other, _ = active(window)
    kept = window.office.cards[number]
    slots = {slot: key.hex() for slot, key in Journal(window.office.cards[other].journal).public_keys.items()}
    kept.journal.append(Record(RecordKind.KEYS_MADE, {"public_keys": slots}))
    with pytest.raises(Counterfeit):
        window.unblock(number, card, "pin1", NEW)


@pytest.mark.parametrize(
    ("pin", "new", "code", "reason"),
    [
        ("pin1", b"123456", LETTER, "trivial"),
        ("pin1", b"12", LETTER, "length"),
        ("pin1", b"73026x", LETTER, "digits"),
        ("krp", b"73026485", LETTER, "length"),
        ("", b"730264", LETTER, "length"),
        ("pin1", b"730264", None, "length"),
        ("pin1", b"730264", Secret(b"4071826"), "length"),
        ("pin1", b"730264", Secret(b"4071826x"), "digits"),
    ],
)
def test_what_cannot_be_is_refused_before_a_try_is_spent(
    window: Line, pin: str, new: bytes, code: Secret | None, reason: str
) -> None:
    number, card = active(window)
    with pytest.raises(UnfitPin) as caught:
        window.unblock(number, card, pin, Secret(new), code=code)
    assert caught.value.reason == reason
    assert RecordKind.UNBLOCK_INTENT not in kinds(window, number)


def test_a_card_handed_over_before_there_were_letters_is_unblocked_by_the_transport_code(window: Line) -> None:
    """Its journal tells of no code that changed hands; the holder has nothing to type."""
    number, card = active(window)
    (code,) = window.profile.unblock_codes
    transport = window.office.vault.transport_pins(
        window.office.vault.active(KeyPurpose.PIN_MASTER), number, {code.name: code.transport_digits}
    )[code.name]
    session = opened(window, card)
    if isinstance(session, PivSession):
        session.change_puk(window.code(number), transport)
    else:
        session.change_pin(PinRef.KRP, window.code(number), transport)
    kept = window.office.cards[number]
    kept.journal = [
        replace(record, facts={name: value for name, value in record.facts.items() if name != "kept"})
        for record in kept.journal
    ]
    window.unblock(number, card, "pin1", NEW, code=None)
    verify(window, card, NEW)


def test_torn_at_every_command_it_is_simply_done_again(window: Line) -> None:
    number, card = active(window)
    window.unblock(number, card, "pin1", NEW)
    commands = card.faults.commands
    for k, when in itertools.product(range(1, commands + 1), ("before", "after")):
        number, card = active(window)
        block(window, card)
        card.faults = FaultPlan(tear_before=k) if when == "before" else FaultPlan(tear_after=k)
        with pytest.raises(CardLost):
            window.unblock(number, card, "pin1", NEW)
        card.faults = FaultPlan()
        window.unblock(number, card, "pin1", NEW)
        verify(window, card, NEW)
        assert kinds(window, number).count(RecordKind.UNBLOCKED) == 1
    print(f"torn test, profile {window.profile.name}: {2 * commands} tears of an unblocking, every PIN set")


def test_the_holders_share_alone_and_the_offices_alone_open_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_line(tmp_path_factory.mktemp("split")) as line:
        number, card = active(line)
        session = opened(line, card)
        assert isinstance(session, PivSession)
        office_share = "".join(
            str((int(chr(whole)) - int(chr(part))) % 10)
            for whole, part in zip(line.code(number).reveal(), LETTER.reveal(), strict=True)
        )
        for share in (LETTER, Secret(office_share.encode())):
            with pytest.raises(WrongPivPin):
                session.unblock_pin(share, NEW)
        session.unblock_pin(line.code(number), NEW)


def test_how_a_code_is_kept_is_a_word_of_the_profile(tmp_path_factory: pytest.TempPathFactory) -> None:
    shipped = [load_profile(PIV_PROFILE.with_stem(name)).unblock_codes[0] for name in ("uec", "piv")]
    assert [code.after_hand_over for code in shipped] == [Keeping.PRINTED, Keeping.SPLIT]
    with open_line(tmp_path_factory.mktemp("printed"), ('"split"', '"printed"')) as line:
        number, card = active(line)
        assert line.code(number).reveal() == LETTER.reveal()
        line.unblock(number, card, "pin1", NEW)
        verify(line, card, NEW)


def test_an_unblocked_pin_of_two_leaves_the_other(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = make_line(tmp_path_factory.mktemp("two"))
    try:
        number, card = active(line)
        line.unblock(number, card, "pin2", NEW)
        session = opened(line, card)
        assert isinstance(session, UecSession)
        session.verify_pin(PinRef.PIN2, NEW)
        with pytest.raises(WrongPin):
            session.verify_pin(PinRef.PIN1, NEW)
    finally:
        line.office.vault.close()
