"""A blank becomes a card in few round trips, whatever the profile puts on it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from card_io.virtual.faults import FaultPlan
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.production.bundle import RecordKind
from issuance.production.drivers import run_local
from issuance.production.errors import CardLost, ProductionError
from issuance.production.journal import Journal
from issuance.production.make import make
from issuance.production.personalise import personalise
from issuance.production.profile import load_profile
from issuance.production.transcript import Transcript, is_whole
from tests.support.leaks import leaked
from tests.support.line import HOLDER_PINS, UEC_PROFILE, Line, blank_card, make_line, slot_of

Serial = Callable[[], int]
TRIPS = (3, 2, 2)
"""Personalise, inspect, hand over; the promise is at most five, and three for the inspection."""


def test_a_blank_becomes_a_holders_card(line: Line, serial: Serial) -> None:
    number = line.order(serial())
    card = blank_card(serial())
    made = line.personalise(number, card)
    assert (made.card_number, made.kvn, made.resumed) == (number, 0x30, False)
    report = line.inspect(number, card)
    assert report.genuine, report.failures
    assert report.facts["surname"] == "Иванова"
    line.hand_over(number, card)
    assert line.office.cards[number].state == "ACTIVE"


def test_round_trips_do_not_grow_with_the_card(line: Line, serial: Serial) -> None:
    """A big photo makes more commands and no more trips."""
    counted = []
    for photo in (b"", b"p" * 1000, b"p" * 30_000):
        number, card = line.order(serial(), photo=photo), blank_card(serial())
        written, looked, handed = Transcript(), Transcript(), Transcript()
        line.personalise(number, card, written)
        report = line.inspect(number, card, looked)
        line.hand_over(number, card, handed)
        assert report.facts.get("photo", b"") == photo
        counted.append((written.round_trips, looked.round_trips, handed.round_trips, written.commands))
    assert {trips[:3] for trips in counted} == {TRIPS}
    assert counted[0][3] < counted[1][3] < counted[2][3]


def test_more_than_256_blocks_take_several_sessions_in_the_same_trips(tmp_path: Path) -> None:
    own = own_line(tmp_path, SCAN)
    number, card = own.order(1, photo=b"\x5a" * 32_000, scan=b"\xa5" * 32_000), blank_card(1)
    transcript = Transcript()
    own.personalise(number, card, transcript)
    assert transcript.round_trips == 3 and transcript.commands > 256
    facts = own.inspect(number, card).facts
    assert (facts["photo"], facts["scan"]) == (b"\x5a" * 32_000, b"\xa5" * 32_000)
    own.office.vault.close()


def test_make_is_both_in_one(line: Line, serial: Serial) -> None:
    number, card = line.order(serial()), blank_card(serial())
    desk, transcript = line.office.desk(number), Transcript()
    talk = make(
        line.office.job(number), line.profile, line.anchors, clock=line.office.clock, random=line.randomness.randbytes
    )
    assert run_local(talk, slot_of(card), desk, transcript=transcript).genuine
    assert transcript.round_trips == 5
    steps = [progress.step for progress in desk.shown]
    assert steps == sorted(steps) and {progress.of for progress in desk.shown} == {6}
    assert desk.shown[-1].label == "inspected"


def test_every_intent_stands_before_its_outcome(line: Line, serial: Serial) -> None:
    number = line.order(serial())
    line.personalise(number, blank_card(serial()))
    assert [record.kind for record in line.office.cards[number].journal] == [
        RecordKind.CHIP_CLAIMED,
        RecordKind.KEY_CHANGE_INTENT,
        RecordKind.WRITE_INTENT,
        RecordKind.KEY_CHANGED,
        RecordKind.KEYS_MADE,
        RecordKind.FINISH_INTENT,
        RecordKind.FINISHED,
        RecordKind.TRANSCRIPT,
    ]


def test_nothing_secret_is_recorded(line: Line, serial: Serial) -> None:
    number, card = line.order(serial()), blank_card(serial())
    line.personalise(number, card)
    line.inspect(number, card)
    line.hand_over(number, card)
    master = line.office.vault.active(KeyPurpose.PIN_MASTER)
    pins = line.office.vault.transport_pins(master, number, {"pin1": 8, "pin2": 8, "krp": 8})
    said = str([dict(record.facts) for record in line.office.cards[number].journal])
    for secret in (*pins.values(), *HOLDER_PINS.values()):
        assert not leaked(said, secret)
    transcripts = [record for record in line.office.cards[number].journal if record.kind is RecordKind.TRANSCRIPT]
    assert len(transcripts) == 3 and all(is_whole(record.facts) for record in transcripts)


def test_finishing_twice_changes_nothing(line: Line, serial: Serial) -> None:
    number, card = line.order(serial()), blank_card(serial())
    first = line.personalise(number, card)
    again = line.personalise(number, card)
    assert again.public_keys == first.public_keys and again.resumed
    kinds = [record.kind for record in line.office.cards[number].journal]
    assert kinds.count(RecordKind.FINISHED) == 1 and kinds.count(RecordKind.KEYS_MADE) == 1


def test_a_key_rotation_in_between_does_not_lose_the_card(tmp_path: Path) -> None:
    """The card was begun under one version of the master; the active one has changed since."""
    own = make_line(tmp_path)
    number, card = own.order(1), blank_card(1)
    card.faults = FaultPlan(tear_after=20)
    with pytest.raises(CardLost):
        own.personalise(number, card)
    own.office.vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_256, now=datetime(2026, 3, 3, tzinfo=UTC))
    made = own.personalise(number, card)
    assert (made.key_version, made.kvn) == (1, 0x30)
    assert own.inspect(number, card).genuine
    newer, fresh = own.order(2), blank_card(2)
    made = own.personalise(newer, fresh)
    assert (made.key_version, made.kvn) == (2, 0x31)
    assert own.inspect(newer, fresh).genuine
    own.office.vault.close()


SCAN = """
[[data_groups]]
number = 6
name = "scan"
label = "Scan"
fid = 0x0106
tag = 0x66
read = "pin1"

[[data_groups.fields]]
name = "scan"
tag = 0x80
kind = "bytes"
"""
BENEFITS = """
[[data_groups]]
number = 5
name = "benefits"
label = "Benefits"
fid = 0x0105
tag = 0x65
read = "pin1"

[[data_groups.fields]]
name = "benefit"
tag = 0x80
kind = "text"
"""


TRANSPORT_KEY = """
[[keys]]
name = "transport"
label = "Transport"
reference = 5
algorithm = "ec-p256"
use = "sign"
pin = "pin1"
certificate_fid = 0x4505
certificate_profile = "authentication"
"""


def own_line(folder: Path, more: str) -> Line:
    path = folder / "uec.toml"
    path.write_text(UEC_PROFILE.read_text(encoding="utf-8") + more, encoding="utf-8")
    return make_line(folder, path)


def test_a_new_data_group_is_a_profile_change_only(tmp_path: Path) -> None:
    own = own_line(tmp_path, BENEFITS)
    number, card = own.order(1, benefit="льготный проезд"), blank_card(1)
    own.personalise(number, card)
    assert own.inspect(number, card).facts["benefit"] == "льготный проезд"
    assert set(Journal(own.office.cards[number].journal).public_keys) == {key.name for key in own.profile.keys}
    own.office.vault.close()


def test_a_new_key_slot_is_a_profile_change_only(tmp_path: Path) -> None:
    own = own_line(tmp_path, TRANSPORT_KEY)
    number, card = own.order(1), blank_card(1)
    own.personalise(number, card)
    report = own.inspect(number, card)
    checks = {finding.check for finding in report.findings}
    assert report.genuine and {"certificate:transport", "proof:transport"} <= checks
    assert "transport" in Journal(own.office.cards[number].journal).public_keys
    own.office.vault.close()


def test_p384_keys_are_a_profile_change_only(tmp_path: Path) -> None:
    path = tmp_path / "uec.toml"
    text = UEC_PROFILE.read_text(encoding="utf-8").replace('algorithm = "ec-p256"', 'algorithm = "ec-p384"', 1)
    path.write_text(text, encoding="utf-8")
    own = make_line(tmp_path, path)
    number, card = own.order(1), blank_card(1)
    own.personalise(number, card)
    assert own.inspect(number, card).genuine
    own.office.vault.close()


@pytest.mark.parametrize("level", [0x03, 0x13, 0x33])
def test_every_level_that_protects_writes_a_card(line: Line, serial: Serial, level: int) -> None:
    number, card = line.order(serial()), blank_card(serial())
    profile = replace(line.profile, secure_channel=replace(line.profile.secure_channel, level=level))
    run_local(
        personalise(line.office.job(number), profile, random=line.randomness.randbytes),
        slot_of(card),
        line.office.desk(number),
    )
    assert line.inspect(number, card).genuine


def test_a_profile_that_does_not_load_makes_no_line(tmp_path: Path) -> None:
    with pytest.raises(ProductionError):
        load_profile(tmp_path / "uec.toml")
