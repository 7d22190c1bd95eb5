"""Hides how a million rows get into a table in seconds: guards are off, indexes are made when the rows lie there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = ANY(%s::text[]::regclass[]) AND NOT indisunique
"""


@contextmanager
def loading(url: str, *tables: str) -> Iterator[psycopg.Connection]:
    """A connection for statements that fill tables; what they refer to is there, so nothing is looked up row by row."""
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("session_replication_role = replica", "synchronous_commit = off", "work_mem = '256MB'"):
            connection.execute(f"SET {setting}".encode())
        connection.execute(b"SET maintenance_work_mem = '256MB'")
        indexes = connection.execute(_INDEXES, [list(tables)]).fetchall()
        for name, _definition in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        yield connection
        for _name, definition in indexes:
            connection.execute(definition.encode())
        connection.execute(b"VACUUM ANALYZE")
        # Half a year in a minute leaves gigabytes to be written, which whatever is measured next would wait for.
        connection.execute(b"CHECKPOINT")
