"""Hides how a long list knows its length: counted exactly as far as somebody pages, beyond that as the server expects.

Counting a million rows takes longer than reading the page of them that is shown. PostgreSQL keeps statistics of every
table and makes an estimate of them in a millisecond (EXPLAIN; PostgreSQL 15, chapter 70); lists on SQLite are short
enough to be counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, literal, select, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, Executable

from uec.store.arrays import postgresql

COUNTED = 10_000
Value = TypeVar("Value")


@dataclass(frozen=True)
class Length:
    """How many rows there are: exactly, or about so many."""

    rows: int
    about: bool = False

    def __add__(self, other: "Length") -> "Length":
        """Both lists together."""
        return Length(self.rows + other.rows, self.about or other.about)


def length_of(
    session: Session, found: Select[*tuple[Any, ...]], *, offset: int = 0, limit: int = 0, shown: int = 0
) -> Length:
    """How many rows a query finds, of which a page has `shown` (of `limit` it asked for) from `offset` on.

    Exact up to 10,000 rows, on the last page, and on SQLite always.
    """
    behind = offset + shown if shown else 0
    if 0 < shown < limit:
        return Length(behind)
    bare = found.order_by(None)
    if not postgresql(session):
        return Length(session.scalar(select(func.count()).select_from(bare.subquery())) or 0)
    if behind < COUNTED:
        counted = session.scalar(select(func.count()).select_from(bare.limit(COUNTED + 1).subquery())) or 0
        if counted <= COUNTED:
            return Length(counted)
    return Length(max(behind, COUNTED, estimate_of(session, bare).rows), about=True)


def lengths_by(
    session: Session, column: InstrumentedAttribute[Value], values: Iterable[Value], *where: ColumnElement[bool]
) -> dict[Value, Length]:
    """How many rows have each of the values in a column; values that no row has are left out."""
    if not postgresql(session):
        grouped = session.execute(select(column, func.count()).where(*where).group_by(column))
        counts = {value: Length(count) for value, count in grouped}
        return {value: counts[value] for value in values if value in counts}
    asked = list(values)
    having = [select(literal(1)).where(column == value, *where) for value in asked]
    parts = [select(func.count()).select_from(one.limit(COUNTED + 1).subquery()).scalar_subquery() for one in having]
    numbered = union_all(*(select(literal(number), part) for number, part in enumerate(parts)))
    found = {}
    for number, count in session.execute(numbered):
        many = count > COUNTED
        found[number] = Length(max(COUNTED, estimate_of(session, having[number]).rows) if many else count, about=many)
    return {value: found[number] for number, value in enumerate(asked) if found[number].rows}


class _Explained(Executable, ClauseElement):
    """A statement that is planned and not run."""

    inherit_cache = False

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        """Take what is planned."""
        self.statement = statement


@compiles(_Explained, "postgresql")
def _explain(element: _Explained, compiler: SQLCompiler, **words: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **words)}"


def estimate_of(session: Session, found: Select[*tuple[Any, ...]]) -> Length:
    """How many rows PostgreSQL's statistics promise, to two digits: more would be made up."""
    # A column of the query's own would tell the driver to read the plan as its value.
    bare = found.with_only_columns(literal(1), maintain_column_froms=True)
    plan = session.execute(_Explained(bare)).scalar_one()
    rows = int(plan[0]["Plan"]["Plan Rows"])
    return Length(round(rows, 2 - len(str(rows))), about=True)
