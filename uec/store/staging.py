"""Hides how checked rows of the register get into the database by the million: a staging table, then set-based moves.

Rows are staged part by part, each part in a transaction of its own together with how far it came; what is staged
survives the importer. Then one transaction moves everything: what stands twice in the file is taken out, what is known
and different is updated, what is new is inserted. PostgreSQL takes rows by COPY, SQLite by executemany.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, DateTime, Engine, bindparam, delete, func, insert, select, text
from sqlalchemy.orm import Session

from uec.domain.errors import StoreUnavailable
from uec.domain.register_row import COLUMNS, JOINT
from uec.store.engine import explain
from uec.store.tables.people import Resident, register_reject, register_staging

NULLABLE = frozenset({"patronymic", "oms", "fias", "phone", "email", "death_date"})
DATES = frozenset({"birth_date", "doc_date", "death_date"})
SLICE = 50_000
CHUNK = 10_000
# Any fixed number: the key of PostgreSQL's advisory lock that keeps two imports apart.
_LOCK = 20_111_2011
ALONE = "Another import of the register is running; wait for its end and run it again."

# Line in the file, digest, canonical values joined by JOINT.
StagedRow = tuple[int, bytes, str]
# Line in the file, line of the reject file.
Reject = tuple[int, str]


@dataclass(frozen=True)
class Moved:
    """How many rows were moved from the staging table."""

    inserted: int
    updated: int


@contextmanager
def alone(session: Session) -> Iterator[None]:
    """Hold the right to import, across transactions; raise `StoreUnavailable` while another import runs."""
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar_one():
                raise StoreUnavailable(ALONE)
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    elif engine.url.database and engine.url.database != ":memory:":
        with _locked_file(Path(f"{engine.url.database}-import")):
            yield
    else:
        yield


@contextmanager
def _locked_file(path: Path) -> Iterator[None]:
    """A lock that ends with its process, however that ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or not os.path.samestat(path.stat(), os.fstat(handle)):
                raise BlockingIOError  # it was just taken away by the one who ended
        except BlockingIOError:
            raise StoreUnavailable(ALONE) from None
        yield
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    finally:
        os.close(handle)


class Staging:
    """The staged rows and rejects of the one import under way."""

    def __init__(self, session: Session) -> None:
        """Work in the transactions of the session."""
        self._session = session
        self._postgresql = session.get_bind().dialect.name == "postgresql"

    @property
    def _connection(self) -> Connection:
        return self._session.connection()

    def clear(self) -> None:
        """Forget what is staged and refused."""
        for table in (register_staging, register_reject):
            self._connection.execute(text(f"TRUNCATE {table.name}") if self._postgresql else delete(table))

    def count(self) -> int:
        """Rows that are staged."""
        return self._session.scalar(select(func.count()).select_from(register_staging)) or 0

    def rejected(self) -> int:
        """Rows that were refused."""
        return self._session.scalar(select(func.count()).select_from(register_reject)) or 0

    def load(self, rows: list[StagedRow], refused: list[Reject]) -> None:
        """Stage a part; the caller commits."""
        if refused:
            self.refuse(refused)
        if rows and self._postgresql:
            self._copy(rows)
        elif rows:
            marks = ", ".join("?" * (len(COLUMNS) + 2))
            batch = [(line, digest, *values.split(JOINT)) for line, digest, values in rows]
            self._connection.exec_driver_sql(f"INSERT INTO register_staging VALUES ({marks})", batch)  # noqa: S608

    def refuse(self, refused: Iterable[Reject]) -> None:
        """Keep refused rows for the reject file."""
        values = [{"line": line, "text": written} for line, written in refused]
        if values:
            self._connection.execute(insert(register_reject), values)

    def _copy(self, rows: list[StagedRow]) -> None:
        # The joint is the separator of COPY's text format, and values have no line break.
        data = "".join([f"{line}\t\\x{digest.hex()}\t{values}\n" for line, digest, values in rows])
        driver: Any = self._connection.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy("COPY register_staging FROM STDIN") as copy:
                copy.write(data.replace("\\", "\\\\"))
        except psycopg.Error as failed:
            raise explain(failed) or failed from failed

    def refused_lines(self) -> Iterator[str]:
        """The lines of the reject file in the order of the register's file."""
        found = select(register_reject.c.text).order_by(register_reject.c.line).execution_options(yield_per=CHUNK)
        yield from self._session.scalars(found)

    def doubles(self) -> Iterator[tuple[int, int]]:
        """Each line whose register_id stood earlier in the file, with the earlier line; by lines."""
        if self._postgresql:
            self._connection.execute(text("ANALYZE register_staging"))
        found = text(f"SELECT s.line, d.first {_DOUBLES} ORDER BY s.line")
        rows = self._connection.execute(found, execution_options={"yield_per": CHUNK})
        yield from ((line, first) for line, first in rows)

    def take_out_doubles(self) -> int:
        """Remove what `doubles` tells; returns how many."""
        return int(
            self._connection.execute(
                text(f"DELETE FROM register_staging WHERE line IN (SELECT s.line {_DOUBLES})")  # noqa: S608
            ).rowcount
        )

    def move(self, *, now: datetime, import_id: int, progress: Callable[[int], None]) -> Moved:
        """Update what is known and different, insert what is new; `progress(last line moved)` after each slice."""
        values = {column: self._value(column) for column in COLUMNS}
        values |= {"row_digest": "s.digest", "updated_at": ":now", "import_id": ":import_id"}
        facts: dict[str, Any] = {"now": now, "import_id": import_id}
        known = self._session.scalar(select(Resident.id).limit(1)) is not None
        changes = ", ".join(f"{column} = {value}" for column, value in values.items() if column != "register_id")
        updated = inserted = 0
        if known:
            updated = self._execute(
                f"UPDATE resident SET {changes} FROM register_staging s "  # noqa: S608 - column names of ours
                "WHERE resident.register_id = s.register_id AND resident.row_digest <> s.digest",
                facts,
            )
        fresh = "AND NOT EXISTS (SELECT 1 FROM resident r WHERE r.register_id = s.register_id)" if known else ""
        addition = (
            f"INSERT INTO resident ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608
            f"FROM register_staging s WHERE s.line BETWEEN :first AND :last {fresh} ORDER BY s.line"
        )
        end = self._session.scalar(select(func.max(register_staging.c.line))) or 0
        for first in range(0, end + 1, SLICE):
            inserted += self._execute(addition, facts | {"first": first, "last": first + SLICE - 1})
            progress(min(first + SLICE - 1, end))
        if self._postgresql and inserted + updated >= SLICE:
            # What comes next joins the whole register, and a server that knows it as empty would look people up singly.
            self._connection.execute(text("ANALYZE resident"))
        return Moved(inserted, updated)

    def _execute(self, statement: str, facts: dict[str, Any]) -> int:
        typed = text(statement).bindparams(bindparam("now", type_=DateTime(timezone=True)))
        return int(self._connection.execute(typed, facts).rowcount)

    def _value(self, column: str) -> str:
        value = f"NULLIF(s.{column}, '')" if column in NULLABLE else f"s.{column}"
        return f"CAST({value} AS DATE)" if self._postgresql and column in DATES else value


_DOUBLES = """
    FROM register_staging s JOIN (
        SELECT register_id, min(line) AS first FROM register_staging GROUP BY register_id HAVING count(*) > 1
    ) d ON d.register_id = s.register_id
    WHERE s.line > d.first"""
