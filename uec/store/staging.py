"""Hides how checked rows of the register get into the database by the million: a staging table, then set-based moves.

PostgreSQL: COPY into a temporary table. SQLite: executemany into a temporary table. The moves are the same SQL: what
stands twice in the file is taken out, what is known and different is updated, what is new is inserted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import psycopg
from sqlalchemy import Connection, DateTime, bindparam, text
from sqlalchemy.orm import Session

from uec.domain.errors import StoreUnavailable
from uec.domain.register_row import COLUMNS, JOINT
from uec.store.engine import explain

NULLABLE = frozenset({"patronymic", "oms", "fias", "phone", "email", "death_date"})
DATES = frozenset({"birth_date", "doc_date", "death_date"})
# Any fixed number: the key of PostgreSQL's advisory lock that keeps two imports apart.
_LOCK = 20_111_2011


@dataclass(frozen=True)
class Moved:
    """How many rows were moved from the staging table."""

    inserted: int
    updated: int


class Staging:
    """A temporary table of the session's transaction: line, digest in hex, one text column for each of `COLUMNS`."""

    def __init__(self, session: Session) -> None:
        """Create the table; raise `StoreUnavailable` while another import runs."""
        self.connection: Connection = session.connection()
        self.postgresql = self.connection.dialect.name == "postgresql"
        if self.postgresql:
            self._require_alone()
        ending = " ON COMMIT DROP" if self.postgresql else ""
        columns = ", ".join(f"{column} TEXT NOT NULL" for column in COLUMNS)
        self.connection.execute(
            text(f"CREATE TEMPORARY TABLE register_staging (line BIGINT, digest TEXT, {columns}){ending}")
        )

    def _require_alone(self) -> None:
        alone = self.connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}).scalar_one()
        if not alone:
            raise StoreUnavailable("Another import of the register is running; wait for its end and run it again.")

    def loader(self) -> "Loader":
        """Return the context that takes rows."""
        return CopyLoader(self.connection) if self.postgresql else Loader(self.connection)

    def take_out_duplicates(self) -> list[tuple[int, int]]:
        """Remove every row whose register_id stood earlier in the file; return (its line, the earlier line)."""
        self.connection.execute(text("CREATE INDEX register_staging_key ON register_staging (register_id)"))
        if self.postgresql:
            self.connection.execute(text("ANALYZE register_staging"))
        doubles = """
            FROM register_staging s JOIN (
                SELECT register_id, min(line) AS first FROM register_staging GROUP BY register_id HAVING count(*) > 1
            ) d ON d.register_id = s.register_id
            WHERE s.line > d.first"""
        found = self.connection.execute(text(f"SELECT s.line, d.first {doubles} ORDER BY s.line"))
        pairs = [(line, first) for line, first in found]
        if pairs:
            self.connection.execute(text(f"DELETE FROM register_staging WHERE line IN (SELECT s.line {doubles})"))  # noqa: S608
        return pairs

    def move(self, *, now: datetime, import_id: int) -> Moved:
        """Update what is known and different, insert what is new, drop the table."""
        digest = "decode(s.digest, 'hex')" if self.postgresql else "s.digest"
        values = {column: self._value(column) for column in COLUMNS}
        values |= {"row_digest": digest, "updated_at": ":now", "import_id": ":import_id"}
        changes = ", ".join(f"{column} = {value}" for column, value in values.items() if column != "register_id")
        facts = {"now": now, "import_id": import_id}
        updated = self._execute(
            f"UPDATE resident SET {changes} FROM register_staging s "  # noqa: S608 - column names of ours
            f"WHERE resident.register_id = s.register_id AND resident.row_digest <> {digest}",
            facts,
        )
        inserted = self._execute(
            f"INSERT INTO resident ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608
            "FROM register_staging s WHERE NOT EXISTS "
            "(SELECT 1 FROM resident r WHERE r.register_id = s.register_id) ORDER BY s.line",
            facts,
        )
        self.connection.execute(text("DROP TABLE register_staging"))
        return Moved(inserted, updated)

    def _execute(self, statement: str, facts: dict[str, Any]) -> int:
        typed = text(statement).bindparams(bindparam("now", type_=DateTime(timezone=True)))
        return int(self.connection.execute(typed, facts).rowcount)

    def _value(self, column: str) -> str:
        value = f"NULLIF(s.{column}, '')" if column in NULLABLE else f"s.{column}"
        return f"CAST({value} AS DATE)" if self.postgresql and column in DATES else value


# Line in the file, digest in hex, canonical values joined by JOINT.
StagedRow = tuple[int, str, str]


class Loader:
    """Takes staged rows on SQLite."""

    def __init__(self, connection: Connection) -> None:
        """Prepare the statement on the connection of the transaction."""
        self._connection = connection
        marks = ", ".join("?" * (len(COLUMNS) + 2))
        self._statement = f"INSERT INTO register_staging VALUES ({marks})"  # noqa: S608 - marks only

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def load(self, rows: Iterable[StagedRow]) -> None:
        """Take rows."""
        batch = [(line, bytes.fromhex(digest), *values.split(JOINT)) for line, digest, values in rows]
        if batch:
            self._connection.exec_driver_sql(self._statement, batch)


class CopyLoader(Loader):
    """Takes staged rows on PostgreSQL, by COPY in its text format."""

    def __init__(self, connection: Connection) -> None:
        """Use the driver's own connection, inside the transaction of the session."""
        driver: Any = connection.connection.driver_connection
        self._cursor = driver.cursor()

    def __enter__(self) -> Self:
        """Begin the COPY."""
        self._context = self._cursor.copy("COPY register_staging FROM STDIN")
        self._copy = self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the COPY, or take it back after an error."""
        try:
            self._context.__exit__(kind, error, trace)
        except psycopg.Error as failed:
            raise explain(failed) or failed from failed
        finally:
            self._cursor.close()

    def load(self, rows: Iterable[StagedRow]) -> None:
        """Take rows; the joint is the separator of COPY's text format, and values have no line break."""
        data = "".join([f"{line}\t{digest}\t{values}\n" for line, digest, values in rows])
        try:
            self._copy.write(data.replace("\\", "\\\\"))
        except psycopg.Error as failed:
            raise explain(failed) or failed from failed
