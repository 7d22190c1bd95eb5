"""Hides how a database gets the tables of this version: Alembic, one transaction, one migrator at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from uec.domain.errors import StoreUnavailable
from uec.store.engine import make_engine

# Any fixed number: the key of PostgreSQL's advisory lock that keeps two migrators apart.
_LOCK = 20_111_2010


def configuration(connection: Connection) -> Config:
    """Return Alembic's configuration for one open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(url: str | URL, revision: str = "head") -> None:
    """Bring the database up to the revision; a database that is there already is left as it is."""
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            _wait_for_other_migrators(connection)
            command.upgrade(configuration(connection), revision)
    except CommandError as error:
        raise StoreUnavailable(
            f"The database cannot be upgraded: {error}; it was made by a newer version of the program."
        ) from error
    finally:
        engine.dispose()


def downgrade(url: str | URL, revision: str = "base") -> None:
    """Take the tables back to an earlier revision; everything in dropped tables is lost."""
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            command.downgrade(configuration(connection), revision)
    finally:
        engine.dispose()


def revisions(url: str | URL) -> tuple[str | None, str | None]:
    """The revision that the database stands at, None before it has tables, and the newest one.

    Raises `StoreUnavailable` for a database that a newer version of the program has made.
    """
    engine = make_engine(url)
    try:
        # Only read: a long import elsewhere must not keep a command from starting.
        with engine.connect().execution_options(sqlite_read_only=True) as connection:
            present = MigrationContext.configure(connection).get_current_revision()
            known = ScriptDirectory.from_config(configuration(connection))
    finally:
        engine.dispose()
    if present is not None and present not in {one.revision for one in known.walk_revisions()}:
        raise StoreUnavailable(
            f"The database is at the revision {present}, which this version of the program does not know: go on with "
            "the newer one that made it."
        )
    return present, known.get_current_head()


def require_current(url: str | URL) -> None:
    """Raise `StoreUnavailable` unless the database stands at the newest revision."""
    present, wanted = revisions(url)
    if present != wanted:
        raise StoreUnavailable(
            f"The database is at the revision {present or 'none'}, the program needs {wanted}; run `uec init`."
        )


def _wait_for_other_migrators(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
