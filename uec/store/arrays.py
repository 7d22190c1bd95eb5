"""Hides how a column of ids is looked into: arrays and their functions on PostgreSQL, JSON arrays on SQLite."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    String,
    TableValuedAlias,
    any_,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from uec.store.columns import IDS

Ids = InstrumentedAttribute[list[int]]


def postgresql(session: Session) -> bool:
    """Whether the database has arrays and COPY."""
    return session.get_bind().dialect.name == "postgresql"


def gathered_ids(session: Session, ids: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[list[int]]:
    """The ids of a group as one value, in no order; PostgreSQL gathers them with all its processes."""
    gather = func.gathered_ids if postgresql(session) else func.json_group_array
    return gather(ids, type_=IDS)


def each(session: Session, ids: Ids) -> tuple[TableValuedAlias, ColumnElement[int], ColumnElement[int]]:
    """The elements of a column as something to join, the id of each, and its place from 0."""
    if postgresql(session):
        rows = func.unnest(ids).table_valued("value", with_ordinality="key", joins_implicitly=True).render_derived()
        return rows, rows.c.value, rows.c.key - 1
    rows = func.json_each(ids).table_valued("value", "key", joins_implicitly=True)
    return rows, rows.c.value, rows.c.key


def holds(session: Session, ids: Ids, wanted: int) -> ColumnElement[bool]:
    """Whether an id is among those of a row."""
    if postgresql(session):
        return literal(wanted) == any_(ids)
    rows, value, _place = each(session, ids)
    return select(literal(1)).select_from(rows).where(value == wanted).exists()


def among(dialect: str, column: ColumnElement[Any], name: str, values: list[Any] | None = None) -> ColumnElement[bool]:
    """Whether a column's number or text is in the list that the parameter `name` gets, or has.

    One parameter on PostgreSQL, however long the list: a text with a thousand of them takes the driver longer to read
    than the server to answer.
    """
    if dialect != "postgresql":
        return column.in_(bindparam(name, values, expanding=True, required=values is None, unique=values is not None))
    kind = column.type if isinstance(column.type, Integer) else String()
    return column == any_(
        bindparam(name, values, type_=ARRAY(kind), required=values is None, unique=values is not None)
    )


def listed(session: Session, column: InstrumentedAttribute[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """The same with the list at once."""
    plain = column.expression
    return among(session.get_bind().dialect.name, plain, f"{plain.key}_listed", list(values))


def size(session: Session, ids: Ids) -> ColumnElement[int]:
    """How many ids a row has."""
    return func.cardinality(ids) if postgresql(session) else func.json_array_length(ids)
