"""The hub is killed (SIGKILL) while a card is being written, again and again; the next one finishes the card."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from card_io.connection import Connection
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from issuance.production.bundle import RecordKind
from issuance.production.relay import OpenedSlot, Slot
from tests.integration.station.conftest import WAIT_S, Hands, Network
from tests.support.line import blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import journal


class SlowCard:
    """A connection with a little chip time, so that there is a middle to be killed in."""

    def __init__(self, inner: InProcessConnection, before: Callable[[], None]) -> None:
        self._inner, self._before = inner, before
        self.atr = inner.atr

    def transmit(self, command: bytes) -> bytes:
        time.sleep(0.004)
        self._before()
        return self._inner.transmit(command)

    def close(self) -> None:
        self._inner.close()


class SlowHands(Hands):
    """Readers with slow cards, which stop where a test says: it has all the time it needs for what it does there."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.opened = 0
        self._here: Callable[[], bool] | None = None
        self._stopped, self._goes_on = threading.Event(), threading.Event()

    def stop_when(self, here: Callable[[], bool]) -> None:
        """Let the cards stop before the first command at which this holds."""
        self._stopped.clear()
        self._goes_on.clear()
        self._here = here

    def stop_in_next_session(self, card: VirtualCard, commands: int) -> None:
        """Let the card stop so many commands after it was opened anew; what is left of an old bundle does not count."""
        before, first = self.opened, list[int]()

        def here() -> bool:
            if self.opened > before and not first:
                first.append(card.faults.commands)
            return bool(first) and card.faults.commands >= first[0] + commands

        self.stop_when(here)

    def until_stopped(self, network: Network) -> None:
        """Return once a card stands still."""
        for _ in range(int(WAIT_S / 0.02)):
            if self._stopped.wait(0.02):
                return
            network.check()
        raise AssertionError("no card came so far")

    def go_on(self) -> None:
        """Let the cards go on to their end."""
        self._here = None
        self._goes_on.set()

    def slot(self, reader: str) -> Slot:
        def connect() -> Connection:
            inner = self._open(reader)
            assert isinstance(inner, InProcessConnection)
            self.opened += 1
            return SlowCard(inner, self._before)

        return OpenedSlot(connect)

    def _before(self) -> None:
        if self._here is not None and self._here():
            self._stopped.set()
            self._goes_on.wait(WAIT_S)


def start(network: Network) -> "subprocess.Popen[str]":
    settings = network.settings
    arguments = [settings.database_url, str(settings.state_dir), str(settings.vault_socket), settings.hub_listen]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.hub_process", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == settings.hub_listen.rpartition(":")[2]
    return process


@pytest.mark.slow
def test_a_killed_hub_leaves_a_card_that_the_next_one_finishes(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    network.stop_hub()
    hands, card = SlowHands("left"), blank_card(1)
    network.start_station("window-1", hands)
    hands.put("left", card)
    hands.stop_in_next_session(card, 12)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    process = start(network)
    try:
        for next_stop in (25, 15, None):
            hands.until_stopped(network)
            process.send_signal(signal.SIGKILL)
            process.wait(WAIT_S)
            assert network.operation(asked).state is OperationState.RUNNING
            assert process.stdout is not None
            process.stdout.close()
            hands.go_on()
            if next_stop is not None:
                hands.stop_in_next_session(card, next_stop)
            process = start(network)
        ended = network.wait_for(asked)
    finally:
        process.kill()
        process.wait(WAIT_S)
        if process.stdout is not None:
            process.stdout.close()
    assert ended.state is OperationState.DONE, ended.error_text
    assert network.office.card(card_id).state is CardState.PERSONALISED
    with network.office.sessions() as session:
        kinds = [record.kind for record in journal.records(session, card_id)]
    assert kinds.count(RecordKind.CHIP_CLAIMED) == 1 and kinds[-2:] == [RecordKind.INSPECTED, RecordKind.TRANSCRIPT]


def test_a_stopped_hub_leaves_its_cards_to_the_next_one(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands, card = SlowHands("left"), blank_card(1)
    network.start_station("window-1", hands)
    hands.put("left", card)
    hands.stop_when(lambda: card.faults.commands >= 30)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    hands.until_stopped(network)
    network.stop_hub()
    hands.go_on()
    assert network.operation(asked).state is OperationState.RUNNING
    network.start_hub()
    ended = network.wait_for(asked)
    assert ended.state is OperationState.DONE, ended.error_text
    assert network.office.card(card_id).state is CardState.PERSONALISED
