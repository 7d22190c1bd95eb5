"""PINs chosen at a reader's own keys: hand-over and unblocking, the holder's slips, wrong readers, and every tear."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from card_io.applets.piv import PivSession
from card_io.applets.uec.layout import PinRef
from card_io.applets.uec.session import UecSession
from card_io.errors import CardError
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from card_io.virtual.pinpad import VERIFY, Ended, Make, PadConnection, Prompt
from issuance.production.asking import Talk
from issuance.production.bundle import Answers, Fault, Progress, Record, RecordKind, Send
from issuance.production.drivers import drive
from issuance.production.errors import CardLost, CardRefused, PadGivenUp, PadUnfit, UnblockRefused, UnfitPin
from issuance.production.handover import hand_over
from issuance.production.job import HandedOver, Unblocked
from issuance.production.pad import ASKED_MAX
from issuance.production.pin_profile import Keeping
from issuance.production.relay import OpenedSlot, play
from issuance.production.transcript import Transcript
from issuance.production.unblock import unblock
from tests.support.leaks import leaked
from tests.support.line import LETTER, Line, blank_card
from tests.unit.production.test_torn import HostDied, host_dying

PINS = {"pin1": Secret(b"730264"), "pin2": Secret(b"5829104")}
AT_READER = Secret(b"")
TEARS = 12
"""More than an unblock code has tries."""
T = TypeVar("T")
_serials = itertools.count(9000)


Slip = str | Ended | Callable[[], None]


@dataclass
class Window:
    """A card, its holder, a reader with keys and a page: the holder types the PIN that the page names.

    `slips` are what the holder does first, one a prompt; a callable is what happens while he thinks.
    """

    line: Line
    number: str
    card: VirtualCard
    make: Make = field(default_factory=Make)
    slips: list[Slip] = field(default_factory=list)
    code: Secret = LETTER
    trips: Transcript = field(default_factory=Transcript)
    sent: list[Send] = field(default_factory=list)
    shown: list[Progress] = field(default_factory=list)
    lose: int | None = None

    @property
    def names(self) -> list[str]:
        return [pin.name for pin in self.line.profile.chosen_pins]

    @property
    def prompts(self) -> list[dict[str, object]]:
        return [dict(one.facts) for one in self.shown if one.facts]

    def hand_over(self, chosen: frozenset[str] = frozenset()) -> HandedOver:
        pins = dict.fromkeys(self.names, AT_READER) | {"krp": LETTER}
        job = replace(self.line.office.handover(self.number, pins), chosen=chosen)
        return self._run(hand_over(job, self.line.profile, random=self.line.randomness.randbytes))

    def unblock(self, pin: str, code: Secret | None = None) -> Unblocked:
        job = self.line.office.unblocking(self.number, pin, AT_READER, code)
        return self._run(unblock(job, self.line.profile, random=self.line.randomness.randbytes))

    def _run(self, talk: Talk[T]) -> T:
        desk, slot = self.line.office.desk(self.number), OpenedSlot(self._open)
        desk.shown = self.shown

        def send(bundle: Send) -> Answers:
            self.sent.append(bundle)
            answers = play(slot, bundle)
            lost = self.lose is not None and len(self.sent) == self.lose
            return Answers((), complete=False, fault=Fault.LINK_LOST) if lost else answers

        try:
            return drive(talk, send, desk, transcript=self.trips)
        finally:
            slot.close()

    def _open(self) -> PadConnection:
        return PadConnection(self.card, self._typed, self.make)

    def _typed(self, prompt: Prompt) -> str | Ended:
        slip = self.slips.pop(0) if self.slips else None
        if callable(slip):
            slip()
        elif slip is not None:
            return slip
        typed = self.code if prompt is Prompt.PRESENT else PINS[str(self.prompts[-1]["pin"])]
        return typed.reveal().decode()

    def require_the_holders_card(self, pins: dict[str, Secret] = PINS) -> None:
        """The PINs are those typed at the reader, the code that of the letter, and no try is spent."""
        assert self.line.office.cards[self.number].state == "ACTIVE"
        code, spare = self.line.code(self.number), Secret(b"264973")
        connection = InProcessConnection(self.card)
        if self.line.profile.piv is not None:
            piv = PivSession(connection)
            piv.verify_pin(pins["pin1"])
            piv.unblock_pin(code, spare)
            return
        session = UecSession(connection)
        session.select()
        assert all(pin.tries_left == pin.tries for pin in session.pins())
        session.verify_pin(PinRef.PIN1, pins["pin1"])
        session.verify_pin(PinRef.PIN2, pins["pin2"])
        session.unblock_pin(PinRef.PIN1, code, spare)

    def kinds(self) -> list[RecordKind]:
        return [record.kind for record in self.line.office.cards[self.number].journal]


def at_window(line: Line, *slips: Slip, make: Make | None = None, active: bool = False) -> Window:
    """A card that waits for its holder, or that its holder has."""
    serial = next(_serials)
    number, card = line.order(serial), blank_card(serial, kind=line.profile.name)
    line.personalise(number, card)
    line.inspect(number, card)
    if active:
        line.hand_over(number, card)
    card.faults = FaultPlan()
    return Window(line, number, card, make or Make(), list(slips))


def met(line: Line) -> int:
    """Commands before anything is changed."""
    return 5 if line.profile.piv is None else 4


def test_the_holder_chooses_the_pins_at_the_reader_and_nobody_else_ever_has_them(window: Line) -> None:
    here = at_window(window)
    done = here.hand_over()
    assert done.at_reader and not done.resumed
    assert here.trips.round_trips == 1 + len(here.names), "to meet the card, and one a PIN"
    assert [bundle.steps[-1].pad is not None for bundle in here.sent] == [False] + [True] * len(here.names)
    assert all(step.pad is None for bundle in here.sent for step in bundle.steps[:-1]), "typing is a bundle's last step"
    here.require_the_holders_card()
    chosen = [RecordKind.PIN_CHOSEN] * len(here.names)
    assert here.kinds()[-4 - len(chosen) :] == [
        RecordKind.PIN_CHANGE_INTENT,
        *chosen,
        RecordKind.PIN_CHANGED,
        RecordKind.HANDED_OVER,
        RecordKind.TRANSCRIPT,
    ]
    journal = window.office.cards[here.number].journal
    typed = [record.facts.get("typed") for record in journal if record.kind.value.startswith("pin_ch")]
    assert typed == ["pad"] * len(typed) and typed, "the evidence says where"
    for secret in PINS.values():
        assert not leaked(str(journal), secret)
        assert not any(leaked(step.command.hex(), secret) for bundle in here.sent for step in bundle.steps)


def test_no_transport_pin_is_presented_where_the_holder_types(window: Line) -> None:
    """Only codes are: a transport PIN is never in doubt, and is none of the hub's questions to the vault."""
    here = at_window(window)
    wanted: list[object] = []
    desk = type(window.office.desk(here.number))
    asked = desk.pins
    try:
        desk.pins = lambda self, request: wanted.append(sorted(request.digits)) or asked(self, request)  # type: ignore
        here.hand_over()
    finally:
        desk.pins = asked  # type: ignore[method-assign]
    assert wanted and all("pin1" not in names and "pin2" not in names for names in wanted)  # type: ignore[operator]
    instructions = [step.command[1] for bundle in here.sent[1:] for step in bundle.steps]
    assert instructions.count(0x24) == 1, "the code alone is changed"
    assert instructions.count(0x2C) == len(here.names)


SLIPS: list[tuple[list[Slip], str]] = [
    ([Ended.TIMEOUT], "timeout"),
    ([Ended.CANCELLED], "cancelled"),
    (["730264", Ended.CANCELLED], "cancelled"),
    (["730264", "730265"], "mismatch"),
    (["7"], "length"),
    (["730264730264"], "length"),
]


@pytest.mark.parametrize(("slips", "told"), SLIPS)
def test_a_slip_is_told_and_asked_again_without_losing_the_hand_over(
    window: Line, slips: list[Slip], told: str
) -> None:
    here = at_window(window, *slips)
    here.hand_over()
    assert [one["ended"] for one in here.prompts] == ["", told, *[""] * (len(here.names) - 1)]
    assert all(one["seconds"] == 30 and not one["code"] for one in here.prompts)
    assert here.kinds().count(RecordKind.PIN_CHANGE_INTENT) == 1
    here.require_the_holders_card()


def test_the_cards_own_word_about_a_pin_is_told_too(window: Line) -> None:
    here = at_window(window)
    here.card.faults = FaultPlan(status_at={met(window) + 3: 0x6A80})  # the applet, the code, then the PIN
    here.hand_over()
    assert [one["ended"] for one in here.prompts][1] == "unfit"
    here.require_the_holders_card()


def test_a_holder_who_never_finishes_is_sent_away_and_comes_back(window: Line) -> None:
    here = at_window(window, *[Ended.TIMEOUT] * ASKED_MAX)
    with pytest.raises(PadGivenUp) as caught:
        here.hand_over()
    assert (caught.value.name, caught.value.reason) == ("pin1", "timeout")
    assert len(here.prompts) == ASKED_MAX
    assert window.office.cards[here.number].state == "PERSONALISED"
    assert here.hand_over().resumed
    here.require_the_holders_card()


@pytest.mark.parametrize(
    "make",
    [
        Make(features=()),
        Make(features=(VERIFY,)),
        Make(most=3),
        Make(breaks=True),
        Make(says=b"\x6b\x80"),
        Make(says=b"\x6c\x00"),
        Make(says=b"\x67\x00"),
        Make(instructions=frozenset({0x20})),
    ],
)
def test_a_reader_that_does_not_do_it_is_named_and_the_page_takes_over(window: Line, make: Make) -> None:
    here = at_window(window, make=make)
    with pytest.raises(PadUnfit, match="on the computer"):
        here.hand_over()
    assert window.hand_over(here.number, here.card).resumed
    pins = {"pin1": Secret(b"1937"), "pin2": Secret(b"604815")}
    here.require_the_holders_card(pins if window.profile.piv is None else {"pin1": pins["pin2"]})


def test_a_reader_of_fixed_blocks_serves_the_cards_that_have_them(window: Line) -> None:
    here = at_window(window, make=Make(any_length=False))
    if window.profile.piv is None:
        with pytest.raises(PadUnfit):
            here.hand_over()
        here.make = Make()
    here.hand_over()
    here.require_the_holders_card()


def test_a_reader_without_keys_at_all_is_the_same(window: Line) -> None:
    here = at_window(window)
    here._open = lambda: InProcessConnection(here.card)  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(PadUnfit, match="no PIN pad"):
        here.hand_over()


def test_a_profile_without_it_lets_nobody_type_there(window: Line) -> None:
    bare = replace(window.profile, pins=tuple(replace(pin, pad=None) for pin in window.profile.pins))
    here = at_window(window)
    here.line = replace(window, profile=bare)
    with pytest.raises(UnfitPin):
        here.hand_over()
    assert RecordKind.PIN_CHOSEN not in here.kinds()


def test_what_a_refused_code_costs_is_told(window: Line) -> None:
    """A card with another code than the vault's: the first command of the bundle is refused, and nobody is asked."""
    here = at_window(window)
    here.card.faults = FaultPlan(status_at={met(window) + 2: 0x6A86})
    with pytest.raises(CardRefused):
        here.hand_over()
    assert window.office.cards[here.number].state == "PERSONALISED"


def torn(line: Line, *plans: FaultPlan, again_at_reader: bool = True) -> Window:
    """Torn once by each plan, then done: at the reader, or on the computer."""
    here = at_window(line)
    for plan in plans:
        here.card.faults = plan
        with pytest.raises(CardLost):
            here.hand_over()
    here.card.faults = FaultPlan()
    if again_at_reader:
        here.hand_over()
        here.require_the_holders_card()
    else:
        line.hand_over(here.number, here.card)
    assert line.office.cards[here.number].state == "ACTIVE"
    return here


def test_torn_before_and_after_every_command_it_is_finished_at_the_reader_or_on_the_page(window: Line) -> None:
    whole = at_window(window)
    whole.hand_over()
    commands = whole.card.faults.commands
    cases = 0
    for k, before, at_reader in itertools.product(range(1, commands + 1), (False, True), (False, True)):
        torn(window, FaultPlan(tear_before=k) if before else FaultPlan(tear_after=k), again_at_reader=at_reader)
        cases += 1
    print(f"torn test, profile {window.profile.name}: {cases} tears of a hand-over at a reader's keys")


@pytest.mark.parametrize("k", range(6, 13))
def test_torn_again_and_again_the_code_never_runs_out_of_tries(window: Line, k: int) -> None:
    here = at_window(window)
    for _ in range(TEARS):
        here.card.faults = FaultPlan(tear_after=k)
        try:
            here.hand_over()
        except CardLost:
            continue
        break
    here.card.faults = FaultPlan()
    if window.office.cards[here.number].state != "ACTIVE":
        here.hand_over()
    here.require_the_holders_card()


def test_a_holder_who_thinks_long_after_every_tear_spends_no_try_of_the_code(window: Line) -> None:
    """The right code comes last before the holder is asked: cancelled more often than it has tries, all are there."""
    here = at_window(window)
    here.card.faults = FaultPlan(tear_after=met(window) + 2)
    with pytest.raises(CardLost):
        here.hand_over()
    here.card.faults = FaultPlan()
    for _ in range(TEARS):
        here.slips = [Ended.CANCELLED] * ASKED_MAX
        with pytest.raises(PadGivenUp):
            here.hand_over()
        if window.profile.piv is None:  # a PIV card tells the tries of its PUK to nobody
            session = UecSession(InProcessConnection(here.card))
            session.select()
            assert next(pin.tries_left for pin in session.pins() if pin.ref is PinRef.KRP) == 10
    here.hand_over()
    here.require_the_holders_card()


def test_a_card_pulled_out_while_the_holder_types(window: Line) -> None:
    def pull() -> None:
        raise CardError("the card was taken out")

    here = at_window(window, pull)
    with pytest.raises(CardLost):
        here.hand_over()
    here.hand_over()
    here.require_the_holders_card()


def test_the_link_drops_after_every_bundle(window: Line) -> None:
    """The reader has played it, and the hub does not know: a PIN is asked for once more."""
    for lose in range(1, 2 + len(window.profile.chosen_pins)):
        here = at_window(window)
        here.lose = lose
        with pytest.raises(CardLost):
            here.hand_over()
        here.hand_over()
        here.require_the_holders_card()


def test_a_pin_that_the_card_has_confirmed_is_not_asked_for_twice_in_one_sitting(window: Line) -> None:
    here = at_window(window)
    here.lose = 2 + len(here.names)  # nothing is lost of a PIV card, whose one PIN is all
    if len(here.names) > 1:
        here.lose = 3
        with pytest.raises(CardLost):
            here.hand_over()
        chosen = [str(one.facts["pin"]) for one in window.office.cards[here.number].journal if "pin" in one.facts]
        assert chosen == ["pin1"]
        here.shown.clear()
        here.hand_over(chosen=frozenset(chosen))
        assert [one["pin"] for one in here.prompts] == ["pin2"]
    else:
        here.hand_over()
    here.require_the_holders_card()


def test_all_chosen_before_a_tear_the_code_is_the_last_word(window: Line) -> None:
    here = at_window(window)
    here.lose = 1 + len(here.names)
    with pytest.raises(CardLost):
        here.hand_over()
    here.shown.clear()
    here.hand_over(chosen=frozenset(here.names))
    assert not here.prompts
    here.require_the_holders_card()


def test_the_host_dies_at_every_commit(window: Line) -> None:
    commits: list[Sequence[Record]] = []
    window.office.on_commit = lambda _, records: commits.append(records)
    at_window(window).hand_over()
    window.office.on_commit = lambda number, records: None
    first = next(at for at, records in enumerate(commits) if records[0].kind is RecordKind.PIN_CHANGE_INTENT)
    for index, kept in itertools.product(range(len(commits) - first), (False, True)):
        here = at_window(window)
        with host_dying(window, index, kept=kept), pytest.raises(HostDied):
            here.hand_over()
        here.card.power_off()
        here.hand_over()
        here.require_the_holders_card()


def test_a_blocked_pin_is_set_anew_at_the_reader(window: Line) -> None:
    """A printed code is typed there too; of a code in two shares the letter's is typed on the computer."""
    (code,) = window.profile.unblock_codes
    printed = code.after_hand_over is Keeping.PRINTED
    here = at_window(window, active=True)
    done = here.unblock("pin1", None if printed else LETTER)
    assert done.at_reader and here.trips.round_trips == 2
    assert [one["code"] for one in here.prompts] == [printed]
    last = window.office.cards[here.number].journal[-2]
    assert (last.kind, last.facts["typed"]) == (RecordKind.UNBLOCKED, "pad")
    if printed:
        assert not any(leaked(step.command.hex(), LETTER) for bundle in here.sent for step in bundle.steps)
        assert [len(step.command) for step in here.sent[-1].steps][-1] <= 5, "the command leaves here without data"
    pins = {"pin1": PINS["pin1"], "pin2": Secret(b"604815")}
    here.require_the_holders_card(pins)


def test_a_wrong_code_typed_at_the_reader_says_how_many_tries_are_left(window: Line) -> None:
    (code,) = window.profile.unblock_codes
    printed = code.after_hand_over is Keeping.PRINTED
    here = at_window(window, active=True)
    here.code = Secret(b"40718266")
    with pytest.raises(UnblockRefused) as caught:
        here.unblock("pin1", None if printed else here.code)
    assert caught.value.tries_left == code.tries - 1
    assert RecordKind.UNBLOCK_REFUSED in here.kinds()
    here.code = LETTER
    here.slips = ["40718265", "730264", "730265"] if printed else [Ended.TIMEOUT]
    here.unblock("pin1", None if printed else LETTER)
    assert [one["ended"] for one in here.prompts[-2:]] == ["", "mismatch" if printed else "timeout"]


def test_the_share_of_a_split_code_must_be_given(window: Line) -> None:
    if window.profile.unblock_codes[0].after_hand_over is Keeping.PRINTED:
        return
    here = at_window(window, active=True)
    with pytest.raises(UnfitPin):
        here.unblock("pin1", None)
    with pytest.raises(UnfitPin):
        here.unblock("krp", LETTER)


def test_an_unblocking_torn_at_the_reader_is_done_again(window: Line) -> None:
    (code,) = window.profile.unblock_codes
    given = None if code.after_hand_over is Keeping.PRINTED else LETTER
    whole = at_window(window, active=True)
    whole.unblock("pin1", given)
    for k, before in itertools.product(range(1, whole.card.faults.commands + 1), (False, True)):
        here = at_window(window, active=True)
        here.card.faults = FaultPlan(tear_before=k) if before else FaultPlan(tear_after=k)
        with pytest.raises(CardLost):
            here.unblock("pin1", given)
        here.card.faults = FaultPlan()
        here.unblock("pin1", given)
        here.require_the_holders_card({"pin1": PINS["pin1"], "pin2": Secret(b"604815")})
