"""The monitor sees cards come and go, and lives through a restart of the service."""

import threading
import time

import pytest

from card_io.monitor import Happening, ReaderEvent, ReaderMonitor
from card_io.pcsc import CardRemoved, CardReset, ServiceNotRunning, list_readers, open_reader
from tests.support.pcsc import PORTS, READERS, PcscService, insert

pytestmark = pytest.mark.pcsc

ATR = bytes.fromhex("3B800181")


def answer(command: bytes) -> bytes:
    return b"\x90\x00"


def collect(monitor: ReaderMonitor, happening: Happening, timeout_s: float = 15.0) -> list[ReaderEvent]:
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
    card = insert(PORTS[1], answer)
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
    card = insert(PORTS[0], answer)
    collect(monitor, Happening.CARD_INSERTED)
    before = monitor.slots[READERS[0]].changes
    card.remove()
    other = ReaderMonitor()
    collect(other, Happening.READER_ADDED)
    while other.slots[READERS[0]].present:
        other.poll(1.0)
    other.close()
    second = insert(PORTS[0], answer)
    kinds = [event.happening for event in monitor.poll(1.0) if event.reader == READERS[0]]
    assert kinds == [Happening.CARD_REMOVED, Happening.CARD_INSERTED]
    assert monitor.slots[READERS[0]].changes > before
    second.remove()
    monitor.close()


def test_waiting_ends_as_soon_as_something_happens(pcsc: PcscService) -> None:
    monitor = ReaderMonitor()
    monitor.poll(2.0)
    cards = []
    timer = threading.Timer(0.3, lambda: cards.append(insert(PORTS[0], answer)))
    timer.start()
    started = time.monotonic()
    assert monitor.poll(20.0)
    assert time.monotonic() - started < 10
    timer.join()
    cards[0].remove()
    monitor.close()


def test_the_monitor_survives_a_restart_of_the_service(pcsc: PcscService) -> None:
    monitor = ReaderMonitor()
    card = insert(PORTS[0], answer)
    collect(monitor, Happening.CARD_INSERTED)
    connection = open_reader(READERS[0])
    if not pcsc.ours:
        pytest.fail("this test restarts pcscd, so it must be the one the tests started; stop the running one")
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
    card = insert(PORTS[0], answer)
    events = collect(monitor, Happening.CARD_INSERTED)
    assert Happening.SERVICE_BACK in {event.happening for event in events}
    with pytest.raises((CardReset, CardRemoved)):
        connection.transmit(bytes.fromhex("00A40400"))
    connection.close()
    with open_reader(READERS[0]) as fresh:
        assert fresh.transmit(bytes.fromhex("00A40400")) == b"\x90\x00"
    card.remove()
    monitor.close()


def test_events_come_until_told_to_stop(pcsc: PcscService) -> None:
    stop = threading.Event()
    monitor = ReaderMonitor()
    seen: list[ReaderEvent] = []

    def watch() -> None:
        seen.extend(monitor.events(stop))

    thread = threading.Thread(target=watch)
    thread.start()
    with insert(PORTS[0], answer):
        time.sleep(0.5)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert Happening.CARD_INSERTED in {event.happening for event in seen}
    monitor.close()
