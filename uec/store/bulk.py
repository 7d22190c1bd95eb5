"""Hides how plain rows get into a table by the ten thousand: COPY's text format on PostgreSQL, else executemany."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import insert
from sqlalchemy.orm import Session

from uec.store.columns import Table
from uec.store.engine import explain

CHUNK = 5_000
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Row = Mapping[str, Any]


def insert_rows(session: Session, table: type[Table], rows: Sequence[Row]) -> None:
    """Insert rows, all with the same columns, of numbers, texts, bytes, days, aware moments, objects of JSON and None.

    The caller commits.
    """
    if not rows:
        return
    if session.get_bind().dialect.name == "postgresql":
        copy_rows(session, table.__tablename__, tuple(rows[0]), rows)
        return
    for first in range(0, len(rows), CHUNK):
        session.execute(insert(table), rows[first : first + CHUNK])


def copy_rows(session: Session, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """COPY rows into columns of a table of the session's transaction, PostgreSQL only."""
    connection = session.connection()
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as out:
            for first in range(0, len(rows), CHUNK):
                # One write a chunk: a write for each row costs more than the server's own work.
                lines = ["\t".join([_text(row[name]) for name in columns]) for row in rows[first : first + CHUNK]]
                out.write("\n".join(lines) + "\n")
    except psycopg.Error as error:
        if driver.closed:
            connection.invalidate(error)  # or the session would roll back on what is no connection any more
        raise explain(error) or error from error


def _text(value: Any) -> str:
    """A value as COPY reads it; days and moments are written as ISO 8601."""
    if value is None:
        return "\\N"
    if isinstance(value, dict):
        value = json.dumps(value)
    if isinstance(value, str):
        return value.translate(_ESCAPED)
    return f"\\\\x{value.hex()}" if isinstance(value, bytes) else str(value)
