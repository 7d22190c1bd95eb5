"""A full card through PC/SC to a card that replays recorded answers, beside a bare loop of transmits of the same."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from smartcard import scard

from card_io.pcsc import open_reader
from card_io.pcscd import READERS, Pcscd, reader_ports
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from issuance.production.bundle import SecurityObjectWanted
from issuance.production.drivers import run_local
from issuance.production.memory_office import Desk
from issuance.production.personalise import personalise
from issuance.production.relay import OpenedSlot
from scripts.benchmarks.card import _wait_for
from scripts.benchmarks.figure import Figure, median_seconds
from tests.support.line import Line, blank_card, make_line
from tests.support.pcsc import machine_lock

GOAL = 2.0
RUNS, QUICK_RUNS = 15, 3

REPLAYING_CARD = """
import json, socket, struct, sys
answers = [bytes.fromhex(one) for one in json.load(open(sys.argv[2]))]
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def receive(size):
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            sys.exit()
        data += part
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return data
place = 0
while True:
    (size,) = struct.unpack(">H", receive(2))
    message = receive(size)
    if size > 1:
        answer = answers[place % len(answers)]
        place += 1
        link.sendall(struct.pack(">H", len(answer)) + answer)
    elif message == b"\\x04":
        link.sendall(b"\\x00\\x04\\x3b\\x80\\x01\\x81")
"""
"""A card in a process of its own that computes nothing: the answers come as they were recorded, round and round."""


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
        answers = Path(folder) / "answers.json"
        answers.write_text(json.dumps([answer.hex() for _, answer in exchanges]))
        service = Pcscd()
        service.ensure()
        try:
            with _inserted(answers):
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

    floor = median_seconds(bare, runs=runs)
    took = median_seconds(lambda: press.make(OpenedSlot(lambda: open_reader(READERS[0]))), runs=runs)
    return Figure("production.card_through_pcsc", "s", took, floor, GOAL, at_most=True)


@contextlib.contextmanager
def _inserted(answers: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", REPLAYING_CARD, str(reader_ports()[0]), str(answers)])
    try:
        _wait_for(READERS[0], present=True)
        yield
    finally:
        process.terminate()
        process.wait()
        _wait_for(READERS[0], present=False)
