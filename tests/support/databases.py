"""Databases for tests: the same test runs on SQLite and on PostgreSQL, each time in a fresh copy with all tables."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from tests.support.postgres import Server
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import upgrade

VICTIM = {"PGAPPNAME": "victim"}
"""The environment of a process that is to be killed: by this name PostgreSQL knows its connections."""
GONE_S = 60
BACKENDS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "uec.db"
    upgrade(f"sqlite:///{path}")
    return path


def let_victims_go(sessions: sessionmaker[Session]) -> None:
    """Wait until nothing is left of killed processes that had the environment `VICTIM`.

    PostgreSQL hears of a killed client when it has done what it was asked to, a commit too. SQLite runs in the client.
    """
    with sessions() as session:
        if session.get_bind().dialect.name != "postgresql":
            return
        left = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")
        deadline = time.monotonic() + GONE_S
        while session.scalar(left, {"name": VICTIM["PGAPPNAME"]}):
            session.rollback()  # a transaction sees one state of the statistics only
            assert time.monotonic() < deadline, "the server still has a connection of a killed process"
            time.sleep(0.01)


def _postgres(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue("postgres_server")
    return server


@pytest.fixture(params=BACKENDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without any table, on both databases in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = _postgres(request)
    name = server.empty()
    yield server.dsn(name)
    server.drop(name)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a fresh SQLite database with all tables, for tests that need no second database."""
    path = tmp_path / "uec.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The address of a fresh PostgreSQL database with all tables."""
    name = postgres_server.migrated()
    yield postgres_server.dsn(name)
    postgres_server.drop(name)


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database with all tables, on both databases in turn."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh database, on both databases in turn."""
    made = make_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """The factory of sessions on a fresh database, on both databases in turn."""
    return session_factory(engine)


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """One session on a fresh database, on both databases in turn."""
    with sessions() as opened:
        yield opened
