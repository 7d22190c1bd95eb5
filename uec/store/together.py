"""Several statements in one trip to the database: PostgreSQL's pipeline mode, elsewhere one after the other.

For the few places where the way there and back, and what SQLAlchemy does around each statement, cost more than the
statement. Values come back as the driver gives them: numbers, texts, days, bytes; no enum of ours and no moment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Dialect, Executable, text
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ClauseElement

from uec.store.engine import explain


class Step(NamedTuple):
    """A statement that is built once and kept, with what its open parameters are this time."""

    statement: Executable
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The rows of a step (none where it gives none), and how many it changed or found."""

    rows: Sequence[tuple[Any, ...]]
    count: int


def run_together(session: Session, steps: Sequence[Step]) -> list[Outcome]:
    """Run the steps in their order in the session's transaction; what each came to.

    When one fails, those behind it are not run and its error is raised. No step may have a list of open length.
    """
    connection = session.connection()
    if connection.dialect.name != "postgresql":
        done = [connection.execute(step.statement, dict(step.given)) for step in steps]
        return [Outcome([tuple(row) for row in one] if one.returns_rows else (), one.rowcount) for one in done]
    driver: Any = connection.connection.driver_connection
    asked = [_compiled(step.statement, connection.dialect) for step in steps]
    try:
        with driver.pipeline():
            cursors = [
                driver.execute(one.sql, one.values(step.given), binary=True)
                for step, one in zip(steps, asked, strict=True)
            ]
        return [Outcome(one.fetchall() if one.description else (), one.rowcount) for one in cursors]
    except psycopg.Error as error:
        if driver.closed:
            connection.invalidate(error)  # or the session would roll back on what is no connection any more
        raise explain(error) or error from error


_FLUSHED_LATER = text("SET LOCAL synchronous_commit = off")


def flushed_later(session: Session) -> list[Step]:
    """Let this transaction's commit not wait for the disk; for work that is done again when a crash forgets it.

    PostgreSQL's log is one: whatever is committed durably after it (the next step with such a card, say) makes it
    durable too, and a crash takes the last such transactions as a whole or not at all. SQLite waits all the same.
    """
    return [Step(_FLUSHED_LATER, {})] if session.get_bind().dialect.name == "postgresql" else []


@dataclass(frozen=True)
class _Text:
    """A statement as the driver takes it, with the parameters that are always the same."""

    sql: str
    fixed: Mapping[str, Any]
    turned: Mapping[str, Callable[[Any], Any]]
    """How open parameters of a type of ours are turned into what the driver takes."""

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values = {**self.fixed, **given}
        for name, turn in self.turned.items():
            values[name] = turn(values[name])
        return values


@lru_cache(maxsize=32)
def _compiled(statement: Executable, dialect: Dialect) -> _Text:
    assert isinstance(statement, ClauseElement)
    compiled: Any = statement.compile(dialect=dialect)
    turns = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()}
    fixed = {name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required}
    return _Text(
        str(compiled),
        {name: turns[name](value) if turns[name] else value for name, value in fixed.items()},
        {name: turn for name, turn in turns.items() if turn and name not in fixed},
    )
