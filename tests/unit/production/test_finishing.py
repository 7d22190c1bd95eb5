"""A card torn in its last trip has nothing left to answer: it is looked at, opened and finished in one round trip.

Torn at every command of that trip, and torn again at every command while it is finished; with another card put in, a
card whose counter moved on, one that draws its challenges, one that refuses. The end is one good card each time.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import FaultPlan
from issuance.production import admission, finishing
from issuance.production.bundle import Record, RecordKind
from issuance.production.drivers import run_local
from issuance.production.errors import CardLost, CardRefused, CardScrapped, ChipTaken, WrongCard
from issuance.production.personalise import personalise
from issuance.production.transcript import Transcript
from tests.support.line import Line, blank_card, slot_of
from tests.unit.production.test_ahead import count_on, drawing_card
from tests.unit.production.test_torn import Tear, require_one_good_card, whole_way

Serial = Callable[[], int]


def commands_of_the_last_trip(line: Line, serial: Serial) -> range:
    """Which commands they are of a whole personalisation."""
    number, card, transcript = line.order(serial()), blank_card(serial()), Transcript()
    line.personalise(number, card, transcript)
    (*_, last) = cast("list[dict[str, int]]", transcript.facts()["trips"])
    return range(card.faults.commands - last["commands"] + 1, card.faults.commands + 1)


def torn_in_the_last_trip(
    line: Line, serial: Serial, back: int = 1, card: VirtualCard | None = None
) -> tuple[str, VirtualCard]:
    """A card that was torn before the command that is `back` from the end."""
    one = serial()
    number, chip = line.order(one), card or blank_card(one)
    whole = blank_card(serial()) if card is None else drawing_card(serial())
    line.personalise(line.order(serial()), whole)
    chip.faults = FaultPlan(tear_before=whole.faults.commands + 1 - back)
    with pytest.raises(CardLost):
        line.personalise(number, chip)
    chip.faults = FaultPlan()
    assert line.office.cards[number].journal[-2].kind is RecordKind.FINISH_INTENT
    return number, chip


def finish(line: Line, number: str, card: VirtualCard) -> int:
    """Go on with it; how many round trips that took."""
    transcript = Transcript()
    assert line.personalise(number, card, transcript).resumed
    return transcript.round_trips


def test_it_is_finished_in_one_trip(line: Line, serial: Serial) -> None:
    number, card = torn_in_the_last_trip(line, serial, back=4)
    assert finish(line, number, card) == 1
    line.inspect(number, card)
    require_one_good_card(line, number, card)


@pytest.mark.slow
def test_every_command_of_the_last_trip_torn_and_torn_again(line: Line, serial: Serial) -> None:
    """Unfinished it takes one trip; finished it is looked at, and made SECURED."""
    last = commands_of_the_last_trip(line, serial)
    trips: set[int] = set()
    for tear in [Tear(k, when) for k in last for when in ("before", "after")]:
        one = serial()
        number, card = line.order(one), blank_card(one)
        card.faults = tear.plan()
        with pytest.raises(CardLost):
            line.personalise(number, card)
        card.faults = FaultPlan()
        trips.add(finish(line, number, card))
        line.inspect(number, card)
        require_one_good_card(line, number, card)
    assert 1 in trips and max(trips) <= 4
    number, card = torn_in_the_last_trip(line, serial, back=4)
    card.faults = FaultPlan()
    line.personalise(number, card)
    again = [Tear(k, when) for k in range(1, card.faults.commands + 1) for when in ("before", "after")]
    for tear in again:
        number, card = torn_in_the_last_trip(line, serial, back=4)
        card.faults = tear.plan()
        with pytest.raises(CardLost):
            line.personalise(number, card)
        card.faults = FaultPlan()
        whole_way(line, number, card)
        require_one_good_card(line, number, card)
    print(
        f"torn test, profile uec: {2 * len(last)} tears of the last trip, {len(again)} of its end again, all finished"
    )


@pytest.mark.parametrize("times", [1, 3])
def test_a_counter_that_moved_on_costs_a_trip(line: Line, serial: Serial, times: int) -> None:
    number, card = torn_in_the_last_trip(line, serial, back=4)
    count_on(card, times)
    assert finish(line, number, card) == 2
    line.inspect(number, card)
    require_one_good_card(line, number, card)


def test_a_card_that_draws_its_challenges_is_looked_at_first(line: Line, serial: Serial) -> None:
    number, card = torn_in_the_last_trip(line, serial, back=4, card=drawing_card(serial()))
    assert finish(line, number, card) == 2
    line.inspect(number, card)
    require_one_good_card(line, number, card)


def test_another_card_is_refused_by_name_and_the_one_meant_goes_on(line: Line, serial: Serial) -> None:
    number, card = torn_in_the_last_trip(line, serial, back=4)
    made = serial()
    other_number, other = line.order(made), blank_card(made)
    whole_way(line, other_number, other)
    with pytest.raises(WrongCard) as caught:
        line.personalise(number, blank_card(serial()))
    assert caught.value.expected == line.office.cards[number].chip_id
    with pytest.raises(ChipTaken) as taken:
        line.personalise(number, other)
    assert taken.value.card_number == other_number
    require_one_good_card(line, other_number, other)
    assert finish(line, number, card) == 1


def test_a_card_that_is_never_finished_is_written_anew_and_scrapped_in_the_end(line: Line, serial: Serial) -> None:
    number, card = torn_in_the_last_trip(line, serial, back=4)
    for _ in range(finishing.TRIES_MAX + admission.WRITES_MAX):
        card.faults = FaultPlan(status_at=dict.fromkeys(range(9, 200), 0x6A84))
        try:
            line.personalise(number, card)
        except CardScrapped:
            break
        except CardRefused:
            continue
    assert line.office.cards[number].state == "SPOILED"


def test_a_journal_that_does_not_know_the_cards_state_has_it_asked(line: Line, serial: Serial) -> None:
    """As a card was left by whoever wrote no such thing down."""
    number, card = torn_in_the_last_trip(line, serial, back=4)
    kept = line.office.cards[number]
    kept.journal = [
        Record(one.kind, {name: fact for name, fact in one.facts.items() if name != "card_state"})
        for one in kept.journal
    ]
    assert finish(line, number, card) == 3
    line.inspect(number, card)
    require_one_good_card(line, number, card)


def test_a_profile_that_leaves_the_cards_state_alone(line: Line, serial: Serial) -> None:
    plain = replace(line.profile, secure_channel=replace(line.profile.secure_channel, secures_card=False))
    one = serial()
    number, card = line.order(one), blank_card(one)

    def write(chip: VirtualCard, transcript: Transcript) -> None:
        talk = personalise(line.office.job(number), plain, random=line.randomness.randbytes)
        run_local(talk, slot_of(chip), line.office.desk(number), transcript=transcript)

    probe = blank_card(serial())
    line.personalise(line.order(serial()), probe)
    card.faults = FaultPlan(tear_before=probe.faults.commands - 6)
    with pytest.raises(CardLost):
        write(card, Transcript())
    card.faults = FaultPlan()
    transcript = Transcript()
    write(card, transcript)
    assert transcript.round_trips == 1
    line.inspect(number, card)
