"""Hub and station are killed (SIGKILL) again and again at random moments while cards are written and handed over."""

import random
import subprocess
import sys
import threading
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, select

from issuance.production.sealing import seal_pins
from tests.integration.station.conftest import WAIT_S, Network
from tests.integration.station.test_killed import start as start_hub
from tests.support.desk import LETTER, PINS
from uec.domain.lifecycle import ApplicationState, CardState, CertificateState, OperationKind, OperationState
from uec.services import handover, operations, stations
from uec.services.stations import HubAway
from uec.services.views import OperationView
from uec.store.tables import Application, Card, CardOperation, Certificate

FINAL = (OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED)
ROUNDS_S = 400.0
TOLD = {"card-lost", "seal-broken", "uec.hub_restarted"}


@dataclass
class Killer:
    """A hub and a station as processes, of which one is killed and started again now and then."""

    network: Network
    chance: random.Random
    hub: "subprocess.Popen[str]"
    station: "subprocess.Popen[bytes]"
    kills: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def strike(self) -> None:
        """Kill one of the two, and start it again."""
        self.kills += 1
        if self.chance.random() < 0.6:
            end(self.hub)
            self.hub = start_hub(self.network)
        else:
            end(self.station)
            self.station = start_station(self.network)

    def close(self) -> None:
        end(self.hub)
        end(self.station)


def end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(WAIT_S)
    if process.stdout is not None:
        process.stdout.close()


def start_station(network: Network) -> "subprocess.Popen[bytes]":
    settings = network.station_settings("window-1")
    command = [sys.executable, "-m", "uec", "station", "run", "--hub", settings.hub_url, "--readers", settings.readers]
    return subprocess.Popen([*command, "--folder", str(settings.folder)], stderr=subprocess.DEVNULL)


def ask(network: Network, card_id: int, station_id: int) -> int | None:
    """Ask for whatever the card needs next; None when it needs nothing more."""
    office = network.office
    card = office.card(card_id)
    state, number = card.state, card.number
    if state in (CardState.PREPARED, CardState.WRITING):
        return network.request(OperationKind.PERSONALISE, card_id, station_id, f"reader-{card_id}")
    if state is not CardState.PERSONALISED:
        return None
    with office.sessions() as session:
        try:
            key = stations.hub_public_key(session, now=office.clock.now)
        except HubAway:  # the hub is just starting: a clerk would try again
            key = seal_key_of_nobody()
        return handover.request(
            session,
            card_id,
            actor=office.staff.second_operator,
            station_id=station_id,
            reader=f"reader-{card_id}",
            sealed_pins=seal_pins(key, PINS | LETTER, card_number=number),
            holder_checked=True,
            now=office.clock(),
        )


def seal_key_of_nobody() -> bytes:
    from issuance.production.sealing import SealingKey

    return SealingKey().public_key


def through_the_house(network: Network, killer: Killer, cards: list[int], station_id: int, strikes: int) -> None:
    """Ask for every card's next step until none needs one, with so many kills in between."""
    under_way: dict[int, int] = {}
    waited = 0.0
    while True:
        for card_id in cards:
            if card_id not in under_way or seen(network, under_way[card_id]).state in FINAL:
                asked = ask(network, card_id, station_id)
                if asked is None:
                    under_way.pop(card_id, None)
                else:
                    under_way[card_id] = asked
        if not under_way:
            return
        pause = killer.chance.uniform(0.05, 0.6)
        killer.stop.wait(pause)
        waited += pause
        if killer.kills < strikes:
            killer.strike()
        assert waited < ROUNDS_S, {card_id: seen(network, asked) for card_id, asked in under_way.items()}


def seen(network: Network, operation_id: int) -> OperationView:
    with network.office.sessions() as session:
        return operations.operation(session, operation_id)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("people", "strikes", "seed"),
    [
        pytest.param(2, 6, 1, marks=pytest.mark.slow),
        *[pytest.param(4, 12, seed, marks=pytest.mark.nightly) for seed in (2, 3, 4)],
    ],
)
def test_whatever_is_killed_every_application_ends_with_one_card(
    network: Network, people: int, strikes: int, seed: int
) -> None:
    station_id = network.enrol("window-1")
    cards = [network.prepared_card(person) for person in range(1, people + 1)]
    for card_id in cards:
        network.insert("window-1", f"reader-{card_id}", card_id)
    network.stop_hub()
    killer = Killer(network, random.Random(seed), start_hub(network), start_station(network))
    try:
        through_the_house(network, killer, cards, station_id, strikes)
    finally:
        killer.close()
    assert killer.kills >= strikes or people == 2
    with network.office.sessions() as session:
        states = list(session.scalars(select(Card.state)))
        assert states == [CardState.ACTIVE] * people, "no card is lost, none is there twice"
        assert set(session.scalars(select(Application.state))) == {ApplicationState.CLOSED}
        assert len(set(session.scalars(select(Card.chip_id)))) == people
        running = select(CardOperation).where(CardOperation.state.not_in(FINAL))
        assert session.scalars(running).all() == []
        issued = select(Certificate.card_id, Certificate.profile, func.count()).where(
            Certificate.state != CertificateState.REVOKED
        )
        per_slot = session.execute(issued.group_by(Certificate.card_id, Certificate.profile)).all()
        assert {count for _, _, count in per_slot} == {1}, "one certificate for each key"
        failed = select(CardOperation.error_code).where(CardOperation.state == OperationState.FAILED)
        assert set(session.scalars(failed)) <= TOLD, "every failure is one that the page has words for"
