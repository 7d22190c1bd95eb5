"""Moves rows of a state machine: one row on evidence, or a whole set in one statement, each with its audit entries.

The guard of the lifecycle table is taken before the statement, the database repeats it (`uec.store.guards`).
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import MACHINES, advance
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Application, Batch, Card

Moving = Application | Batch | Card


def move(
    session: Session,
    row: Moving,
    event: StrEnum,
    *,
    actor: Actor,
    now: datetime,
    action: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Advance one row, locked by the caller, and say so in the audit; raises `IllegalMove`."""
    table = type(row).__tablename__
    before = row.state
    row.state = advance(MACHINES[table], before, event)
    audit.record(
        session,
        actor=actor.reference,
        action=action or f"{table}.{event.lower()}",
        subject_kind=table,
        subject_id=row.id,
        person_id=getattr(row, "resident_id", None),
        details={"from": str(before), "to": str(row.state)} | dict(details or {}),
        now=now,
    )
    session.flush()


def move_all(
    session: Session,
    kind: type[Moving],
    event: StrEnum,
    *where: ColumnElement[bool],
    actor: Actor,
    now: datetime,
    values: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> list[int]:
    """Advance every row that fulfils `where` and whose state allows the event; returns their ids, in order.

    One UPDATE for each state the event may start from; rows in other states are left alone.
    """
    table = kind.__tablename__
    person = kind.id if kind is Batch else kind.resident_id  # type: ignore[union-attr]
    moved: list[tuple[int, int | None]] = []
    for (state, known), target in MACHINES[table].items():
        if known != event:
            continue
        change = update(kind).where(kind.state == state, *where)
        change = change.values(state=target, version=kind.version + 1, **(values or {}))
        rows = session.execute(change.returning(kind.id, person), execution_options={"synchronize_session": False})
        moved += [(row_id, person_id if kind is not Batch else None) for row_id, person_id in rows]
    moved.sort()
    audit.record_many(
        session,
        [
            Note(actor.reference, f"{table}.{event.lower()}", table, str(row_id), now, person_id, details or {})
            for row_id, person_id in moved
        ],
    )
    return [row_id for row_id, _ in moved]
