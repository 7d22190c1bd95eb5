"""Selection, logical channels, chaining and long answers."""

import pytest

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.applets.uec.layout import Fid
from card_io.connection import LogicalChannel
from card_io.connection import send as send_to
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import UnknownProfile
from tests.unit.virtual.cards import CONTENT, aes_keys, blank, finished, open_session, send

ISD = bytes.fromhex("A000000151000000")


def test_the_domain_is_selected_on_a_blank() -> None:
    card = blank()
    assert send(card, "80CA9F7F", b"", 256).ok
    assert tlv.require(send(card, "00A40400", b"", 256).data, 0x6F, 0x84) == ISD
    assert tlv.require(send(card, "00A40400", b"", 256).data, 0x6F, 0xA5, 0x9F65) == b"\xff"


@pytest.mark.parametrize("name", ["A000000151000000", "A000000151", "A0", ""])
def test_the_domain_by_its_name_or_its_beginning(name: str) -> None:
    card = finished()
    assert tlv.require(send(card, "00A40400", bytes.fromhex(name), 256).data, 0x6F, 0x84) == ISD
    assert send(card, "80CA9F7F", b"", 256).ok


@pytest.mark.parametrize("name", ["F05545430001000101", "F05545", "F276A288BCFBA69D34F31001"])
def test_the_applet_by_its_names(name: str) -> None:
    card = finished()
    send(card, "00A40400", ISD, 256)
    assert send(card, "00A4040C", bytes.fromhex(name)).ok
    assert send(card, "00CADF20", b"", 256).ok


def test_the_next_of_that_name() -> None:
    card = finished()
    assert send(card, "00A40400", bytes.fromhex("F05545"), 256).ok
    assert send(card, "00A40402", bytes.fromhex("F05545"), 256).sw == 0x6A82


def test_unknown_names_keep_the_selection() -> None:
    card = finished()
    assert send(card, "00A40400", bytes.fromhex("A0000009990909"), 256).sw == 0x6A82
    assert send(card, "00CADF20", b"", 256).ok
    send(card, "00A40400", ISD, 256)
    assert send(card, "00A40400", bytes.fromhex("A0000009990909"), 256).sw == 0x6A82
    assert send(card, "80CA9F7F", b"", 256).ok
    assert send(card, "00A40400", bytes(17), 256).sw == 0x6700


def test_long_answers_come_in_pieces() -> None:
    card = finished()
    send(card, "00200001", b"1234")
    send(card, "00A4080C", bytes.fromhex("55000102"))
    whole = card.process(CommandAPDU(0x00, 0xB0, 0x00, 0x00, le=400, extended=True).encode())
    assert whole == CONTENT[Fid.DG2][:400] + b"\x90\x00"
    cplc = send(card, "00A40400", ISD, 256)
    assert cplc.ok
    first = send(card, "80CA9F7F", b"", 10)
    assert (len(first.data), first.sw) == (10, 0x6100 | 35)
    second = send(card, "00C00000", b"", 30)
    assert (len(second.data), second.sw) == (30, 0x6105)
    third = send(card, "00C00000", b"", 256)
    assert (len(third.data), third.sw) == (5, 0x9000)
    assert first.data + second.data + third.data == send(card, "80CA9F7F", b"", 256).data
    assert send(card, "00C00000", b"", 256).sw == 0x6985


def test_an_unfetched_answer_is_forgotten() -> None:
    card = blank()
    assert send(card, "80CA9F7F", b"", 10).sw == 0x6123
    assert send(card, "80CA00CF", b"", 256).ok
    assert send(card, "00C00000", b"", 256).sw == 0x6985
    assert send(card, "80CA9F7F", b"", 10).sw == 0x6123
    assert send(card, "00C00100", b"", 256).sw == 0x6A86


def test_chained_commands_are_one() -> None:
    card = finished()
    assert send(card, "10200001", b"12").sw == 0x9000
    assert send(card, "00200001", b"34").sw == 0x9000
    assert send(card, "00200001").sw == 0x9000


def test_a_broken_chain_is_refused_and_forgotten() -> None:
    card = finished()
    send(card, "10200001", b"12")
    assert send(card, "00CADF20", b"", 256).sw == 0x6883
    assert send(card, "00CADF20", b"", 256).ok
    for _ in range(200):
        sw = send(card, "10200001", bytes(255)).sw
        if sw != 0x9000:
            break
    assert sw == 0x6700


def test_logical_channels_have_selections_of_their_own() -> None:
    card = finished()
    connection = InProcessConnection(card)
    channel = LogicalChannel.open(connection)
    assert channel.number == 1
    assert send_to(channel, CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256)).ok
    assert send_to(connection, CommandAPDU(0x00, 0xCA, 0xDF, 0x20, le=256)).ok
    # The applet lives on one channel at a time.
    assert send_to(channel, CommandAPDU(0x00, 0xA4, 0x04, 0x00, layout.APPLET_AID, 256)).sw == 0x6985
    channel.close()
    assert send(card, "01CA9F7F", b"", 256).sw == 0x6881


def test_channels_run_out_and_are_closed() -> None:
    card = blank()
    assert [send(card, "00700000", b"", 1).data for _ in range(3)] == [b"\x01", b"\x02", b"\x03"]
    assert send(card, "00700000", b"", 1).sw == 0x6A81
    assert send(card, "00708002").ok
    assert send(card, "00708002").sw == 0x6A86
    assert send(card, "01708001").ok  # a channel closes itself
    assert send(card, "00700000", b"", 1).data == b"\x01"
    assert send(card, "00708000").sw == 0x6A86
    assert send(card, "40CA9F7F", b"", 256).sw == 0x6881


def test_a_secure_session_belongs_to_its_channel() -> None:
    card = blank()
    open_session(card, 0x01)
    send_plain = send(card, "00700000", b"", 1)
    assert send_plain.data == b"\x01"
    assert send(card, "81CA9F7F", b"", 256).ok
    assert send(card, "81F28002", b"\x4f\x00", 256).sw == 0x6982


@pytest.mark.parametrize(
    ("raw", "sw"),
    [
        ("", 0x6700),
        ("00", 0x6700),
        ("00A404", 0x6700),
        ("00A4040005A000", 0x6700),
        ("00A404000000", 0x6700),
        ("FFA40400", 0x6E00),
        ("00600000", 0x6D00),
        ("009F0000", 0x6D00),
        ("00A4040002A00000FF", 0x6700),
    ],
)
def test_what_is_no_command_gets_a_status_word(raw: str, sw: int) -> None:
    card = finished()
    assert card.process(bytes.fromhex(raw)) == sw.to_bytes(2, "big")
    assert send(card, "00CADF20", b"", 256).ok


def test_a_blank_of_an_unknown_make_is_not_made() -> None:
    with pytest.raises(UnknownProfile, match="choose one of uec, piv"):
        VirtualCard.blank(b"seed", initial_keys=aes_keys(), profile="unknown")
