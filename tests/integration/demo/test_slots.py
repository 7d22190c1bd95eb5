"""The folder of a station without PC/SC, filled by the tray's hand and looked into by the station's own readers."""

from pathlib import Path

import pytest

from card_io.errors import CardError
from card_io.secret import Secret
from issuance.production.profile import load_profile
from issuance.station.readers import VirtualReaders
from issuance.station.wire import Reader
from tests.support.line import UEC_PROFILE
from uec.demo.slots import FolderSlots
from uec.demo.tray import NotOnTray, Tray

FIRST, SECOND = FolderSlots.names
SELECT_DOMAIN = bytes.fromhex("00A4040008A000000151000000")


@pytest.fixture
def tray(tmp_path: Path) -> Tray:
    slots = FolderSlots(tmp_path / "readers")
    return Tray(tmp_path / "tray", maker_key=Secret(bytes(16)), profile=load_profile(UEC_PROFILE), slots=slots)


def test_a_card_is_in_one_place(tray: Tray, tmp_path: Path) -> None:
    station = VirtualReaders(tmp_path / "readers")
    card, other = tray.blank(), tray.blank()
    assert station.look(0.0) == ()
    tray.insert(0, card)
    assert station.look(0.0) == (Reader(FIRST, card=True, insertion=1),)
    assert {one.card_id: one.reader for one in tray.cards()} == {card: 0, other: None}
    tray.insert(1, card)
    assert station.look(0.0) == (Reader(FIRST, card=False, insertion=1), Reader(SECOND, card=True, insertion=1))
    tray.insert(1, other)
    assert {one.card_id: one.reader for one in tray.cards()} == {card: None, other: 1}
    tray.close()
    assert not any((tmp_path / "readers").iterdir())
    assert {one.card_id: one.reader for one in tray.cards()} == {card: None, other: None}
    with pytest.raises(NotOnTray, match="reader 2"):
        tray.insert(2, card)


def test_what_the_station_does_to_a_card_stays_on_it(tray: Tray, tmp_path: Path) -> None:
    station = VirtualReaders(tmp_path / "readers")
    card = tray.blank()
    tray.insert(0, card)
    tray.put_back()
    station.look(0.0)
    before = (tmp_path / "readers" / f"{FIRST}.card").read_bytes()
    connection = station.slot(FIRST).connect(fresh=True)
    assert connection.transmit(SELECT_DOMAIN)[-2:] == b"\x90\x00"
    assert len(connection.transmit(bytes.fromhex("8050000008") + bytes(8))) > 2  # counts its sequence up
    tray.remove(0)
    with pytest.raises(CardError):
        for _ in range(3):
            connection.transmit(bytes.fromhex("8050000008") + bytes(8))
    connection.close()
    assert not any((tmp_path / "readers").iterdir()), "a chip is never in two places"
    assert (tmp_path / "tray" / f"{card}.card").read_bytes() != before
    assert tray.load(card).powered is False


def test_other_slots_take_over_with_nothing_left_behind(tray: Tray, tmp_path: Path) -> None:
    card = tray.blank()
    tray.insert(0, card)
    tray.use(FolderSlots(tmp_path / "elsewhere"))
    assert not any((tmp_path / "readers").iterdir())
    tray.insert(0, card)
    assert [file.name for file in (tmp_path / "elsewhere").iterdir()] == [f"{FIRST}.card"]
