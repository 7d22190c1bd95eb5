"""The machine's real smart card service for tests: started as a child if none runs, one test at a time.

`pcscd` is one a machine, so tests of several workers and several checkouts take turns by a file lock. Where PC/SC
cannot run, the tests fail and say why: a skipped PC/SC test would look like a working one.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from card_io import pcscd
from card_io.pcsc import Context
from card_io.pcscd import READERS, Pcscd, ServiceUnavailable, reader_ports, virtual_readers
from card_io.virtual.vpcd import InsertedCard

LOCK_TIMEOUT_S = 110.0


class PcscService:
    """The running service for a test: what cannot be had fails the test and says why."""

    readers = READERS

    def __init__(self) -> None:
        self._service = Pcscd()

    @property
    def ports(self) -> tuple[int, int]:
        """Where cards for the two readers connect to."""
        return reader_ports()

    @property
    def ours(self) -> bool:
        """Whether this test run started it."""
        return self._service.ours

    def ensure(self) -> None:
        """Start the service unless one answers with the virtual readers."""
        with _failing():
            self._service.ensure()

    def restart(self) -> None:
        """Stop the service that this run started and start it again; fails for a service of someone else."""
        with _failing():
            self._service.restart()

    def stop(self) -> None:
        """Stop the service if this run started it."""
        self._service.stop()

    def own(self) -> bool:
        """Whether the service is this run's own; one that another program of ours left behind gives way to it."""
        process = pcscd._service_process()
        if not self.ours and process and any("uec-readers-" in part for part in pcscd._command_line(process)):
            os.kill(process, signal.SIGTERM)
            wait_until(lambda: pcscd._service_process() != process, "the service of someone else does not end")
            self.ensure()
        return self.ours


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except ServiceUnavailable as error:
        pytest.fail(f"PC/SC tests cannot run here: {error}")


@contextlib.contextmanager
def machine_lock() -> Iterator[None]:
    """Only one test of the machine drives the readers."""
    with _failing(), virtual_readers(LOCK_TIMEOUT_S):
        yield


@pytest.fixture(scope="module")
def _pcsc_process() -> Iterator[PcscService]:
    service = PcscService()
    yield service
    if service.ours:
        with machine_lock():
            service.stop()


@pytest.fixture
def pcsc(_pcsc_process: PcscService) -> Iterator[PcscService]:
    """The smart card service with two empty virtual readers, for this test alone."""
    with machine_lock():
        _pcsc_process.ensure()
        empty_the_readers()
        yield _pcsc_process


def empty_the_readers() -> None:
    """Return once the service says that both readers are empty.

    A reader from which a card was taken while a program let go of it can be told as full for ever (the service's two
    records of a reader, see `card_io.virtual.vpcd`); a card that goes in and comes out again brings them together.
    """
    with contextlib.suppress(pytest.fail.Exception):
        wait_until(_readers_are_empty, "still full", timeout_s=3.0)
        return
    for reader in range(len(READERS)):
        if not _is_empty(reader):
            with ScriptedCard(reader_ports()[reader], lambda command: b"\x90\x00") as card:
                card.powered.wait(5)
    wait_until(_readers_are_empty, "the virtual readers still hold cards of someone else")


def _readers_are_empty() -> bool:
    return all(map(_is_empty, range(len(READERS))))


def _is_empty(reader: int) -> bool:
    with Context() as context:
        slot = context.slots().get(READERS[reader])
    return slot is not None and not slot.present


def wait_until(condition: Callable[[], bool], otherwise: str, timeout_s: float = 60.0) -> None:
    """Look again until the condition holds; `pytest.fail` with `otherwise` when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(otherwise)
        time.sleep(0.02)


class ScriptedCard(InsertedCard):
    """A card in a virtual reader whose answers a test writes itself; nothing of the project's virtual card."""

    present = True

    def __init__(self, port: int, answer: Callable[[bytes], bytes], atr: bytes = bytes.fromhex("3B8001 81")) -> None:
        self.process_command = answer
        self.atr = atr
        self.commands: list[bytes] = []
        self.powered = threading.Event()
        super().__init__(self, port=port)

    def power_on(self) -> None:
        """The service has noticed the card."""
        self.powered.set()

    def power_off(self) -> None:
        """Nothing to forget."""

    def process(self, command: bytes) -> bytes:
        """Note the command; the test's answer."""
        self.commands.append(command)
        return self.process_command(command)


def insert(reader: int, answer: Callable[[bytes], bytes], atr: bytes | None = None) -> ScriptedCard:
    """Put a scripted card into a virtual reader, counted from 0, and wait until the service has seen it."""
    port = reader_ports()[reader]
    card = ScriptedCard(port, answer) if atr is None else ScriptedCard(port, answer, atr)
    try:
        wait_until(
            lambda: card.powered.is_set() and not _is_empty(reader),
            f"the service never saw the card in {READERS[reader]} (process {os.getpid()})",
        )
    except BaseException:
        card.remove()  # a card left behind would keep every later one out
        raise
    return card
