"""The hub is killed (SIGKILL) while a card is being written, again and again; the next one finishes the card."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from card_io.connection import Connection
from card_io.virtual.connection import InProcessConnection
from issuance.production.bundle import RecordKind
from issuance.production.relay import OpenedSlot, Slot
from tests.integration.station.conftest import WAIT_S, Hands, Network
from tests.support.line import blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import journal


class SlowCard:
    """A connection with a little chip time, so that there is a middle to be killed in."""

    def __init__(self, inner: InProcessConnection) -> None:
        self._inner = inner
        self.atr = inner.atr

    def transmit(self, command: bytes) -> bytes:
        time.sleep(0.004)
        return self._inner.transmit(command)

    def close(self) -> None:
        self._inner.close()


class SlowHands(Hands):
    """Readers with slow cards."""

    def slot(self, reader: str) -> Slot:
        def connect() -> Connection:
            inner = self._open(reader)
            assert isinstance(inner, InProcessConnection)
            return SlowCard(inner)

        return OpenedSlot(connect)


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
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    process = start(network)
    tick = threading.Event()
    try:
        for more in (12, 30, 20):
            before = card.faults.commands
            while card.faults.commands < before + more:
                network.check()
                tick.wait(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait(WAIT_S)
            assert network.operation(asked).state is OperationState.RUNNING
            assert process.stdout is not None
            process.stdout.close()
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
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    tick = threading.Event()
    while card.faults.commands < 30:
        network.check()
        tick.wait(0.002)
    network.stop_hub()
    assert network.operation(asked).state is OperationState.RUNNING
    network.start_hub()
    ended = network.wait_for(asked)
    assert ended.state is OperationState.DONE, ended.error_text
    assert network.office.card(card_id).state is CardState.PERSONALISED
