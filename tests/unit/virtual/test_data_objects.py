"""GET DATA and STORE DATA of the security domain, and how lasting a card's file is."""

import os
from pathlib import Path

import pytest

from card_io import tlv
from card_io.virtual import memory
from card_io.virtual.card import VirtualCard
from card_io.virtual.memory import Durability
from tests.unit.virtual.cards import blank, finished, open_session, personalise, send

ISD = bytes.fromhex("A000000151000000")
IIN, CIN = bytes.fromhex("42081234567890123456"), bytes.fromhex("450A00112233445566778899")


def test_objects_of_the_chip() -> None:
    card = blank()
    send(card, "00A40400", ISD, 256)
    assert send(card, "80CA9F7F", b"", 256).data == b"\x9f\x7f\x2a" + card.platform.cplc
    recognition = tlv.require(send(card, "80CA0066", b"", 256).data, 0x66, 0x73)
    oids = [item.value.hex() for item in tlv.parse(recognition) if item.tag == 0x06]
    assert oids == ["2a864886fc6b01"]
    version = tlv.require(recognition, 0x60, 0x06)
    assert version.hex() == "2a864886fc6b02020301"
    protocol = tlv.require(recognition, 0x64, 0x06)
    assert protocol.hex() == "2a864886fc6b040370"
    keys = [item.value for item in tlv.parse(tlv.require(send(card, "80CA00E0", b"", 256).data, 0xE0))]
    assert keys == [bytes([number, 0xFF, 0x88, 16]) for number in (1, 2, 3)]
    resources = tlv.parse(tlv.require(send(card, "80CAFF21", b"", 256).data, 0xFF21))
    assert [item.tag for item in resources] == [0x81, 0x82, 0x83]


@pytest.mark.parametrize("tag", ["0042", "0045", "00C2", "5F50", "00D3", "0000", "FFFF", "007E"])
def test_objects_that_are_not_there(tag: str) -> None:
    card = blank()
    send(card, "00A40400", ISD, 256)
    assert send(card, "80CA" + tag, b"", 256).sw == 0x6A88


@pytest.mark.parametrize(
    ("p1", "data"),
    [
        (0x90, IIN + CIN),
        (0x88, b"\x00\x70" + bytes([len(IIN + CIN)]) + IIN + CIN),
        (0x88, b"\x00\x42\x08" + IIN[2:] + b"\x00\x45\x0a" + CIN[2:]),
    ],
    ids=["TLV", "DGI 0070", "DGI 00XX"],
)
def test_numbers_are_stored_in_every_form(p1: int, data: bytes) -> None:
    card = blank()
    host = open_session(card)
    assert host.send(f"80E2{p1:02X}00", data).ok
    assert host.send("80CA0042", b"", 256).data == IIN
    assert host.send("80CA0045", b"", 256).data == CIN
    card.reset()
    send(card, "00A40400", ISD, 256)
    assert send(card, "80CA0042", b"", 256).data == IIN
    assert send(card, "00CA0042", b"", 256).data == IIN[2:]


def test_numbers_in_two_blocks() -> None:
    host = open_session(blank())
    assert host.send("80E21000", IIN).ok
    assert host.send("80E29001", CIN).ok
    assert host.send("80CA0042", b"", 256).data == IIN
    assert host.send("80CA0045", b"", 256).data == CIN


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("80E29001", IIN, 0x6A86),  # begins with block 0
        ("80E29800", IIN, 0x6A86),  # a structure that is not defined
        ("80E2F000", IIN, 0x6A86),  # encrypted values are no form for these
        ("80E29000", IIN[:-1], 0x6A80),
        ("80E29000", b"\x42\x00", 0x6A80),
        ("80E29000", b"\x42\x21" + bytes(33), 0x6A80),
        ("80E29000", b"\x66\x01\x00", 0x6A80),
        ("80E28800", b"\x00\x70\x05\x42\x01", 0x6A80),
        ("80E28800", b"\x00\x66\x01\x00", 0x6A80),
    ],
)
def test_what_cannot_be_stored_changes_nothing(header: str, data: bytes, sw: int) -> None:
    card = blank()
    host = open_session(card)
    before = dict(card.platform.memory.durable())
    assert host.send(header, data).sw == sw
    assert card.platform.memory.durable() == before
    assert host.send("80E29000", IIN).ok


def test_the_list_of_applications() -> None:
    card = blank()
    personalise(card)
    card.reset()
    send(card, "00A40400", ISD, 256)
    for cla in ("80", "00"):
        listed = send(card, cla + "CA2F00", b"\x5c\x00", 256).data
        assert [tlv.require(item.value, 0x4F) for item in tlv.parse(listed)] == [bytes.fromhex("F05545430001000101")]


@pytest.mark.parametrize("durability", Durability)
def test_a_card_is_the_same_however_lasting_its_file(durability: Durability, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    card = finished()
    card.save(path, durability=durability)
    card.reset()
    send(card, "00200001", b"0000")
    again = VirtualCard.load(path, durability=durability)
    again.power_on()
    assert send(again, "00200001").sw == 0x63C2
    assert [item.name for item in tmp_path.iterdir()] == ["card.json"]


@pytest.mark.parametrize(("durability", "synced"), [(Durability.RENAMED, False), (Durability.SYNCED, True)])
def test_file_and_folder_are_flushed_only_where_asked(
    durability: Durability, synced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is flushed before it gets its name, the folder after: a name never points at what is not on the disk."""
    path = tmp_path / "card.json"
    steps: list[str] = []
    really = os.fsync

    def watch(handle: int) -> None:
        is_folder = os.path.isdir(f"/proc/self/fd/{handle}")  # noqa: PTH112
        steps.append("folder" if is_folder else "file")
        if not is_folder:
            assert not path.exists() or path.stat().st_ino != os.fstat(handle).st_ino
        really(handle)

    monkeypatch.setattr(memory.os, "fsync", watch)
    card = blank()
    card.save(path, durability=durability)
    assert steps == (["file", "folder"] if synced else [])
    steps.clear()
    open_session(card)
    assert (steps[:2] == ["file", "folder"]) == synced


def test_a_flush_that_fails_leaves_the_card_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "card.json"
    card = finished()
    card.save(path, durability=Durability.SYNCED)
    card.reset()
    before = path.read_bytes()

    def broken(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(memory.os, "fsync", broken)
    with pytest.raises(memory.ImageNotWritten, match="Input/output error"):
        send(card, "00200001", b"0000")
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["card.json"]
