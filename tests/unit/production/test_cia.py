"""The ISO 7816-15 files, taken apart again: references agree with each other and with the profile."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from card_io import tlv
from card_io.applets.uec.layout import CIA_AID, Fid
from issuance.production.cia import build_cia_files
from issuance.production.profile import load_profile
from tests.support.keys import NOW
from tests.support.line import UEC_PROFILE

PROFILE = load_profile(UEC_PROFILE)
NUMBER = "9643600000000015"
KEYS = {key.name: ec.derive_private_key(1000 + key.reference, ec.SECP256R1()) for key in PROFILE.keys}


def certificate(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A certificate in DER whose fields before the key are as long as `name` makes them."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 2**100, NOW, NOW + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


CERTIFICATES = {name: certificate(key, "Holder" * number) for number, (name, key) in enumerate(KEYS.items(), 1)}


def built(groups: tuple[int, ...] = (1, 2, 3, 4)) -> dict[int, bytes]:
    return build_cia_files(PROFILE, card_number=NUMBER, certificates=CERTIFICATES, groups=groups)


def objects(fid: Fid) -> list[tlv.Tlv]:
    return tlv.parse(built()[fid])


def flags(bit_string: bytes) -> set[int]:
    """Numbers of the bits that are set."""
    bits = "".join(f"{byte:08b}" for byte in bit_string[1:])
    return {number for number, bit in enumerate(bits) if bit == "1"}


def test_the_directory_names_the_application_and_its_path() -> None:
    (entry,) = objects(Fid.DIR)
    assert entry.tag == 0x61
    assert tlv.find(entry.value, 0x4F) == CIA_AID
    assert tlv.find(entry.value, 0x51) == bytes.fromhex("3F005015")


def test_the_object_directory_lists_every_other_file() -> None:
    listed = {item.tag: tlv.require(item.value, 0x30, 0x04) for item in objects(Fid.OD)}
    assert listed == {
        0xA0: bytes.fromhex("3F0050154402"),
        0xA1: bytes.fromhex("3F0050154403"),
        0xA4: bytes.fromhex("3F0050154404"),
        0xA7: bytes.fromhex("3F0050154405"),
        0xA8: bytes.fromhex("3F0050154401"),
    }


def test_the_serial_number_is_the_card_number() -> None:
    (info,) = objects(Fid.CIA_INFO)
    assert tlv.require(info.value, 0x04).hex() == NUMBER
    assert tlv.require(info.value, 0x80) == PROFILE.token.label.encode()


def test_pins_say_who_unblocks_them() -> None:
    found = {}
    for item in objects(Fid.AOD):
        common, kind, attributes = item.children()[0], item.children()[1], item.children()[2]
        inner = tlv.parse(tlv.require(attributes.value, 0x30))
        lengths = [int.from_bytes(part.value, "big") for part in inner if part.tag == 0x02]
        reference = next(part.value for part in inner if part.tag == 0x80)
        found[reference] = (
            tlv.find(common.value, 0x04),
            tlv.require(kind.value, 0x04),
            flags(inner[0].value),
            lengths,
        )
    assert found == {
        b"\x01": (b"\x03", b"\x01", {4}, [4, 8, 8]),
        b"\x02": (b"\x03", b"\x02", {4}, [6, 8, 8]),
        b"\x03": (None, b"\x03", {4, 6}, [8, 8, 8]),
    }


def test_private_keys_name_their_pin_and_what_they_are_for() -> None:
    found = {}
    for item in objects(Fid.PRKD):
        assert item.tag == 0xA0, "an EC key"
        common, kind, attributes = item.children()
        parts = tlv.parse(kind.value)
        consent = tlv.find(common.value, 0x02)
        found[parts[0].value] = (
            tlv.find(common.value, 0x04),
            flags(parts[1].value),
            flags(parts[2].value),
            parts[3].value,
            consent,
        )
        assert tlv.require(attributes.value, 0x30, 0x02) == b"\x01\x00", "256 bits"
    access = {0, 2, 3, 4}
    assert found == {
        b"\x01": (b"\x01", {2}, access, b"\x01", None),
        b"\x02": (b"\x02", {2, 9}, access, b"\x02", b"\x01"),
        b"\x03": (b"\x01", {8}, access, b"\x03", None),
    }


def test_public_keys_are_found_in_their_certificates() -> None:
    """Path, offset and length lead to the SubjectPublicKeyInfo, curve included, in the certificate's file."""
    for item, name in zip(objects(Fid.PUKD), ("authentication", "signature", "agreement"), strict=True):
        path, index, length = tlv.parse(tlv.require(item.children()[2].value, 0x30, 0x30))
        slot = next(key for key in PROFILE.keys if key.name == name)
        assert (path.tag, path.value) == (0x04, bytes.fromhex("3F005015") + slot.certificate_fid.to_bytes(2, "big"))
        assert (index.tag, length.tag) == (0x02, 0x80)
        start = int.from_bytes(index.value, "big", signed=True)
        found = CERTIFICATES[name][start : start + int.from_bytes(length.value, "big", signed=True)]
        assert found == KEYS[name].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_certificates_share_their_keys_identifier_and_name_their_files() -> None:
    found = {
        tlv.require(item.children()[1].value, 0x04): tlv.require(item.children()[2].value, 0x30, 0x30, 0x04)
        for item in objects(Fid.CD)
    }
    assert found == {bytes([n]): bytes.fromhex(f"3F005015450{n}") for n in range(1, 5)}


@pytest.mark.parametrize("groups", [(1, 2, 3, 4), (1, 2, 3), (1,)])
def test_data_objects_are_those_the_card_has(groups: tuple[int, ...]) -> None:
    found = []
    for item in tlv.parse(built(groups)[Fid.DOD]):
        common, _, attributes = item.children()
        found.append((tlv.require(attributes.value, 0x30, 0x04).hex()[-4:], tlv.find(common.value, 0x04)))
    behind = {1: None, 2: b"\x01", 3: b"\x01", 4: b"\x01"}
    assert found == [*((f"010{number}", behind[number]) for number in groups), ("011d", None)]


def test_the_card_key_is_listed_nowhere_but_its_certificate() -> None:
    files = built()
    path = bytes.fromhex("3F005015") + Fid.CERT_CARD.to_bytes(2, "big")
    assert path not in files[Fid.PUKD] and path in files[Fid.CD]
    assert len(tlv.parse(files[Fid.PRKD])) == len(tlv.parse(files[Fid.PUKD])) == 3


def test_a_longer_curve_is_told() -> None:
    keys = tuple(replace(key, algorithm=type(key.algorithm)("ec-p384")) for key in PROFILE.keys)
    files = build_cia_files(replace(PROFILE, keys=keys), card_number=NUMBER, certificates=CERTIFICATES, groups=(1,))
    first = tlv.parse(files[Fid.PRKD])[0]
    assert tlv.require(first.children()[2].value, 0x30, 0x02) == (384).to_bytes(2, "big")
