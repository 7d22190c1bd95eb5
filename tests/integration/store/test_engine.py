"""Engines: the right driver, locks that queue, and clear words when the database is away."""

import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.rows import NOW, make_row
from uec.domain.errors import IllegalMove, InvalidSettings, Stale, StoreUnavailable
from uec.domain.lifecycle import CardState
from uec.processes import free_port
from uec.store.engine import database_url, explain, make_engine, reading, session_factory
from uec.store.tables import Card, Municipality, NumberSeries, Station


def test_the_driver_is_filled_in() -> None:
    assert database_url("postgresql://host/uec").drivername == "postgresql+psycopg"
    assert database_url("postgresql+psycopg2://host/uec").drivername == "postgresql+psycopg"
    assert database_url("sqlite:///x.db").drivername == "sqlite+pysqlite"


@pytest.mark.parametrize(("url", "sentence"), [("nonsense", "not a database address"), ("mysql://h/x", "use sqlite")])
def test_other_databases_are_refused(url: str, sentence: str) -> None:
    with pytest.raises(InvalidSettings, match=sentence):
        make_engine(url)


def test_moments_are_aware_and_come_back_in_utc(session: Session) -> None:
    east = datetime(2014, 6, 2, 14, 30, tzinfo=timezone(timedelta(hours=5)))
    session.add(Station(name="один", last_seen_at=east))
    session.commit()
    session.expire_all()
    seen = session.scalars(select(Station)).one().last_seen_at
    assert (seen, seen.tzinfo if seen else None) == (east, UTC)
    session.add(Station(name="два", last_seen_at=datetime(2014, 6, 2, 14, 30)))
    with pytest.raises(StatementError, match="without a time zone"):
        session.flush()


def test_foreign_keys_and_checks_hold(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(IntegrityError):
        make_row(connection, "issuance_point", oktmo="00000000")
    with engine.connect() as connection, pytest.raises(IntegrityError):
        make_row(connection, "resident", sex="X")
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(text("INSERT INTO staff_role (staff_id, role) VALUES (1, 'KING')"))


def test_two_who_change_one_card_do_not_overwrite_each_other(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        key = make_row(session.connection(), "card", version=1)
        session.commit()
    with sessions() as one, sessions() as two:
        first = one.get_one(Card, key)
        one.commit()
        second = two.get_one(Card, key)
        two.commit()
        first.printed_name = "FIRST"
        one.commit()
        second.printed_name = "SECOND"
        with pytest.raises(Stale, match="reload"):
            two.commit()
    with sessions() as session:
        card = session.get_one(Card, key)
        assert (card.printed_name, card.version, card.state) == ("FIRST", 2, CardState.PLANNED)


def test_writers_queue_instead_of_failing(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.add(NumberSeries(name="test", next=0))
        session.commit()

    def count_up() -> None:
        for _ in range(25):
            with sessions() as session:
                row = session.get_one(NumberSeries, "test", with_for_update=True)
                row.next += 1
                session.commit()

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sessions() as session:
        assert session.get_one(NumberSeries, "test").next == 100


def test_readers_do_not_wait_for_a_writer(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url, busy_timeout_s=0.1)
    factory = session_factory(engine)
    with factory() as writer:
        writer.add(Municipality(oktmo="71701000", name_ru="Тюмень", name_en="Tyumen"))
        writer.flush()
        with reading(factory) as reader:
            assert reader.scalars(select(Municipality)).all() == []
        with factory() as other, pytest.raises(StoreUnavailable, match="locked by another process"):
            other.scalars(select(Municipality)).all()
        writer.commit()
    with reading(factory) as reader:
        assert len(reader.scalars(select(Municipality)).all()) == 1
    engine.dispose()


def test_a_file_that_is_no_database_or_cannot_be_opened(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}")
    with pytest.raises(StoreUnavailable, match="reached or opened"):
        engine.connect()
    engine.dispose()


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "uec.db"
    path.write_bytes(b"a letter to my aunt\n" * 100)
    engine = make_engine(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match="no database"):
        engine.connect()
    engine.dispose()
    assert path.read_bytes().startswith(b"a letter")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (psycopg.errors.DiskFull("could not extend file: No space left on device"), "free some space"),
        (psycopg.errors.DeadlockDetected("deadlock detected\nDETAIL: ..."), "locked by another process"),
        (psycopg.OperationalError("connection failed: refused"), "check database_url"),
        (psycopg.OperationalError("server closed the connection unexpectedly"), "check database_url"),
        (sqlite3.OperationalError("database or disk is full"), "free some space"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "check database_url"),
    ],
)
def test_what_drivers_say_becomes_what_to_do(error: Exception, sentence: str) -> None:
    clear = explain(error)
    assert isinstance(clear, StoreUnavailable)
    assert sentence in clear.message
    assert "\n" not in clear.message


def test_other_errors_stay_what_they_are() -> None:
    assert explain(sqlite3.IntegrityError("UNIQUE constraint failed: card.number")) is None
    assert explain(psycopg.errors.UniqueViolation("duplicate key value")) is None


def test_a_refused_move_is_an_illegal_move() -> None:
    refused = explain(psycopg.errors.CheckViolation("illegal move of card from LOST to ACTIVE\nCONTEXT: PL/pgSQL"))
    assert isinstance(refused, IllegalMove)
    assert refused.message.startswith("The database refused an illegal move of card from LOST to ACTIVE;")


def test_a_server_that_is_not_there() -> None:
    engine = make_engine(f"postgresql://uec@127.0.0.1:{free_port()}/uec")
    with pytest.raises(StoreUnavailable, match="reached or opened"):
        engine.connect()
    engine.dispose()


def test_rows_of_every_table_can_be_made(engine: Engine) -> None:
    from uec.store.tables import metadata

    # Chains and lists come with their neighbours; the stock's ledger takes only what its guards allow.
    made_otherwise = {"audit_chain", "audit_entry", "stop_list_entry", "stock_movement", "stock_holding"}
    with engine.begin() as connection:
        for table in metadata.tables:
            if table not in made_otherwise:
                assert make_row(connection, table) is not None
    assert NOW.tzinfo is UTC


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.AdminShutdown("terminating connection due to administrator command"),
        psycopg.errors.CrashShutdown("terminating connection because of crash of another server process"),
        psycopg.errors.CannotConnectNow("the database system is starting up"),
        psycopg.errors.TooManyConnections("sorry, too many clients already"),
        psycopg.OperationalError("consuming input failed: EOF detected"),
    ],
)
def test_a_server_that_is_stopped_is_away_in_all_its_words(error: Exception) -> None:
    assert isinstance(explain(error), StoreUnavailable)


def test_a_query_that_is_called_off_is_no_outage() -> None:
    assert explain(psycopg.errors.QueryCanceled("canceling statement due to user request")) is None


def test_a_connection_that_the_server_ends_is_an_outage_of_a_moment(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as administrator, engine.connect() as connection:
        (backend,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
        administrator.execute("SELECT pg_terminate_backend(%s)", (backend,))
        with pytest.raises(StoreUnavailable):
            while True:  # the signal takes a moment
                connection.exec_driver_sql("SELECT 1")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()


def test_a_pool_replaces_dead_connections_in_silence(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with engine.connect() as connection:
        (backend,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
    with psycopg.connect(postgres_url, autocommit=True) as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s)", (backend,))
        while administrator.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchone():
            pass
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() != backend
    engine.dispose()


def test_errors_show_no_values(session: Session) -> None:
    with pytest.raises(DBAPIError) as caught:
        session.execute(text("SELECT * FROM no_such_table WHERE snils = :snils"), {"snils": "11223344595"})
    assert "no_such_table" in str(caught.value) and "11223344595" not in str(caught.value)


@pytest.mark.parametrize(("tuned", "kept"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_a_server_that_forgets_commits_in_a_crash_is_told_not_to(postgres_url: str, tuned: str, kept: str) -> None:
    """What was committed before a bundle left must be there when the card comes back."""
    engine = make_engine(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as administrator:
        administrator.execute(f"ALTER DATABASE {engine.url.database} SET synchronous_commit = {tuned}")
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == kept
        connection.rollback()
        assert connection.scalar(text("SHOW synchronous_commit")) == kept
    engine.dispose()
