"""The applet's files: selection in all its forms, reading under the rules, what SELECT answers."""

import pytest

from card_io import tlv
from card_io.applets.uec import layout
from card_io.applets.uec.layout import PLACES, Fid
from card_io.virtual.card import VirtualCard
from tests.unit.virtual.cards import CONTENT, finished, send


@pytest.fixture
def card() -> VirtualCard:
    return finished()


def select(card: VirtualCard, p1: int, data: str, p2: int = 0x0C) -> int:
    return send(card, f"00A4{p1:02X}{p2:02X}", bytes.fromhex(data)).sw


def test_the_applet_is_selected_after_a_reset(card: VirtualCard) -> None:
    assert send(card, "00CADF20", b"", 256).data == bytes.fromhex("01000F")


@pytest.mark.parametrize(
    ("name", "directory", "reached"),
    [
        (layout.CIA_AID, Fid.CIA, Fid.OD),
        (layout.APPLET_AID, Fid.MF, Fid.DIR),
        (layout.APPLET_AID[:6], Fid.MF, Fid.DIR),
    ],
)
def test_a_name_says_where_the_session_begins(card: VirtualCard, name: bytes, directory: Fid, reached: Fid) -> None:
    """The name of ISO/IEC 7816-15 is that of DF.CIA: its files are found by identifier at once."""
    described = send(card, "00A40400", name, 256).data
    assert tlv.require(described, 0x6F, 0x83) == directory.to_bytes(2, "big")
    assert name in tlv.require(described, 0x6F, 0x84)[: len(name)]
    assert select(card, 0x02, f"{reached:04X}") == 0x9000
    assert select(card, 0x04, name.hex()) == 0x9000, "and again from within"
    assert select(card, 0x02, f"{reached:04X}") == 0x9000


def test_other_names_begin_in_the_mf() -> None:
    card = finished(transport=True)
    for name in (layout.ISOAPPLET_AID, layout.APPLET_AID):
        assert send(card, "00A4040C", name).ok and select(card, 0x02, "2F00") == 0x9000


@pytest.mark.parametrize("fid", CONTENT)
def test_every_file_has_the_bytes_that_were_written(card: VirtualCard, fid: Fid) -> None:
    assert send(card, "00200001", b"1234").ok
    assert select(card, 0x08, PLACES[fid].path[2:].hex()) == 0x9000
    read = b""
    while len(read) < len(CONTENT[fid]):
        read += send(card, f"00B0{len(read):04X}", b"", 100).data
    assert read == CONTENT[fid]


@pytest.mark.parametrize(
    ("p1", "data", "sw"),
    [
        (0x00, "3F00", 0x9000),
        (0x00, "", 0x9000),
        (0x00, "2F00", 0x9000),
        (0x00, "5015", 0x9000),
        (0x00, "5031", 0x6A82),  # in DF.CIA, out of reach of an identifier from the MF
        (0x01, "5015", 0x9000),
        (0x01, "2F00", 0x6A82),  # an EF where a DF was asked for
        (0x02, "2F00", 0x9000),
        (0x02, "5015", 0x9000),  # GnuPG takes every last part of a path for a file
        (0x03, "", 0x6A82),  # nothing above the MF
        (0x08, "50155031", 0x9000),
        (0x08, "3F0050155031", 0x9000),
        (0x08, "5031", 0x6A82),
        (0x08, "50", 0x6A80),
        (0x08, "", 0x6A80),
        (0x09, "55000101", 0x9000),
        (0x09, "01015500", 0x6A82),
        (0x04, "F276A288BCFBA69D34F31001", 0x9000),
        (0x04, "A000000063504B43532D3135", 0x9000),
        (0x04, "A0000000999999", 0x6A82),
        (0x05, "3F00", 0x6A86),
        (0x00, "99", 0x6A80),
    ],
)
def test_selection_from_the_mf(card: VirtualCard, p1: int, data: str, sw: int) -> None:
    assert select(card, p1, data) == sw


def test_identifiers_reach_siblings_and_the_parent(card: VirtualCard) -> None:
    assert select(card, 0x08, "55000101") == 0x9000
    assert select(card, 0x00, "0102") == 0x9000
    assert select(card, 0x00, "5015") == 0x9000
    assert select(card, 0x03, "") == 0x9000


def test_a_failed_selection_keeps_the_current_file(card: VirtualCard) -> None:
    assert select(card, 0x08, "55000101") == 0x9000
    assert select(card, 0x08, "5599") == 0x6A82
    assert send(card, "00B00000", b"", 4).data == CONTENT[Fid.DG1][:4]


def test_protected_files_want_pin1_and_lose_it_with_the_selection(card: VirtualCard) -> None:
    select(card, 0x08, "55000102")
    assert send(card, "00B00000", b"", 4).sw == 0x6982
    assert send(card, "00200001", b"1234").ok
    assert send(card, "00B00000", b"", 4).ok
    assert select(card, 0x04, layout.APPLET_AID.hex()) == 0x9000
    select(card, 0x08, "55000102")
    assert send(card, "00B00000", b"", 4).sw == 0x6982


@pytest.mark.parametrize(
    ("header", "le", "sw"),
    [
        ("00B00009", 4, 0x6B00),
        ("00B07FFF", 4, 0x6B00),
        ("00B00005", 10, 0x6282),
        ("00B00005", 4, 0x9000),
        ("00B08100", 4, 0x6A82),  # short identifiers are not given
    ],
)
def test_reading_at_the_end(card: VirtualCard, header: str, le: int, sw: int) -> None:
    select(card, 0x08, "2F00")
    assert send(card, header, b"", le).sw == sw


def test_reading_without_a_current_file(card: VirtualCard) -> None:
    assert send(card, "00B00000", b"", 4).sw == 0x6986


def test_nothing_is_updatable_in_clear(card: VirtualCard) -> None:
    send(card, "00200001", b"1234")
    select(card, 0x08, "55000101")
    assert send(card, "00D60000", b"forged").sw == 0x6982
    assert send(card, "00B00000", b"", 4).data == b"card"


def test_control_parameters_tell_size_kind_and_access(card: VirtualCard) -> None:
    answer = send(card, "00A40804", bytes.fromhex("55000102"), 256).data
    template = tlv.single(answer, 0x62)
    assert tlv.require(template, 0x80) == len(CONTENT[Fid.DG2]).to_bytes(2, "big")
    assert tlv.require(template, 0x82) == b"\x01"
    assert tlv.require(template, 0x83) == bytes.fromhex("0102")
    assert tlv.require(template, 0x8A) == b"\x05"
    assert tlv.require(template, 0x8C) == bytes.fromhex("03FF90")
    assert tlv.require(template, 0x86) == bytes.fromhex("FFFFFFFFFFFFFF90")
    directory = tlv.single(send(card, "00A40800", bytes.fromhex("5500"), 256).data, 0x6F)
    assert tlv.require(directory, 0x82) == b"\x38"
    assert tlv.find(directory, 0x80) is None


def test_the_mf_carries_the_applets_name(card: VirtualCard) -> None:
    template = tlv.single(send(card, "00A40400", layout.APPLET_AID, 256).data, 0x6F)
    assert tlv.require(template, 0x84) == layout.APPLET_AID


@pytest.mark.parametrize("ins", ["00E0", "0044", "0010", "00E2"])
def test_unknown_instructions(card: VirtualCard, ins: str) -> None:
    assert send(card, ins + "0000").sw == 0x6D00


@pytest.mark.parametrize("cla", ["80", "84", "0C"])
def test_other_classes_are_not_the_applets(card: VirtualCard, cla: str) -> None:
    assert send(card, cla + "B00000", b"", 4).sw == 0x6E00
