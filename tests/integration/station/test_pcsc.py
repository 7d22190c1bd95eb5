"""The same station on the machine's real PC/SC: pcscd, virtual readers, pyscard; cards put in and pulled by hand."""

import threading
from dataclasses import replace

import pytest

from card_io.virtual.faults import FaultPlan
from card_io.virtual.vpcd import InsertedCard
from issuance.station.agent import run_station
from tests.integration.station.conftest import Network, run_in_thread
from tests.support.line import blank_card
from tests.support.pcsc import PcscService
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.hub.work import PLUG_IN


def start_pcsc_station(network: Network, name: str) -> int:
    station_id = network.enrol(name)
    settings = replace(network.station_settings(name), readers="pcsc")
    network.agents.append(run_in_thread(run_station, settings))
    return station_id


def test_two_cards_are_made_in_two_readers(network: Network, pcsc: PcscService) -> None:
    station_id = start_pcsc_station(network, "window-1")
    cards = [network.prepared_card(person) for person in (1, 2)]
    asked = [network.request(OperationKind.PERSONALISE, card_id, station_id, None) for card_id in cards]
    with InsertedCard(blank_card(1), port=pcsc.ports[0]), InsertedCard(blank_card(2), port=pcsc.ports[1]):
        for operation_id in asked:
            ended = network.wait_for(operation_id)
            assert ended.state is OperationState.DONE, ended.error_text
    assert {network.office.card(card_id).state for card_id in cards} == {CardState.PERSONALISED}


def test_a_card_pulled_out_of_a_real_reader_goes_on(network: Network, pcsc: PcscService) -> None:
    station_id, card_id = start_pcsc_station(network, "window-1"), network.prepared_card(1)
    card = blank_card(1)
    card.faults = FaultPlan(mute_at=40)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, pcsc.readers[0])
    tick = threading.Event()
    first = InsertedCard(card, port=pcsc.ports[0])
    try:
        while card.faults.commands < 40:
            network.check()
            tick.wait(0.01)
    finally:
        first.remove()
    card.faults = FaultPlan()
    with InsertedCard(card, port=pcsc.ports[0]):
        ended = network.wait_for(asked)
    assert ended.state is OperationState.DONE, ended.error_text


@pytest.mark.slow
def test_a_restart_of_the_smart_card_service_is_lived_through(network: Network, pcsc: PcscService) -> None:
    """All readers are gone for a moment in the middle of a card; the page asks for them, and the work goes on."""
    if not pcsc.own():
        pytest.fail("another program's smart card service runs here: stop it, so that one can be restarted")
    station_id, card_id = start_pcsc_station(network, "window-1"), network.prepared_card(1)
    card = blank_card(1)
    card.faults = FaultPlan(mute_at=40)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, pcsc.readers[0])
    tick = threading.Event()
    first = InsertedCard(card, port=pcsc.ports[0])
    try:
        while card.faults.commands < 40:
            network.check()
            tick.wait(0.01)
        pcsc.stop()
        while network.operation(asked).progress.get("label") != PLUG_IN:
            network.check()
            tick.wait(0.02)
    finally:
        first.remove()
        pcsc.ensure()
    card.faults = FaultPlan()
    with InsertedCard(card, port=pcsc.ports[0]):
        ended = network.wait_for(asked)
    assert ended.state is OperationState.DONE, ended.error_text
