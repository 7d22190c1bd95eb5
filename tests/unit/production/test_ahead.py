"""Sessions computed ahead: a card in use is worked on in one round trip, a blank becomes a card in three.

The station compares what the vault foretold with what the card answers. Where they differ nothing has happened to the
card, no try of its keys is spent, and the work goes on the ordinary way with the answer that came.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from card_io import globalplatform as gp
from card_io.diversification import kdf3
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from card_io.virtual.keysets import KeySet
from issuance.keys.engine import VaultEngine
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.production.asking import Talk, bundle
from issuance.production.bundle import Answers, Fault, RecordKind, Send, Step
from issuance.production.drivers import drive, run_local
from issuance.production.errors import CardLost, CardRefused, Unforeseen, UnknownKeys, WrongCard
from issuance.production.journal import Journal
from issuance.production.rekey import RekeyedCard, RekeyJob, rekey
from issuance.production.relay import play
from issuance.production.sighting import Sighting, sight
from issuance.production.terminate import Terminated, terminate
from issuance.production.transcript import Transcript
from tests.support.keys import NOW, TRANSPORT_MASTER
from tests.support.line import Line, blank_card, slot_of
from tests.unit.production.pass_line import other_chip

Serial = Callable[[], int]
DRAWS = 0x60
"""`i` of a card that draws its challenges; it encrypts its answers as the pseudo-random one does."""
TERMINATED = 0xFF
LOOK = 6
"""How many commands a look at a card has."""


def drawing_card(serial: int) -> VirtualCard:
    """A blank whose challenges nobody can foretell."""
    chip_seed = b"chip" + serial.to_bytes(4, "big")
    keys = kdf3(Secret(TRANSPORT_MASTER), diversification_data(cplc_for(chip_seed)))
    initial = KeySet(keys.enc, keys.mac, keys.dek)
    return VirtualCard.blank(chip_seed, initial_keys=initial, profile="uec", scp03_i=DRAWS)


def made(line: Line, serial: int, card: VirtualCard | None = None) -> tuple[str, VirtualCard, Transcript]:
    number, chip, transcript = line.order(serial), card or blank_card(serial), Transcript()
    line.personalise(number, chip, transcript)
    line.inspect(number, chip)
    return number, chip, transcript


def order(line: Line, number: str, seen: Sighting | None = None) -> RekeyJob:
    kept = line.office.cards[number]
    master = line.office.vault.active(KeyPurpose.CARD_MASTER)
    return RekeyJob(number, kept.chip_id, master, tuple(kept.journal), seen)


def rotate(line: Line) -> None:
    vault = line.office.vault
    assert isinstance(vault, VaultEngine)
    vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)


def move(line: Line, number: str, card: VirtualCard, seen: Sighting | None = None) -> tuple[RekeyedCard, int]:
    """Move the card to the newest master; how many round trips it took."""
    transcript = Transcript()
    talk = rekey(order(line, number, seen), line.profile, random=line.randomness.randbytes)
    return run_local(talk, slot_of(card), line.office.desk(number), transcript=transcript), transcript.round_trips


def end(line: Line, number: str, card: VirtualCard, seen: Sighting | None = None) -> tuple[Terminated, int]:
    transcript = Transcript()
    blank = line.office.vault.active(KeyPurpose.BLANK_TRANSPORT)
    talk = terminate(order(line, number, seen), line.profile, blank_master=blank, random=line.randomness.randbytes)
    return run_local(talk, slot_of(card), line.office.desk(number), transcript=transcript), transcript.round_trips


def count_on(card: VirtualCard, times: int = 1) -> None:
    """Another terminal asks the card to open a channel, and leaves it."""
    card.power_on()
    connection = InProcessConnection(card)
    connection.transmit(gp.select(gp.ISD_AID).encode())
    for _ in range(times):
        assert connection.transmit(gp.initialize_update(0, bytes(8)).encode())[-2:] == b"\x90\x00"


def test_a_blank_becomes_a_card_in_three_trips_and_one_that_draws_in_four(line: Line, serial: Serial) -> None:
    number, _, transcript = made(line, serial())
    assert transcript.round_trips == 3
    seen = Journal(line.office.cards[number].journal).last_session
    assert seen is not None and (seen.kvn & 0xF0, seen.counter) == (0x30, 1)
    one = serial()
    number, _, transcript = made(line, one, drawing_card(one))
    assert transcript.round_trips == 4
    assert Journal(line.office.cards[number].journal).last_session is None
    assert line.office.cards[number].state == "PERSONALISED"


def test_keys_are_moved_in_one_trip_and_again_in_one(line: Line, serial: Serial) -> None:
    number, card, _ = made(line, serial())
    for _ in range(3):
        rotate(line)
        moved, trips = move(line, number, card)
        assert (moved.changed, moved.key_version, trips) == (True, order(line, number).card_master.version, 1)
    assert line.inspect(number, card).genuine, "data, keys and PINs are as they were"
    moved, trips = move(line, number, card)
    assert (moved.changed, trips) == (False, 1), "it is seen that there is nothing to do"


def test_a_card_is_made_mute_in_one_trip(line: Line, serial: Serial) -> None:
    number, card, _ = made(line, serial())
    done, trips = end(line, number, card)
    assert (done.resumed, trips, card.platform.life_cycle) == (False, 1, TERMINATED)
    again, _ = end(line, number, card)
    assert again.resumed


@pytest.mark.parametrize("times", [1, 2, 300])
def test_a_counter_that_moved_on_costs_a_trip_and_nothing_else(line: Line, serial: Serial, times: int) -> None:
    number, card, _ = made(line, serial())
    count_on(card, times)
    rotate(line)
    moved, trips = move(line, number, card)
    assert (moved.changed, trips) == (True, 2)
    rotate(line)
    assert move(line, number, card)[1] == 1, "the journal knows the new counter"
    count_on(card, times)
    assert end(line, number, card)[1] == 2
    assert card.platform.life_cycle == TERMINATED


def test_a_card_that_draws_its_challenges_is_worked_on_the_ordinary_way(line: Line, serial: Serial) -> None:
    one = serial()
    number, card, _ = made(line, one, drawing_card(one))
    rotate(line)
    assert move(line, number, card)[1] == 2
    assert end(line, number, card)[1] == 2


def test_another_card_in_the_reader_is_refused_by_name_and_none_the_worse(line: Line, serial: Serial) -> None:
    """A blank, another of our cards: stopped at what they answer, before a failed authentication."""
    number, card, _ = made(line, serial())
    other_number, other, _ = made(line, serial())
    rotate(line)
    for wrong in (blank_card(serial()), other):
        with pytest.raises(WrongCard):
            move(line, number, wrong)
        with pytest.raises(WrongCard):
            end(line, number, wrong)
        assert wrong.platform.life_cycle != TERMINATED
    assert move(line, other_number, other)[0].changed
    assert move(line, number, card)[0].changed
    assert line.inspect(other_number, other).genuine and line.inspect(number, card).genuine


@pytest.mark.parametrize("work", ["rekey", "terminate"])
def test_a_twin_with_the_same_keys_and_count_is_refused_before_anything_is_written(
    line: Line, serial: Serial, work: str
) -> None:
    """Its answer is the one foretold; only its number says that it is another card."""
    number, card, _ = made(line, serial())
    rotate(line)
    true, before = card.platform.cplc, card.platform.keys.versions()
    put_record(card, other_chip(true))
    commands = card.faults.commands
    with pytest.raises(WrongCard):
        (move if work == "rekey" else end)(line, number, card)
    assert card.faults.commands - commands == 2 + LOOK, "its number ended the trip, and then it was looked at"
    assert card.platform.life_cycle != TERMINATED and card.platform.keys.versions() == before
    kinds = [record.kind for record in line.office.cards[number].journal]
    assert RecordKind.TERMINATED not in kinds and kinds.count(RecordKind.KEY_CHANGED) == 1
    put_record(card, true)
    assert move(line, number, card)[0].changed and line.inspect(number, card).genuine


def test_a_card_whose_record_nobody_kept_is_looked_at_once(line: Line, serial: Serial) -> None:
    """Made before records were kept, or by a bureau: from its first work here on everything is foretold."""
    number, card, _ = made(line, serial())
    for forgotten in (("cplc",), ("cplc", "session")):
        forget(line, number, *forgotten)
        rotate(line)
        assert move(line, number, card)[1] == 2
        rotate(line)
        assert move(line, number, card)[1] == 1
    forget(line, number, "cplc", "session")
    assert move(line, number, card) == (RekeyedCard(number, *held(line, number), changed=False), 1)
    assert end(line, number, card)[1] == 1


def test_a_card_that_was_seen_needs_no_memory_of_its_count(line: Line, serial: Serial) -> None:
    number, card, _ = made(line, serial())
    count_on(card, 3)
    rotate(line)
    assert move(line, number, card, sight(slot_of(card)))[1] == 1
    forget(line, number, "cplc", "session")
    rotate(line)
    assert move(line, number, card, sight(slot_of(card)))[1] == 1
    assert end(line, number, card, sight(slot_of(card)))[1] == 1
    assert card.platform.life_cycle == TERMINATED


def test_what_was_seen_before_the_last_work_is_known_to_be_old(line: Line, serial: Serial) -> None:
    """The card stays in the reader: it has counted on since it was seen, or has other keys by now."""
    number, card, _ = made(line, serial())
    early = sight(slot_of(card))
    for _ in range(2):
        rotate(line)
        assert move(line, number, card, early)[1] == 1
    late = sight(slot_of(card))
    assert move(line, number, card, late)[0].changed is False
    assert end(line, number, card, late)[1] == 1


def put_record(card: VirtualCard, cplc: bytes) -> None:
    card.platform.area.put("cplc", cplc)
    card._memory.commit()


def forget(line: Line, number: str, *names: str) -> None:
    """Take these facts out of a card's journal."""
    kept = line.office.cards[number].journal
    kept[:] = [replace(one, facts={name: v for name, v in one.facts.items() if name not in names}) for one in kept]


def held(line: Line, number: str) -> tuple[str, int, int]:
    """Chip, key version on the card, and version of the master that it derives from."""
    job = order(line, number)
    return job.chip_id, line.profile.secure_channel.kvn(job.card_master.version), job.card_master.version


def test_a_forged_answer_with_the_foretold_challenge_is_stopped(line: Line, serial: Serial) -> None:
    """A card of a copied number, with other keys, cannot give the answer that the vault foretold."""
    one = serial()
    number, _, _ = made(line, one)
    rotate(line)
    copy = blank_card(one, bytes(16))
    for work in (move, end):
        with pytest.raises(UnknownKeys):
            work(line, number, copy)
    assert copy.platform.life_cycle != TERMINATED


@pytest.mark.parametrize("when", ["tear_before", "tear_after"])
@pytest.mark.parametrize("kind", ["rekey", "terminate"])
def test_torn_at_every_command_of_the_one_trip(line: Line, serial: Serial, kind: str, when: str) -> None:
    work = move if kind == "rekey" else end
    number, card, _ = made(line, serial())
    rotate(line)
    card.faults = FaultPlan()
    assert work(line, number, card)[1] == 1
    commands = card.faults.commands
    for k in range(1, commands + 1):
        number, card, _ = made(line, serial())
        rotate(line)
        card.faults = FaultPlan(**{when: k})
        with pytest.raises(CardLost):
            work(line, number, card)
        card.faults = FaultPlan()
        _, trips = work(line, number, card)
        assert trips <= 3
        version = order(line, number).card_master.version
        if kind == "terminate":
            assert card.platform.life_cycle == TERMINATED
        else:
            assert Journal(line.office.cards[number].journal).key_version_of(line.profile.secure_channel.kvn(version))
            assert line.inspect(number, card).genuine
            assert move(line, number, card)[0].key_version == version
    print(f"torn test, {kind} in one trip: {commands} commands torn {when}, each finished the next time")


def test_the_link_drops_after_the_one_trip(line: Line, serial: Serial) -> None:
    number, card, _ = made(line, serial())
    rotate(line)
    talk = rekey(order(line, number), line.profile, random=line.randomness.randbytes)
    slot = slot_of(card)

    def lost(request: Send) -> Answers:
        play(slot, request)
        return Answers((), complete=False, fault=Fault.LINK_LOST)

    with pytest.raises(CardLost):
        drive(talk, lost, line.office.desk(number))
    card.power_off()
    moved, _ = move(line, number, card)
    assert not moved.changed, "it was done, and the journal explains the keys it has"
    kinds = [record.kind for record in line.office.cards[number].journal]
    assert kinds[-2] is RecordKind.KEY_CHANGED


def test_a_known_answer_that_comes_out_otherwise_ends_a_bundle() -> None:
    steps = (Step(b"\x00\xa4\x04\x00", answer=b"\x01"), Step(b"\x00\xca\x00\x00", label="next"))
    talk: Talk[tuple[bytes, ...]] = bundle(steps)
    next(talk)
    with pytest.raises(Unforeseen) as caught:
        talk.send(Answers((b"\x02\x90\x00", b"\x90\x00"), complete=True))
    assert caught.value.responses == (b"\x02\x90\x00",), "what a station sent behind it does not count"
    talk = bundle(steps)
    next(talk)
    with pytest.raises(CardRefused):
        talk.send(Answers((b"\x01\x69\x82",), complete=False))
