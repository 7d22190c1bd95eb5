"""Who may be a station: once by a code, then by its own key, until it is revoked."""

import threading
from datetime import timedelta

import pytest

from issuance.station.agent import enrol, run_station
from issuance.station.errors import AlreadyEnrolled, HubAway, HubRefused, HubUnsafe, NotEnrolled
from issuance.station.identity import StationIdentity, StationKey
from issuance.station.settings import StationSettings
from tests.integration.station.conftest import WAIT_S, Network
from uec.hub.enrolment import ALPHABET, code_hash, new_code
from uec.services import stations


def create(network: Network, name: str) -> tuple[int, str]:
    code = new_code(network.office.desk.bench.random)
    with network.office.sessions() as session:
        made = stations.create(
            session,
            name=name,
            point_id=None,
            code_hash=code_hash(code),
            actor=network.office.staff.security,
            now=network.office.clock(),
        )
    return made, code


def test_a_code_works_once(network: Network) -> None:
    _, code = create(network, "one")
    enrol(network.station_settings("one"), code)
    with pytest.raises(HubRefused, match="spent"):
        enrol(network.station_settings("two"), code)


def test_a_wrong_or_old_code_is_refused(network: Network) -> None:
    _, code = create(network, "one")
    with pytest.raises(HubRefused, match="wrong"):
        enrol(network.station_settings("one"), new_code(bytes))
    network.office.clock.advance(hours=25)
    with pytest.raises(HubRefused, match="too old"):
        enrol(network.station_settings("one"), code)


def test_the_key_is_for_its_owner_only(network: Network) -> None:
    network.enrol("one")
    folder = network.station_settings("one").folder
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "station.key": 0o600,
        "station.json": 0o600,
    }


def test_an_enrolled_station_is_not_enrolled_over(network: Network) -> None:
    network.enrol("one")
    with pytest.raises(AlreadyEnrolled):
        enrol(network.station_settings("one"), "CODE")


def test_a_stolen_name_without_the_key_is_refused(network: Network) -> None:
    station_id = network.enrol("one")
    thief = network.station_settings("thief")
    StationIdentity(station_id, "one", StationKey.generate()).save(thief.folder)
    with pytest.raises(HubRefused, match="not the one that was enrolled"):
        run_station(thief, threading.Event())


def test_an_unknown_station_is_refused(network: Network) -> None:
    stranger = network.station_settings("stranger")
    StationIdentity(4711, "stranger", StationKey.generate()).save(stranger.folder)
    with pytest.raises(HubRefused, match="not enrolled"):
        run_station(stranger, threading.Event())


def test_a_revoked_station_is_shut_out_at_once(network: Network) -> None:
    station_id = network.enrol("one")
    running = network.start_station("one")
    network.agents.remove(running)
    tick = threading.Event()
    while True:
        with network.office.sessions() as session:
            (view,) = stations.list_stations(session, now=network.office.clock.now)
        if view.online:
            break
        tick.wait(0.05)
    with network.office.sessions() as session:
        stations.revoke(session, station_id, actor=network.office.staff.security, now=network.office.clock())
    running.thread.join(WAIT_S)
    assert not running.thread.is_alive()
    (error,) = running.errors
    assert isinstance(error, HubRefused) and "revoked" in str(error)


def test_a_machine_without_identity_says_what_to_do(network: Network) -> None:
    with pytest.raises(NotEnrolled, match="uec station enrol --code"):
        run_station(network.station_settings("new"), threading.Event())


def test_a_hub_that_is_away_is_one_clear_error(network: Network) -> None:
    network.stop_hub()
    with pytest.raises(HubAway, match="nothing listens there"):
        enrol(network.station_settings("one"), "CODE")


def test_a_link_without_protection_leaves_the_machine_never(network: Network) -> None:
    settings = StationSettings(network.folder / "far", "ws://hub.example:8081")
    with pytest.raises(HubUnsafe, match="wss://"):
        enrol(settings, "CODE")


def test_codes_can_be_read_out() -> None:
    code = new_code(lambda size: bytes(range(size)))
    assert len(code) == 23 and set(code) <= set(ALPHABET) | {"-"}
    assert code_hash(code) == code_hash(code.lower().replace("-", " "))
    assert code_hash(code) != code_hash(code[:-1])
    assert timedelta(0) < stations.CODE_LIFE <= timedelta(days=2)
