"""A line of passes, which make no keys: an office in memory with the shipped sample profile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import FaultPlan
from issuance.production.errors import CardLost
from issuance.production.sighting import Sighting, sight
from issuance.production.transcript import Transcript
from tests.support.line import PASS_PROFILE, Line, blank_card, make_line, slot_of

Serial = Callable[[], int]
SECURED = 0x0F
TYPE = 3
"""A byte of the CPLC that its chip's number is made from, and its keys are not."""
INITIALIZE_UPDATE = 6
PUT_KEY = 9
FIRST_TRIP = 11
MIDDLE = 18
"""Which commands of the one bundle they are; the last of a first trip where its end has to wait for the card; and one
in the middle of its data."""


@contextmanager
def open_line(folder: Path) -> Iterator[Line]:
    """A line of passes in this folder."""
    line = make_line(folder, PASS_PROFILE)
    try:
        yield line
    finally:
        line.office.vault.close()


def seen(card: VirtualCard) -> Sighting:
    found = sight(slot_of(card))
    assert found is not None
    return found


def written(line: Line, number: str, card: VirtualCard, known: Sighting | None = None) -> int:
    """Write the card; how many round trips that took."""
    transcript = Transcript()
    line.personalise(number, card, transcript, seen=known)
    return transcript.round_trips


def ordered(line: Line, serial: Serial) -> tuple[str, VirtualCard]:
    one = serial()
    return line.order(one), blank_card(one)


def torn(line: Line, serial: Serial, *, told: bool = True) -> tuple[str, VirtualCard]:
    """A pass torn in the middle of its data: it has its own keys, and most of it is still to be written."""
    number, card = ordered(line, serial)
    known = seen(card) if told else None
    card.faults = FaultPlan(tear_before=MIDDLE)
    with pytest.raises(CardLost):
        written(line, number, card, known)
    card.faults = FaultPlan()
    return number, card


def other_chip(cplc: bytes) -> bytes:
    """The record of another chip that is keyed alike."""
    return cplc[:TYPE] + bytes([cplc[TYPE] ^ 1]) + cplc[TYPE + 1 :]


def made(line: Line, serial: Serial) -> tuple[str, VirtualCard]:
    number, card = ordered(line, serial)
    assert written(line, number, card, seen(card)) == 1
    line.inspect(number, card)
    return number, card


def require_good(line: Line, number: str, card: VirtualCard) -> None:
    kept = line.office.cards[number]
    assert line.inspect(number, card).genuine and kept.state == "PERSONALISED"
    assert card.platform.life_cycle == SECURED
    assert [one.number for one in line.office.cards.values() if one.chip_id == kept.chip_id] == [number]
    assert not any(owner == number for owner, _ in line.office.certificates.values())


def whole_way(line: Line, number: str, card: VirtualCard, known: Sighting | None) -> None:
    written(line, number, card, known)
    line.inspect(number, card)


def commands_of(line: Line, serial: Serial) -> int:
    """How many commands the one trip and the inspection have."""
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = FaultPlan()
    written(line, number, card, known)
    line.inspect(number, card)
    return card.faults.commands
