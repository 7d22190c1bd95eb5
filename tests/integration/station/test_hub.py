"""Hub and stations over real WebSockets: cards are made, handed over and read; what goes wrong heals or is told."""

import threading
from dataclasses import replace

from sqlalchemy import select

from card_io.secret import Secret
from card_io.virtual.faults import FaultPlan
from issuance.production.bundle import RecordKind
from issuance.production.sealing import SealingKey, seal_pins
from issuance.production.signatures import signed_by
from issuance.production.transcript import is_whole
from issuance.station.wire import to_sign
from tests.integration.station.conftest import Hands, Network
from tests.support.line import blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import handover, journal, stations
from uec.services.views import OperationView
from uec.store.tables import Card, Station

PINS = {"pin1": Secret(b"2846"), "pin2": Secret(b"193752"), "krp": Secret(b"40718265")}


def request_hand_over(network: Network, card_id: int, station_id: int, key: bytes | None = None) -> int:
    office = network.office
    number = office.card(card_id).number
    with office.sessions() as session:
        key = key or stations.hub_public_key(session, now=office.clock.now)
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


def done(network: Network, operation_id: int) -> OperationView:
    ended = network.wait_for(operation_id)
    assert ended.state is OperationState.DONE, ended.error_text
    return ended


def test_a_card_is_made_and_handed_over_at_a_station(network_on_either: Network) -> None:
    network = network_on_either
    station_id = network.enrol("window-1")
    network.start_station("window-1")
    card_id = network.prepared_card(1)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, None)
    assert network.operation(asked).state is OperationState.REQUESTED, "it waits for a card"
    network.insert("window-1", "left", 1)
    done(network, asked)
    assert network.office.card(card_id).state is CardState.PERSONALISED
    done(network, request_hand_over(network, card_id, station_id))
    assert network.office.card(card_id).state is CardState.ACTIVE
    read = done(network, network.request(OperationKind.READ, None, station_id, "left"))
    assert (read.result["genuine"], read.result["card_id"]) == (True, card_id)


def test_the_transcript_is_witnessed_by_the_station(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    network.start_station("window-1")
    network.insert("window-1", "left", 1)
    done(network, network.request(OperationKind.PERSONALISE, card_id, station_id, None))
    with network.office.sessions() as session:
        public_key = session.scalars(select(Station.public_key).where(Station.id == station_id)).one()
        kept = [record for record in journal.records(session, card_id) if record.kind is RecordKind.TRANSCRIPT]
    (transcript,) = (record.facts for record in kept)
    assert is_whole(transcript)
    words = to_sign("transcript", bytes.fromhex(str(transcript["digest"])))
    assert public_key is not None and signed_by(public_key, words, bytes.fromhex(str(transcript["signature"])))
    assert "2846" not in str(transcript)


def test_a_card_pulled_out_half_way_goes_on_when_it_is_put_back(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands, card = Hands("left"), blank_card(1)
    network.start_station("window-1", hands)
    card.faults = FaultPlan(remove_at=40)
    hands.put("left", card)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    tick = threading.Event()
    while card.present:
        tick.wait(0.02)
    hands.pull("left")
    while network.operation(asked).progress.get("label") != "put_card_back":
        network.check()
        tick.wait(0.02)
    card.put_back()
    hands.put("left", card)
    assert done(network, asked).result["genuine"] is True


def test_another_card_put_in_instead_is_refused_by_name(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands, card = Hands("left"), blank_card(1)
    network.start_station("window-1", hands)
    card.faults = FaultPlan(remove_at=40)
    hands.put("left", card)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    tick = threading.Event()
    while card.present:
        tick.wait(0.02)
    hands.put("left", blank_card(2))
    assert network.wait_for(asked).error_code == "wrong-card"
    card.put_back()
    hands.put("left", card)
    done(network, network.request(OperationKind.PERSONALISE, card_id, station_id, "left"))


def test_the_hub_is_restarted_and_goes_on(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    network.start_station("window-1")
    network.insert("window-1", "left", 1)
    network.stop_hub()
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, None)
    network.claim_and_forget(asked)
    assert network.operation(asked).state is OperationState.RUNNING
    network.start_hub()
    done(network, asked)


def test_a_hand_over_sealed_to_a_dead_hub_asks_for_the_pins_again(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    network.start_station("window-1")
    network.insert("window-1", "left", 1)
    done(network, network.request(OperationKind.PERSONALISE, card_id, station_id, None))
    failed = network.wait_for(request_hand_over(network, card_id, station_id, SealingKey().public_key))
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "seal-broken")
    done(network, request_hand_over(network, card_id, station_id))


def test_a_locked_vault_fails_the_operation_and_not_the_card(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    network.start_station("window-1")
    network.insert("window-1", "left", 1)
    network.stop_hub()
    right = network.settings
    network.settings = replace(right, vault_socket=network.folder / "nobody.sock")
    network.start_hub()
    failed = network.wait_for(network.request(OperationKind.PERSONALISE, card_id, station_id, None))
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "vault-unavailable")
    assert network.office.card(card_id).state is CardState.PREPARED
    network.stop_hub()
    network.settings = replace(network.settings, vault_socket=right.vault_socket)
    network.start_hub()
    done(network, network.request(OperationKind.PERSONALISE, card_id, station_id, None))


def test_readers_and_cards_are_shown(network: Network) -> None:
    network.enrol("window-1")
    hands = Hands("left", "right")
    network.start_station("window-1", hands)
    hands.put("right", blank_card(1))
    tick = threading.Event()
    seen: tuple[object, ...] = ()
    for _ in range(400):
        with network.office.sessions() as session:
            (view,) = stations.list_stations(session, now=network.office.clock.now)
        seen = view.readers
        if any(reader["card"] for reader in view.readers):
            break
        tick.wait(0.05)
    assert seen == ({"name": "left", "card": False, "pad": []}, {"name": "right", "card": True, "pad": []})


def test_two_stations_work_side_by_side(network: Network) -> None:
    """Four readers, eight cards, asked for without a place: each goes to whichever reader is free."""
    hands = {name: Hands("left", "right") for name in ("line-1", "line-2")}
    for name, readers in hands.items():
        network.enrol(name)
        network.start_station(name, readers)
    cards = [network.prepared_card(person) for person in range(1, 9)]
    asked = [network.request(OperationKind.PERSONALISE, card_id, None, None) for card_id in cards]
    places = [(readers, reader) for readers in hands.values() for reader in ("left", "right")]
    tick = threading.Event()
    for turn in range(len(cards) // len(places)):
        for number, (readers, reader) in enumerate(places):
            readers.put(reader, blank_card(100 + turn * len(places) + number))
        while sum(network.operation(one).state is OperationState.DONE for one in asked) < (turn + 1) * len(places):
            network.check()
            tick.wait(0.05)
    for operation_id in asked:
        done(network, operation_id)
    with network.office.sessions() as session:
        chips = list(session.scalars(select(Card.chip_id)))
    assert len(set(chips)) == len(cards)
