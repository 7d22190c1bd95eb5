"""Hides how a page far down a list is found: beside the row that another page ended with, not by counting rows off.

What an OFFSET skips is read all the same (PostgreSQL 15, 7.6), and in the table itself where somebody is writing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session


@dataclass(frozen=True)
class Seek:
    """Where a page begins: `offset` rows down; where it is known, behind the row with one id, or before another."""

    offset: int = 0
    after: int | None = None
    before: int | None = None


def ids_of(
    session: Session, wanted: Select[int], order: Sequence[InstrumentedAttribute[Any]], seek: Seek, *, limit: int
) -> Sequence[int]:
    """The ids of a page in the order of the columns, of which the last one is the id itself."""
    mark = seek.after if seek.after is not None else seek.before
    found = None if mark is None else session.execute(select(*order).where(order[-1] == mark)).one_or_none()
    if found is None:
        return session.scalars(wanted.order_by(*order).limit(limit).offset(seek.offset)).all()
    here, beside = tuple_(*order), tuple_(*found)
    if seek.after is not None:
        return session.scalars(wanted.where(here > beside).order_by(*order).limit(limit)).all()
    backwards = wanted.where(here < beside).order_by(*(column.desc() for column in order))
    return session.scalars(backwards.limit(limit)).all()[::-1]
