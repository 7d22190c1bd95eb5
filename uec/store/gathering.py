"""Hides how PostgreSQL is made to read a million rows with all its processes for a statement that writes what it finds.

A statement that writes is done by one process (PostgreSQL 15, 15.2 "When Can Parallel Query Be Used?"); one that fills
a new table from a query is not. So what is found lies in a temporary table for a moment. SQLite has one process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import FromClause, Select, column, table, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, Executable

from uec.store.arrays import postgresql
from uec.store.steering import TOGETHER, steered


class _Laid(Executable, ClauseElement):
    """A new temporary table with what a query finds; a statement that makes a table takes no parameters."""

    inherit_cache = False

    def __init__(self, name: str, query: Select[*tuple[Any, ...]]) -> None:
        self.name, self.query = name, query


@compiles(_Laid, "postgresql")
def _laid(element: _Laid, compiler: SQLCompiler, **words: Any) -> str:
    return f"CREATE TEMPORARY TABLE {element.name} AS {compiler.process(element.query, literal_binds=True, **words)}"


@contextmanager
def gathered(session: Session, name: str, query: Select[*tuple[Any, ...]]) -> Iterator[FromClause]:
    """What a query finds, as something to select from as long as the context lasts; `name` is free in the session."""
    if not postgresql(session):
        yield query.subquery(name)
        return
    with steered(session, TOGETHER):
        session.execute(_Laid(name, query))
    yield table(name, *(column(one.name, one.type) for one in query.selected_columns))
    session.execute(text(f"DROP TABLE {name}"))
