"""The database goes away under the hub; hubs and stations come in twos; cards are pulled from slow readers."""

import logging
import sqlite3
import threading
import time
from collections.abc import Collection
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import delete, select
from sqlalchemy.engine import make_url
from websockets.asyncio.server import ServerConnection

from card_io.virtual.card import VirtualCard
from issuance.station.agent import enrol, run_station
from issuance.station.errors import HubAway, HubRefused
from issuance.station.identity import StationKey
from issuance.station.wire import Reader
from tests.integration.station.conftest import WAIT_S, Hands, Network, open_network, run_in_thread
from tests.integration.station.test_killed import SlowHands
from tests.support.line import blank_card
from tests.support.outage import frail_server
from uec.domain.errors import StoreUnavailable
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.hub import enrolment, server
from uec.hub.dispatch import assign
from uec.hub.leases import BEAT_S
from uec.hub.links import StationLink
from uec.hub.work import PUT_BACK
from uec.services import operations, stations
from uec.store.engine import make_engine, session_factory
from uec.store.tables import HubInstance, Station

EXCLUSIVE = "BEGIN EXCLUSIVE"


class BlindHands(SlowHands):
    """Readers whose station sees a card go only a second later, as through some drivers."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self._seen: tuple[Reader, ...] = ()
        self._at = 0.0

    def look(self, timeout_s: float) -> tuple[Reader, ...]:
        now = super().look(0.05)
        if now != self._seen and time.monotonic() - self._at > 1.0:
            self._seen, self._at = now, time.monotonic()
        return self._seen

    def sees(self, name: str) -> bool:
        """Whether the station was last told of a card in that reader."""
        return any(one.card for one in self._seen if one.name == name)


class BrokenHands(Hands):
    """Readers that cannot be looked at any more."""

    def look(self, timeout_s: float) -> tuple[Reader, ...]:
        raise RuntimeError("the driver is broken")


def go_on(hands: SlowHands, card: VirtualCard, next_stop: int | None) -> None:
    """Let the card go on, to the end or until it was given so many commands."""
    hands.go_on()
    if next_stop is not None:
        hands.stop_when(lambda: card.faults.commands >= next_stop)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that waits a moment for a locked database, not ten seconds."""
    monkeypatch.setattr(server, "make_engine", lambda url: make_engine(url, busy_timeout_s=0.1))


def test_a_database_locked_in_the_middle_is_waited_for(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    engine = make_engine(sqlite_url)
    tick = threading.Event()
    with open_network(session_factory(engine), sqlite_url, tmp_path) as network:
        station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
        hands, card = SlowHands("left"), blank_card(1)
        network.start_station("window-1", hands)
        hands.put("left", card)
        hands.stop_when(lambda: card.faults.commands >= 12)
        asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
        for next_stop in (40, None):
            hands.until_stopped(network)
            with sqlite3.connect(str(make_url(sqlite_url).database), isolation_level=None, timeout=WAIT_S) as other:
                other.execute(EXCLUSIVE)
                go_on(hands, card, next_stop)
                tick.wait(0.8)
                other.execute("ROLLBACK")
            other.close()
        ended = network.wait_for(asked)
        assert ended.state is OperationState.DONE, ended.error_text
        assert network.office.card(card_id).state is CardState.PERSONALISED
    engine.dispose()


def test_a_database_server_that_drops_everybody_is_come_back_to(postgres_url: str, tmp_path: Path) -> None:
    engine = make_engine(postgres_url)
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    drop = f"SELECT pg_terminate_backend(pid) {others}"
    with open_network(session_factory(engine), postgres_url, tmp_path) as network:
        station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
        hands, card = SlowHands("left"), blank_card(1)
        network.start_station("window-1", hands)
        hands.put("left", card)
        hands.stop_when(lambda: card.faults.commands >= 5)
        asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
        with psycopg.connect(postgres_url, autocommit=True) as administrator:
            for next_stop in (20, 45, None):
                hands.until_stopped(network)
                administrator.execute(drop)
                go_on(hands, card, next_stop)
        ended = network.wait_for(asked)
        assert ended.state is OperationState.DONE, ended.error_text
    engine.dispose()


def test_a_hub_whose_row_was_lost_shows_itself_again(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    network.stop_hub()
    monkeypatch.setattr(server, "BEAT_S", 0.1)
    network.start_hub()
    with network.office.sessions() as session:
        key = session.scalars(select(HubInstance.public_key)).one()
        session.execute(delete(HubInstance))
        session.commit()
    tick, shown = threading.Event(), []
    for _ in range(200):
        with network.office.sessions() as session:
            shown = list(session.scalars(select(HubInstance.public_key)))
        if shown:
            break
        tick.wait(0.05)
    assert shown == [key], "pages would say that there is no hub"


def test_a_claim_that_fails_leaves_the_reader_free(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    network.stop_hub()
    station_id, card_id = _station(network), network.prepared_card(1)
    network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    link = _Link(station_id)

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(operations, "claim_operation", away)
        with pytest.raises(StoreUnavailable):
            list(assign(network.office.sessions, {station_id: link}, network.office.clock))
    assert [reader for _, _, reader in assign(network.office.sessions, {station_id: link}, network.office.clock)] == [
        "left"
    ]


class _Link(StationLink):
    """A station with one card, and no wire."""

    def __init__(self, station_id: int) -> None:
        self.station_id, self.name = station_id, "window-1"
        self._free = True

    @property
    def cards(self) -> set[int]:
        return set()

    @property
    def ready(self) -> bool:
        return self._free

    def take(
        self, reader: str | None, card_id: int | None, *, barred: Collection[str] = (), waits_for_own: bool = True
    ) -> str | None:
        taken, self._free = self._free, False
        return reader if taken else None

    def untake(self, reader: str) -> None:
        self._free = True


def _station(network: Network) -> int:
    with network.office.sessions() as session:
        return stations.create(
            session,
            name="window-1",
            point_id=None,
            code_hash="0" * 64,
            actor=network.office.staff.security,
            now=network.office.clock(),
        )


def test_a_station_comes_back_when_only_the_database_was_away(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.enrol("window-1")
    away = threading.Event()
    tried = threading.Event()
    admit = enrolment.admit

    def refusing(*arguments: object, **rest: object) -> str:
        if away.is_set():
            tried.set()
            raise StoreUnavailable("The database is away.")
        return admit(*arguments, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(enrolment, "admit", refusing)
    away.set()
    agent = network.start_station("window-1")
    assert tried.wait(WAIT_S)
    away.clear()
    tick = threading.Event()
    for _ in range(400):
        network.check()
        with network.office.sessions() as session:
            if session.scalars(select(Station.last_seen_at)).one() is not None:
                break
        tick.wait(0.05)
    else:
        pytest.fail("the station gave up")
    assert agent.thread.is_alive()


def test_a_second_machine_with_one_identity_is_refused_and_the_first_works_on(network: Network) -> None:
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands = Hands("left")
    network.start_station("window-1", hands)
    hands.put("left", blank_card(1))
    _until_seen(network)
    twin = run_in_thread(run_station, network.station_settings("window-1"), readers=Hands("left"))
    twin.thread.join(WAIT_S)
    (error,) = twin.errors
    assert isinstance(error, HubRefused) and "connected already" in str(error)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    assert network.wait_for(asked).state is OperationState.DONE


def _until_seen(network: Network) -> None:
    tick = threading.Event()
    for _ in range(400):
        network.check()
        with network.office.sessions() as session:
            if session.scalars(select(Station.readers)).one():
                return
        tick.wait(0.05)
    raise AssertionError("the station never showed")


def test_a_station_that_is_back_before_its_going_is_written_down_is_here(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not: offline for the pages for as long as it stays, and its PINs sealed to any hub."""
    network.enrol("window-1")
    network.start_station("window-1", Hands("left"))
    _until_seen(network)
    going, back, told = threading.Event(), threading.Event(), list[bool]()
    readers, attach, report = server.plain_readers, StationLink.attach, server._Hub._report

    def slowly(found: Collection[Reader]) -> list[dict[str, object]]:
        if not found:
            going.set()
            assert back.wait(WAIT_S)
        return readers(found)

    def attached(link: StationLink, socket: ServerConnection) -> ServerConnection | None:
        before = attach(link, socket)
        back.set()
        return before

    def reported(hub: server._Hub, link: StationLink) -> None:
        report(hub, link)
        told.append(link.open)

    monkeypatch.setattr(server, "plain_readers", slowly)
    monkeypatch.setattr(StationLink, "attach", attached)
    monkeypatch.setattr(server._Hub, "_report", reported)
    network.agents.pop().end()
    assert going.wait(WAIT_S)
    network.start_station("window-1", Hands("left"))
    tick = threading.Event()
    while len(told) < 2:  # the going and the coming
        network.check()
        tick.wait(0.02)
    with network.office.sessions() as session:
        station = session.scalars(select(Station)).one()
    assert station.hub_id is not None and station.readers == [{"name": "left", "card": False, "pad": []}]


def test_a_station_whose_readers_break_ends_and_says_why(network: Network) -> None:
    network.enrol("window-1")
    agent = run_in_thread(run_station, network.station_settings("window-1"), readers=BrokenHands())
    agent.thread.join(WAIT_S)
    assert [str(error) for error in agent.errors] == ["the driver is broken"]


def test_a_card_pulled_from_a_reader_that_notices_late_is_asked_for(network: Network) -> None:
    """Not: three vain tries within a few milliseconds, and the operation has failed."""
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands, card = BlindHands("left"), blank_card(1)
    network.start_station("window-1", hands)
    hands.put("left", card)
    hands.stop_when(lambda: card.faults.commands >= 40)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    hands.until_stopped(network)
    hands.pull("left")
    card.power_off()
    hands.go_on()
    tick = threading.Event()
    while (seen := network.operation(asked)).progress.get("label") != PUT_BACK:
        network.check()
        assert seen.state is OperationState.RUNNING, seen.error_text
        tick.wait(0.02)
    while hands.sees("left"):
        tick.wait(0.02)
    assert network.operation(asked).state is OperationState.RUNNING
    hands.put("left", card)
    ended = network.wait_for(asked)
    assert ended.state is OperationState.DONE, ended.error_text


def test_an_enrolment_whose_answer_got_lost_is_repeated(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    code = enrolment.new_code(network.office.desk.bench.random)
    with network.office.sessions() as session:
        created = stations.create(
            session,
            name="window-1",
            point_id=None,
            code_hash=enrolment.code_hash(code),
            actor=network.office.staff.security,
            now=network.office.clock(),
        )
    settings = network.station_settings("window-1")
    done = enrolment.enrol

    def lost(*arguments: object, **rest: object) -> tuple[int, str]:
        done(*arguments, **rest)  # type: ignore[arg-type]
        raise StoreUnavailable("The link breaks right after the commit.")

    with monkeypatch.context() as patch:
        patch.setattr(enrolment, "enrol", lost)
        with pytest.raises(HubAway):
            enrol(settings, code)
    kept = StationKey.kept(settings.folder)
    identity = enrol(settings, code)
    assert (identity.station_id, identity.key.public_key) == (created, kept.public_key)


@pytest.mark.slow
def test_an_outage_of_the_database_is_a_line_and_not_a_trace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with frail_server() as server, caplog.at_level(logging.INFO):
        url = server.dsn(server.migrated())
        engine = make_engine(url)
        with open_network(session_factory(engine), url, tmp_path) as network:
            station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
            hands, card = SlowHands("left", "right"), blank_card(1)
            network.start_station("window-1", hands)
            hands.put("left", card)
            hands.stop_when(lambda: card.faults.commands >= 20)
            asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
            hands.until_stopped(network)
            caplog.clear()
            server.crash()
            hands.go_on()
            hands.put("right", blank_card(2))  # something to report in the meantime
            time.sleep(5 * BEAT_S / 2)
            hands.pull("right")
            time.sleep(BEAT_S / 2)
            server.come_back()
            ended = network.wait_for(asked)
            assert ended.state is OperationState.DONE, ended.error_text
            ours = [one for one in caplog.records if one.name.startswith(("uec.", "issuance."))]
        engine.dispose()
    assert [one.getMessage() for one in ours if one.exc_info] == []
    warned = [one.getMessage() for one in ours if one.levelno >= logging.WARNING]
    assert 1 <= len(warned) <= 4, warned
