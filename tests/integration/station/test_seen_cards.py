"""A pass at a station: the agent looks at the card that is put in, tells what it saw, and it is written in one trip.

With a card that was used elsewhere since it was seen, a stranger's card, and a hub that has no use for such looks.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import FaultPlan
from issuance.production.bundle import RecordKind
from issuance.production.profile import load_profile
from issuance.production.sealing import seal_pins
from issuance.station.sightings import Sightings
from issuance.station.wire import Reader
from tests.integration.station.conftest import WAIT_S, Hands, Network, open_network
from tests.support.line import PASS_PROFILE, UEC_PROFILE, blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import handover, journal, stations
from uec.services.views import OperationView
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Card

pytestmark = pytest.mark.slow
CHOSEN = {"pin1": Secret(b"2846"), "krp": Secret(b"40718265")}


@contextmanager
def making_passes(url: str, folder: Path) -> Iterator[Network]:
    """An office that makes passes and other cards."""
    engine = make_engine(url)
    with open_network(session_factory(engine), url, folder) as opened:
        profiles = folder / "profiles"
        profiles.mkdir()
        for path in (UEC_PROFILE, PASS_PROFILE):
            shutil.copy(path, profiles)
        opened.stop_hub()
        opened.settings = replace(opened.settings, profile_dir=profiles, default_profile="pass")
        bench = replace(opened.office.desk.bench, profile=load_profile(PASS_PROFILE))
        opened.office.desk = replace(opened.office.desk, bench=bench)
        opened.start_hub()
        yield opened
    engine.dispose()


@pytest.fixture
def network(sqlite_url: str, tmp_path: Path) -> Iterator[Network]:
    with making_passes(sqlite_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def network_on_either(database_url: str, tmp_path: Path) -> Iterator[Network]:
    with making_passes(database_url, tmp_path) as opened:
        yield opened


def a_pass(network: Network, person: int) -> int:
    """A card of a person, prepared as a pass."""
    card_id = network.prepared_card(person)
    with network.office.sessions() as session:
        session.execute(update(Card).where(Card.id == card_id).values(profile="pass"))
        session.commit()
    return card_id


def trips(network: Network, card_id: int) -> list[int]:
    """How many round trips each session took, those of the inspection with it."""
    with network.office.sessions() as session:
        records = journal.records(session, card_id)
    return [len(list(one.facts["trips"])) for one in records if one.kind is RecordKind.TRANSCRIPT]  # type: ignore[call-overload]


def made(network: Network, card_id: int, station_id: int) -> OperationView:
    return network.wait_for(network.request(OperationKind.PERSONALISE, card_id, station_id, None))


def test_a_pass_is_written_in_one_trip_and_becomes_its_holders(network_on_either: Network) -> None:
    network = network_on_either
    station_id, hands = network.enrol("window-1"), Hands("left")
    network.start_station("window-1", hands)
    card_id = a_pass(network, 1)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, None)
    hands.put("left", blank_card(1))
    done = network.wait_for(asked)
    assert done.state is OperationState.DONE, done.error_text
    assert trips(network, card_id) == [3], "one to write it, two to inspect it"
    number = network.office.card(card_id).number
    with network.office.sessions() as session:
        key = stations.hub_public_key(session, now=network.office.clock.now)
        asked = handover.request(
            session,
            card_id,
            actor=network.office.staff.second_operator,
            station_id=station_id,
            reader=None,
            sealed_pins=seal_pins(key, CHOSEN, card_number=number),
            holder_checked=True,
            now=network.office.clock(),
        )
    handed = network.wait_for(asked)
    assert handed.state is OperationState.DONE, handed.error_text
    assert network.office.card(card_id).state is CardState.ACTIVE
    read = network.wait_for(network.request(OperationKind.READ, None, station_id, "left"))
    assert (read.result["genuine"], read.result["card_id"]) == (True, card_id)


def test_a_card_that_was_used_elsewhere_since_it_was_seen_takes_one_more(network: Network) -> None:
    station_id, hands = network.enrol("window-1"), Hands("left")
    network.start_station("window-1", hands)
    first, second = a_pass(network, 1), a_pass(network, 2)
    hands.put("left", blank_card(1))
    assert made(network, first, station_id).state is OperationState.DONE
    blank = blank_card(2)
    hands.put("left", blank)
    network.wait_for(network.request(OperationKind.READ, None, station_id, "left"))  # a look changes no count
    use(blank)
    assert made(network, second, station_id).state is OperationState.DONE
    assert trips(network, second) == [4]


def use(card: VirtualCard) -> None:
    """Somebody begins a session with it and lets it go."""
    card.power_on()
    for command in ("00A4040008A00000015100000000", "8050000008000000000000000000"):
        assert card.process(bytes.fromhex(command))[-2:] == b"\x90\x00"
    card.power_off()


def test_a_strangers_card_is_seen_and_refused_by_name(network: Network) -> None:
    station_id, hands = network.enrol("window-1"), Hands("left")
    network.start_station("window-1", hands)
    stranger = blank_card(3)
    stranger.faults = FaultPlan(status_at=dict.fromkeys(range(1, 99), 0x6A82))
    hands.put("left", stranger)
    card_id = a_pass(network, 1)
    refused = made(network, card_id, station_id)
    assert (refused.state, refused.error_code) == (OperationState.FAILED, "foreign-card")
    card = network.office.card(card_id)
    assert (card.state, card.chip_id) == (CardState.PREPARED, None)
    hands.put("left", blank_card(1))
    assert made(network, card_id, station_id).state is OperationState.DONE


def test_a_finished_card_in_the_reader_of_a_restarted_station_meets_no_other_job(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    """The new process has seen nothing yet, and counts its insertions from one."""
    caplog.set_level(logging.INFO, "uec.hub.strangers")
    station_id, hands, chip = network.enrol("window-1"), Hands("left"), blank_card(1)
    station = network.start_station("window-1", hands)
    finished, fresh = a_pass(network, 1), a_pass(network, 2)
    hands.put("left", chip)
    hands.put("left", chip)
    assert made(network, finished, station_id).state is OperationState.DONE
    station.end()
    asked = network.request(OperationKind.PERSONALISE, fresh, station_id, None)
    hands = Hands("left")
    hands.put("left", chip)
    caplog.clear()
    network.start_station("window-1", hands)
    wait = time.monotonic() + WAIT_S
    while f"holds card {finished}" not in caplog.text and time.monotonic() < wait:
        assert network.operation(asked).state is OperationState.REQUESTED, network.operation(asked).error_text
        network.check()
    assert network.operation(asked).state is OperationState.REQUESTED, "no reader holds a blank for it"
    hands.put("left", blank_card(2))
    assert network.wait_for(asked).state is OperationState.DONE


def test_a_blank_that_took_the_finished_cards_place_while_the_station_was_away_is_written(network: Network) -> None:
    """It has the number that the finished card had, by chance."""
    station_id, hands = network.enrol("window-1"), Hands("left")
    station = network.start_station("window-1", hands)
    finished, fresh = a_pass(network, 1), a_pass(network, 2)
    hands.put("left", blank_card(1))
    assert made(network, finished, station_id).state is OperationState.DONE
    station.end()
    hands = Hands("left")
    hands.put("left", blank_card(2))
    network.start_station("window-1", hands)
    assert made(network, fresh, station_id).state is OperationState.DONE


def test_a_hub_without_passes_asks_for_no_looks(network: Network) -> None:
    network.stop_hub()
    network.settings = replace(network.settings, profile_dir=UEC_PROFILE.parent, default_profile="uec")
    network.start_hub()
    bench = replace(network.office.desk.bench, profile=load_profile(UEC_PROFILE))
    network.office.desk = replace(network.office.desk, bench=bench)
    station_id, hands, card = network.enrol("window-1"), Hands("left"), blank_card(1)
    network.start_station("window-1", hands)
    hands.put("left", card)
    card_id = network.prepared_card(1)
    assert made(network, card_id, station_id).state is OperationState.DONE
    with network.office.sessions() as session:
        (transcript,) = [one.facts for one in journal.records(session, card_id) if one.kind is RecordKind.TRANSCRIPT]
        assert session.scalars(select(Card.profile).where(Card.id == card_id)).one() == "uec"
    commands = sum(trip["commands"] for trip in list(transcript["trips"]))  # type: ignore[call-overload]
    assert card.faults.commands - commands in (0, 2), "the hub may have asked who it is; a look has three commands"


def test_a_card_counts_as_there_once_it_was_looked_at() -> None:
    sightings, reader = Sightings(), Reader("left", card=True, insertion=1)
    assert not sightings.has(reader) and not sightings.shown(reader).card
    sightings.begin(reader)
    assert sightings.has(reader) and not sightings.shown(reader).card, "it is not looked at twice"
    swapped = replace(reader, insertion=2)
    assert not sightings.has(swapped)
    sightings.end(reader, None)
    assert sightings.shown(reader) == reader and not sightings.shown(swapped).card
    empty = replace(swapped, card=False)
    assert sightings.shown(empty) == empty
