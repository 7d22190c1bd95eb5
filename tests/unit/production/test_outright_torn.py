"""A pass torn at every command of its one trip, with the host dead, the link dropped and another card put in.

It is let go as long as nothing can have happened to it, and stays this card's from then on; in the end it is whole.
"""

import itertools
from collections.abc import Iterator

import pytest

from card_io.virtual.faults import FaultPlan
from issuance.production import admission
from issuance.production.bundle import Answers, Fault, Send
from issuance.production.drivers import drive
from issuance.production.errors import (
    CardLost,
    CardRefused,
    CardScrapped,
    ProductionError,
    WrongCard,
)
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.relay import play
from issuance.production.sighting import Sighting
from tests.support.line import Line, blank_card, slot_of
from tests.unit.production.pass_line import (
    INITIALIZE_UPDATE,
    PUT_KEY,
    Serial,
    commands_of,
    open_line,
    ordered,
    require_good,
    seen,
    torn,
    whole_way,
    written,
)
from tests.unit.production.test_torn import HostDied, Tear, host_dying


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(tmp_path_factory.mktemp("pass")) as opened:
        yield opened


@pytest.mark.parametrize("told", [True, False], ids=["seen", "unseen"])
def test_every_command_torn_before_and_after(line: Line, serial: Serial, told: bool) -> None:
    commands = commands_of(line, serial)
    cases = [Tear(k, when) for k in range(1, commands + 1) for when in ("before", "after")]
    trips: set[int] = set()
    for tear in cases:
        number, card = ordered(line, serial)
        known = seen(card) if told else None
        card.faults = tear.plan()
        with pytest.raises(CardLost):
            whole_way(line, number, card, known)
        card.faults = FaultPlan()
        trips.add(written(line, number, card, seen(card) if told else None))
        require_good(line, number, card)
    assert max(trips) <= 3 and 1 in trips
    print(f"torn test, profile pass, {'seen' if told else 'unseen'}: {len(cases)} tears, every card finished")


def test_refused_at_every_command_it_is_let_go_or_kept_and_finished_later(line: Line, serial: Serial) -> None:
    """It is let go only as long as nothing was changed on it: a card with its own keys stays this card's."""
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = FaultPlan()
    written(line, number, card, known)
    kept = 0
    for k in range(1, card.faults.commands + 1):
        number, chip = ordered(line, serial)
        known = seen(chip)
        chip.faults = FaultPlan(status_at={k: 0x6F00})
        try:
            written(line, number, chip, known)
        except ProductionError:
            if k > PUT_KEY:
                assert line.office.cards[number].chip_id == known.chip_id
                kept += 1
        chip.faults = FaultPlan()
        written(line, number, chip, seen(chip))
        require_good(line, number, chip)
    assert kept > 10


def test_torn_and_torn_again(line: Line, serial: Serial) -> None:
    """In the middle of its data, then at each command of its end."""
    number, card = torn(line, serial)
    assert written(line, number, card) == 1, "its keys, its count and its applet are known: the rest is one trip"
    again = card.faults.commands
    for k in range(1, again + 1):
        number, card = torn(line, serial)
        card.faults = FaultPlan(tear_after=k)
        with pytest.raises(CardLost):
            written(line, number, card)
        card.faults = FaultPlan()
        assert written(line, number, card) <= 3
        require_good(line, number, card)


def test_a_torn_card_that_was_seen_again_takes_one_trip(line: Line, serial: Serial) -> None:
    """The journal knows its keys and the sighting its count, even where nobody heard how far it had come."""
    number, card = ordered(line, serial)
    card.faults = FaultPlan(tear_before=20)
    with pytest.raises(CardLost):
        written(line, number, card, None)
    card.faults = FaultPlan()
    assert written(line, number, card, seen(card)) == 1
    require_good(line, number, card)
    for nonsense in (Sighting(b"", b""), seen(blank_card(serial()))):
        number, card = ordered(line, serial)
        card.faults = FaultPlan(tear_before=20)
        with pytest.raises(CardLost):
            written(line, number, card, None)
        card.faults = FaultPlan()
        assert written(line, number, card, nonsense) == 1, "a sighting of another card says nothing of this one"
        require_good(line, number, card)


def test_the_host_dies_at_every_commit(line: Line, serial: Serial) -> None:
    number, card = ordered(line, serial)
    commits: list[int] = []
    line.office.on_commit = lambda _, records: commits.append(len(records))
    whole_way(line, number, card, seen(card))
    line.office.on_commit = lambda number, records: None
    for index, kept in itertools.product(range(len(commits)), (False, True)):
        number, card = ordered(line, serial)
        known = seen(card)
        with host_dying(line, index, kept=kept), pytest.raises(HostDied):
            whole_way(line, number, card, known)
        card.power_off()
        whole_way(line, number, card, seen(card))
        require_good(line, number, card)
    print(f"torn test, profile pass: host dead at {2 * len(commits)} places, every card finished")


def test_the_link_drops_behind_the_one_bundle(line: Line, serial: Serial) -> None:
    number, card = ordered(line, serial)
    known, slot = seen(card), slot_of(card)

    def dropped(bundle: Send) -> Answers:
        play(slot, bundle)
        return Answers((), complete=False, fault=Fault.LINK_LOST)

    with pytest.raises(CardLost):
        drive(
            personalise(line.office.job(number, known), line.profile, random=line.randomness.randbytes),
            dropped,
            line.office.desk(number),
        )
    card.power_off()
    assert line.office.cards[number].chip_id == known.chip_id, "nobody knows what became of it"
    assert Journal(line.office.cards[number].journal).last_session is None
    whole_way(line, number, card, seen(card))
    require_good(line, number, card)


def test_another_blank_is_put_in_after_a_tear(line: Line, serial: Serial) -> None:
    """As long as nothing can have happened to the first one any blank will do; then only that one, by name."""
    free = refused = 0
    for k in range(1, commands_of(line, serial) + 1):
        number, card = ordered(line, serial)
        known = seen(card)
        card.faults = FaultPlan(tear_after=k)
        with pytest.raises(CardLost):
            whole_way(line, number, card, known)
        card.faults = FaultPlan()
        second = blank_card(serial())
        if not line.office.cards[number].chip_id:
            whole_way(line, number, second, seen(second))
            require_good(line, number, second)
            free += 1
        elif line.office.cards[number].state != "PERSONALISED":
            with pytest.raises(WrongCard):
                written(line, number, second, seen(second))
            refused += 1
    assert free == INITIALIZE_UPDATE and refused > 10, "up to its answer nothing was done to the card"


def test_a_card_that_never_comes_to_its_end_is_scrapped(line: Line, serial: Serial) -> None:
    number, card = ordered(line, serial)
    for _ in range(admission.WRITES_MAX + 1):
        known = seen(card)
        card.faults = FaultPlan(status_at=dict.fromkeys(range(13, 90), 0x6A84))
        try:
            written(line, number, card, known)
        except CardScrapped:
            break
        except CardRefused:
            card.faults = FaultPlan()
    assert line.office.cards[number].state == "SPOILED"
