"""A card that makes no keys takes one round trip where the reader has told what it saw, and two where it has not.

The shipped sample profile of a pass, and the guess wrong in every way: another count, another chip, other keys,
nonsense. A card that is not as foretold loses nothing by it, and the work goes on in the ordinary number of trips.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from card_io import globalplatform as gp
from card_io.diversification import kdf3
from card_io.secret import Secret
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.faults import FaultPlan
from issuance.production.bundle import Answers, RecordKind, Send
from issuance.production.check import check_card
from issuance.production.drivers import drive, run_local
from issuance.production.errors import (
    CardAlreadyActive,
    ChipTaken,
    ForeignCard,
    UnknownKeys,
    WrongCard,
)
from issuance.production.handover import hand_over
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.profile import load_profile
from issuance.production.relay import play
from issuance.production.sighting import Sighting, sight
from tests.support.keys import TRANSPORT_MASTER
from tests.support.line import HOLDER_PINS, LETTER, PASS_PROFILE, Line, blank_card, make_line, slot_of
from tests.unit.production.pass_line import Serial, made, open_line, ordered, require_good, seen, whole_way, written
from tests.unit.production.test_ahead import count_on, drawing_card, end, move, rotate
from tests.unit.virtual.cards import install_uec, open_session

ANOTHER_PIN = Secret(b"730264")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(tmp_path_factory.mktemp("pass")) as opened:
        yield opened


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
    assert written(line, number, card, seen(first)) == 3, "it was looked at again"
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
