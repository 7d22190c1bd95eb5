"""A sample of the torn test through the machine's real PC/SC: pcscd, a virtual reader, pyscard.

The card is torn after a command, the host dies at a commit, the link drops behind a bundle; then the same card is put
in again, or another one first. Every card ends good, bound to one chip; a card that is not the one begun is refused by
name and stays as it was. All of it in process, for both profiles, is in `tests/unit/production/test_torn.py`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from card_io.pcsc import Context, open_reader
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import FaultPlan
from card_io.virtual.vpcd import InsertedCard
from issuance.production.bundle import Answers, Fault, Record, RecordKind, Send
from issuance.production.drivers import drive
from issuance.production.errors import CardLost, ChipTaken, WrongCard
from issuance.production.inspect import inspect
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.relay import OpenedSlot, Slot, play
from issuance.production.sighting import Sighting, sight
from tests.support.line import PASS_PROFILE, Line, blank_card, make_line, slot_of
from tests.support.pcsc import PcscService, wait_until
from tests.unit.production.test_torn import HostDied

STEP = 47
"""One command in so many is torn."""

pytestmark = pytest.mark.slow
Sending = Callable[[Send], Answers]


class Window:
    """The two readers of the real service by turns, and an office in memory that makes cards in them.

    While one works the service notices that the other is empty again, which takes it as long as a card.
    """

    def __init__(self, line: Line, service: PcscService) -> None:
        self.line = line
        self._places = itertools.cycle(tuple(zip(service.readers, service.ports, strict=True)))
        self._serials = itertools.count(1)

    def ordered(self) -> tuple[str, VirtualCard]:
        serial = next(self._serials)
        return self.line.order(serial), blank_card(serial)

    def make(
        self,
        number: str,
        card: VirtualCard,
        through: Callable[[Sending], Sending] = lambda send: send,
        *,
        looked: Callable[[Slot], Sighting | None] = lambda slot: None,
    ) -> None:
        """Put the card in, personalise and inspect it, take it out; `through` is what stands before the reader.

        `looked` is what the reader's machine sees of the card first.
        """
        reader, port = next(self._places)
        wait_until(lambda: not _holds_a_card(reader), "the last card does not leave the reader")
        with InsertedCard(card, port=port):
            wait_until(lambda: _holds_a_card(reader), "the card does not appear in the reader")
            slot = OpenedSlot(lambda: open_reader(reader))
            try:
                self._work(number, through(lambda bundle: play(slot, bundle)), looked(slot))
            finally:
                slot.close()

    def _work(self, number: str, send: Sending, seen: Sighting | None) -> None:
        line, random = self.line, self.line.randomness.randbytes
        drive(personalise(line.office.job(number, seen), line.profile, random=random), send, line.office.desk(number))
        order = line.office.inspection(number)
        looking = inspect(order, line.profile, line.anchors, now=line.office.clock(), random=random)
        drive(looking, send, line.office.desk(number))

    def require_good(self, number: str) -> None:
        kept = self.line.office.cards[number]
        assert kept.state == "PERSONALISED"
        assert kept.journal[-2].kind is RecordKind.INSPECTED
        holders = [other.number for other in self.line.office.cards.values() if other.chip_id == kept.chip_id]
        assert holders == [number]
        certified = {key for key, (owner, _) in self.line.office.certificates.items() if owner == number}
        assert certified == set(Journal(kept.journal).public_keys.values())


def _holds_a_card(reader: str) -> bool:
    with Context() as context:
        return context.slots()[reader].present


@pytest.fixture
def window(tmp_path_factory: pytest.TempPathFactory, pcsc: PcscService) -> Iterator[Window]:
    line = make_line(tmp_path_factory.mktemp("line"))
    yield Window(line, pcsc)
    line.office.vault.close()


def test_a_card_torn_after_a_command_is_finished(window: Window) -> None:
    number, card = window.ordered()
    window.make(number, card)
    commands, cases = card.faults.commands, 0
    for k in range(3, commands, STEP):
        number, card = window.ordered()
        card.faults = FaultPlan(tear_after=k)
        with pytest.raises(CardLost):
            window.make(number, card)
        card.faults = FaultPlan()
        window.make(number, card)
        window.require_good(number)
        cases += 1
    assert cases >= 3
    print(f"torn test through PC/SC, profile uec: {cases} tears of {commands} commands, every card finished")


def test_the_host_dies_at_a_commit_and_another_one_goes_on(window: Window) -> None:
    """At every one, by turns right before it is durable and right after."""
    commits: list[int] = []
    window.line.office.on_commit = lambda _, records: commits.append(len(records))
    window.make(*window.ordered())
    for index in range(len(commits)):
        number, card = window.ordered()
        passed = itertools.count()

        def die(number: str, records: Sequence[Record], at: int = index, passed: Iterator[int] = passed) -> None:
            if next(passed) == at:
                if at % 2:
                    del window.line.office.cards[number].journal[-len(records) :]
                raise HostDied

        window.line.office.on_commit = die
        with pytest.raises(HostDied):
            window.make(number, card)
        window.line.office.on_commit = lambda number, records: None
        window.make(number, card)
        window.require_good(number)
    assert len(commits) >= 6
    print(f"torn test through PC/SC, profile uec: host dead at {len(commits)} places, every card finished")


def test_the_link_drops_behind_every_bundle(window: Window) -> None:
    """The station has played it; the hub hears of nothing."""
    trips: list[int] = []

    def counted(send: Sending) -> Sending:
        return lambda bundle: (trips.append(len(bundle.steps)), send(bundle))[1]

    window.make(*window.ordered(), counted)
    for lost in range(len(trips)):
        sent = itertools.count()

        def dropped(send: Sending, lost: int = lost, sent: Iterator[int] = sent) -> Sending:
            def through(bundle: Send) -> Answers:
                answers = send(bundle)
                return Answers((), complete=False, fault=Fault.LINK_LOST) if next(sent) == lost else answers

            return through

        number, card = window.ordered()
        with pytest.raises(CardLost):
            window.make(number, card, dropped)
        window.make(number, card)
        window.require_good(number)
    assert len(trips) == 5
    print(f"torn test through PC/SC, profile uec: link dropped behind {len(trips)} bundles, every card finished")


def test_another_card_is_put_in_after_a_tear(window: Window) -> None:
    """A blank, and a good card of somebody else: refused by name; the one begun is finished."""
    other_number, other = window.ordered()
    window.make(other_number, other)
    number, card = window.ordered()
    card.faults = FaultPlan(tear_after=40)
    with pytest.raises(CardLost):
        window.make(number, card)
    card.faults = FaultPlan()
    for wrong in (window.ordered()[1], other):
        with pytest.raises((WrongCard, ChipTaken)):
            window.make(number, wrong)
    window.make(number, card)
    window.require_good(number)
    window.require_good(other_number)


def test_a_pass_takes_one_trip_and_a_card_swapped_behind_the_look_is_none_the_worse(
    pcsc: PcscService, tmp_path: Path
) -> None:
    window, trips = Window(make_line(tmp_path, PASS_PROFILE), pcsc), list[int]()

    def counted(send: Sending) -> Sending:
        return lambda bundle: (trips.append(len(bundle.steps)), send(bundle))[1]

    number, card = window.ordered()
    window.make(number, card, counted, looked=sight)
    window.require_good(number)
    assert len(trips) == 3, "one to write it, two to inspect it"
    (number, card), (later, looked_at) = window.ordered(), window.ordered()
    trips.clear()
    window.make(number, card, counted, looked=lambda slot: sight(slot_of(looked_at)))
    window.require_good(number)
    assert len(trips) == 5, "the look was at another card: one trip finds that, and it is looked at anew"
    window.make(later, looked_at, looked=sight)
    window.require_good(later)
    window.line.office.vault.close()
