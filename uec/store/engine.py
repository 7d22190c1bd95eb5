"""Hides which database it is: pragmas, write locks and drivers of SQLite and PostgreSQL, and how each says "not now".

SQLite: WAL, foreign keys on, every transaction begins IMMEDIATE, so that two writers queue instead of failing half way.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from uec.domain.errors import IllegalMove, InvalidSettings, Stale, StoreUnavailable, UecError
from uec.store.guards import ILLEGAL_BIRTH, ILLEGAL_MOVE

BUSY_TIMEOUT_S = 10.0


def database_url(url: str | URL) -> URL:
    """Return the URL with the project's driver (psycopg 3) filled in; raise `InvalidSettings` for another database."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidSettings(
            "database_url is not a database address; write sqlite:///PATH or postgresql://HOST/NAME.",
            key="database_url",
            near=None,
        ) from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return parsed.set(drivername="sqlite+pysqlite")
    raise InvalidSettings(
        f"database_url names the database {backend}; use sqlite or postgresql.", key="database_url", near=None
    )


def make_engine(url: str | URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Return an engine for the address; nothing is opened yet. Its errors and logs show no values."""
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": busy_timeout_s})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    else:
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": 10})
        event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "handle_error", _translate)
    return engine


class OfficeSession(Session):
    """A session that says `Stale` when somebody else changed a row meanwhile (its version moved on)."""

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Write what is pending."""
        try:
            super().flush(objects)
        except StaleDataError as error:
            raise Stale("Somebody else has changed this meanwhile; reload it, look again and decide anew.") from error


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Return the factory of sessions; rows stay readable after the commit."""
    return sessionmaker[Session](engine, class_=OfficeSession, expire_on_commit=False)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver must not begin transactions by itself: `_begin_immediate` does.
    connection.isolation_level = None
    try:
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.Error as error:
        raise explain(error) or error from error


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    # A server that was "tuned" to forget its last commits in a crash would leave cards with keys that nobody knows.
    import psycopg  # noqa: PLC0415 - loaded already, where there is a connection of it

    try:
        connection.autocommit = True
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.autocommit = False
    except psycopg.Error as error:
        raise explain(error) or error from error


def _begin_immediate(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("sqlite_read_only") else "BEGIN IMMEDIATE")


_BUSY = ("database is locked", "database table is locked", "lock timeout", "deadlock detected")
_FULL = ("database or disk is full", "disk i/o error", "no space left on device", "could not extend file")
_FOREIGN = ("file is not a database", "database disk image is malformed")
_AWAY = ("unable to open database file", "connection", "server closed", "attempt to write a readonly database")


def explain(error: Exception) -> UecError | None:
    """Return the clear error for a refused move or a database that cannot be used now, or None for another kind.

    `error` is the driver's own exception.
    """
    text = (str(error).splitlines() or [""])[0]
    said = text.lower()
    if ILLEGAL_MOVE in said or ILLEGAL_BIRTH in said:
        return IllegalMove(f"The database refused an {text}; reload the page and look at the present state.")
    if any(mark in said for mark in _FULL):
        return StoreUnavailable("The disk of the database is full; free some space and run it again. Nothing was kept.")
    if any(mark in said for mark in _BUSY):
        return StoreUnavailable(
            "The database is locked by another process; wait for it to end, or stop it, and run it again."
        )
    if any(mark in said for mark in _FOREIGN):
        return StoreUnavailable(
            "The file named by database_url is damaged or no database; name another one, or restore it from a backup."
        )
    if _is_away(error, said):
        return StoreUnavailable(
            "The database cannot be reached or opened; check database_url, the folder's rights, and the server."
        )
    return None


def _is_away(error: Exception, said: str) -> bool:
    """Whether the driver says that there is no server to talk to (any more), in one of its many ways.

    PostgreSQL's SQLSTATE classes: 08 connection exception, 53 insufficient resources, 57P0x operator intervention (the
    server is stopped, crashed or just starting). An error of the driver itself carries none.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "OperationalError" in kinds and any(mark in said for mark in _AWAY):
        return True
    if not type(error).__module__.startswith("psycopg") or not kinds & {"OperationalError", "InterfaceError"}:
        return False
    state = getattr(error, "sqlstate", None)
    return state is None or state[:2] in ("08", "53") or state.startswith("57P0")


def _translate(context: ExceptionContext) -> None:
    # A connection of the pool that turns out dead is replaced in silence: that is what the pool asks it for.
    if isinstance(context.sqlalchemy_exception, DBAPIError) and not context.is_pre_ping:
        clear = explain(context.original_exception) if isinstance(context.original_exception, Exception) else None
        if clear is not None:
            raise clear from context.sqlalchemy_exception


@contextmanager
def reading(factory: sessionmaker[Session]) -> Iterator[Session]:
    """Give a session that only reads: on SQLite it takes no write lock, so pages never wait for a writer."""
    with factory() as session:
        session.connection(execution_options={"sqlite_read_only": True})
        yield session
