"""A PIV card torn anywhere is finished: before and after every command, host dead at every commit, link dropped.

The same as `test_torn` for cards without a secure channel, where the journal and the card's answers have to tell which
admin key and which unblocking code a card has. Every case runs in the normal test; there are few enough.
"""

import itertools
from collections.abc import Iterator, Sequence

import pytest

from card_io.applets.piv import PivSession, WrongPin
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import FaultPlan
from issuance.production.bundle import Answers, Fault, Record, Send
from issuance.production.drivers import drive
from issuance.production.errors import CardLost, CardScrapped, ProductionError
from issuance.production.personalise import personalise
from issuance.production.pin_profile import Keeping
from issuance.production.relay import play
from issuance.production.transcript import Transcript
from tests.support.line import LETTER, Line, blank_card, hand_over_torn, slot_of
from tests.unit.production.piv_line import (
    HOLDER_PIN,
    fresh_connection,
    open_line,
    require_one_good_card,
    transport_pins,
    whole_way,
)
from tests.unit.production.test_torn import HostDied, Tear

SAMPLE = 5
TEARS = 5
"""More than an unblock code has tries."""
_serials = itertools.count(1000)


@pytest.fixture(scope="module")
def piv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with open_line(tmp_path_factory.mktemp("piv")) as line:
        yield line


def ordered(line: Line) -> tuple[str, VirtualCard]:
    serial = next(_serials)
    return line.order(serial), blank_card(serial, kind="piv")


def tears(line: Line) -> list[Tear]:
    number, card = ordered(line)
    whole_way(line, number, card)
    return [Tear(k, when) for k in range(1, card.faults.commands + 1) for when in ("before", "after")]


def run(line: Line, cases: Sequence[Tear]) -> None:
    for tear in cases:
        number, card = ordered(line)
        card.faults = tear.plan()
        try:
            whole_way(line, number, card)
        except CardLost:
            card.faults = FaultPlan()
            whole_way(line, number, card)
        else:  # signatures have different lengths, so that a card may need a command less than the one counted
            assert card.faults.commands < tear.k
            card.faults = FaultPlan()
        require_one_good_card(line, number, card)


def test_a_sample_of_commands_torn_before_and_after(piv: Line) -> None:
    cases = tears(piv)
    run(piv, cases[::SAMPLE])
    assert len(cases[::SAMPLE]) > 3
    print(f"torn test, profile piv: {len(cases[::SAMPLE])} of {len(cases)} tears, every card finished")


@pytest.mark.nightly
def test_every_command_torn_before_and_after(piv: Line) -> None:
    cases = tears(piv)
    run(piv, cases)
    assert len(cases) > 50
    print(f"torn test, profile piv: {len(cases)} tears, every card finished")


@pytest.mark.slow
def test_the_changes_of_secrets_torn_twice(piv: Line) -> None:
    """At admin key and unblocking code the card alone knows what happened: torn there again and again."""
    number, card = ordered(piv)
    piv.personalise(number, card)
    last = card.faults.commands
    cases = 0
    for first, second in itertools.product(
        [Tear(8, "after"), Tear(last - 1, "before"), Tear(last - 1, "after")], [0, 1, 2, 3]
    ):
        number, card = ordered(piv)
        for tear in (first, Tear(first.k - second, first.when)):
            card.faults = tear.plan()
            with pytest.raises(CardLost):
                whole_way(piv, number, card)
        card.faults = FaultPlan()
        whole_way(piv, number, card)
        require_one_good_card(piv, number, card)
        cases += 1
    print(f"torn test, profile piv: {cases} cards torn twice, every card finished")


def test_the_host_dies_at_every_commit(piv: Line) -> None:
    number, card = ordered(piv)
    commits: list[int] = []
    piv.office.on_commit = lambda _, records: commits.append(len(records))
    whole_way(piv, number, card)
    for index, kept in itertools.product(range(len(commits)), (False, True)):
        die_at_commit(piv, index, kept=kept)
    assert len(commits) >= 7
    print(f"torn test, profile piv: host dead at {2 * len(commits)} places, every card finished")


def die_at_commit(line: Line, index: int, *, kept: bool) -> None:
    number, card = ordered(line)
    commits = itertools.count()

    def die(_: str, records: Sequence[Record]) -> None:
        if next(commits) == index:
            if not kept:
                del line.office.cards[number].journal[-len(records) :]
            raise HostDied

    line.office.on_commit = die
    with pytest.raises(HostDied):
        whole_way(line, number, card)
    line.office.on_commit = lambda number, records: None
    card.power_off()
    whole_way(line, number, card)
    require_one_good_card(line, number, card)


def test_the_link_drops_after_every_bundle(piv: Line) -> None:
    trips = Transcript()
    number, card = ordered(piv)
    piv.personalise(number, card, trips)
    for lost in range(trips.round_trips):
        number, card = ordered(piv)
        slot, sent = slot_of(card), itertools.count()

        def send(bundle: Send, slot=slot, sent=sent, lost=lost) -> Answers:  # type: ignore[no-untyped-def]
            answers = play(slot, bundle)
            return Answers((), complete=False, fault=Fault.LINK_LOST) if next(sent) == lost else answers

        talk = personalise(piv.office.job(number), piv.profile, random=piv.randomness.randbytes)
        with pytest.raises(CardLost):
            drive(talk, send, piv.office.desk(number))
        whole_way(piv, number, card)
        require_one_good_card(piv, number, card)


def handed_commands(line: Line) -> int:
    """How many commands a hand-over has."""
    number, card = ordered(line)
    whole_way(line, number, card)
    card.faults = FaultPlan()
    line.hand_over(number, card)
    return card.faults.commands


def test_a_hand_over_torn_anywhere_ends_with_the_holders_pin(piv: Line) -> None:
    for k, when in itertools.product(range(1, handed_commands(piv) + 1), ("before", "after")):
        number, card = ordered(piv)
        whole_way(piv, number, card)
        card.faults = Tear(k, when).plan()
        with pytest.raises(CardLost):
            piv.hand_over(number, card)
        card.faults = FaultPlan()
        piv.hand_over(number, card)
        require_holders(piv, number, card)


def test_a_hand_over_torn_again_and_again_never_runs_out_of_tries(piv: Line) -> None:
    """Torn before or behind the change of the code, then more often than it has tries at each later command."""
    commands = handed_commands(piv)
    for first, k in itertools.product((commands - 1, commands), range(1, commands + 2)):
        number, card = ordered(piv)
        whole_way(piv, number, card)
        hand_over_torn(piv, number, card, tears=(first, *[k] * TEARS))
        require_holders(piv, number, card)


def require_holders(line: Line, number: str, card: VirtualCard) -> None:
    """The holder's PIN opens it, and only holder's and office's shares together unblock it."""
    assert line.office.cards[number].state == "ACTIVE"
    session = PivSession(fresh_connection(card))
    session.verify_pin(HOLDER_PIN)
    assert line.profile.unblock_codes[0].after_hand_over is Keeping.SPLIT
    for wrong in (transport_pins(line, number)["krp"], LETTER):
        with pytest.raises(WrongPin):
            session.unblock_pin(wrong, HOLDER_PIN)
    session.unblock_pin(line.code(number), HOLDER_PIN)


def test_another_blank_is_put_in_after_a_tear(piv: Line) -> None:
    number, card = ordered(piv)
    piv.personalise(number, card)
    ended = {"taken": 0, "refused": 0}
    for k in range(1, card.faults.commands + 1, 3):
        number, card = ordered(piv)
        card.faults = FaultPlan(tear_after=k)
        with pytest.raises(CardLost):
            piv.personalise(number, card)
        _, second = ordered(piv)
        if not piv.office.cards[number].chip_id:
            whole_way(piv, number, second)
            require_one_good_card(piv, number, second)
            ended["taken"] += 1
        else:
            with pytest.raises(ProductionError) as caught:
                piv.personalise(number, second)
            assert caught.value.code == "wrong-card"
            ended["refused"] += 1
    assert all(ended.values())


def test_a_blocked_unblocking_code_spoils_the_card_by_name(piv: Line) -> None:
    """Torn at the one place that costs a try, until none is left."""
    number, card = ordered(piv)
    piv.personalise(number, card)
    last = card.faults.commands
    number, card = ordered(piv)
    card.faults = FaultPlan(tear_before=last - 1)
    with pytest.raises(CardLost):
        piv.personalise(number, card)
    card.faults = FaultPlan()
    card.power_on()
    card.process(bytes.fromhex("00A4040009A00000030800001000"))
    wrong = bytes.fromhex("0024008110") + b"00000000" * 2
    while card.process(wrong) != b"\x69\x83":
        pass
    with pytest.raises(CardScrapped):
        piv.personalise(number, card)
    assert piv.office.cards[number].state == "SPOILED"
