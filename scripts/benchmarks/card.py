"""Cards: APDU overhead through PC/SC, wrapping a second, one uec card written in process and through PC/SC."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from smartcard import scard

from card_io import globalplatform as gp
from card_io import scp03
from card_io.apdu import CommandAPDU
from card_io.connection import Connection, exchange, send
from card_io.keyset import KeySet
from card_io.pcsc import open_reader
from card_io.pcscd import READERS, Pcscd, reader_ports
from card_io.secret import Secret
from card_io.virtual import keysets
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.vpcd import InsertedCard
from issuance.production.drivers import run_local
from issuance.production.personalise import personalise
from issuance.production.relay import OpenedSlot
from scripts.benchmarks.answering_card import answering_card, wait_for
from scripts.benchmarks.figure import Figure, median_seconds, medians
from tests.support import line as production_line
from tests.support.pcsc import machine_lock

PLAIN_GOAL = 1.3
SECURED_GOAL = 2.5
COMMAND = CommandAPDU(0x80, 0xE2, 0x00, 0x00, bytes(200))
READ = gp.get_data(gp.TAG_CPLC)
STATIC = KeySet(*(Secret(bytes(range(start, start + 16))) for start in (0x40, 0x50, 0x60)))


def figures(*, quick: bool) -> Iterator[Figure]:
    """Every figure; the ones through PC/SC start the machine's service if none runs."""
    runs = 1 if quick else 5
    yield from _wrapping(500 if quick else 5000)
    yield from _cards("in-process", _in_process, runs)
    with machine_lock():  # tests on this machine take turns with us
        service = Pcscd()
        service.ensure()
        try:
            yield from _overhead(200 if quick else 1000, 9 if quick else 15)
            yield from _cards("pcsc", _in_reader, runs)
        finally:
            service.stop()


def _session(level: int) -> scp03.Scp03Session:
    host, challenge = bytes(8), bytes(range(8))
    keys = scp03.derive_session_keys(STATIC, host, challenge)
    proof = scp03.card_cryptogram(keys, host, challenge)
    card = scp03.InitializeUpdateResponse(bytes(10), 0x30, 3, 0x70, challenge, proof, None)
    return scp03.Scp03Session(keys, level, host_challenge=host, card=card)


def _wrapping(count: int) -> Iterator[Figure]:
    """Commands wrapped a second at C-MAC and C-ENC; the same with real answers unwrapped at every protection."""
    session = _session(0x03)
    took = median_seconds(lambda: [session.wrap(COMMAND) for _ in range(count)])
    yield Figure("card.scp03.wrap", "commands/s", count / took)
    again, answers = _recorded(count)

    def wrap_and_unwrap() -> None:
        host = again()
        host.external_authenticate()
        for answer in answers:
            host.wrap(READ)
            host.unwrap(answer)

    yield Figure("card.scp03.wrap-unwrap", "pairs/s", count / median_seconds(wrap_and_unwrap))


def _recorded(count: int) -> tuple[Callable[[], scp03.Scp03Session], list[bytes]]:
    """A session with the virtual card at level 33: how to begin it again, and the card's answers in it."""
    initial = keysets.KeySet(STATIC.enc, STATIC.mac, STATIC.dek)
    connection = InProcessConnection(VirtualCard.blank(b"bench", initial_keys=initial))
    connection.transmit(gp.select(gp.ISD_AID).encode())
    challenge = bytes(8)
    answer = connection.transmit(gp.initialize_update(0, challenge).encode())[:-2]
    card = scp03.parse_initialize_update(answer)
    keys = scp03.derive_session_keys(STATIC, challenge, card.card_challenge)

    def begin() -> scp03.Scp03Session:
        return scp03.Scp03Session(keys, 0x33, host_challenge=challenge, card=card)

    first = begin()
    connection.transmit(first.external_authenticate())
    return begin, [connection.transmit(first.wrap(READ)) for _ in range(count)]


def _overhead(count: int, runs: int) -> Iterator[Figure]:
    with answering_card([b"\x90\x00"]), open_reader(READERS[0]) as connection:
        session = _session(0x03)
        raw = list(COMMAND.encode())

        def bare() -> None:
            for _ in range(count):
                scard.SCardTransmit(connection._card, connection._pci, raw)

        def plain() -> None:
            for _ in range(count):
                send(connection, COMMAND)

        def secured() -> None:
            for _ in range(count):
                exchange(connection, session.wrap(COMMAND))

        floor, unsecured, wrapped = (one / count * 1e6 for one in medians((bare, plain, secured), runs=runs))
        yield Figure("card.apdu.bare", "us", floor)
        yield Figure("card.apdu.plain", "us", unsecured, floor, PLAIN_GOAL, at_most=True)
        yield Figure("card.apdu.scp03", "us", wrapped, floor, SECURED_GOAL, at_most=True)


@dataclass
class Sample:
    """One card: wall time, the host's CPU time, the time inside `transmit` of both kinds, commands, bytes."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    inside_cpu_s: float = 0.0
    apdus: int = 0
    size_bytes: int = 0


class Meter:
    """A connection that counts what goes through it."""

    def __init__(self, connection: Connection, sample: Sample) -> None:
        self._connection = connection
        self._sample = sample

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._connection.atr

    def transmit(self, command: bytes) -> bytes:
        """Pass one command on."""
        started = time.thread_time()
        answer = self._connection.transmit(command)
        self._sample.inside_cpu_s += time.thread_time() - started
        self._sample.apdus += 1
        self._sample.size_bytes += len(command) + len(answer)
        return answer

    def close(self) -> None:
        """Close the connection inside."""
        self._connection.close()


@contextlib.contextmanager
def _in_process(card: VirtualCard) -> Iterator[Callable[[], Connection]]:
    yield lambda: InProcessConnection(card)


@contextlib.contextmanager
def _in_reader(card: VirtualCard) -> Iterator[Callable[[], Connection]]:
    with InsertedCard(card, port=reader_ports()[0]):
        wait_for(READERS[0], present=True)
        yield lambda: open_reader(READERS[0])
    wait_for(READERS[0], present=False)


Way = Callable[[VirtualCard], contextlib.AbstractContextManager[Callable[[], Connection]]]


def _cards(way: str, hold: Way, runs: int) -> Iterator[Figure]:
    """Personalise uec cards one after the other, a warm-up first; the median card.

    In process the card's own CPU time is what is spent inside `transmit`; through PC/SC the card has a thread of its
    own, so that the CPU time of this one is all the host's.
    """
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder:
        line = production_line.make_line(Path(folder))
        for serial in range(1, runs + 2):
            with hold(production_line.blank_card(serial)) as connect:
                samples.append(_one(line, serial, connect))
    middle = sorted(samples[1:], key=lambda sample: sample.seconds)[runs // 2]
    host = middle.cpu_s - (middle.inside_cpu_s if way == "in-process" else 0.0)
    yield Figure(f"card.personalise.{way}", "s", middle.seconds)
    yield Figure(f"card.personalise.{way}.host-cpu", "s", host)
    yield Figure(f"card.personalise.{way}.apdus", "commands", middle.apdus)
    yield Figure(f"card.personalise.{way}.bytes", "bytes", middle.size_bytes)


def _one(line: production_line.Line, serial: int, connect: Callable[[], Connection]) -> Sample:
    sample = Sample()
    number = line.order(serial)
    talk = personalise(line.office.job(number), line.profile, random=line.randomness.randbytes)
    slot = OpenedSlot(lambda: Meter(connect(), sample))
    wall, cpu = time.perf_counter(), time.thread_time()
    run_local(talk, slot, line.office.desk(number))
    sample.seconds, sample.cpu_s = time.perf_counter() - wall, time.thread_time() - cpu
    return sample
