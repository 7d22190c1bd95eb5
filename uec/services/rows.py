"""Fetches one row to be changed: locked until the transaction ends, or `NotFound` in a sentence."""

import re
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.errors import NotFound
from uec.store.tables import Batch, Card

Entity = TypeVar("Entity")


def locked(session: Session, table: type[Entity], key: Any) -> Entity:
    """The row as it is now, locked against other writers; raises `NotFound`.

    Not against those that only refer to it: a row that is changed twice in a transaction has its foreign keys checked,
    which shares the rows they name, and two transactions that then lock such a row for good wait for each other.
    """
    return _found(session.get(table, key, with_for_update={"key_share": True}), table, key)


def locked_batch(session: Session, batch_id: int) -> Batch:
    """A batch and all its cards, locked; raises `NotFound`.

    Cards before their batch, in the order of the hub, so that neither waits for the other for ever.
    """
    session.execute(select(Card.id).where(Card.batch_id == batch_id).order_by(Card.id).with_for_update())
    return locked(session, Batch, batch_id)


def present(session: Session, table: type[Entity], key: Any) -> Entity:
    """The row for reading; raises `NotFound`."""
    return _found(session.get(table, key), table, key)


def _found(row: Entity | None, table: type[Entity], key: Any) -> Entity:
    if row is None:
        raise missing(table, key)
    return row


def missing(table: type[Any], key: Any) -> NotFound:
    """The error for a row that is not there."""
    kind = table.__name__
    called = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    return NotFound(
        f"There is no {called} {key}: look it up in its list and use the id shown there.", kind=kind, id=key
    )
