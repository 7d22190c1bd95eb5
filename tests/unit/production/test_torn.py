"""Torn anywhere, a card is finished or refused by name: every command of a whole personalisation, before and after.

For each command k of the way from a blank to an inspected card the card loses its power before k does anything, or
after it has done all it does and the answer is lost; then the same card is put back. For each commit of the
office the host dies right before it and right after; then a new host goes on with the same card. For each bundle the
link is dropped after the station has played it. Every time the end is one good card, bound to one chip, with keys that
the vault derives and certificates for exactly the keys on the chip.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from card_io.applets.uec.layout import PinRef
from card_io.applets.uec.session import UecSession, WrongPin
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from issuance.keys.port import KeyPurpose
from issuance.production.bundle import Answers, Fault, Record, RecordKind, Send
from issuance.production.check import check_card
from issuance.production.drivers import drive
from issuance.production.errors import CardLost, ProductionError
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.relay import play
from issuance.production.transcript import Transcript
from tests.support.line import HOLDER_PINS, Line, blank_card, hand_over_torn, slot_of

SECURED = 0x0F
TEARS = 12
"""More than an unblock code has tries."""
BEFORE_THE_CODE, BEHIND_THE_CODE = 8, 9
"""Commands of a hand-over: five to meet the card, the applet, two PINs, the code."""
MOST_COMMANDS = 10
"""Of one that was torn before: the code once or twice, then two PINs."""
ANY_PIN = Secret(b"730264")


class HostDied(BaseException):
    """The process is gone; nobody catches this."""


def whole_way(line: Line, number: str, card: VirtualCard) -> None:
    line.personalise(number, card)
    line.inspect(number, card)


def commands_of_a_whole_way(line: Line, serial: int) -> int:
    number, card = line.order(serial), blank_card(serial)
    whole_way(line, number, card)
    return card.faults.commands


def require_one_good_card(line: Line, number: str, card: VirtualCard) -> None:
    """What must hold in the end, looked at from outside."""
    kept = line.office.cards[number]
    assert kept.state == "PERSONALISED"
    report = line.inspect(number, card)
    assert report.genuine and report.chip_id == kept.chip_id
    assert card.platform.life_cycle == SECURED
    holders = [other.number for other in line.office.cards.values() if other.chip_id == kept.chip_id]
    assert holders == [number]
    keys = Journal(kept.journal).public_keys
    certified = {key for key, (owner, _) in line.office.certificates.items() if owner == number}
    assert certified == set(keys.values()), "no certificate without a key on the card"


@dataclass(frozen=True)
class Tear:
    """One place where the power goes."""

    k: int
    when: str

    def plan(self) -> FaultPlan:
        return FaultPlan(tear_before=self.k) if self.when == "before" else FaultPlan(tear_after=self.k)


@pytest.mark.slow
def test_every_command_torn_before_and_after(line: Line, serial: Callable[[], int]) -> None:
    commands = commands_of_a_whole_way(line, serial())
    cases = [Tear(k, when) for k in range(1, commands + 1) for when in ("before", "after")]
    ended: dict[str, int] = {}
    for tear in cases:
        card_serial = serial()
        number, card = line.order(card_serial), blank_card(card_serial)
        card.faults = tear.plan()
        with pytest.raises(CardLost):
            whole_way(line, number, card)
        card.faults = FaultPlan()
        whole_way(line, number, card)
        require_one_good_card(line, number, card)
        last = line.office.cards[number].journal[0].kind.value
        ended[last] = ended.get(last, 0) + 1
    assert sum(ended.values()) == len(cases) == 2 * commands
    print(f"torn test, profile uec: {len(cases)} tears, {commands} commands, every card finished")


def test_the_host_dies_at_every_commit(line: Line, serial: Callable[[], int]) -> None:
    number = line.order(serial())
    commits: list[list[RecordKind]] = []
    line.office.on_commit = lambda _, records: commits.append([record.kind for record in records])
    whole_way(line, number, blank_card(serial()))
    cases = 0
    for index in range(len(commits)):
        for kept in (False, True):
            die_at_commit(line, serial(), index, kept=kept)
            cases += 1
    line.office.on_commit = lambda number, records: None
    assert cases == 2 * len(commits) >= 12
    print(f"torn test, profile uec: host dead at {cases} places, every card finished")


@contextmanager
def host_dying(line: Line, index: int, *, kept: bool) -> Iterator[None]:
    """Within the block the host dies at its commit number `index`, which is `kept` or not."""
    commits = itertools.count()

    def die(number: str, records: Sequence[Record]) -> None:
        if next(commits) == index:
            if not kept:  # the transaction was never committed: whole or not at all
                journal = line.office.cards[number].journal
                del journal[-len(records) :]
            raise HostDied

    line.office.on_commit = die
    try:
        yield
    finally:
        line.office.on_commit = lambda number, records: None


def die_at_commit(line: Line, card_serial: int, index: int, *, kept: bool) -> None:
    number, card = line.order(card_serial), blank_card(card_serial)
    with host_dying(line, index, kept=kept), pytest.raises(HostDied):
        whole_way(line, number, card)
    card.power_off()
    whole_way(line, number, card)
    require_one_good_card(line, number, card)


def test_intents_are_kept_before_their_bundle_and_outcomes_before_the_next(
    line: Line, serial: Callable[[], int]
) -> None:
    """What a host that dies can rely on, in the order in which it happens."""
    happened: list[str] = []
    line.office.on_commit = lambda _, records: happened.append("+".join(record.kind.value for record in records))
    number, card = line.order(serial()), blank_card(serial())
    slot = slot_of(card)

    def send(bundle: Send) -> Answers:
        happened.append("send")
        return play(slot, bundle)

    talk = personalise(line.office.job(number), line.profile, random=line.randomness.randbytes)
    drive(talk, send, line.office.desk(number))
    line.office.on_commit = lambda number, records: None
    assert happened == [
        "send",
        "chip_claimed+key_change_intent+write_intent",
        "send",
        "key_changed+keys_made",
        "finish_intent",
        "send",
        "finished",
        "transcript",
    ]


def test_the_link_drops_after_every_bundle(line: Line, serial: Callable[[], int]) -> None:
    """All that a bundle does is done, and the hub hears nothing of it."""
    trips = Transcript()
    number, card = line.order(serial()), blank_card(serial())
    line.personalise(number, card, trips)
    for lost in range(trips.round_trips):
        card_serial = serial()
        number, card = line.order(card_serial), blank_card(card_serial)
        with pytest.raises(CardLost):
            personalise_over(line, number, card, lose=lost)
        whole_way(line, number, card)
        require_one_good_card(line, number, card)


def personalise_over(line: Line, number: str, card: VirtualCard, *, lose: int) -> None:
    slot, sent = slot_of(card), itertools.count()

    def send(bundle: Send) -> Answers:
        answers = play(slot, bundle)
        return Answers((), complete=False, fault=Fault.LINK_LOST) if next(sent) == lose else answers

    talk = personalise(line.office.job(number), line.profile, random=line.randomness.randbytes)
    drive(talk, send, line.office.desk(number))


def test_a_hand_over_torn_anywhere_ends_with_the_holders_pins(line: Line, serial: Callable[[], int]) -> None:
    number, card = line.order(serial()), blank_card(serial())
    whole_way(line, number, card)
    card.faults = FaultPlan()
    line.hand_over(number, card)
    commands = card.faults.commands
    cases = [Tear(k, when) for k in range(1, commands + 1) for when in ("before", "after")]
    for tear in cases:
        card_serial = serial()
        number, card = line.order(card_serial), blank_card(card_serial)
        whole_way(line, number, card)
        card.faults = tear.plan()
        with pytest.raises(CardLost):
            line.hand_over(number, card)
        card.faults = FaultPlan()
        line.hand_over(number, card)
        assert line.office.cards[number].state == "ACTIVE"
        report = check_card(
            slot_of(card),
            line.profile,
            line.anchors,
            now=line.office.clock(),
            random=line.randomness.randbytes,
            pins=HOLDER_PINS,
        )
        assert report.genuine and report.facts["snils"] == "11223344595"
        require_code_of_the_letter(line, number, card)
    print(f"torn test, profile uec: {len(cases)} tears of a hand-over, every card its holder's")


@pytest.mark.parametrize("first", [BEFORE_THE_CODE, BEHIND_THE_CODE])
def test_a_hand_over_torn_again_and_again_never_runs_out_of_tries(
    line: Line, serial: Callable[[], int], first: int
) -> None:
    """Torn before or behind the change of the code, then more often than it has tries at each later command."""
    cases = 0
    for k in range(1, MOST_COMMANDS + 1):
        card_serial = serial()
        number, card = line.order(card_serial), blank_card(card_serial)
        whole_way(line, number, card)
        hand_over_torn(line, number, card, tears=(first, *[k] * TEARS))
        require_code_of_the_letter(line, number, card)
        cases += 1
    print(f"torn test, profile uec: {cases} cards torn up to {TEARS + 1} times at their hand-over")


def test_a_hand_over_torn_at_every_write_of_the_cards_memory(line: Line, serial: Callable[[], int]) -> None:
    """Also between the count of a try and what it was spent for."""
    for write in itertools.count(1):
        card_serial = serial()
        number, card = line.order(card_serial), blank_card(card_serial)
        whole_way(line, number, card)
        card.faults = FaultPlan(tear_at_write=write)
        try:
            line.hand_over(number, card)
        except CardLost:
            card.faults = FaultPlan()
            line.hand_over(number, card)
            require_code_of_the_letter(line, number, card)
        else:
            break
    assert write > len(line.profile.pins), "each change of a PIN is a write"
    print(f"torn test, profile uec: {write - 1} tears at a write of a hand-over, every card its holder's")


def test_the_host_dies_at_every_commit_of_a_hand_over(line: Line, serial: Callable[[], int]) -> None:
    number, card = line.order(serial()), blank_card(serial())
    whole_way(line, number, card)
    commits: list[list[RecordKind]] = []
    line.office.on_commit = lambda _, records: commits.append([record.kind for record in records])
    line.hand_over(number, card)
    line.office.on_commit = lambda number, records: None
    assert commits[0] == [RecordKind.PIN_CHANGE_INTENT], "before the bundle that changes PINs and code"
    for index, kept in itertools.product(range(len(commits)), (False, True)):
        card_serial = serial()
        number, card = line.order(card_serial), blank_card(card_serial)
        whole_way(line, number, card)
        with host_dying(line, index, kept=kept), pytest.raises(HostDied):
            line.hand_over(number, card)
        card.power_off()
        line.hand_over(number, card)
        require_code_of_the_letter(line, number, card)


def require_code_of_the_letter(line: Line, number: str, card: VirtualCard) -> None:
    """The code that the letter tells, whole or with the office's share, unblocks; the transport one does not."""
    assert line.office.cards[number].state == "ACTIVE"
    card.power_on()
    session = UecSession(InProcessConnection(card))
    session.select()
    krp = next(pin for pin in session.pins() if pin.ref is PinRef.KRP)
    assert krp.tries_left == krp.tries, "no try is left spent"
    master = line.office.vault.active(KeyPurpose.PIN_MASTER)
    with pytest.raises(WrongPin):
        session.unblock_pin(PinRef.PIN1, line.office.vault.transport_pins(master, number, {"krp": 8})["krp"], ANY_PIN)
    session.unblock_pin(PinRef.PIN1, line.code(number), ANY_PIN)
    session.verify_pin(PinRef.PIN1, ANY_PIN)


@pytest.mark.slow
def test_another_blank_is_put_in_after_a_tear(line: Line, serial: Callable[[], int]) -> None:
    """Before the chip was claimed any blank will do; from then on only the one that was begun, by name."""
    commands = commands_of_a_whole_way(line, serial())
    claimed = refused = 0
    for k in range(1, commands + 1):
        first, other = serial(), serial()
        number, card = line.order(first), blank_card(first)
        card.faults = FaultPlan(tear_after=k)
        with pytest.raises(CardLost):
            whole_way(line, number, card)
        second = blank_card(other)
        if not line.office.cards[number].chip_id:
            whole_way(line, number, second)
            require_one_good_card(line, number, second)
            claimed += 1
        elif line.office.cards[number].state != "PERSONALISED":
            with pytest.raises(ProductionError) as caught:
                line.personalise(number, second)
            assert caught.value.code == "wrong-card"
            refused += 1
    assert claimed and refused
