"""The monitor sees cards come and go, and lives through a restart of the service."""

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from card_io.monitor import Happening, ReaderEvent, ReaderMonitor
from card_io.pcsc import CardRemoved, CardReset, ServiceNotRunning, list_readers, open_reader
from card_io.pcscd import READERS
from tests.support.pcsc import PcscService, insert, wait_until
from tests.support.pcsc_link import ServiceLink

pytestmark = pytest.mark.pcsc

ATR = bytes.fromhex("3B800181")


def answer(command: bytes) -> bytes:
    return b"\x90\x00"


def collect(monitor: ReaderMonitor, happening: Happening, timeout_s: float = 60.0) -> list[ReaderEvent]:
    """Everything up to and with the first event of this kind."""
    seen: list[ReaderEvent] = []
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        seen += monitor.poll(1.0)
        if any(event.happening is happening for event in seen):
            return seen
    pytest.fail(f"{happening} never came; seen: {seen}")


def test_the_first_look_reports_what_is_there(pcsc: PcscService) -> None:
    monitor = ReaderMonitor()
    events = monitor.poll(2.0)
    assert {event.reader for event in events if event.happening is Happening.READER_ADDED} >= set(READERS)
    assert monitor.poll(0.0) == []
    monitor.close()


def test_a_card_comes_and_goes(pcsc: PcscService) -> None:
    monitor = ReaderMonitor()
    monitor.poll(2.0)
    card = insert(1, answer)
    events = collect(monitor, Happening.CARD_INSERTED)
    assert ReaderEvent(Happening.CARD_INSERTED, READERS[1], ATR) in events
    assert monitor.slots[READERS[1]].present
    card.remove()
    events = collect(monitor, Happening.CARD_REMOVED)
    assert ReaderEvent(Happening.CARD_REMOVED, READERS[1]) in events
    assert not monitor.slots[READERS[1]].present
    monitor.close()


def test_a_card_swapped_between_two_looks_is_seen_twice(pcsc: PcscService) -> None:
    monitor = ReaderMonitor()
    card = insert(0, answer)
    collect(monitor, Happening.CARD_INSERTED)
    before = monitor.slots[READERS[0]].changes
    card.remove()
    other = ReaderMonitor()
    collect(other, Happening.READER_ADDED)
    while other.slots[READERS[0]].present:
        other.poll(1.0)
    other.close()
    second = insert(0, answer)
    kinds = [event.happening for event in monitor.poll(1.0) if event.reader == READERS[0]]
    assert kinds == [Happening.CARD_REMOVED, Happening.CARD_INSERTED]
    assert monitor.slots[READERS[0]].changes > before
    second.remove()
    monitor.close()


def test_waiting_ends_as_soon_as_something_happens(pcsc: PcscService) -> None:
    monitor = ReaderMonitor()
    monitor.poll(2.0)
    cards = []
    timer = threading.Timer(0.3, lambda: cards.append(insert(0, answer)))
    timer.start()
    started = time.monotonic()
    assert monitor.poll(200.0)
    assert time.monotonic() - started < 100
    timer.join()
    cards[0].remove()
    monitor.close()


def test_the_monitor_survives_a_restart_of_the_service(pcsc: PcscService) -> None:
    monitor = ReaderMonitor()
    card = insert(0, answer)
    collect(monitor, Happening.CARD_INSERTED)
    connection = open_reader(READERS[0])
    if not pcsc.ours:  # the machine's own service is not for us to end: the next test cuts its link instead
        connection.close()
        card.remove()
        assert ReaderEvent(Happening.CARD_REMOVED, READERS[0]) in collect(monitor, Happening.CARD_REMOVED)
        monitor.close()
        return
    pcsc.stop()
    events = collect(monitor, Happening.SERVICE_LOST)
    assert ReaderEvent(Happening.CARD_REMOVED, READERS[0]) in events
    assert ReaderEvent(Happening.READER_REMOVED, READERS[0]) in events
    assert monitor.poll(0.3) == []
    with pytest.raises(ServiceNotRunning, match="pcscd"):
        list_readers()
    with pytest.raises(ServiceNotRunning, match="start it"):
        connection.transmit(bytes.fromhex("00A40400"))
    card.remove()
    pcsc.ensure()
    card = insert(0, answer)
    events = collect(monitor, Happening.CARD_INSERTED)
    assert Happening.SERVICE_BACK in {event.happening for event in events}
    with pytest.raises((CardReset, CardRemoved)):
        connection.transmit(bytes.fromhex("00A40400"))
    connection.close()
    with open_reader(READERS[0]) as fresh:
        assert fresh.transmit(bytes.fromhex("00A40400")) == b"\x90\x00"
    card.remove()
    monitor.close()


WATCHER = """
import sys
from card_io.monitor import ReaderMonitor
monitor = ReaderMonitor()
while True:
    for event in monitor.poll(5.0):
        print(event.happening.value, event.reader, flush=True)
"""


class Watcher:
    """The monitor in a program of its own, behind a link to the service that can be cut."""

    def __init__(self, socket_path: Path) -> None:
        environment = {**os.environ, "PCSCLITE_CSOCK_NAME": str(socket_path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WATCHER], stdout=subprocess.PIPE, text=True, env=environment
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())

    def until(self, wanted: str) -> list[str]:
        """Lines up to and with the wanted one."""
        seen: list[str] = []
        while wanted not in seen:
            try:
                seen.append(self._lines.get(timeout=60))
            except queue.Empty:
                pytest.fail(f"the monitor never said {wanted!r}; it said {seen}")
        return seen

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_a_program_survives_a_service_that_dies_and_comes_back(pcsc: PcscService, tmp_path: Path) -> None:
    link = ServiceLink(tmp_path / "pcscd.comm")
    link.up()
    watcher = Watcher(link.path)
    try:
        with insert(0, answer):
            watcher.until(f"card-inserted {READERS[0]}")
            link.down()
            seen = watcher.until("service-lost")
            assert f"card-removed {READERS[0]}" in seen
            assert f"reader-removed {READERS[1]}" in seen
            link.up()
            seen = watcher.until(f"card-inserted {READERS[0]}")
            assert "service-back" in seen
        watcher.until(f"card-removed {READERS[0]}")
        assert watcher.process.poll() is None
    finally:
        watcher.stop()
        link.down()


def test_events_come_until_told_to_stop(pcsc: PcscService) -> None:
    stop = threading.Event()
    monitor = ReaderMonitor()
    seen: list[ReaderEvent] = []

    def watch() -> None:
        seen.extend(monitor.events(stop))

    thread = threading.Thread(target=watch)
    thread.start()
    with insert(0, answer):
        wait_until(lambda: Happening.CARD_INSERTED in {event.happening for event in seen}, "the card is not seen")
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert Happening.CARD_INSERTED in {event.happening for event in seen}
    monitor.close()
