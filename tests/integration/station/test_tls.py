"""TLS in the hub itself, pinned by its stations."""

import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from issuance.station.agent import enrol, run_station
from issuance.station.errors import HubAway, HubImpostor
from issuance.station.identity import StationIdentity
from tests.integration.station.conftest import WAIT_S, Hands, Network, run_in_thread
from tests.support.line import blank_card
from uec.domain.errors import InvalidSettings
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.hub.enrolment import code_hash, new_code
from uec.hub.tls import pin_of, server_context
from uec.services import stations


def over_tls(network: Network) -> str:
    """Start the hub anew, with TLS; its pin."""
    certificate, key = network.folder / "tls" / "hub.pem", network.folder / "tls" / "hub.key"
    network.settings = replace(network.settings, hub_tls="always", hub_certificate=certificate, hub_key=key)
    again(network)
    return pin_of(certificate.read_bytes())


def again(network: Network) -> None:
    """Stop the hub and start it."""
    network.stop_hub()
    network.start_hub()
    network.url = network.url.replace("ws://", "wss://")


def enrolled(network: Network, name: str, pin: str) -> int:
    code = new_code(network.office.desk.bench.random)
    with network.office.sessions() as session:
        station_id = stations.create(
            session,
            name=name,
            point_id=None,
            code_hash=code_hash(code),
            actor=network.office.staff.security,
            now=network.office.clock(),
        )
    enrol(replace(network.station_settings(name), pin=pin), code)
    return station_id


@pytest.mark.slow
def test_a_card_is_made_over_tls_to_a_pinned_key(network: Network) -> None:
    pin = over_tls(network)
    station_id = enrolled(network, "Window 1", pin.upper())
    assert StationIdentity.load(network.folder / "Window 1").hub_pin == pin
    hands = Hands("left")
    network.start_station("Window 1", hands)
    card_id = network.prepared_card(1)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    hands.put("left", blank_card(card_id))
    assert network.wait_for(asked).state is OperationState.DONE
    assert network.office.card(card_id).state is CardState.PERSONALISED


def test_the_hubs_key_stays_over_a_restart(network: Network) -> None:
    pin = over_tls(network)
    again(network)
    assert pin_of(network.settings.hub_certificate.read_bytes()) == pin
    assert network.settings.hub_key.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_another_key_is_an_impostor_and_hears_no_word(network: Network) -> None:
    pin = over_tls(network)
    enrolled(network, "Window 1", pin)
    with pytest.raises(HubImpostor) as caught:
        enrol(replace(network.station_settings("Window 2"), pin="00" * 32), "AAAAA-AAAAA-AAAAA-AAAAA")
    assert caught.value.facts["pin"] == pin
    for file in (network.folder / "tls").iterdir():
        file.unlink()
    again(network)  # with a new key
    station = network.start_station("Window 1", Hands("left"))
    station.thread.join(WAIT_S)
    assert isinstance(station.errors.pop(), HubImpostor)
    network.agents.remove(station)


def test_a_new_key_of_the_hub_is_pinned_by_whoever_names_it(network: Network) -> None:
    """The old pin and the new one beside each other while the hubs change; kept once a hub has answered with it."""
    old = over_tls(network)
    enrolled(network, "Window 1", old)
    for file in (network.folder / "tls").iterdir():
        file.unlink()
    again(network)
    new = pin_of(network.settings.hub_certificate.read_bytes())
    settings = replace(network.station_settings("Window 1"), pin=f"{old},{new}")
    station = run_in_thread(run_station, settings, readers=Hands("left"))
    network.agents.append(station)
    tick = threading.Event()
    while StationIdentity.load(settings.folder).hub_pin == old:
        network.check()
        tick.wait(0.02)
    assert StationIdentity.load(settings.folder).hub_pin == f"{old},{new}"


def test_without_a_pin_the_authorities_of_the_machine_decide(network: Network) -> None:
    over_tls(network)
    with pytest.raises(HubAway) as caught:
        enrol(network.station_settings("Window 1"), "AAAAA-AAAAA-AAAAA-AAAAA")
    assert "self-signed certificate" in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "tls", "served"),
    [
        ("127.0.0.1:0", "auto", False),
        ("[::1]:0", "auto", False),
        ("localhost:0", "auto", False),
        ("0.0.0.0:8081", "auto", True),
        ("office.example:8081", "auto", True),
        ("0.0.0.0:8081", "never", False),
        ("127.0.0.1:0", "always", True),
    ],
)
def test_who_is_not_on_this_machine_meets_tls(
    network: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture, listen: str, tls: str, served: bool
) -> None:
    certificate, key = tmp_path / "deeper" / "hub.pem", tmp_path / "hub.key"
    settings = replace(network.settings, hub_listen=listen, hub_tls=tls, hub_certificate=certificate, hub_key=key)
    with caplog.at_level(logging.INFO):
        context = server_context(settings, clock=network.office.clock)
    assert (context is not None) == served == ("the hub's pin is" in caplog.text) == certificate.exists()


def test_files_that_do_not_fit_are_named(network: Network, tmp_path: Path) -> None:
    there, nowhere = tmp_path / "x", tmp_path / "y"
    there.write_text("nothing")
    for key in (nowhere, there):
        settings = replace(network.settings, hub_tls="always", hub_certificate=there, hub_key=key)
        with pytest.raises(InvalidSettings):
            server_context(settings, clock=network.office.clock)
