"""The access rules of the `uec` layout, file by file against every state of the PINs."""

import itertools

import pytest

from card_io.applets.uec import layout
from card_io.applets.uec.layout import FILES, Fid, FilePlace, PinRef, Rule
from card_io.virtual.card import VirtualCard
from tests.unit.virtual.cards import CONTENT, PINS, finished, send

CARD = finished()
PRESENTED = [(), (PinRef.PIN1,), (PinRef.PIN2,), (PinRef.PIN1, PinRef.PIN2)]
ELEMENTARY = [place for place in FILES if not place.directory]


def card(presented: tuple[PinRef, ...] = ()) -> VirtualCard:
    """The card just reset, the applet selected, some PINs verified."""
    CARD.reset()
    assert send(CARD, "00A4040C", layout.APPLET_AID).ok
    for ref in presented:
        assert send(CARD, f"002000{ref:02X}", PINS[ref]).ok
    return CARD


def allowed(rule: Rule, presented: tuple[PinRef, ...]) -> bool:
    return rule is Rule.ALWAYS or (rule is not Rule.NEVER and PinRef(rule) in presented)


def choose(chip: VirtualCard, place: FilePlace) -> int:
    return send(chip, "00A4080C", place.path[2:] if place.path[:2] == b"\x3f\x00" else place.path).sw


@pytest.mark.parametrize(("place", "presented"), list(itertools.product(ELEMENTARY, PRESENTED)))
def test_reading(place: FilePlace, presented: tuple[PinRef, ...]) -> None:
    chip = card(presented)
    sw = choose(chip, place)
    if place.fid not in CONTENT:
        assert sw == 0x6A82
        return
    assert sw == 0x9000
    answer = send(chip, "00B00000", b"", 256)
    if allowed(place.read, presented):
        whole = answer.data
        while len(whole) < len(CONTENT[place.fid]):
            whole += send(chip, f"00B0{len(whole):04X}", b"", 256).data
        assert whole == CONTENT[place.fid]
    else:
        assert answer.sw == 0x6982
        assert not answer.data


@pytest.mark.parametrize(("place", "presented"), list(itertools.product(ELEMENTARY, PRESENTED)))
@pytest.mark.parametrize("ins", [0xD6, 0xD0, 0x0E, 0xE0, 0xE4], ids=["UPDATE", "WRITE", "ERASE", "CREATE", "DELETE"])
def test_nobody_writes_after_the_card_is_finished(place: FilePlace, presented: tuple[PinRef, ...], ins: int) -> None:
    chip = card(presented)
    choose(chip, place)
    before = dict(chip.platform.memory.durable())
    assert send(chip, f"00{ins:02X}0000", b"\x00\x01").sw in {0x6D00, 0x6982, 0x6985, 0x6986}
    assert chip.platform.memory.durable() == before


@pytest.mark.parametrize("fid", list(CONTENT), ids=lambda fid: fid.name)
@pytest.mark.parametrize("offset", [0, 1, 5, 6])
def test_a_part_of_a_file(fid: Fid, offset: int) -> None:
    chip = card((PinRef.PIN1, PinRef.PIN2))
    assert choose(chip, layout.PLACES[fid]) == 0x9000
    answer = send(chip, f"00B0{offset:04X}", b"", 2)
    assert answer.data == CONTENT[fid][offset : offset + 2]


@pytest.mark.parametrize("fid", list(CONTENT), ids=lambda fid: fid.name)
def test_beyond_the_end_of_a_file(fid: Fid) -> None:
    chip = card((PinRef.PIN1, PinRef.PIN2))
    assert choose(chip, layout.PLACES[fid]) == 0x9000
    assert send(chip, f"00B0{len(CONTENT[fid]) + 1:04X}", b"", 256).sw == 0x6B00


@pytest.mark.parametrize("ref", [PinRef.PIN1, PinRef.PIN2])
def test_what_was_verified_is_forgotten(ref: PinRef) -> None:
    chip = card((ref,))
    assert send(chip, f"002000{ref:02X}").ok
    chip.reset()
    assert send(chip, "00A4040C", layout.APPLET_AID).ok
    assert send(chip, f"002000{ref:02X}").sw >> 4 == 0x63C
    assert send(chip, f"002000{ref:02X}", PINS[ref]).ok
    assert send(chip, "00A40400", bytes.fromhex("A000000151000000"), 256).ok
    assert send(chip, "00A4040C", layout.APPLET_AID).ok
    assert send(chip, f"002000{ref:02X}").sw >> 4 == 0x63C
