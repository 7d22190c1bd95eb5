"""A whole office behind a real HTTP server: the application as in service, cards in this process as the station."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from flask import Flask
from werkzeug.serving import make_server

from tests.support.desk import SETTINGS, CardOffice, open_card_office
from uec.domain.actors import system_actor
from uec.domain.lifecycle import OperationState
from uec.domain.permissions import Role
from uec.services import preparation, staff
from uec.services.passwords import ScryptCost
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import upgrade
from uec.store.tables import Batch, CardOperation, HubInstance, IssuancePoint, Station
from uec.web.app import create_app

PASSWORD = "синий-паром-42"
CHEAP = ScryptCost(n=1024, r=8, p=1)

# Login -> name and roles, as an office would have them.
PEOPLE: dict[str, tuple[str, tuple[Role, ...]]] = {
    "operator": ("Ольга Окунева", (Role.OPERATOR,)),
    "operator2": ("Олег Озеров", (Role.OPERATOR,)),
    "officer": ("Фёдор Чернов", (Role.OFFICER,)),
    "planner": ("Полина Лугова", (Role.PLANNER,)),
    "releaser": ("Роман Вершинин", (Role.RELEASER,)),
    "producer": ("Павел Карпов", (Role.PRODUCER,)),
    "security": ("Софья Замятина", (Role.SECURITY,)),
    "auditor": ("Анна Ревизорова", (Role.AUDITOR,)),
    "admin": ("Андрей Главный", (Role.ADMIN,)),
    "keeper": ("Кира Складнева", (Role.STOREKEEPER,)),
    "keeper2": ("Карп Амбаров", (Role.STOREKEEPER,)),
    "quality": ("Клара Точнова", (Role.QUALITY,)),
}
POINTS = (
    ("МФЦ на Республике", "Centre on Respubliki Street", "г. Озёрск, ул. Республики, д. 14"),
    ("МФЦ «Заречный»", "Zarechny centre", "г. Озёрск, Заречный пр-т, д. 7, корп. 2"),
)


@dataclass
class Site:
    """The address, the office behind it, and the application."""

    url: str
    office: CardOffice
    app: Flask
    settings: Settings


def settings_in(folder: Path) -> Settings:
    """Settings of an office whose state lies in a folder."""
    return replace(
        SETTINGS,
        database_url=f"sqlite:///{folder / 'uec.db'}",
        state_dir=folder,
        secret_key_file=folder / "web.key",
        region_ru="Озёрская область",
        region_en="Ozyorsk Region",
        organisation_contact="Телефон 8 800 100-20-30, звонок бесплатный",
        banks=("Банк Озёрный", "Северный банк"),
    )


def furnish(office: CardOffice) -> None:
    """Give the office its staff, names of points, a station with a card in its reader, and a hub that is alive."""
    employ(office)
    now = office.clock()
    with office.sessions() as session:
        point = session.query(IssuancePoint.id).order_by(IssuancePoint.id).first()
        assert point is not None
        readers = [{"name": "Generic Reader 00", "card": True}, {"name": "Generic Reader 01", "card": False}]
        later = now + timedelta(days=30)
        session.add(Station(name="Окно 1", point_id=point[0], last_seen_at=later, readers=readers))
        key = office.desk.sealing_key.public_key
        session.add(HubInstance(id=1, public_key=key, started_at=now, heartbeat_at=later))
        session.commit()


def employ(office: CardOffice) -> None:
    """Give the office its staff and the names of its points."""
    now, office_random = office.clock(), random.Random(11).randbytes
    with office.sessions() as session:
        points = session.query(IssuancePoint).order_by(IssuancePoint.id).all()
        for point, (ru, en, address) in zip(points, POINTS, strict=True):
            point.name_ru, point.name_en, point.address = ru, en, address
        for login, (name, roles) in PEOPLE.items():
            staff.create(
                session, login=login, display_name=name, password=PASSWORD, roles=roles, actor=system_actor("test"),
                now=now, random=office_random, point_id=points[0].id, cost=CHEAP,
            )  # fmt: skip
        session.commit()


class Hub(threading.Thread):
    """Does what a hub and a worker do: prepares released batches, and works on cards, in this process."""

    def __init__(self, office: CardOffice) -> None:
        """Start idle."""
        super().__init__(daemon=True)
        self.office, self.ended, self.errors = office, threading.Event(), list[Exception]()

    def run(self) -> None:
        """Go on until the end of the test."""
        while not self.ended.wait(0.2):
            try:
                self.prepare()
                self.office.work()
            except Exception as error:  # noqa: BLE001 - told by `end`, where the test sees it
                self.errors.append(error)

    def prepare(self) -> None:
        """Make the data of batches that were released on a page."""
        with self.office.sessions() as session:
            released = session.query(Batch.id).filter(Batch.released_at.is_not(None), Batch.state == "RELEASED").all()
            for (batch_id,) in released:
                preparation.prepare(
                    session, batch_id, profile=self.office.desk.bench.profile, issuer="УОС", now=self.office.clock()
                )

    def idle(self) -> bool:
        """Whether nothing waits."""
        with self.office.sessions() as session:
            waiting = CardOperation.state.in_([OperationState.REQUESTED, OperationState.RUNNING])
            return session.query(CardOperation).filter(waiting).count() == 0

    def end(self) -> None:
        """Stop, and fail if anything went wrong."""
        self.ended.set()
        self.join(120)
        if self.errors:
            raise self.errors[0]


@contextmanager
def open_site(folder: Path, *, daily_capacity: int = 50) -> Iterator[Site]:
    """Serve an office in a folder on a free port of the loopback interface."""
    settings = settings_in(folder)
    upgrade(settings.database_url)
    engine = make_engine(settings.database_url)
    office = open_card_office(session_factory(engine), folder, daily_capacity=daily_capacity)
    furnish(office)
    try:
        with serve(settings, office) as site:
            yield site
    finally:
        office.desk.bench.vault.close()
        engine.dispose()


@contextmanager
def serve(settings: Settings, office: CardOffice) -> Iterator[Site]:
    """Serve an office that is there on a free port."""
    app = create_app(settings, clock=office.clock)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    served = threading.Thread(target=server.serve_forever, daemon=True)
    served.start()
    try:
        yield Site(f"http://127.0.0.1:{server.server_port}", office, app, settings)
    finally:
        server.shutdown()
        served.join(60)
        server.server_close()


@contextmanager
def working(office: CardOffice) -> Iterator[Hub]:
    """Have a hub at work for a while."""
    hub = Hub(office)
    hub.start()
    try:
        yield hub
    finally:
        hub.end()


def wait_until(done: object, timeout_s: float = 120) -> None:
    """Wait until a callable says yes."""
    deadline = time.monotonic() + timeout_s
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)
