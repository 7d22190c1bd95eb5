"""The production line: round trips a card, a slow link, sixteen readers, a replaying card, the journal on and off."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from card_io.virtual.timing import Timing
from issuance.production.bundle import Answers, Send
from issuance.production.drivers import drive
from issuance.production.personalise import personalise
from issuance.production.relay import play
from issuance.production.sighting import sight
from issuance.production.transcript import Transcript
from scripts.benchmarks import journal, preparation, replay
from scripts.benchmarks.figure import Figure, median_seconds, seconds
from tests.support.line import PASS_PROFILE, PIV_PROFILE, Line, blank_card, make_line, slot_of

TRIPS_MAX, PIV_TRIPS_MAX, PASS_TRIPS_MAX = 5, 7, 1
LINK_S = 0.1
LINK_GOAL = 1.3
READERS = 16
READERS_GOAL = 12.0


class Press:
    """Makes one card after the other, each on a new blank."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._next = 0
        self._turn = threading.Lock()

    def make(self, *, link_s: float = 0.0, chip_time: bool = False) -> Transcript:
        """Personalise a card over a link with this round trip time; its transcript."""
        with self._turn:
            self._next += 1
            serial = self._next
            number = self._line.order(serial)
        card, transcript = blank_card(serial), Transcript()
        if chip_time:
            card.timing = Timing(time.sleep)
        slot = slot_of(card)

        def send(bundle: Send) -> Answers:
            time.sleep(link_s)
            return play(slot, bundle)

        talk = personalise(self._line.office.job(number), self._line.profile, random=self._line.randomness.randbytes)
        drive(talk, send, self._line.office.desk(number), transcript=transcript)
        slot.close()
        return transcript


def figures(*, quick: bool) -> Iterator[Figure]:
    """Every figure, in this process; cards have no chip time unless the name says so."""
    with tempfile.TemporaryDirectory() as folder:
        line = make_line(Path(folder))
        press = Press(line)
        written = press.make()
        yield Figure("production.round_trips", "trips/card", written.round_trips, TRIPS_MAX, 1.0, at_most=True)
        yield Figure("production.commands", "APDUs/card", written.commands)
        yield Figure("production.card", "s", median_seconds(press.make, runs=3 if quick else 15))
        over_link = median_seconds(lambda: press.make(link_s=LINK_S), runs=1 if quick else 5)
        yield Figure("production.card_over_100ms", "s", over_link, TRIPS_MAX * LINK_S, LINK_GOAL, at_most=True)
        yield _side_by_side(press, 1 if quick else 3)
        line.office.vault.close()
    yield _trips("piv", PIV_PROFILE, PIV_TRIPS_MAX)
    yield _trips("pass", PASS_PROFILE, PASS_TRIPS_MAX)
    yield from replay.figures(quick=quick)
    yield from journal.figures(quick=quick)
    yield from preparation.figures(quick=quick)


def _trips(name: str, profile: Path, most: int) -> Figure:
    """Round trips of one card of another profile, its reader having told what it saw."""
    with tempfile.TemporaryDirectory() as folder:
        line, transcript = make_line(Path(folder), profile), Transcript()
        card = blank_card(1, kind=line.profile.applet.kind)
        line.personalise(line.order(1), card, transcript, seen=sight(slot_of(card)))
        line.office.vault.close()
    return Figure(f"production.round_trips_{name}", "trips/card", transcript.round_trips, most, 1.0, at_most=True)


def _side_by_side(press: Press, cards: int) -> Figure:
    """Cards an hour of sixteen readers with chip time, beside those of one."""

    def shift() -> None:
        for _ in range(cards):
            press.make(chip_time=True)

    one_reader = cards / seconds(shift)
    readers = [threading.Thread(target=shift) for _ in range(READERS)]

    def all_shifts() -> None:
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()

    many = READERS * cards / seconds(all_shifts)
    return Figure("production.readers_16", "cards/h", many * 3600, one_reader * 3600, READERS_GOAL)
