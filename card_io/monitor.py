"""Watches readers and cards: what was plugged in, pulled out, inserted, removed.

Asks the service again and again instead of trusting callbacks, because those die when a reader is unplugged or the
service is restarted. Hides lost contexts and cards that were swapped between two looks.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from card_io.pcsc import Context, SlotState
from card_io.reader_errors import ReaderError

RETRY_S = 0.25
LOOK_S = 1.0


class Happening(Enum):
    """What happened."""

    SERVICE_LOST = "service-lost"
    SERVICE_BACK = "service-back"
    READER_ADDED = "reader-added"
    READER_REMOVED = "reader-removed"
    CARD_INSERTED = "card-inserted"
    CARD_REMOVED = "card-removed"


@dataclass(frozen=True, slots=True)
class ReaderEvent:
    """One thing that happened; `reader` is empty for the service, `atr` is set for an inserted card."""

    happening: Happening
    reader: str = ""
    atr: bytes = b""


class ReaderMonitor:
    """Compares what is in the readers with what was there at the last look.

    The first look reports everything that is already there. One monitor belongs to one thread.
    """

    def __init__(self) -> None:
        self._context: Context | None = None
        self._lost = False
        self._known: dict[str, SlotState] = {}

    @property
    def slots(self) -> dict[str, SlotState]:
        """What was in each reader at the last look."""
        return dict(self._known)

    def poll(self, timeout_s: float) -> list[ReaderEvent]:
        """What happened since the last call; waits up to `timeout_s` for the first thing. Raises nothing of PC/SC."""
        deadline = time.monotonic() + timeout_s
        while True:
            events = self._look()
            left = deadline - time.monotonic()
            if events or left <= 0:
                return events
            self._sleep(left)

    def events(self, stop: threading.Event) -> Iterator[ReaderEvent]:
        """Everything that happens until `stop` is set."""
        while not stop.is_set():
            yield from self.poll(LOOK_S)

    def close(self) -> None:
        """Give the link to the service back."""
        if self._context is not None:
            self._context.release()
            self._context = None

    def _sleep(self, left: float) -> None:
        if self._context is None:
            time.sleep(min(left, RETRY_S))
            return
        try:
            self._context.wait(self._known, min(left, LOOK_S))
        except ReaderError:
            self.close()

    def _look(self) -> list[ReaderEvent]:
        events: list[ReaderEvent] = []
        try:
            if self._context is None:
                self._context = Context()
            now = self._context.slots()
        except ReaderError:
            self.close()
            return self._lose()
        if self._lost:
            self._lost = False
            events.append(ReaderEvent(Happening.SERVICE_BACK))
        events += differences(self._known, now)
        self._known = now
        return events

    def _lose(self) -> list[ReaderEvent]:
        if self._lost:
            return []
        self._lost = True
        events = differences(self._known, {})
        self._known = {}
        return [*events, ReaderEvent(Happening.SERVICE_LOST)]


def differences(before: dict[str, SlotState], now: dict[str, SlotState]) -> list[ReaderEvent]:
    """What must have happened between two looks; a card whose reader counted on was swapped."""
    events: list[ReaderEvent] = []
    for name, old in before.items():
        new = now.get(name)
        swapped = new is not None and new.present and new.changes != old.changes
        if old.present and (new is None or not new.present or swapped):
            events.append(ReaderEvent(Happening.CARD_REMOVED, name))
        if new is None:
            events.append(ReaderEvent(Happening.READER_REMOVED, name))
    for name, new in now.items():
        was = before.get(name)
        if was is None:
            events.append(ReaderEvent(Happening.READER_ADDED, name))
        if new.present and (was is None or not was.present or was.changes != new.changes):
            events.append(ReaderEvent(Happening.CARD_INSERTED, name, new.atr))
    return events
