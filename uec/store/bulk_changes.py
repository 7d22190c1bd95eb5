"""Hides how many rows each get values of their own: one UPDATE over arrays on PostgreSQL, else executemany."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Integer, LargeBinary, String, Update, bindparam, func, literal, update
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from uec.store.arrays import postgresql
from uec.store.columns import Table

Rows = Sequence[Mapping[str, Any]]
_GIVEN = "given_"


def change_rows(
    session: Session,
    table: type[Table],
    key: str,
    rows: Rows,
    *where: ColumnElement[bool],
    same: Mapping[str, Any] | None = None,
) -> int:
    """Write numbers, texts or bytes of `rows` (all with the same columns) into the rows that have their `key`.

    `same` are values that all get. Rows for which `where` does not hold are left alone. Returns how many were written;
    the caller commits.
    """
    if not rows:
        return 0
    session.flush()
    names = [name for name in rows[0] if name != key]
    columns = table.__table__.c
    if postgresql(session):
        arrays = [literal([row[name] for row in rows], _array(columns[name].type)) for name in (key, *names)]
        given = func.unnest(*arrays).table_valued(key, *names).render_derived()
        own: dict[str, Any] = {name: given.c[name] for name in names}
        change = _change(table, key, given.c[key], *where).values(own | dict(same or {}))
        return session.connection().execute(change).rowcount
    own = {name: bindparam(_GIVEN + name, type_=columns[name].type) for name in names}
    change = _change(table, key, bindparam(_GIVEN + key), *where).values(own | dict(same or {}))
    return session.connection().execute(change, [{_GIVEN + name: row[name] for name in row} for row in rows]).rowcount


def _change(table: type[Table], key: str, given: ColumnElement[Any], *where: ColumnElement[bool]) -> Update:
    return update(table.__table__).where(table.__table__.c[key] == given, *where)  # type: ignore[arg-type]


def _array(kind: TypeEngine[Any]) -> ARRAY[Any]:
    """The array of a column's plain type: what a type of ours turns into is its rows' business."""
    return ARRAY(kind if isinstance(kind, Integer | LargeBinary) else String())
