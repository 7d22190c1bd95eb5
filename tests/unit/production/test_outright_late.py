"""What goes wrong with a pass behind its first trip, or in a swap of cards that only the chip's number tells.

A card that has its own keys is never let go as if nothing had happened to it, whichever bundle the fault comes in:
else its number would be written a second time. A card is written under the number of the chip that lies there.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from card_io.apdu import CommandAPDU
from card_io.diversification import kdf3
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.faults import FaultPlan
from card_io.virtual.keysets import KeySet
from card_io.virtual.lifecycle import LifeCycle
from card_io.virtual.refusal import CONDITIONS, Refused
from issuance.production import ahead
from issuance.production.bundle import RecordKind
from issuance.production.errors import CardLost, CardRefused, WrongCard
from issuance.production.journal import Journal
from issuance.production.sighting import Sighting
from tests.support.keys import TRANSPORT_MASTER
from tests.support.line import Line, blank_card
from tests.unit.production.pass_line import (
    FIRST_TRIP,
    INITIALIZE_UPDATE,
    Serial,
    open_line,
    ordered,
    other_chip,
    require_good,
    seen,
    torn,
    written,
)
from tests.unit.production.test_ahead import drawing_card
from tests.unit.production.test_torn import Tear

NO_REASON = 0x6F00


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(tmp_path_factory.mktemp("pass")) as opened:
        yield opened


def commands_of_the_writing(line: Line, serial: Serial) -> int:
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = FaultPlan()
    assert written(line, number, card, known) == 1
    return card.faults.commands


def require_kept_and_finished(line: Line, number: str, card: VirtualCard, serial: Serial) -> None:
    """It is this card's: no blank takes its place, and it comes to its end when it is put in again."""
    kept = line.office.cards[number]
    assert kept.chip_id == seen(card).chip_id
    assert not Journal(kept.journal).has(RecordKind.CHIP_RELEASED)
    card.faults = FaultPlan()
    blank = blank_card(serial())
    with pytest.raises(WrongCard):
        written(line, number, blank, seen(blank))
    assert written(line, number, card, seen(card)) <= 3
    require_good(line, number, card)


@contextmanager
def refusing_its_state(times: int) -> Iterator[None]:
    """Within the block cards refuse so many changes of their state, which reach them in their channel; then they obey.

    A status word of a `FaultPlan` would not do: the card would not have counted the command.
    """
    obey, left = LifeCycle.set_status, itertools.count(times, -1)

    def set_status(asked: LifeCycle, command: CommandAPDU) -> bytes:
        if next(left) > 0:
            raise Refused(CONDITIONS)
        return obey(asked, command)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LifeCycle, "set_status", set_status)
        yield


def test_a_finished_card_that_refuses_to_be_secured_is_not_let_go(line: Line, serial: Serial) -> None:
    """Both steps to SECURED are refused, so they are sent once more by themselves, and refused again."""
    end = commands_of_the_writing(line, serial)
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = FaultPlan()
    with refusing_its_state(3), pytest.raises(CardRefused):
        written(line, number, card, known)
    assert card.faults.commands == end + 1
    require_kept_and_finished(line, number, card, serial)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [1, 2])
def test_a_finished_card_torn_as_it_is_secured_by_itself_is_not_let_go(
    line: Line, serial: Serial, step: int, when: str
) -> None:
    end = commands_of_the_writing(line, serial)
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = Tear(end + step, when).plan()
    with refusing_its_state(2), pytest.raises(CardLost):
        written(line, number, card, known)
    assert card.faults.commands == end + step
    require_kept_and_finished(line, number, card, serial)


@pytest.mark.parametrize("how", ["before", "after", "refused"])
def test_a_card_with_its_own_keys_that_counts_otherwise_is_not_let_go(
    line: Line, serial: Serial, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its first answer with them is not the one foretold: its data go in a second trip, which fails at each command."""
    monkeypatch.setattr(ahead, "FIRST", ahead.FIRST + 1)
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = FaultPlan()
    assert written(line, number, card, known) == 2
    last = card.faults.commands
    assert last > 2 * FIRST_TRIP
    for k in range(FIRST_TRIP + 1, last + 1):
        number, card = ordered(line, serial)
        known = seen(card)
        card.faults = FaultPlan(status_at={k: NO_REASON}) if how == "refused" else Tear(k, how).plan()
        with pytest.raises(CardRefused if how == "refused" else CardLost):
            written(line, number, card, known)
        require_kept_and_finished(line, number, card, serial)


def test_a_card_that_counts_otherwise_is_kept_from_its_new_keys_on(
    line: Line, serial: Serial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its first trip it is let go as ever: up to the answer that opens the channel."""
    monkeypatch.setattr(ahead, "FIRST", ahead.FIRST + 1)
    free = 0
    for k in range(1, FIRST_TRIP + 1):
        number, card = ordered(line, serial)
        known = seen(card)
        card.faults = FaultPlan(tear_after=k)
        with pytest.raises(CardLost):
            written(line, number, card, known)
        card.faults = FaultPlan()
        free += not line.office.cards[number].chip_id
        written(line, number, card, seen(card))
        require_good(line, number, card)
    assert free == INITIALIZE_UPDATE


def twin_of(serial: int) -> VirtualCard:
    """Another blank with the same keys, the same count and another number."""
    chip_seed = b"chip" + serial.to_bytes(4, "big")
    cplc = cplc_for(chip_seed)
    keys = kdf3(Secret(TRANSPORT_MASTER), diversification_data(cplc))
    return VirtualCard.blank(
        chip_seed, initial_keys=KeySet(keys.enc, keys.mac, keys.dek), profile="uec", cplc=other_chip(cplc)
    )


def test_a_blank_swapped_for_its_twin_is_written_under_its_own_number(line: Line, serial: Serial) -> None:
    """Its answers to everything but the CPLC are those foretold."""
    one = serial()
    number, card, twin = line.order(one), blank_card(one), twin_of(one)
    known, own = seen(card), seen(twin)
    assert known.chip_id != own.chip_id and known.session == own.session
    assert written(line, number, twin, known) == 3, "it was looked at again"
    assert line.office.cards[number].chip_id == own.chip_id
    require_good(line, number, twin)


def test_a_station_that_tells_another_chips_number_has_it_let_go(line: Line, serial: Serial) -> None:
    number, card = ordered(line, serial)
    other = blank_card(serial())
    assert written(line, number, card, Sighting(seen(other).cplc, seen(card).update)) == 3
    assert line.office.cards[number].chip_id == seen(card).chip_id
    require_good(line, number, card)
    of_the_other = line.order(serial())
    assert written(line, of_the_other, other, seen(other)) == 1
    require_good(line, of_the_other, other)


@pytest.mark.parametrize("told", [True, False], ids=["seen", "unseen"])
def test_a_torn_card_in_whose_place_its_twin_lies_is_not_written_to(line: Line, serial: Serial, told: bool) -> None:
    """The number of the chip is all that tells them apart: whether it was seen or not, the bundle ends with it."""
    number, card = torn(line, serial)
    known, true = seen(card) if told else None, card.platform.cplc
    card.platform.area.put("cplc", other_chip(true))
    card._memory.commit()
    commands = card.faults.commands
    with pytest.raises(WrongCard):
        written(line, number, card, known)
    assert not Journal(line.office.cards[number].journal).has(RecordKind.FINISHED)
    assert card.faults.commands - commands == 2 + INITIALIZE_UPDATE, "it told its number, and was looked at"
    card.platform.area.put("cplc", true)
    card._memory.commit()
    written(line, number, card, seen(card))
    require_good(line, number, card)


def test_a_torn_pass_begun_before_its_record_was_kept_is_looked_at_first(line: Line, serial: Serial) -> None:
    number, card = torn(line, serial)
    kept = line.office.cards[number].journal
    kept[:] = [replace(one, facts={name: value for name, value in one.facts.items() if name != "cplc"}) for one in kept]
    assert written(line, number, card) == 2, "nobody knows its record, so its session is not foretold"
    require_good(line, number, card)


def test_a_card_that_does_not_tell_its_state_at_the_end_is_told_by_that_step(line: Line, serial: Serial) -> None:
    """The step has a name of its own: a refusal of it is none of the look at the card, which nobody repeats."""
    number, card = torn(line, serial)
    assert written(line, number, card) == 1
    last = card.faults.commands
    number, card = torn(line, serial)
    card.faults = FaultPlan(status_at={last: 0x6A88})
    with pytest.raises(CardRefused) as caught:
        written(line, number, card)
    assert (caught.value.label, caught.value.sw) == ("card_state", 0x6A88)
    assert card.faults.commands == last


@pytest.mark.parametrize("draws", [False, True], ids=["foretold", "drawn"])
@pytest.mark.parametrize("told", [True, False], ids=["seen", "unseen"])
def test_a_torn_pass_whose_state_is_left_alone_gets_all_its_data(
    line: Line, serial: Serial, told: bool, draws: bool
) -> None:
    """FINISH is intended before its first byte is written: that it was begun says nothing of its data."""
    unsecured = replace(line.profile.secure_channel, secures_card=False)
    plain = replace(line, profile=replace(line.profile, secure_channel=unsecured))

    def blank() -> tuple[str, VirtualCard]:
        one = serial()
        return plain.order(one), drawing_card(one) if draws else blank_card(one)

    def write(number: str, card: VirtualCard) -> None:
        sighting = seen(card) if told else None
        written(plain, number, card, sighting)

    number, card = blank()
    write(number, card)
    first = 4 if told else 1
    for tear in [Tear(k, when) for k in range(first, card.faults.commands + 1) for when in ("before", "after")]:
        number, card = blank()
        card.faults = tear.plan()
        with pytest.raises(CardLost):
            write(number, card)
        card.faults = FaultPlan()
        write(number, card)
        kept = line.office.cards[number]
        assert line.inspect(number, card).genuine and kept.chip_id == seen(card).chip_id
