"""The machine's real smart card service for tests: started as a child if none runs, one test at a time.

`pcscd` is one a machine, so tests of several workers and several checkouts take turns by a file lock. Where PC/SC
cannot run, the tests fail and say why: a skipped PC/SC test would look like a working one.
"""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from card_io.pcsc import Context
from card_io.pcscd import PORTS, READERS, Pcscd, ServiceUnavailable, virtual_readers

LOCK_TIMEOUT_S = 110.0


class PcscService:
    """The running service for a test: what cannot be had fails the test and says why."""

    readers = READERS
    ports = PORTS

    def __init__(self) -> None:
        self._service = Pcscd()

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
        wait_until(_readers_are_empty, "the virtual readers still hold cards of someone else")
        yield _pcsc_process


def _readers_are_empty() -> bool:
    with Context() as context:
        slots = context.slots()
    return all(name in slots and not slots[name].present for name in READERS)


def wait_until(condition: Callable[[], bool], otherwise: str, timeout_s: float = 10.0) -> None:
    """Look again until the condition holds; `pytest.fail` with `otherwise` when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(otherwise)
        time.sleep(0.02)


class ScriptedCard:
    """A card in a virtual reader whose answers a test writes itself; nothing of the project's virtual card."""

    def __init__(self, port: int, answer: Callable[[bytes], bytes], atr: bytes = bytes.fromhex("3B8001 81")) -> None:
        self._answer = answer
        self._atr = atr
        self.commands: list[bytes] = []
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> "ScriptedCard":
        return self

    def __exit__(self, *ignored: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Pull the card out."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._thread is not threading.current_thread():
            self._thread.join(5)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def _send(self, data: bytes) -> None:
        self._socket.sendall(struct.pack(">H", len(data)) + data)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                (size,) = struct.unpack(">H", self._receive(2))
                message = self._receive(size)
                if message == b"\x04":
                    self._send(self._atr)
                elif size > 1:
                    self.commands.append(message)
                    self._send(self._answer(message))


def insert(port: int, answer: Callable[[bytes], bytes], atr: bytes | None = None) -> ScriptedCard:
    """Put a scripted card into the reader at `port` and wait until the service has seen it."""
    card = ScriptedCard(port, answer) if atr is None else ScriptedCard(port, answer, atr)
    reader = READERS[PORTS.index(port)]

    def seen() -> bool:
        with Context() as context:
            slot = context.slots().get(reader)
        return slot is not None and slot.present

    wait_until(seen, f"the service never saw the card in {reader} (process {os.getpid()})")
    return card
