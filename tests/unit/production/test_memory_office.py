"""The office in memory keeps the rules that matter to a card."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from issuance.errors import IssuanceError, UnfitKey
from issuance.production.bundle import (
    CertificatesWanted,
    KnownChip,
    PinsWanted,
    Progress,
    Record,
    RecordKind,
    SecurityObjectWanted,
    WhoIs,
)
from issuance.production.datagroups import digests
from issuance.production.errors import ChipTaken
from tests.support.line import BATCH, Line
from tests.support.pki import proofs_of, public_keys_of

Serial = Callable[[], int]


def public_key(curve: ec.EllipticCurve | None = None) -> bytes:
    key = ec.generate_private_key(curve or ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def keep(line: Line, number: str, record: Record) -> None:
    desk = line.office.desk(number)
    desk.record(record)
    desk.commit()


def claim(line: Line, number: str, chip_id: str) -> None:
    keep(line, number, Record(RecordKind.CHIP_CLAIMED, {"chip_id": chip_id}))


def test_a_chip_belongs_to_one_card(line: Line, serial: Serial) -> None:
    one, other = line.order(serial()), line.order(serial())
    desk = line.office.desk(one)
    assert desk.who_is(WhoIs("c1")) is None
    claim(line, one, "c1")
    assert desk.who_is(WhoIs("c1")) == KnownChip(one, "WRITING", BATCH)
    claim(line, one, "c1")
    with pytest.raises(ChipTaken) as caught:
        claim(line, other, "c1")
    assert caught.value.card_number == one
    assert line.office.cards[other].journal == []


def test_a_key_has_one_certificate_and_one_card(line: Line, serial: Serial) -> None:
    one, other = line.order(serial()), line.order(serial())
    claim(line, one, f"k{one}")
    claim(line, other, f"k{other}")
    held = {"authentication": ec.generate_private_key(ec.SECP256R1())}
    keys, proofs = public_keys_of(held), proofs_of(held)
    first = line.office.desk(one).certificates(CertificatesWanted(one, f"k{one}", keys, proofs))
    assert line.office.desk(one).certificates(CertificatesWanted(one, f"k{one}", keys, proofs)) == first
    assert line.office.desk(one).certificates(CertificatesWanted(one, f"k{one}", keys)) == first, "it was proved before"
    with pytest.raises(IssuanceError, match="another card already"):
        line.office.desk(other).certificates(CertificatesWanted(other, f"k{other}", keys, proofs))


def test_one_key_in_two_slots_is_not_certified(line: Line, serial: Serial) -> None:
    """A chip that draws the same key twice has no randomness."""
    number = line.order(serial())
    claim(line, number, f"s{number}")
    key = ec.generate_private_key(ec.SECP256R1())
    keys = public_keys_of({"authentication": key, "signature": key})
    with pytest.raises(IssuanceError, match="same key"):
        line.office.desk(number).certificates(CertificatesWanted(number, f"s{number}", keys))
    assert not set(keys.values()) & set(line.office.certificates)


def test_a_key_that_was_not_proved_is_not_certified(line: Line, serial: Serial) -> None:
    number = line.order(serial())
    claim(line, number, f"p{number}")
    keys = public_keys_of({"authentication": ec.generate_private_key(ec.SECP256R1())})
    with pytest.raises(UnfitKey, match="proof"):
        line.office.desk(number).certificates(CertificatesWanted(number, f"p{number}", keys))
    assert keys["authentication"] not in line.office.certificates


def test_no_certificate_for_a_chip_that_was_not_claimed(line: Line, serial: Serial) -> None:
    number = line.order(serial())
    with pytest.raises(IssuanceError, match="another chip"):
        line.office.desk(number).certificates(CertificatesWanted(number, "elsewhere", {"card": public_key()}))


def test_a_foreign_curve_is_not_certified(line: Line, serial: Serial) -> None:
    number = line.order(serial())
    claim(line, number, f"f{number}")
    with pytest.raises(UnfitKey):
        line.office.desk(number).certificates(
            CertificatesWanted(number, f"f{number}", {"card": public_key(ec.SECP521R1())})
        )


def test_states_follow_records(line: Line, serial: Serial) -> None:
    number = line.order(serial())
    states = []
    for kind in (RecordKind.WRITE_INTENT, RecordKind.INSPECTED, RecordKind.HANDED_OVER, RecordKind.SCRAPPED):
        keep(line, number, Record(kind, {}))
        states.append(line.office.cards[number].state)
    assert states == ["PREPARED", "PERSONALISED", "ACTIVE", "SPOILED"]
    assert line.office.job(number).journal[0].kind is RecordKind.WRITE_INTENT


def test_a_kept_record_does_not_change_with_the_callers_dictionary(line: Line, serial: Serial) -> None:
    number, facts = line.order(serial()), {"kvn": 1}
    keep(line, number, Record(RecordKind.KEY_CHANGED, facts))
    facts["kvn"] = 2
    assert line.office.cards[number].journal[0].facts == {"kvn": 1}


def test_pins_are_the_cards_own_and_the_same_each_time(line: Line, serial: Serial) -> None:
    one, other = line.order(serial()), line.order(serial())
    wanted = {"pin1": 8, "krp": 8}
    pins = line.office.desk(one).pins(PinsWanted(one, wanted))
    assert pins == line.office.desk(one).pins(PinsWanted(one, wanted))
    others = line.office.desk(other).pins(PinsWanted(other, wanted))
    values = {pin.reveal() for pin in (*pins.values(), *others.values())}
    assert len(values) == 4 and all(len(value) == 8 and value.isdigit() for value in values)


def test_the_security_object_covers_what_it_is_asked_for(line: Line, serial: Serial) -> None:
    number = line.order(serial())
    signed = digests(line.office.cards[number].data_groups)
    content = line.office.desk(number).security_object(SecurityObjectWanted(number, signed))
    assert dict(line.anchors.open(content).digests) == signed


def test_progress_is_kept_for_whoever_looks(line: Line, serial: Serial) -> None:
    desk = line.office.desk(line.order(serial()))
    desk.progress(Progress(1, 6, "write_data"))
    assert desk.shown == [Progress(1, 6, "write_data")]
