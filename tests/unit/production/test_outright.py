"""A card that makes no keys takes one round trip where the reader has told what it saw, and two where it has not.

The shipped sample profile of a pass, torn at every command, with the host dead at every commit, the link dropped and
another card put in; the guess wrong in every way: another count, another chip, other keys, nonsense. A card that is
not as foretold loses nothing by it, and the work goes on in the ordinary number of trips.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from card_io import globalplatform as gp
from card_io.diversification import kdf3
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.faults import FaultPlan
from issuance.production import admission
from issuance.production.bundle import Answers, Fault, RecordKind, Send
from issuance.production.check import check_card
from issuance.production.drivers import drive, run_local
from issuance.production.errors import (
    CardAlreadyActive,
    CardLost,
    CardRefused,
    CardScrapped,
    ChipTaken,
    ForeignCard,
    ProductionError,
    UnknownKeys,
    WrongCard,
)
from issuance.production.handover import hand_over
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.profile import load_profile
from issuance.production.relay import play
from issuance.production.sighting import Sighting, sight
from issuance.production.transcript import Transcript
from tests.support.keys import TRANSPORT_MASTER
from tests.support.line import HOLDER_PINS, LETTER, PASS_PROFILE, Line, blank_card, make_line, slot_of
from tests.unit.production.test_ahead import count_on, drawing_card, end, move, rotate
from tests.unit.production.test_torn import HostDied, Tear, host_dying
from tests.unit.virtual.cards import install_uec, open_session

Serial = Callable[[], int]
SECURED = 0x0F
INITIALIZE_UPDATE = 6
PUT_KEY = 9
"""Which commands of the one bundle they are."""
ANOTHER_PIN = Secret(b"730264")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    made = make_line(tmp_path_factory.mktemp("pass"), PASS_PROFILE)
    yield made
    made.office.vault.close()


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


def test_one_trip_where_the_card_was_seen_two_where_not_three_for_one_that_draws(line: Line, serial: Serial) -> None:
    number, card = ordered(line, serial)
    assert written(line, number, card, seen(card)) == 1
    require_good(line, number, card)
    number, card = ordered(line, serial)
    assert written(line, number, card) == 2
    require_good(line, number, card)
    one = serial()
    number, card = line.order(one), drawing_card(one)
    assert written(line, number, card, seen(card)) == 3, "what it drew tells nothing of what it draws next"
    require_good(line, number, card)


def test_all_intents_are_kept_before_the_one_bundle(line: Line, serial: Serial) -> None:
    happened: list[str] = []
    number, card = ordered(line, serial)
    known, slot = seen(card), slot_of(card)
    line.office.on_commit = lambda _, records: happened.append("+".join(record.kind.value for record in records))

    def send(bundle: Send) -> Answers:
        happened.append("send")
        return play(slot, bundle)

    talk = personalise(line.office.job(number, known), line.profile, random=line.randomness.randbytes)
    drive(talk, send, line.office.desk(number))
    line.office.on_commit = lambda number, records: None
    assert happened == [
        "chip_claimed+key_change_intent+write_intent+finish_intent",
        "send",
        "key_changed+finished",
        "transcript",
    ]
    (intent,) = [one for one in line.office.cards[number].journal if one.kind is RecordKind.FINISH_INTENT]
    assert intent.facts["pins"] == ["krp", "pin1"] and intent.facts["certificates"] == {}


@pytest.mark.parametrize("state", [gp.CardLifeCycle.INITIALIZED, gp.CardLifeCycle.SECURED])
def test_a_blank_that_is_further_on_in_its_life_is_secured_in_the_same_trip(
    line: Line, serial: Serial, state: gp.CardLifeCycle
) -> None:
    number, card = ordered(line, serial)
    card.platform.life_cycle = state
    card._memory.commit()
    assert written(line, number, card, seen(card)) == 1
    require_good(line, number, card)


@pytest.mark.parametrize("times", [1, 2, 300])
def test_a_counter_that_moved_on_costs_a_trip_and_no_try(line: Line, serial: Serial, times: int) -> None:
    number, card = ordered(line, serial)
    known = seen(card)
    count_on(card, times)
    assert written(line, number, card, known) == 2
    require_good(line, number, card)


def test_another_blank_than_the_one_seen_becomes_the_card(line: Line, serial: Serial) -> None:
    number, card = ordered(line, serial)
    first = blank_card(serial())
    assert written(line, number, card, seen(first)) == 2
    require_good(line, number, card)
    released = [one for one in line.office.cards[number].journal if one.kind is RecordKind.CHIP_RELEASED]
    assert [one.facts["unwritten"] for one in released] == [True]
    other = line.order(serial())
    assert written(line, other, first, seen(first)) == 1, "it was let go, and is as good as new"
    require_good(line, other, first)


def test_a_counterfeit_of_a_blank_is_refused_by_name_and_its_chip_is_let_go(line: Line, serial: Serial) -> None:
    one = serial()
    number, copy = line.order(one), blank_card(one, bytes(16))
    with pytest.raises(UnknownKeys):
        written(line, number, copy, seen(copy))
    assert line.office.cards[number].chip_id == ""
    true = blank_card(one)
    assert written(line, number, true, seen(true)) == 1
    require_good(line, number, true)


def test_a_finished_card_in_the_place_of_the_blank_that_was_seen(line: Line, serial: Serial) -> None:
    other_number, other = made(line, serial)
    number, card = ordered(line, serial)
    with pytest.raises(ChipTaken) as taken:
        written(line, number, other, seen(card))
    assert taken.value.card_number == other_number
    assert line.office.cards[number].chip_id == ""
    require_good(line, other_number, other)
    assert written(line, number, card, seen(card)) == 1


def test_what_the_office_knows_of_the_chip_is_said_before_a_command_is_sent(line: Line, serial: Serial) -> None:
    active, card = made(line, serial)
    line.hand_over(active, card)
    spoiled, other = ordered(line, serial)
    line.office.cards[spoiled].chip_id, line.office.cards[spoiled].state = seen(other).chip_id, "SPOILED"
    used = blank_card(serial())
    line.office.cards[active].chip_id = seen(used).chip_id
    for chip, error in ((used, CardAlreadyActive), (other, ChipTaken)):
        number = line.order(serial())
        commands = chip.faults.commands
        with pytest.raises(error):
            written(line, number, chip, replace(seen(chip)))
        assert chip.faults.commands == commands + 3, "those of the sighting alone"
        assert not Journal(line.office.cards[number].journal).has(RecordKind.CHIP_CLAIMED)


@pytest.mark.parametrize(
    "nonsense",
    [Sighting(b"", b""), Sighting(bytes(42), b""), Sighting(b"\x01", bytes(32)), Sighting(bytes(45), bytes(32))],
)
def test_a_sighting_that_says_nothing_is_none(line: Line, serial: Serial, nonsense: Sighting) -> None:
    number, card = ordered(line, serial)
    assert written(line, number, card, nonsense) == 2
    require_good(line, number, card)


def test_a_blank_that_has_the_applet_already_is_refused_by_name(line: Line, serial: Serial) -> None:
    """Somebody with the blanks' keys was at it: whatever it is, it is none of ours."""
    one = serial()
    number, card = line.order(one), blank_card(one)
    card.power_on()
    keys = kdf3(Secret(TRANSPORT_MASTER), diversification_data(cplc_for(b"chip" + one.to_bytes(4, "big"))))
    install_uec(open_session(card, keys=(keys.enc.reveal(), keys.mac.reveal(), keys.dek.reveal())))
    with pytest.raises(ForeignCard, match="an identity applet on it already"):
        written(line, number, card, seen(card))
    assert line.office.cards[number].chip_id == ""


def test_a_blank_without_the_code_is_let_go(line: Line, serial: Serial) -> None:
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = FaultPlan(status_at={8: 0x6A88})
    with pytest.raises(ForeignCard, match="without the code"):
        written(line, number, card, known)
    assert line.office.cards[number].chip_id == ""


def test_no_card_sees_nothing_and_a_stranger_is_no_blank(line: Line, serial: Serial) -> None:
    number, card = ordered(line, serial)
    card.faults = FaultPlan(status_at={2: 0x6A88})
    assert sight(slot_of(card)) is None, "a card of others has no CPLC"
    card.faults = FaultPlan(tear_before=1)
    assert sight(slot_of(card)) is None
    card.faults = FaultPlan()
    assert written(line, number, card) == 2


def commands_of(line: Line, serial: Serial) -> int:
    """How many commands the one trip and the inspection have."""
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = FaultPlan()
    written(line, number, card, known)
    line.inspect(number, card)
    return card.faults.commands


def whole_way(line: Line, number: str, card: VirtualCard, known: Sighting | None) -> None:
    written(line, number, card, known)
    line.inspect(number, card)


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
    number, card = ordered(line, serial)
    known = seen(card)
    card.faults = FaultPlan(tear_before=18)
    with pytest.raises(CardLost):
        written(line, number, card, known)
    card.faults = FaultPlan()
    assert written(line, number, card) == 1, "its keys, its count and its applet are known: the rest is one trip"
    again = card.faults.commands
    for k in range(1, again + 1):
        number, card = ordered(line, serial)
        known = seen(card)
        card.faults = FaultPlan(tear_before=18)
        with pytest.raises(CardLost):
            written(line, number, card, known)
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


def test_a_pass_is_handed_over_unblocked_moved_to_new_keys_and_ended(line: Line, serial: Serial) -> None:
    """It has no key to challenge: what proves it is the channel of its issuer domain."""
    number, card = made(line, serial)
    copy = blank_card(serial())
    with pytest.raises(WrongCard):
        line.hand_over(number, copy)
    done = line.hand_over(number, card)
    assert done.chip_id == line.office.cards[number].chip_id
    report = check_card(
        slot_of(card),
        line.profile,
        line.anchors,
        now=line.office.clock(),
        random=line.randomness.randbytes,
        pins={"pin1": HOLDER_PINS["pin1"]},
    )
    assert report.genuine and report.facts["snils"] == "11223344595"
    line.unblock(number, card, "pin1", ANOTHER_PIN, code=LETTER)
    rotate(line)
    assert move(line, number, card)[0].changed
    line.unblock(number, card, "pin1", HOLDER_PINS["pin1"], code=LETTER)
    assert end(line, number, card)[1] <= 2


def test_a_copy_of_a_pass_is_unmasked_at_the_hand_over(line: Line, serial: Serial, tmp_path: Path) -> None:
    """It tells the chip's number and all its data, and has not its keys: its maker has a master of his own."""
    one = serial()
    number, card = line.order(one), blank_card(one)
    whole_way(line, number, card, seen(card))
    thief = make_line(tmp_path, PASS_PROFILE)
    copy = blank_card(one)
    thief.office.order(number, "B-0001", line.office.cards[number].data_groups)
    thief.personalise(number, copy)
    with pytest.raises(UnknownKeys):
        line.hand_over(number, copy)
    line.hand_over(number, card)
    thief.office.vault.close()


MORE = """
[[data_groups]]
number = 3
name = "library"
label = "Library"
fid = 0x0104
tag = 0x64
read = "always"

[[data_groups.fields]]
name = "oms"
tag = 0x80
kind = "digits"
"""
KEY = """
[[keys]]
name = "card"
label = "Card authentication"
reference = 9
algorithm = "ec-p384"
use = "internal-authenticate"
certificate_fid = 0x4509
certificate_profile = "card-authentication"
"""


def test_a_new_data_group_and_a_new_key_slot_are_lines_of_the_profile(
    line: Line, serial: Serial, tmp_path: Path
) -> None:
    text = PASS_PROFILE.read_text()
    grown = tmp_path / "pass.toml"
    for added, trips in ((MORE, 1), (MORE + KEY, 3)):
        grown.write_text((text.replace("keys = []", "") if "[[keys]]" in added else text) + added)
        wider = replace(line, profile=load_profile(grown))
        wider.office.profile, before = wider.profile, wider.office.profile
        try:
            number, card = ordered(wider, serial)
            assert written(wider, number, card, seen(card)) == trips
            report = wider.inspect(number, card)
        finally:
            wider.office.profile = before
        assert report.genuine and report.facts["oms"] == "7200000000000007"
        checked = {finding.check for finding in report.findings}
        assert ("proof:card" in checked) == ("[[keys]]" in added)


def test_a_profile_without_any_pin(line: Line, serial: Serial, tmp_path: Path) -> None:
    """Everything may be read by anyone; handing it over changes nothing on it."""
    text = PASS_PROFILE.read_text().replace('read = "pin1"', 'read = "always"')
    start, end_of_pins = text.index("[[pins]]"), text.index("[[data_groups]]")
    bare = tmp_path / "pass.toml"
    bare.write_text(text[:start].replace("keys = []", "keys = []\npins = []") + text[end_of_pins:])
    open_line = replace(line, profile=load_profile(bare))
    number, card = ordered(open_line, serial)
    assert written(open_line, number, card, seen(card)) == 1
    report = open_line.inspect(number, card)
    assert report.genuine and report.facts["snils"] == "11223344595"
    talk = hand_over(line.office.handover(number, {}), open_line.profile, random=line.randomness.randbytes)
    assert run_local(talk, slot_of(card), line.office.desk(number)).card_number == number
    assert line.office.cards[number].state == "ACTIVE"
