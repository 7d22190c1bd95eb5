"""Hides how numbers come without gaps or duplicates: one row a series, raised in the transaction that uses the number.

The row lock of the UPDATE holds until the caller commits, so two transactions never see the same number, and a
transaction that is rolled back gives its numbers back.
"""

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from uec.store.tables import NumberSeries


def take(session: Session, series: str, *, count: int = 1) -> range:
    """Take the next `count` numbers of a series, from 1; the caller's transaction decides whether they count."""
    raised = update(NumberSeries).where(NumberSeries.name == series).values(next=NumberSeries.next + count)
    after = session.scalar(raised.returning(NumberSeries.next))
    if after is None:  # the first ones of a series
        insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
        session.execute(insert(NumberSeries).values(name=series, next=1).on_conflict_do_nothing())
        after = session.execute(raised.returning(NumberSeries.next)).scalar_one()
    return range(after - count, after)


def peek(session: Session, series: str) -> int:
    """The number that would come next; for tests and reports, never for use."""
    return session.scalar(select(NumberSeries.next).where(NumberSeries.name == series)) or 1
