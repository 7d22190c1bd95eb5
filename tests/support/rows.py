"""Rows for tests: any table's row with plausible filler in every required column, parents included."""

import itertools
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ARRAY, Column, Connection, String, Table, insert, select
from sqlalchemy.types import JSON, BigInteger, Boolean, Date, Integer, LargeBinary, Text

from uec.domain.lifecycle import INITIAL
from uec.store.columns import Coded, UtcDateTime
from uec.store.tables import metadata

NOW = datetime(2014, 6, 2, 9, 30, tzinfo=UTC)
_numbers = itertools.count(1)


def make_row(connection: Connection, table: str, **values: Any) -> Any:
    """Insert a row, filling what is required and not given; return its first primary key value."""
    target = metadata.tables[table]
    row = dict(values)
    for column in target.columns:
        if column.name not in row and _required(column):
            row[column.name] = _filler(connection, target, column)
    key = next(iter(target.primary_key.columns))
    result = connection.execute(insert(target).values(**row).returning(key))
    return result.scalar_one()


def read(connection: Connection, table: str, key: Any, column: str) -> Any:
    """Return one value of a row by its primary key."""
    target = metadata.tables[table]
    first = next(iter(target.primary_key.columns))
    return connection.execute(select(target.c[column]).where(first == key)).scalar_one()


def _required(column: Column[Any]) -> bool:
    generated = column.primary_key and column.autoincrement and isinstance(column.type, Integer | BigInteger)
    return not column.nullable and column.computed is None and not (generated and not column.foreign_keys)


def _filler(connection: Connection, table: Table, column: Column[Any]) -> Any:
    for key in column.foreign_keys:
        if key.column.table is not table:
            return make_row(connection, key.column.table.name)
    number = next(_numbers)
    if column.name == "state" and table.name in INITIAL:
        return sorted(INITIAL[table.name])[-1]
    if column.name == "sex":
        return "F"
    if column.name == "oktmo":
        return f"{number:08}"
    kind = column.type
    if isinstance(kind, Coded):
        return next(iter(kind.kind.__members__.values()))
    fillers: list[tuple[type | tuple[type, ...], Any]] = [
        (Boolean, True),
        ((Integer, BigInteger), number),
        (UtcDateTime, NOW),
        (Date, date(2014, 6, 2)),
        (LargeBinary, number.to_bytes(32)),
        (JSON, {}),
        (ARRAY, [1]),
        ((String, Text), f"{number}"),
    ]
    return next(value for known, value in fillers if isinstance(kind, known))
