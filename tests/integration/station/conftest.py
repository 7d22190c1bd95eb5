"""A hub in a thread of this process over a real database and a vault process's sockets, and stations beside it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.connection import Connection
from card_io.reader_errors import NoCard
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from issuance.keys.service import VaultService
from issuance.production.relay import OpenedSlot, Slot
from issuance.station.agent import enrol, run_station
from issuance.station.readers import ReaderSet
from issuance.station.settings import StationSettings
from issuance.station.wire import Reader
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.line import blank_card
from uec.domain.lifecycle import OperationKind, OperationState
from uec.hub.enrolment import code_hash, new_code
from uec.hub.server import run_hub
from uec.processes import free_port
from uec.services import operations, stations
from uec.services.views import OperationView
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Card

WAIT_S = 120.0
"""For what has to come some time: no machine is so slow."""


class Hands:
    """Readers whose cards a test puts in and pulls out, with faults on demand."""

    def __init__(self, *names: str) -> None:
        self._cards: dict[str, VirtualCard | None] = dict.fromkeys(names)
        self._insertions = dict.fromkeys(names, 0)
        self._changed = threading.Event()

    def put(self, name: str, card: VirtualCard) -> None:
        self._cards[name] = card
        self._insertions[name] += 1
        self._changed.set()

    def pull(self, name: str) -> None:
        self._cards[name] = None
        self._changed.set()

    def look(self, timeout_s: float) -> tuple[Reader, ...]:
        self._changed.wait(timeout_s)
        self._changed.clear()
        return tuple(Reader(name, card is not None, self._insertions[name]) for name, card in self._cards.items())

    def slot(self, reader: str) -> Slot:
        return OpenedSlot(lambda: self._open(reader))

    def _open(self, reader: str) -> Connection:
        card = self._cards.get(reader)
        if card is None:
            raise NoCard(reader)
        return InProcessConnection(card)

    def close(self) -> None:
        self._changed.set()


@dataclass
class Running:
    """Something in a thread, with its stop; an error of it is raised when it is ended."""

    thread: threading.Thread
    stop: threading.Event
    errors: list[BaseException]

    def end(self) -> None:
        self.stop.set()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()
        if self.errors:
            raise self.errors[0]


def run_in_thread(work: object, *args: object, **kwargs: object) -> Running:
    stop = threading.Event()
    errors: list[BaseException] = []

    def target() -> None:
        try:
            work(*args, stop, **kwargs)  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            errors.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return Running(thread, stop, errors)


@dataclass
class Network:
    """One office with a hub that can be started and stopped, and stations with virtual readers."""

    office: CardOffice
    settings: Settings
    folder: Path
    url: str = ""
    hub: Running | None = None
    agents: list[Running] = field(default_factory=list)

    def start_hub(self) -> None:
        listening = threading.Event()
        ports: list[int] = []

        def heard(port: int) -> None:
            ports.append(port)
            listening.set()

        self.hub = run_in_thread(run_hub, self.settings, clock=self.office.clock, on_listening=heard)
        if not listening.wait(WAIT_S):
            self.hub.end()
        self.url = f"ws://127.0.0.1:{ports[0]}"

    def stop_hub(self) -> None:
        assert self.hub is not None
        self.hub.end()
        self.hub = None

    def station_settings(self, name: str) -> StationSettings:
        readers = self.folder / f"readers-{name}"
        readers.mkdir(exist_ok=True)
        return StationSettings(self.folder / name, self.url, f"virtual:{readers}", retry_s=0.05, retry_max_s=0.2)

    def enrol(self, name: str) -> int:
        """Enter a station and enrol it; its id."""
        code = new_code(self.office.desk.bench.random)
        with self.office.sessions() as session:
            station_id = stations.create(
                session,
                name=name,
                point_id=None,
                code_hash=code_hash(code),
                actor=self.office.staff.security,
                now=self.office.clock(),
            )
        identity = enrol(self.station_settings(name), code.lower())
        assert (identity.station_id, identity.name) == (station_id, name)
        return station_id

    def start_station(self, name: str, readers: ReaderSet | None = None) -> Running:
        agent = run_in_thread(run_station, self.station_settings(name), readers=readers)
        self.agents.append(agent)
        return agent

    def claim_and_forget(self, operation_id: int) -> None:
        """What a hub leaves behind that is killed right after it claimed an operation."""
        with self.office.sessions() as session:
            claimed = operations.claim_operation(session, now=self.office.clock(), operation_id=operation_id)
        assert claimed is not None

    def insert(self, name: str, reader: str, card: VirtualCard | int) -> Path:
        """Put a card (or a new blank of that number) into a reader; the file it lives in."""
        path = self.folder / f"readers-{name}" / f"{reader}.card"
        chip = blank_card(card) if isinstance(card, int) else card
        aside = path.with_suffix(".new")
        chip.save(aside)
        aside.rename(path)
        return path

    def request(self, kind: OperationKind, card_id: int | None, station_id: int | None, reader: str | None) -> int:
        with self.office.sessions() as session:
            return operations.request_operation(
                session,
                kind=kind,
                card_id=card_id,
                station_id=station_id,
                reader=reader,
                actor=self.office.staff.operator if kind is OperationKind.READ else self.office.staff.producer,
                now=self.office.clock(),
            )

    def operation(self, operation_id: int) -> OperationView:
        with self.office.sessions() as session:
            return operations.operation(session, operation_id)

    def wait_for(self, operation_id: int, *states: OperationState) -> OperationView:
        wanted = states or (OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED)
        tick = threading.Event()
        for _ in range(int(WAIT_S / 0.05)):
            if (seen := self.operation(operation_id)).state in wanted:
                return seen
            self.check()
            tick.wait(0.05)
        raise AssertionError(f"operation {operation_id} is still {self.operation(operation_id)}")

    def check(self) -> None:
        """Raise what ended the hub or a station."""
        for running in [*self.agents, *([self.hub] if self.hub else [])]:
            if running.errors:
                raise running.errors[0]

    def prepared_card(self, person: int) -> int:
        """A card whose data are ready and that no one has begun; its id."""
        (application_id,) = self.office.approve_applicants(person)
        for batch_id in self.office.plan():
            self.office.release(batch_id)
        with self.office.sessions() as session:
            return session.scalars(select(Card.id).where(Card.application_id == application_id)).one()

    def close(self) -> None:
        for agent in self.agents:
            agent.stop.set()
        for agent in self.agents:
            agent.thread.join(WAIT_S)
        if self.hub is not None:
            self.hub.end()


@contextmanager
def open_network(sessions: sessionmaker[Session], url: str, folder: Path) -> Iterator[Network]:
    office = open_card_office(sessions, folder)
    with TemporaryDirectory(prefix="uec-") as short, VaultService(office.desk.bench.vault, Path(short) / "v.sock"):
        settings = replace(
            SETTINGS,
            database_url=url,
            state_dir=folder / "state",
            vault_socket=Path(short) / "v.sock",
            hub_listen=f"127.0.0.1:{free_port()}",  # nobody else gets it while the hub is away
        )
        network = Network(office, settings, folder)
        try:
            network.start_hub()
            yield network
        finally:
            try:
                network.close()
            finally:
                office.desk.bench.vault.close()


@pytest.fixture
def network(sqlite_url: str, tmp_path: Path) -> Iterator[Network]:
    """An office on SQLite with its hub running."""
    engine = make_engine(sqlite_url)
    with open_network(session_factory(engine), sqlite_url, tmp_path) as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def network_on_either(database_url: str, tmp_path: Path) -> Iterator[Network]:
    """The same on SQLite and on PostgreSQL."""
    engine = make_engine(database_url)
    with open_network(session_factory(engine), database_url, tmp_path) as opened:
        yield opened
    engine.dispose()
