"""PIV cards by SP 800-73: few round trips, any cipher of the admin key, EC and RSA, and refused by name."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from card_io.applets.piv import AdminAlgorithm, ObjectId, PivSession, WrongAdminKey, WrongPin, parse_chuid
from card_io.secret import Secret
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.production.bundle import RecordKind, Send
from issuance.production.check import check_card
from issuance.production.drivers import drive
from issuance.production.errors import (
    CardAlreadyActive,
    CardLost,
    ChipTaken,
    Counterfeit,
    ForeignCard,
    InspectionFailed,
    InvalidProfile,
    UnknownKeys,
    WrongCard,
)
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.piv.commands import put_object
from issuance.production.profile import AdminCipher, load_profile
from issuance.production.relay import play
from issuance.production.transcript import Transcript
from tests.support.keys import NOW
from tests.support.leaks import leaked
from tests.support.line import PIV_PROFILE, Line, blank_card, slot_of
from tests.unit.production.piv_line import (
    FACTORY_KEY,
    HOLDER_PIN,
    admin_key,
    fresh_connection,
    open_line,
    require_one_good_card,
    transport_pins,
    whole_way,
)

TRIPS = (5, 2, 2)
"""Personalise, inspect, hand over; the promise is at most seven, and three for the inspection."""


@pytest.fixture(scope="module")
def piv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(tmp_path_factory.mktemp("piv")) as line:
        yield line


def test_a_blank_becomes_a_holders_card_in_few_trips(piv: Line) -> None:
    number, card = piv.order(1), blank_card(1, kind="piv")
    written, looked, handed = Transcript(), Transcript(), Transcript()
    made = piv.personalise(number, card, written)
    assert not made.resumed and set(made.public_keys) == {key.name for key in piv.profile.keys}
    report = piv.inspect(number, card, looked)
    assert report.genuine and report.facts["card_number"] == number
    require_one_good_card(piv, number, card)
    piv.hand_over(number, card, handed)
    assert (written.round_trips, looked.round_trips, handed.round_trips) == TRIPS
    assert piv.office.cards[number].state == "ACTIVE"
    session = PivSession(fresh_connection(card))
    with pytest.raises(WrongPin):
        session.verify_pin(transport_pins(piv, number)["pin1"])
    session.verify_pin(HOLDER_PIN)


def test_the_identifier_is_signed_by_the_issuer_and_no_other_will_do(piv: Line) -> None:
    number, card = piv.order(31), blank_card(31, kind="piv")
    whole_way(piv, number, card)

    def identifier_holds() -> bool:
        report = check_card(
            slot_of(card), piv.profile, piv.anchors, now=piv.office.clock(), random=piv.randomness.randbytes
        )
        return {finding.check: finding.ok for finding in report.findings}["card_identifier"]

    assert identifier_holds()
    session = PivSession(fresh_connection(card))
    kept = parse_chuid(session.get_object(ObjectId.CHUID) or b"")
    key, cipher = admin_key(piv, number), piv.profile.piv
    assert cipher is not None and len(kept.signature) > 500
    session.authenticate_admin(key, cipher.cipher.algorithm, bytes(16))
    later = replace(kept, expires_on=kept.expires_on.replace(year=kept.expires_on.year + 5))
    session.put_object(ObjectId.CHUID, later.encode())
    assert not identifier_holds(), "its last day is another than what was signed"
    session = PivSession(fresh_connection(card))
    session.authenticate_admin(key, cipher.cipher.algorithm, bytes(16))
    session.put_object(ObjectId.CHUID, replace(kept, signature=b"").encode())
    assert not identifier_holds()


def test_makers_secrets_open_nothing_afterwards(piv: Line) -> None:
    number, card = piv.order(2), blank_card(2, kind="piv")
    whole_way(piv, number, card)
    session = PivSession(fresh_connection(card))
    with pytest.raises(WrongAdminKey):
        session.authenticate_admin(Secret(FACTORY_KEY), AdminAlgorithm.TDES, bytes(8))
    with pytest.raises(WrongPin):
        session.verify_pin(Secret(b"123456"))
    with pytest.raises(WrongPin):
        session.change_puk(Secret(b"12345678"), Secret(b"12345678"))


def test_a_terminal_without_pin_knows_a_genuine_card(piv: Line) -> None:
    number, card = piv.order(3), blank_card(3, kind="piv")
    whole_way(piv, number, card)

    def look(line: Line = piv) -> dict[str, bool]:
        report = check_card(
            slot_of(card), line.profile, line.anchors, now=line.office.clock(), random=line.randomness.randbytes
        )
        return {finding.check: finding.ok for finding in report.findings}

    assert all(look().values())
    other, twin = piv.order(4), blank_card(4, kind="piv")
    whole_way(piv, other, twin)
    chuid = PivSession(fresh_connection(twin)).get_object(ObjectId.CHUID)
    session = PivSession(fresh_connection(card))
    session.authenticate_admin(admin_key(piv, number), AdminAlgorithm.AES_256, bytes(16))
    assert chuid is not None
    session.put_object(ObjectId.CHUID, chuid)
    failed = [check for check, ok in look().items() if not ok]
    assert failed == ["security_object", "card_number"], "another card's identifier"
    assert look()["proof:card"]


@pytest.mark.parametrize("cipher", ["3des", "aes-128", "aes-192", "aes-256"])
def test_every_cipher_of_the_admin_key(tmp_path: Path, cipher: str) -> None:
    with open_line(tmp_path, ('cipher = "aes-256"', f'cipher = "{cipher}"')) as line:
        number, card = line.order(1), blank_card(1, kind="piv")
        whole_way(line, number, card)
        kept = admin_key(line, number)
        algorithm = AdminCipher(cipher).algorithm
        session = PivSession(fresh_connection(card))
        session.authenticate_admin(kept, algorithm, bytes(algorithm.block_bytes))
        session.put_object(ObjectId.CHUID, b"\x30\x00")
        assert session.get_object(ObjectId.CHUID) == b"\x30\x00", "who holds the key may write"


@pytest.mark.slow
def test_rsa_and_p384_are_a_profile_change_only(tmp_path: Path) -> None:
    rsa, p384 = ('algorithm = "ec-p256"', 'algorithm = "rsa-2048"'), ('algorithm = "ec-p256"', 'algorithm = "ec-p384"')
    with open_line(tmp_path, rsa, p384) as line:
        number, card = line.order(1), blank_card(1, kind="piv")
        transcript = Transcript()
        line.personalise(number, card, transcript)
        assert transcript.round_trips == TRIPS[0]
        report = line.inspect(number, card)
        assert report.genuine, report.failures
        line.hand_over(number, card)


MORE = """
[[keys]]
name = "transport"
label = "Transport"
reference = 0x82
algorithm = "ec-p256"
use = "sign"
pin = "pin1"
certificate_fid = 0x5FC10D
certificate_profile = "authentication"

[[data_groups]]
number = 2
name = "benefits"
label = "Benefits"
fid = 0x5FFF10
tag = 0x53
read = "always"

[[data_groups.fields]]
name = "benefit"
tag = 0x80
kind = "text"
"""


def test_a_new_object_and_a_new_key_slot_are_a_profile_change_only(tmp_path: Path) -> None:
    with open_line(tmp_path, ("", MORE)) as line:
        number, card = line.order(1, benefit="льготный проезд"), blank_card(1, kind="piv")
        line.personalise(number, card)
        report = line.inspect(number, card)
        checks = {finding.check for finding in report.findings}
        assert report.genuine and {"certificate:transport", "proof:transport"} <= checks
        assert report.facts["benefit"] == "льготный проезд"


def test_a_master_changed_in_between_does_not_lose_the_card(tmp_path: Path) -> None:
    with open_line(tmp_path) as line:
        number, card = line.order(1), blank_card(1, kind="piv")
        card.faults.tear_after = 12
        with pytest.raises(CardLost):
            line.personalise(number, card)
        assert Journal(line.office.cards[number].journal).has(RecordKind.KEY_CHANGE_INTENT)
        line.office.vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_256, now=NOW)
        card.faults.tear_after = None
        assert line.personalise(number, card).key_version == 1
        assert line.inspect(number, card).genuine


def test_nothing_secret_is_recorded(piv: Line) -> None:
    number, card = piv.order(5), blank_card(5, kind="piv")
    whole_way(piv, number, card)
    said = str([dict(record.facts) for record in piv.office.cards[number].journal])
    for secret in (*transport_pins(piv, number).values(), admin_key(piv, number)):
        assert not leaked(said, secret)


def test_wrong_cards_are_refused_by_name(piv: Line) -> None:
    number, card = piv.order(6), blank_card(6, kind="piv")
    card.faults.tear_after = 20
    with pytest.raises(CardLost):
        piv.personalise(number, card)
    card.faults.tear_after = None
    with pytest.raises(WrongCard):
        piv.personalise(number, blank_card(7, kind="piv"))
    with pytest.raises(ChipTaken):
        piv.personalise(piv.order(8), card)
    whole_way(piv, number, card)
    piv.hand_over(number, card)
    with pytest.raises(CardAlreadyActive):
        piv.personalise(number, card)
    with pytest.raises(ForeignCard):
        piv.personalise(piv.order(9), blank_card(9))  # a blank of the other kind


def test_an_admin_key_that_is_nobodys_is_refused_before_anything_is_written(piv: Line) -> None:
    number, card = piv.order(10), blank_card(10, kind="piv")
    session = PivSession(fresh_connection(card))
    session.authenticate_admin(Secret(FACTORY_KEY), AdminAlgorithm.TDES, bytes(8))
    foreign = bytes([0x03, 0x9B, 24]) + bytes(range(24))
    assert card.process(bytes([0x00, 0xFF, 0xFF, 0xFF, len(foreign)]) + foreign) == b"\x90\x00"
    with pytest.raises(UnknownKeys):
        piv.personalise(number, card)
    kept = piv.office.cards[number]
    assert [record.kind for record in kept.journal] == [RecordKind.TRANSCRIPT] and not kept.chip_id


def test_a_card_that_lets_anyone_in_is_a_counterfeit(piv: Line) -> None:
    """It says 9000 to the host's answer without having the key itself."""
    number, card = piv.order(11), blank_card(11, kind="piv")
    slot = slot_of(card)

    def send(bundle: Send) -> object:
        answers = play(slot, bundle)
        if len(bundle.steps) == 1:
            wrong = bytes.fromhex("7C0A8208") + bytes(8) + b"\x90\x00"
            return type(answers)((wrong,), complete=True)
        return answers

    talk = personalise(piv.office.job(number), piv.profile, random=piv.randomness.randbytes)
    with pytest.raises(Counterfeit):
        drive(talk, send, piv.office.desk(number))  # type: ignore[arg-type]
    assert not piv.office.cards[number].chip_id


def test_a_changed_object_fails_inspection(piv: Line) -> None:
    number, card = piv.order(12), blank_card(12, kind="piv")
    piv.personalise(number, card)
    session = PivSession(fresh_connection(card))
    session.authenticate_admin(admin_key(piv, number), AdminAlgorithm.AES_256, bytes(16))
    session.verify_pin(transport_pins(piv, number)["pin1"])
    printed = session.get_object(ObjectId.PRINTED_INFORMATION)
    assert printed is not None
    session.put_object(ObjectId.PRINTED_INFORMATION, printed.replace("АННА".encode(), "ОЛЬГ".encode()))
    with pytest.raises(InspectionFailed) as caught:
        piv.inspect(number, card)
    assert caught.value.facts["check"] == "security_object"
    assert piv.office.cards[number].state == "SPOILED"


def test_only_trusted_stations_are_trusted(piv: Line, tmp_path: Path) -> None:
    assert not piv.profile.trusts("Window 1")
    with open_line(tmp_path, ("trusted_stations = []", 'trusted_stations = ["Window 1"]')) as line:
        assert line.profile.trusts("Window 1") and not line.profile.trusts("Window 2")


def test_long_data_are_chained() -> None:
    steps = put_object(ObjectId.CHUID, bytes(600), "write_data", expect=(0x9000, 0x6A84))
    assert [step.command[0] for step in steps] == [0x10, 0x10, 0x00]
    assert [step.expect for step in steps] == [(0x9000,), (0x9000,), (0x9000, 0x6A84)]
    data = b"".join(step.command[5 : 5 + step.command[4]] for step in steps)
    assert data == bytes.fromhex("5C035FC10253820258") + bytes(600)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('kind = "piv"', 'kind = "uec"', "piv"),
        ('factory_admin_key = "01', 'factory_admin_key = "', "piv.factory_admin_key"),
        ('fasc_n = "D4', 'fasc_n = "', "piv.fasc_n"),
        ('set_admin_key = "yubico"', 'set_admin_key = "other"', "piv.set_admin_key"),
        ('cipher = "aes-256"', 'cipher = "des"', "piv.cipher"),
    ],
)
def test_a_wrong_profile_says_where(tmp_path: Path, old: str, new: str, place: str) -> None:
    path = tmp_path / "piv.toml"
    path.write_text(PIV_PROFILE.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InvalidProfile) as caught:
        load_profile(path)
    assert place in str(caught.value)
