"""A full card through PC/SC to a card that replays recorded answers, beside a bare loop of transmits of the same."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from smartcard import scard

from card_io.pcsc import open_reader
from card_io.pcscd import READERS, Pcscd
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from issuance.production.bundle import SecurityObjectWanted
from issuance.production.drivers import run_local
from issuance.production.memory_office import Desk
from issuance.production.personalise import personalise
from issuance.production.relay import OpenedSlot
from scripts.benchmarks.answering_card import answering_card
from scripts.benchmarks.figure import Figure, medians
from tests.support.line import Line, blank_card, make_line
from tests.support.pcsc import machine_lock

GOAL = 2.0
RUNS, QUICK_RUNS = 61, 31  # a card takes some 15 ms: what a machine does beside it needs many to even out


class Recording(InProcessConnection):
    """A card in this process whose exchanges are written down."""

    def __init__(self, card: VirtualCard, exchanges: list[tuple[bytes, bytes]]) -> None:
        super().__init__(card)
        self._exchanges = exchanges

    def transmit(self, command: bytes) -> bytes:
        """Pass on and write down."""
        answer = super().transmit(command)
        self._exchanges.append((command, answer))
        return answer


class SameAgain:
    """An office that signs the security object once, so that a card made again takes the same bytes."""

    def __init__(self, desk: Desk, signed: dict[str, bytes]) -> None:
        self._desk, self._signed = desk, signed

    def __getattr__(self, name: str) -> object:
        return getattr(self._desk, name)

    def security_object(self, request: SecurityObjectWanted) -> bytes:
        """The first signature."""
        if request.card_number not in self._signed:
            self._signed[request.card_number] = self._desk.security_object(request)
        return self._signed[request.card_number]


class Press:
    """Makes the same card again and again."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._signed: dict[str, bytes] = {}

    def make(self, slot: OpenedSlot) -> None:
        """One whole personalisation, with session keys, PUT KEY data and PINs from the vault."""
        number = self._line.order(1)
        talk = personalise(self._line.office.job(number), self._line.profile, random=random.Random(1).randbytes)
        run_local(talk, slot, SameAgain(self._line.office.desk(number), self._signed))  # type: ignore[arg-type]


def figures(*, quick: bool) -> Iterator[Figure]:
    """The figure; starts the machine's smart card service if none runs."""
    runs = QUICK_RUNS if quick else RUNS
    with tempfile.TemporaryDirectory() as folder, machine_lock():  # tests on this machine take turns with us
        line = make_line(Path(folder))
        press, exchanges = Press(line), list[tuple[bytes, bytes]]()
        press.make(OpenedSlot(lambda: Recording(blank_card(1), exchanges)))
        answers = [answer for _, answer in exchanges]
        service = Pcscd()
        service.ensure()
        try:
            with answering_card(answers):
                yield _beside(press, [command for command, _ in exchanges], runs)
        finally:
            service.stop()
            line.office.vault.close()


def _beside(press: Press, commands: list[bytes], runs: int) -> Figure:
    raw = [list(command) for command in commands]

    def bare() -> None:
        with open_reader(READERS[0]) as connection:
            for command in raw:
                scard.SCardTransmit(connection._card, connection._pci, command)

    floor, took = medians((bare, lambda: press.make(OpenedSlot(lambda: open_reader(READERS[0])))), runs=runs)
    return Figure("production.card_through_pcsc", "s", took, floor, GOAL, at_most=True)
