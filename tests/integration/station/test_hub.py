"""Hub and stations over real WebSockets: cards are made, handed over and read; what goes wrong heals or is told."""

from card_io.secret import Secret
from issuance.production.sealing import seal_pins
from tests.integration.station.conftest import Network
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import handover, stations

PINS = {"pin1": Secret(b"2846"), "pin2": Secret(b"193752")}


def request_hand_over(network: Network, card_id: int, station_id: int) -> int:
    office = network.office
    number = office.card(card_id).number
    with office.sessions() as session:
        key = stations.hub_public_key(session, now=office.clock.now)
        return handover.request(
            session,
            card_id,
            actor=office.staff.second_operator,
            station_id=station_id,
            reader=None,
            sealed_pins=seal_pins(key, PINS, card_number=number),
            holder_checked=True,
            now=office.clock(),
        )


def test_a_card_is_made_and_handed_over_at_a_station(network: Network) -> None:
    station_id = network.enrol("window-1")
    network.start_station("window-1")
    card_id = network.prepared_card(1)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, None)
    assert network.operation(asked).state is OperationState.REQUESTED, "it waits for a card"
    network.insert("window-1", "left", 1)
    made = network.wait_for(asked)
    assert made.state is OperationState.DONE, made.error_text
    assert network.office.card(card_id).state is CardState.PERSONALISED
    handed = network.wait_for(request_hand_over(network, card_id, station_id))
    assert handed.state is OperationState.DONE, handed.error_text
    assert network.office.card(card_id).state is CardState.ACTIVE
