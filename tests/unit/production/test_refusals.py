"""Cards that do not belong in a job are refused by name, before anything is written and without a failed try."""

from collections.abc import Callable, Generator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from card_io.connection import Connection
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from card_io.virtual.keysets import TRIES
from issuance.production import admission
from issuance.production.bundle import Answers, RecordKind, Request, Send
from issuance.production.drivers import run_local
from issuance.production.errors import (
    CardAlreadyActive,
    CardLost,
    CardScrapped,
    ChipTaken,
    Counterfeit,
    ForeignCard,
    InspectionFailed,
    PinRefused,
    ProductionError,
    UnfitPin,
    UnknownKeys,
    WrongCard,
)
from issuance.production.handover import hand_over
from issuance.production.job import HandOverJob
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.relay import OpenedSlot
from tests.support.line import BATCH, HOLDER_PINS, LETTER, Line, blank_card, slot_of
from tests.unit.production.test_ahead import drawing_card

Serial = Callable[[], int]


def made(line: Line, serial: int) -> tuple[str, VirtualCard]:
    number, card = line.order(serial), blank_card(serial)
    line.personalise(number, card)
    line.inspect(number, card)
    return number, card


def untouched(card: VirtualCard) -> bool:
    """No authentication failed on its counters, and nothing durable changed after power-up."""
    return all(card.platform.keys.tries_left(version) == TRIES for version in card.platform.keys.versions())


def test_another_jobs_card_is_refused_with_its_number_and_batch(line: Line, serial: Serial) -> None:
    number, card = made(line, serial())
    other = line.order(serial())
    with pytest.raises(ChipTaken) as caught:
        line.personalise(other, card)
    assert (caught.value.card_number, caught.value.batch_number) == (number, BATCH)
    assert number in str(caught.value) and BATCH in str(caught.value)
    assert untouched(card)
    assert line.office.cards[other].chip_id == ""


def test_an_active_card_is_refused(line: Line, serial: Serial) -> None:
    number, card = made(line, serial())
    line.hand_over(number, card)
    with pytest.raises(CardAlreadyActive):
        line.personalise(number, card)
    with pytest.raises(CardAlreadyActive):
        line.personalise(line.order(serial()), card)
    assert untouched(card)


def test_a_blank_with_other_transport_keys_is_refused_and_keeps_its_tries(line: Line, serial: Serial) -> None:
    number, card = line.order(serial()), blank_card(serial(), master=b"\xee" * 16)
    with pytest.raises(UnknownKeys) as caught:
        line.personalise(number, card)
    assert caught.value.kvn == 0xFF and "key custodian" in str(caught.value)
    assert untouched(card)
    assert [record.kind for record in line.office.cards[number].journal] == [RecordKind.TRANSCRIPT]


def test_a_card_that_another_office_made_is_refused(line: Line, serial: Serial) -> None:
    number, card = made(line, serial())
    line.office.cards[number].chip_id = "somewhere else"
    other = line.order(serial())
    with pytest.raises(UnknownKeys):
        line.personalise(other, card)
    assert untouched(card)


def test_a_finished_card_with_a_forged_chip_number_is_a_counterfeit(line: Line, serial: Serial) -> None:
    """A blank that tells the production data of a card that was begun: its keys are not that card's."""
    first = serial()
    number, card = line.order(first), blank_card(first)
    card.faults = FaultPlan(tear_after=30)
    with pytest.raises(CardLost):
        line.personalise(number, card)
    assert journal_has(line, number, RecordKind.KEY_CHANGED)
    forged = blank_card(first)
    with pytest.raises(Counterfeit) as caught:
        line.personalise(number, forged)
    assert caught.value.check == "key version"
    line.personalise(number, card)


def journal_has(line: Line, number: str, kind: RecordKind) -> bool:
    return any(record.kind is kind for record in line.office.cards[number].journal)


def test_a_chip_that_is_no_global_platform_card_is_foreign(line: Line, serial: Serial) -> None:
    class Stranger:
        atr = b"\x3b\x00"

        def transmit(self, command: bytes) -> bytes:
            return bytes.fromhex("6A82")

        def close(self) -> None:
            pass

    number = line.order(serial())
    talk = personalise(line.office.job(number), line.profile, random=line.randomness.randbytes)
    with pytest.raises(ForeignCard, match="status 6A82"):
        run_local(talk, OpenedSlot(Stranger), line.office.desk(number))


def test_a_chip_that_cannot_protect_its_answers_is_foreign(line: Line, serial: Serial) -> None:
    chip_seed, blank = b"weak", blank_card(serial())
    keys = blank.platform.keys.get(0)
    assert keys is not None
    weak = VirtualCard.blank(chip_seed, initial_keys=keys, cplc=cplc_for(b"chip" + bytes(4)), scp03_i=0x00)
    number = line.order(serial())
    with pytest.raises(ProductionError) as caught:
        line.personalise(number, weak)
    assert caught.value.code in {"foreign-card", "unknown-keys"}
    assert untouched(weak)


def test_a_blank_without_the_applets_code_is_named(line: Line, serial: Serial) -> None:
    number, card = line.order(serial()), blank_card(serial())
    elsewhere = replace(line.profile, applet=replace(line.profile.applet, package_aid=b"\xf0other package"))
    talk = personalise(line.office.job(number), elsewhere, random=line.randomness.randbytes)
    with pytest.raises(ForeignCard, match="without the code"):
        run_local(talk, slot_of(card), line.office.desk(number))
    assert untouched(card)


def test_a_blank_of_another_profile_is_refused_before_its_keys_are_changed(line: Line, serial: Serial) -> None:
    one = serial()
    number, other = line.order(one), blank_card(one, kind="piv")
    with pytest.raises(ForeignCard, match="without the code"):
        line.personalise(number, other)
    assert untouched(other) and list(other.platform.keys.versions()) == [0xFF], "its keys are the maker's"
    kept = line.office.cards[number]
    assert kept.chip_id == "" and Journal(kept.journal).claimed_chip is None, "it may become another card"
    for _ in range(admission.WRITES_MAX):
        with pytest.raises(ForeignCard):
            line.personalise(number, other)
    own = blank_card(one)
    line.personalise(number, own)
    line.inspect(number, own)
    assert kept.state == "PERSONALISED" and kept.chip_id == Journal(kept.journal).claimed_chip


def test_a_drawing_blank_of_another_profile_is_let_go_too(line: Line, serial: Serial) -> None:
    one = serial()
    number, card = line.order(one), drawing_card(one)
    elsewhere = replace(line.profile, applet=replace(line.profile.applet, package_aid=b"\xf0other package"))
    talk = personalise(line.office.job(number), elsewhere, random=line.randomness.randbytes)
    with pytest.raises(ForeignCard, match="without the code"):
        run_local(talk, slot_of(card), line.office.desk(number))
    assert untouched(card) and line.office.cards[number].chip_id == ""
    line.personalise(number, card)
    line.inspect(number, card)


def test_a_card_begun_too_often_is_scrapped(line: Line, serial: Serial) -> None:
    number, card = line.order(serial()), blank_card(serial())
    for _ in range(admission.WRITES_MAX):
        card.faults = FaultPlan(tear_before=20)
        with pytest.raises(CardLost):
            line.personalise(number, card)
        card.faults = FaultPlan()
    with pytest.raises(CardScrapped):
        line.personalise(number, card)
    assert line.office.cards[number].state == "SPOILED"


class Tampering:
    """A reader that changes one answer on its way."""

    def __init__(self, card: VirtualCard, instruction: int, changed: Callable[[bytes], bytes]) -> None:
        self._inner: Connection = InProcessConnection(card)
        self._instruction, self._changed = instruction, changed
        self.atr = self._inner.atr

    def transmit(self, command: bytes) -> bytes:
        answer = self._inner.transmit(command)
        return self._changed(answer) if command[1] == self._instruction else answer

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize("instruction", [0xD8, 0xE2, 0xE6])
def test_an_answer_altered_on_the_way_is_noticed(line: Line, serial: Serial, instruction: int) -> None:
    """PUT KEY, STORE DATA, INSTALL: their answers carry a MAC."""
    number, card = line.order(serial()), blank_card(serial())
    talk = personalise(line.office.job(number), line.profile, random=line.randomness.randbytes)
    slot = OpenedSlot(lambda: Tampering(card, instruction, lambda answer: bytes([answer[0] ^ 1]) + answer[1:]))
    with pytest.raises(Counterfeit, match="secure channel"):
        run_local(talk, slot, line.office.desk(number))
    line.personalise(number, card)


def test_inspection_refuses_another_card(line: Line, serial: Serial) -> None:
    """It is none the worse for it, and the card that was meant neither: no PIN goes to a chip that is not the one."""
    number, card = made(line, serial())
    other_number, other = made(line, serial())
    with pytest.raises(WrongCard):
        line.inspect(number, other)
    assert line.office.cards[number].state == "PERSONALISED"
    assert line.inspect(other_number, other).genuine and line.inspect(number, card).genuine


def test_inspection_fails_on_data_that_were_not_prepared(line: Line, serial: Serial) -> None:
    number, card = line.order(serial()), blank_card(serial())
    line.personalise(number, card)
    line.office.cards[number].data_groups = line.office.cards[line.order(serial(), surname="Петрова")].data_groups
    with pytest.raises(InspectionFailed) as caught:
        line.inspect(number, card)
    assert caught.value.check == "data"
    assert line.office.cards[number].state == "SPOILED"


def test_hand_over_refuses_a_card_with_another_key(line: Line, serial: Serial) -> None:
    number, card = made(line, serial())
    other_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    job = HandOverJob(
        number,
        line.office.cards[number].chip_id,
        other_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        HOLDER_PINS | {"krp": LETTER},
    )
    with pytest.raises(Counterfeit, match="challenge"):
        run_local(
            hand_over(job, line.profile, random=line.randomness.randbytes), slot_of(card), line.office.desk(number)
        )
    line.hand_over(number, card)


def test_hand_over_refuses_another_card(line: Line, serial: Serial) -> None:
    number, _ = made(line, serial())
    _, other = made(line, serial())
    with pytest.raises(WrongCard):
        line.hand_over(number, other)


def test_hand_over_refuses_a_card_whose_pins_are_not_the_vaults(line: Line, serial: Serial) -> None:
    number, card = made(line, serial())
    line.hand_over(number, card)
    line.office.cards[number].journal = [
        record for record in line.office.cards[number].journal if record.kind is not RecordKind.PIN_CHANGE_INTENT
    ]
    with pytest.raises(PinRefused) as caught:
        line.hand_over(number, card)
    assert (caught.value.name, caught.value.tries_left) == ("pin1", 2)


@pytest.mark.parametrize(
    ("pin1", "pin2", "name", "reason"),
    [
        (b"1937", b"12345", "pin2", "length"),
        (b"193", b"604815", "pin1", "length"),
        (b"1234", b"604815", "pin1", "trivial"),
        (b"0000", b"604815", "pin1", "trivial"),
        (b"9876", b"604815", "pin1", "trivial"),
        (b"19a7", b"604815", "pin1", "digits"),
        (b"1937", None, "pin2", "length"),
    ],
)
def test_pins_a_holder_may_not_choose(
    line: Line, serial: Serial, pin1: bytes, pin2: bytes | None, name: str, reason: str
) -> None:
    pins = {"pin1": Secret(pin1), "krp": LETTER} | ({"pin2": Secret(pin2)} if pin2 else {})
    job = HandOverJob("1", "2", b"", pins)
    talk: Generator[Request, object, object] = hand_over(job, line.profile, random=line.randomness.randbytes)
    with pytest.raises(UnfitPin) as caught:
        next(talk)
    assert (caught.value.name, caught.value.reason) == (name, reason)


def test_a_driver_that_answers_nonsense_is_a_programming_error(line: Line, serial: Serial) -> None:
    talk = personalise(line.office.job(line.order(serial())), line.profile, random=line.randomness.randbytes)
    request = next(talk)
    while not isinstance(request, Send):
        request = talk.send(None)
    with pytest.raises(TypeError, match="Answers"):
        talk.send("nonsense")


def test_answers_that_a_station_shortens_are_not_believed(line: Line, serial: Serial) -> None:
    """`complete` is the station's word; the hub counts for itself."""
    talk = personalise(line.office.job(line.order(serial())), line.profile, random=line.randomness.randbytes)
    request = next(talk)
    while not isinstance(request, Send):
        request = talk.send(None)
    with pytest.raises(CardLost):
        talk.send(Answers((bytes.fromhex("9000"),), complete=True))
