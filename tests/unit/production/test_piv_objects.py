"""The data objects of a PIV card as they lie on it, laid beside the tables of NIST SP 800-73-4, part 1, appendix A.

Tag by tag: what the standard names, in its order, within its lengths; what it leaves empty is there and empty.
"""

import gzip
import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from cryptography import x509

from card_io import tlv
from card_io.applets.piv import AdminAlgorithm, ObjectId, PivSession
from card_io.applets.piv.objects import parse_key_history
from card_io.virtual.card import VirtualCard
from issuance.pki import der
from issuance.production.check import check_card
from issuance.production.piv import objects
from tests.support.line import Line, blank_card, facts_for, slot_of
from tests.unit.production.piv_line import HOLDER_PIN, admin_key, fresh_connection, open_line, whole_way

SELECT = bytes.fromhex("00A4040009A00000030800001000")
PIN = HOLDER_PIN.reveal()
CERTIFICATE_MAX, SIGNATURE_MAX, SECURITY_OBJECT_MAX = 1856, 2816, 900


@dataclass(frozen=True)
class Element:
    """A line of a table: a tag, and how long its value may be."""

    tag: int
    least: int
    most: int


def empty(*tags: int) -> tuple[Element, ...]:
    return tuple(Element(tag, 0, 0) for tag in tags)


TABLES = {
    ObjectId.CARD_CAPABILITY_CONTAINER: (  # table 8
        Element(0xF0, 21, 21),
        Element(0xF1, 1, 1),
        Element(0xF2, 1, 1),
        Element(0xF3, 0, 128),
        Element(0xF4, 1, 1),
        Element(0xF5, 1, 1),
        *empty(0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE),
    ),
    ObjectId.CHUID: (  # table 9
        Element(0x30, 25, 25),
        Element(0x34, 16, 16),
        Element(0x35, 8, 8),
        Element(0x3E, 1, SIGNATURE_MAX),
        Element(0xFE, 0, 0),
    ),
    ObjectId.PRINTED_INFORMATION: (  # table 11
        Element(0x01, 1, 125),
        Element(0x02, 1, 20),
        Element(0x04, 9, 9),
        Element(0x05, 1, 20),
        Element(0x06, 15, 15),
        Element(0xFE, 0, 0),
    ),
    0x5FC106: (  # table 12
        Element(0xBA, 3, 30),
        Element(0xBB, 1, SECURITY_OBJECT_MAX),
        Element(0xFE, 0, 0),
    ),
    **dict.fromkeys(
        (0x5FC105, 0x5FC10A, 0x5FC10B, 0x5FC101),  # tables 10, 15 to 17
        (Element(0x70, 1, CERTIFICATE_MAX), Element(0x71, 1, 1), Element(0xFE, 0, 0)),
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Line, str, VirtualCard]]:
    with open_line(tmp_path_factory.mktemp("piv")) as line:
        number, card = line.order(1), blank_card(1, kind="piv")
        whole_way(line, number, card)
        line.hand_over(number, card)
        yield line, number, card


def read(card: VirtualCard, tag: int, pin: bytes = b"") -> list[tlv.Tlv]:
    """What stands inside 53, by GET DATA in clear, behind the PIN where one is given."""
    connection = fresh_connection(card)
    assert connection.transmit(SELECT)[-2:] == b"\x90\x00"
    if pin:
        assert connection.transmit(bytes.fromhex("0020008008") + pin.ljust(8, b"\xff")) == b"\x90\x00"
    command = bytes.fromhex("00CB3FFF055C03") + tag.to_bytes(3, "big") + b"\x00"
    answer = connection.transmit(command)
    data = answer[:-2]
    while answer[-2] == 0x61:
        answer = connection.transmit(bytes.fromhex("00C00000") + answer[-1:])
        data += answer[:-2]
    assert answer[-2:] == b"\x90\x00", f"{tag:X}"
    return list(tlv.parse(tlv.single(data, 0x53)))


@pytest.mark.parametrize("tag", TABLES, ids=lambda tag: f"{tag:X}")
def test_an_object_is_its_table(made: tuple[Line, str, VirtualCard], tag: int) -> None:
    found = read(made[2], tag, PIN)
    assert [one.tag for one in found] == [element.tag for element in TABLES[tag]]
    for one, element in zip(found, TABLES[tag], strict=True):
        assert element.least <= len(one.value) <= element.most, f"{one.tag:X} has {len(one.value)} bytes"


def test_the_identifier_names_the_card_and_ends_with_its_certificates(made: tuple[Line, str, VirtualCard]) -> None:
    line, number, card = made
    fields = {one.tag: one.value for one in read(card, ObjectId.CHUID)}
    assert line.profile.piv is not None and fields[0x30] == line.profile.piv.fasc_n
    assert fields[0x34] == objects.guid(number) and fields[0x34][6] >> 4 == 5 and fields[0x34][8] >> 6 == 2, "RFC 9562"
    ends = date.fromisoformat(fields[0x35].decode("ascii"))
    certificate = x509.load_der_x509_certificate(read(card, 0x5FC101)[0].value)
    assert ends == certificate.not_valid_after_utc.date()


def test_the_certificates_call_the_card_what_its_identifier_does(made: tuple[Line, str, VirtualCard]) -> None:
    """FIPS 201-3, 4.2.2.1 and 4.2.2.2: FASC-N and card UUID are those of the CHUID, and 9E is for nothing else."""
    line, _, card = made
    identifier = {one.tag: one.value for one in read(card, ObjectId.CHUID)}
    for key in line.profile.keys:
        if not key.certificate_profile.startswith("piv-"):
            continue
        extensions = x509.load_der_x509_certificate(read(card, key.certificate_fid)[0].value).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [one.value for one in names.get_values_for_type(x509.OtherName)] == [b"\x04\x19" + identifier[0x30]]
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uuid.UUID(bytes=identifier[0x34]).urn]
        if key.name == "card":
            usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
            assert usage.critical and [one.dotted_string for one in usage.value] == ["2.16.840.1.101.3.6.8"]


def test_the_issuers_signature_has_the_form_of_fips_201(made: tuple[Line, str, VirtualCard]) -> None:
    """Version 3, one digest, no content, one certificate, no lists, one signer, who is named among the attributes."""
    signature = {one.tag: one.value for one in read(made[2], ObjectId.CHUID)}[0x3E]
    content_type, outer = der.read(signature).children()
    assert content_type.raw == der.oid("1.2.840.113549.1.7.2")
    (body,) = outer.children()
    version, digests, content, certificates, signers = body.children()
    assert version.value == b"\x03" and len(list(digests.children())) == 1
    assert [one.raw for one in content.children()] == [der.oid("2.16.840.1.101.3.6.1")]
    (certificate,) = certificates.children()
    subject = x509.load_der_x509_certificate(certificate.raw).subject.public_bytes()
    (signer,) = signers.children()
    _, _, _, attributes, _, _ = signer.children()
    held = {next(iter(one.children())).raw: list(one.children())[1] for one in attributes.children()}
    assert set(held) >= {der.oid("1.2.840.113549.1.9.3"), der.oid("1.2.840.113549.1.9.4")}
    (name,) = held[der.oid("2.16.840.1.101.3.6.5")].children()
    assert name.raw == subject, "pivSigner-DN"


def test_the_security_object_maps_every_group_to_its_container(made: tuple[Line, str, VirtualCard]) -> None:
    mapping = {one.tag: one.value for one in read(made[2], 0x5FC106)}[0xBA]
    assert mapping == bytes.fromhex("013001 0FDB00 103000"), "printed information, capability container, CHUID"


def test_what_is_signed_is_all_that_stands_in_a_container(made: tuple[Line, str, VirtualCard]) -> None:
    """What is signed nowhere else is covered, and the CHUID; as a stranger's verifier would compute it."""
    line, _, card = made
    objects_of = {1: ObjectId.PRINTED_INFORMATION, 15: ObjectId.CARD_CAPABILITY_CONTAINER, 16: ObjectId.CHUID}
    signed = {one.tag: one.value for one in read(card, 0x5FC106)}[0xBB]
    chuid = b"".join(tlv.encode(one.tag, one.value) for one in read(card, ObjectId.CHUID))
    found = line.anchors.open(objects.whole_security_object(signed, chuid)).digests
    contents = {
        number: b"".join(tlv.encode(one.tag, one.value) for one in read(card, tag, PIN))
        for number, tag in objects_of.items()
    }
    assert found == {number: hashlib.sha256(content).digest() for number, content in contents.items()}


def test_the_printed_information_says_what_the_card_says(made: tuple[Line, str, VirtualCard]) -> None:
    line, number, card = made
    printed = {one.tag: one.value.decode() for one in read(card, ObjectId.PRINTED_INFORMATION, PIN)}
    facts = facts_for(number)
    assert printed[0x01] == facts["printed_name"] and printed[0x05] == number
    assert printed[0x04] == "2031MAR02", "YYYYMMMDD"
    assert line.profile.piv is not None and printed[0x06][6:10] == "9999", "the agency code of the FASC-N"


def test_the_documents_signer_may_sign_the_content_of_piv_cards(made: tuple[Line, str, VirtualCard]) -> None:
    certificate = x509.load_der_x509_certificate(made[0].office.document_signer.certificate)
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [one.dotted_string for one in usages] == ["2.16.840.1.101.3.6.7"], "id-PIV-content-signing"


RETIRED = """
[[keys]]
name = "older"
label = "Older"
reference = 0x82
algorithm = "ec-p256"
use = "agree"
pin = "pin1"
certificate_fid = 0x5FC10D
certificate_profile = "key-agreement"
"""


def test_a_card_with_keys_in_retired_slots_has_a_history(tmp_path: Path) -> None:
    with open_line(tmp_path, ("", RETIRED)) as line:
        number, card = line.order(1), blank_card(1, kind="piv")
        whole_way(line, number, card)
        history = parse_key_history(b"".join(tlv.encode(one.tag, one.value) for one in read(card, 0x5FC10C)))
        assert (history.on_card, history.off_card, history.url) == (1, 0, "")
        mapping = {one.tag: one.value for one in read(card, 0x5FC106)}[0xBA]
        assert mapping == bytes.fromhex("013001 0E6060 0FDB00 103000")


@pytest.mark.parametrize("tag", [ObjectId.CARD_CAPABILITY_CONTAINER, ObjectId.CHUID])
def test_an_object_of_another_card_is_found(tmp_path: Path, tag: int) -> None:
    """Put together of two cards, each object signed or not: the security object is of one card only."""
    with open_line(tmp_path) as line:
        cards = []
        for serial in (1, 2):
            number, card = line.order(serial), blank_card(serial, kind="piv")
            whole_way(line, number, card)
            cards.append((number, card))
        (number, card), (_, other) = cards
        session = PivSession(fresh_connection(card))
        session.authenticate_admin(admin_key(line, number), AdminAlgorithm.AES_256, bytes(16))
        session.put_object(tag, b"".join(tlv.encode(one.tag, one.value) for one in read(other, tag)))
        report = check_card(
            slot_of(card), line.profile, line.anchors, now=line.office.clock(), random=line.randomness.randbytes
        )
        failed = {finding.check: finding.reason for finding in report.failures}
        assert f"{tag:X}" in failed["security_object"]


def test_the_security_object_leaves_out_the_certificate_that_the_identifier_has(
    made: tuple[Line, str, VirtualCard],
) -> None:
    line, number, card = made
    signed = {one.tag: one.value for one in read(card, 0x5FC106)}[0xBB]
    chuid = b"".join(tlv.encode(one.tag, one.value) for one in read(card, ObjectId.CHUID))
    whole = objects.whole_security_object(signed, chuid)
    certificate = line.office.document_signer.certificate
    assert certificate not in signed and certificate in whole
    assert set(line.anchors.open(whole).digests) == {*line.office.cards[number].data_groups, 15, 16}
    for other in (b"", b"\x30\x00", chuid[:40], bytes(50)):
        assert objects.whole_security_object(signed, other) == signed, "without an identifier it stays as it is"
    assert objects.whole_security_object(whole, chuid) == whole, "a card that has it inside is read as well"


def test_certificates_say_whether_they_are_compressed(made: tuple[Line, str, VirtualCard]) -> None:
    for tag in (0x5FC105, 0x5FC10A, 0x5FC10B, 0x5FC101):
        fields = {one.tag: one.value for one in read(made[2], tag)}
        content = gzip.decompress(fields[0x70]) if fields[0x71] == b"\x01" else fields[0x70]
        assert fields[0x71] in (b"\x00", b"\x01")
        assert x509.load_der_x509_certificate(content)
