"""Hides how numbers come without gaps or duplicates: one row a series, raised in the transaction that uses the number.

The row lock of the UPDATE holds until the caller commits, so two transactions never see the same number, and a
transaction that is rolled back gives its numbers back.
"""

from functools import cache
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from uec.store.tables import NumberSeries


def take(session: Session, series: str, *, count: int = 1) -> range:
    """Take the next `count` numbers of a series, from 1; the caller's transaction decides whether they count."""
    wanted = {"series": series, "more": count}
    after = session.connection().execute(_raised(), wanted).scalar()
    if after is None:  # the first ones of a series
        insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
        session.execute(insert(NumberSeries).values(name=series, next=1).on_conflict_do_nothing())
        after = session.connection().execute(_raised(), wanted).scalar_one()
    return range(after - count, after)


def held(session: Session, series: str) -> bool:
    """Hold a series until the transaction ends, as whoever takes from it does; False at once where another one does.

    On SQLite, which has one writer, the session's first statement waits for that one.
    """
    row = select(NumberSeries.next).where(NumberSeries.name == series)
    mine = session.scalar(row.with_for_update(skip_locked=True))
    return mine is not None or session.scalar(row) is None


@cache
def _raised() -> Any:
    """Built once: whoever makes, holds or gives a card takes numbers."""
    series = NumberSeries.__table__
    raised = update(series).where(series.c.name == bindparam("series"))  # type: ignore[arg-type]
    return raised.values(next=series.c.next + bindparam("more")).returning(series.c.next)


def peek(session: Session, series: str) -> int:
    """The number that would come next; for tests and reports, never for use."""
    return session.scalar(select(NumberSeries.next).where(NumberSeries.name == series)) or 1
