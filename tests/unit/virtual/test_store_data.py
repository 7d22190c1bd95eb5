"""STORE DATA for a security domain: every object the specification names, structures cut over blocks, renaming."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import tlv
from card_io.virtual import supplementary
from card_io.virtual.card import VirtualCard
from tests.unit.virtual.cards import HostSession, authenticate, blank, open_session, send

ISD = bytes.fromhex("A000000151000000")
NAME = bytes.fromhex("A00000000300000001")
DOMAIN = bytes.fromhex("A00000015153504101")
CARD_DATA = tlv.encode(0x73, tlv.encode(0x06, bytes.fromhex("2A864886FC6B01")) + tlv.encode(0x65, b"maker"))
CAPABILITIES = tlv.encode(0xA0, bytes.fromhex("800103810170"))
URL = b"https://issuer.example/domain"
OBJECTS = {0x42: b"IIN", 0x45: b"CIN", 0x66: CARD_DATA, 0x67: CAPABILITIES, 0x5F50: URL}


def with_domain(card: VirtualCard) -> HostSession:
    """A session with the issuer's domain of a card that has a supplementary one."""
    host = open_session(card)
    fields = (supplementary.PACKAGE_AID, supplementary.MODULE_AID, DOMAIN, b"\x80", b"\xc9\x00", b"")
    assert host.send("80E60C00", b"".join(bytes([len(item)]) + item for item in fields), 256).ok
    return host


@pytest.mark.parametrize("p1", [0x80, 0x81, 0x90, 0x91])
@pytest.mark.parametrize("tag", OBJECTS)
def test_every_object_is_told_as_it_was_stored(tag: int, p1: int) -> None:
    """P1 without a word on the structure, or BER-TLV; as a case 3 or a case 4 command."""
    card = blank()
    whole = tlv.encode(tag, OBJECTS[tag])
    assert open_session(card).send(f"80E2{p1:02X}00", whole).ok
    card.reset()
    send(card, "00A40400", ISD, 256)
    assert send(card, f"80CA{tag:04X}", b"", 256).data == whole


@pytest.mark.parametrize("tag", [0x42, 0x45, 0x66, 0x5F50])
def test_a_supplementary_domain_has_objects_of_its_own(tag: int) -> None:
    card = blank()
    with_domain(card)
    send(card, "00A40400", DOMAIN, 256)
    host = authenticate(card, 0x33)
    assert host.send("80E29000", tlv.encode(tag, OBJECTS[tag])).ok
    assert host.send(f"80CA{tag:04X}", b"", 256).data == tlv.encode(tag, OBJECTS[tag])
    send(card, "00A40400", ISD, 256)
    assert send(card, f"80CA{tag:04X}", b"", 256).data != tlv.encode(tag, OBJECTS[tag])


@pytest.mark.parametrize("tag", [0x4F, 0x9F66, 0x9F67])
def test_what_is_the_issuers_alone_no_other_domain_stores(tag: int) -> None:
    card = blank()
    with_domain(card)
    send(card, "00A40400", DOMAIN, 256)
    assert authenticate(card, 0x33).send("80E29000", tlv.encode(tag, NAME[:8])).sw == 0x6A80
    assert card.platform.domain_aid == ISD


@given(cuts=st.lists(st.integers(1, 200), min_size=1, max_size=4), dgi=st.booleans())
def test_structures_go_on_in_the_next_block(cuts: list[int], dgi: bool) -> None:
    """Cut anywhere behind a length, as 11.11.2.3 allows, and elsewhere too."""
    data = b"".join(tlv.encode(tag, OBJECTS[tag]) for tag in (0x66, 0x5F50, 0x42, 0x45))
    data = tlv.encode_dgi(0x0070, data) if dgi else data
    blocks = [part for part in _cut(data, cuts) if part]
    host = open_session(blank())
    for number, block in enumerate(blocks):
        p1 = (0x08 if dgi else 0x10) | (0x80 if number == len(blocks) - 1 else 0)
        assert host.send(f"80E2{p1:02X}{number:02X}", block).ok
    for tag in (0x66, 0x5F50, 0x42, 0x45):
        assert host.send(f"80CA{tag:04X}", b"", 256).data == tlv.encode(tag, OBJECTS[tag])


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % len(data) for cut in cuts}), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    ("steps", "sw"),
    [
        ([("10", 0, b"\x5f\x50\x10abc"), ("90", 1, b"def")], 0x6A80),  # the last block ends too early
        ([("10", 0, b"\x5f\x50\x10abc"), ("88", 1, b"\x00\x42\x01A")], 0x6A80),  # another structure goes on
        ([("08", 0, b"\x00\x70\xff\x10"), ("88", 1, b"")], 0x6A80),
        ([("88", 0, b"\x00\x70\x03\x42\x05A")], 0x6A80),  # a template that ends inside an object
        ([("10", 0, b"\x5f\x50\x82\xff\xff" + bytes(200))] + [("10", n, bytes(200)) for n in range(1, 21)], 0x6A84),
        ([("10", 0, b"\x42\x01A"), ("10", 2, b"\x42\x01B")], 0x6A86),
        ([("90", 0, tlv.encode(0x5F50, b""))], 0x6A80),
        ([("90", 0, tlv.encode(0x66, b"\x06\x01\x00"))], 0x6A80),
        ([("90", 0, tlv.encode(0x67, b"\xa0\x05"))], 0x6A80),
        ([("90", 0, tlv.encode(0x4F, bytes(4)))], 0x6A80),
        ([("90", 0, tlv.encode(0x4F, bytes(17)))], 0x6A80),
        ([("90", 0, tlv.encode(0x9F66, bytes(7)))], 0x6A80),
    ]
    + [([("90", 0, tlv.encode(tag, b"\x01"))], 0x6A80) for tag in (0xD3, 0xFF21, 0xC1, 0xC2, 0x9F7F, 0xE0, 0xCF)],
)
def test_a_sequence_that_is_refused_begins_again(steps: list[tuple[str, int, bytes]], sw: int) -> None:
    host = open_session(blank())
    answers = [host.send(f"80E2{p1}{number:02X}", block).sw for p1, number, block in steps]
    assert answers == [0x9000] * (len(steps) - 1) + [sw]
    assert host.send("80E29000", b"\x42\x01A").ok


def test_a_new_session_begins_with_block_0() -> None:
    card = blank()
    assert open_session(card).send("80E21000", b"\x42\x01A").ok
    host = open_session(card)
    assert host.send("80E29001", b"\x42\x01B").sw == 0x6A86
    assert host.send("80E29000", b"\x42\x01B").ok


def test_a_domain_is_known_by_its_new_name() -> None:
    """Registry, selection, the pseudo-random challenge and the owner of content follow; the old name is unknown."""
    card = blank()
    host = with_domain(card)
    assert host.send("80E29000", tlv.encode(0x4F, NAME)).ok
    assert tlv.require(host.send("80F28002", b"\x4f\x00", 256).data, 0xE3, 0x4F) == NAME
    for p1 in ("40", "10"):
        lines = tlv.parse(host.send(f"80F2{p1}02", b"\x4f\x00", 256).data)
        assert {tlv.find(line.value, 0xCC) for line in lines} <= {NAME, None}
    assert card.platform.registry.instances()[0].domain == NAME
    card.reset()
    assert send(card, "00A40400", ISD, 256).sw == 0x6A82
    assert tlv.require(send(card, "00A40400", NAME, 256).data, 0x6F, 0x84) == NAME
    assert tlv.require(send(card, "00A40400", b"", 256).data, 0x6F, 0x84) == NAME
    assert authenticate(card, 0x33).send("80F08007", NAME).ok


def test_a_domain_does_not_take_the_name_of_something_else() -> None:
    card = blank()
    host = with_domain(card)
    for taken in (DOMAIN, supplementary.PACKAGE_AID):
        assert host.send("80E29000", tlv.encode(0x4F, taken)).sw == 0x6A80
    assert card.platform.domain_aid == ISD


@pytest.mark.parametrize(("tag", "start"), [(0x9F66, 26), (0x9F67, 34)])
def test_the_personalisers_write_their_part_of_the_production_record(tag: int, start: int) -> None:
    """Until the card is SECURED; the chip's own number, and with it its diversification data, stay."""
    card = blank()
    before, kdd = card.platform.cplc, card.platform.diversification_data
    host = open_session(card)
    part = bytes(range(8))
    assert host.send("80E28000", tlv.encode(tag, part)).ok
    assert host.send("80CA9F7F", b"", 256).data[3:] == before[:start] + part + before[start + 8 :]
    assert card.platform.diversification_data == kdd
    for state in ("07", "0F"):
        assert host.send(f"80F080{state}").ok
    assert host.send("80E28000", tlv.encode(tag, bytes(8))).sw == 0x6A80
