"""The network, the reader or the machine goes away in the middle: the page says which, and no card is blamed for it."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import func, select

from issuance.station.agent import run_station
from tests.integration.station.conftest import WAIT_S, Hands, Network, Running, run_in_thread
from tests.integration.station.test_hub import done, request_hand_over
from tests.integration.station.test_killed import SlowHands
from tests.integration.station.test_kills import end
from tests.integration.station.test_line import Wire
from tests.support.line import blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.hub import server
from uec.hub.work import LINK_AWAY, PLUG_IN, Workshop
from uec.services import operation_pace, quality
from uec.services.quality import FAILURES
from uec.store.tables import Certificate


class LooseHands(SlowHands):
    """Readers whose cable comes off."""

    def unplug(self, name: str) -> None:
        self._cards.pop(name)
        self._changed.set()


def until(network: Network, holds: Callable[[], bool], seconds: float = WAIT_S) -> None:
    tick = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if holds():
            return
        network.check()
        tick.wait(0.02)
    raise AssertionError("it never came")


def label(network: Network, operation_id: int) -> object:
    return network.operation(operation_id).progress.get("label")


def over_a_wire(network: Network, hands: Hands) -> Wire:
    """A station whose network can be cut."""
    wire = Wire(int(network.settings.hub_listen.rpartition(":")[2]))
    settings = replace(network.station_settings("window-1"), hub_url=wire.url)
    agent: Running = run_in_thread(run_station, settings, readers=hands)
    network.agents.append(agent)
    return wire


def begun(
    network: Network, hands: SlowHands, station_id: int, card_id: int, *, when: Callable[[], bool] = lambda: True
) -> int:
    """A card that is being written, and stands still in the middle once `when` holds; the operation."""
    card = blank_card(card_id)
    hands.put("left", card)
    hands.stop_when(lambda: card.faults.commands > 20 and when())
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    hands.until_stopped(network)
    return asked


def impatient(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that waits a moment for a link, not half a minute."""
    network.stop_hub()
    monkeypatch.setattr(server, "Workshop", partial(Workshop, return_wait_s=0.5))
    network.start_hub()


@pytest.mark.slow
def test_a_short_loss_of_the_network_is_waited_for_and_told_as_what_it_is(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands = SlowHands("left")
    wire = over_a_wire(network, hands)
    asked = begun(network, hands, station_id, card_id)
    stage = network.operation(asked).progress.get("reached")
    wire.cut()
    hands.go_on()
    until(network, lambda: label(network, asked) == LINK_AWAY)
    assert network.operation(asked).progress.get("reached") == stage != ""
    wire.mend()
    assert done(network, asked).result["genuine"] is True
    wire.close()


@pytest.mark.slow
def test_after_a_long_loss_the_work_waits_for_its_station_and_nobody_is_blamed(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(network, monkeypatch)
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands = SlowHands("left")
    wire = over_a_wire(network, hands)
    asked = begun(network, hands, station_id, card_id)
    wire.cut()
    hands.go_on()
    network.wait_for(asked, OperationState.REQUESTED)
    assert network.office.card(card_id).state is CardState.WRITING
    wire.mend()
    assert done(network, asked).result["genuine"] is True
    wire.close()


@pytest.mark.slow
def test_a_hand_over_that_lost_its_network_is_told_to_the_clerk(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(network, monkeypatch)
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands, card = SlowHands("left"), blank_card(1)
    wire = over_a_wire(network, hands)
    hands.put("left", card)
    done(network, network.request(OperationKind.PERSONALISE, card_id, station_id, "left"))
    before = card.faults.commands
    hands.stop_when(lambda: card.faults.commands > before + 1)
    asked = request_hand_over(network, card_id, station_id)
    hands.until_stopped(network)
    wire.cut()
    hands.go_on()
    failed = network.wait_for(asked)
    wire.mend()
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "uec.station_away")
    assert failed.error_code not in FAILURES and not failed.error_code.startswith(quality.FAILURE_FAMILIES)
    done(network, request_hand_over(network, card_id, station_id))
    wire.close()


def test_a_reader_that_was_unplugged_is_asked_for_by_name(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands = LooseHands("left", "right")
    network.start_station("window-1", hands)
    asked = begun(network, hands, station_id, card_id)
    card = hands._cards["left"]
    assert card is not None
    card.power_off()
    hands.unplug("left")
    hands.go_on()
    until(network, lambda: label(network, asked) == PLUG_IN)
    hands.put("left", card)
    assert done(network, asked).result["genuine"] is True


@pytest.mark.slow
def test_a_station_whose_machine_slept_comes_back_to_its_work(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.stop_hub()
    monkeypatch.setattr(server, "PING_S", 1.0)
    network.start_hub()
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    network.insert("window-1", "left", 1)
    settings = network.station_settings("window-1")
    command = ["station", "run", "--hub", settings.hub_url, "--readers", settings.readers]
    process = subprocess.Popen(
        [sys.executable, "-m", "uec", *command, "--folder", str(settings.folder)], stderr=subprocess.DEVNULL
    )
    try:
        network.wait_for(network.request(OperationKind.READ, None, station_id, "left"))
        process.send_signal(signal.SIGSTOP)
        asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
        until(network, lambda: label(network, asked) == LINK_AWAY)
        process.send_signal(signal.SIGCONT)
        assert done(network, asked).result["genuine"] is True
    finally:
        process.send_signal(signal.SIGCONT)
        end(process)


@pytest.mark.nightly
@pytest.mark.timeout(420)
def test_three_minutes_without_network_with_every_limit_as_in_service(network: Network) -> None:
    """3 min are longer than the hub waits (30 s), than pings (20 s) and than the agent's longest pause (20 s)."""
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands = SlowHands("left")
    wire = Wire(int(network.settings.hub_listen.rpartition(":")[2]))
    settings = replace(network.station_settings("window-1"), hub_url=wire.url, retry_s=1.0, retry_max_s=20.0)
    network.agents.append(run_in_thread(run_station, settings, readers=hands))
    asked = begun(network, hands, station_id, card_id)
    cut_at = time.monotonic()
    wire.cut(180.0)
    hands.go_on()
    network.wait_for(asked, OperationState.REQUESTED)
    until(network, lambda: network.operation(asked).state is OperationState.DONE, 230.0)
    assert time.monotonic() - cut_at > 180.0
    wire.close()


def certified(network: Network, card_id: int) -> bool:
    with network.office.sessions() as session:
        return bool(session.scalar(select(func.count(Certificate.issued_at)).where(Certificate.card_id == card_id)))


@pytest.mark.parametrize("certified_before", [False, True])
@pytest.mark.parametrize("hours", [-3.0, 3.0])
def test_a_clock_that_jumps_in_the_middle_spoils_no_card(
    network: Network, hours: float, certified_before: bool
) -> None:
    network.office.clock.advance(days=2)  # the authority is not younger than the clock
    station_id = network.enrol("window-1")
    hands = SlowHands("left")
    network.start_station("window-1", hands)
    first, second = network.prepared_card(1), network.prepared_card(2)
    hands.put("left", blank_card(1))
    done(network, network.request(OperationKind.PERSONALISE, first, station_id, "left"))
    hands.pull("left")
    asked = begun(network, hands, station_id, second, when=lambda: certified(network, second) or not certified_before)
    network.office.clock.advance(hours=hours)
    with network.office.sessions() as session:
        left = operation_pace.seconds_left(session, network.operation(asked), now=network.office.clock.now)
    hands.go_on()
    assert left is not None and 0 <= left <= 3600
    assert done(network, asked).result["genuine"] is True
    again = network.request(OperationKind.INSPECT, second, station_id, "left")
    assert done(network, again).result["genuine"] is True
