"""Moves rows of a state machine: one row on evidence, or a whole set in one statement, each with its audit entries.

The guard of the lifecycle table is taken before the statement, the database repeats it (`uec.store.guards`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, null, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from uec.domain.actors import Actor
from uec.domain.errors import Stale
from uec.domain.lifecycle import MACHINES, CardEvent, CardState, advance
from uec.services.rows import locked, missing
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Application, Batch, Card

Moving = Application | Batch | Card


@dataclass(slots=True)
class CardNow:
    """A locked card as far as its journal moves it: no entity, so that a move is one statement and nothing else."""

    id: int
    number: str
    state: CardState
    chip_id: str | None
    batch_id: int
    application_id: int
    resident_id: int | None


def card_now(session: Session, card_id: int) -> CardNow:
    """The card as it is, locked against other writers until the transaction ends; raises `NotFound`."""
    session.flush()
    row = session.connection().execute(_card_now(), {"this": card_id}).first()
    if row is None:
        raise missing(Card, card_id)
    return CardNow(*row)


@cache
def _card_now() -> Any:
    columns = [Card.__table__.c[name] for name in CardNow.__slots__]
    return select(*columns).where(Card.id == bindparam("this")).with_for_update(key_share=True)


def change(session: Session, card: CardNow, **values: Any) -> None:
    """Write facts of a locked card; its state is `step`'s."""
    wanted = {"this": card.id, "before": card.state, "target": card.state} | _new(values)
    session.connection().execute(_stepping(Card, tuple(values)), wanted)
    if "chip_id" in values:
        card.chip_id = values["chip_id"]


def step(
    session: Session, card: CardNow, event: CardEvent, *, actor: Actor, now: datetime, values: Mapping[str, Any]
) -> None:
    """Advance a locked card and write `values` with it, in one statement; raises `IllegalMove`."""
    before, card.state = card.state, advance(MACHINES["card"], card.state, event)
    wanted = {"this": card.id, "before": before, "target": card.state} | _new(values)
    if session.connection().execute(_stepping(Card, tuple(values)), wanted).first() is None:
        raise Stale("Somebody else has changed this card meanwhile; put it in again.")
    if "chip_id" in values:
        card.chip_id = values["chip_id"]
    _tell(session, Card, card.id, event, (before, card.state), card.resident_id, actor, now)


def step_of(
    session: Session,
    kind: type[Moving],
    row_id: int,
    event: StrEnum,
    *,
    actor: Actor,
    now: datetime,
    values: Mapping[str, Any],
) -> None:
    """Advance one row by its id, whatever state it is in that allows the event; raises `IllegalMove`."""
    for (before, known), target in MACHINES[kind.__tablename__].items():
        if known != event:
            continue
        wanted = {"this": row_id, "before": before, "target": target} | _new(values)
        moved: Row[Any] | None = session.connection().execute(_stepping(kind, tuple(values)), wanted).first()
        if moved is not None:
            _tell(session, kind, row_id, event, (before, target), moved[0], actor, now)
            return
    move(session, locked(session, kind, row_id), event, actor=actor, now=now)  # says why not


@cache
def _stepping(kind: type[Moving], names: tuple[str, ...]) -> Any:
    """UPDATE of a row that is in the state it is thought to be in; built once for each kind and set of columns."""
    table = kind.__table__
    there = (table.c.id == bindparam("this"), table.c.state == bindparam("before"))
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    person = table.c.resident_id if "resident_id" in table.c else table.c.id
    changed = update(table).where(*there).values(state=bindparam("target"), version=table.c.version + 1, **values)  # type: ignore[arg-type]
    return changed.returning(person)


def _new(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()}


def _tell(
    session: Session,
    kind: type[Moving],
    row_id: int,
    event: StrEnum,
    between: tuple[StrEnum, StrEnum],
    person_id: int | None,
    actor: Actor,
    now: datetime,
) -> None:
    table, (before, after) = kind.__tablename__, between
    details = {"from": str(before), "to": str(after)}
    person = None if kind is Batch else person_id
    audit.record_many(
        session, [Note(actor.reference, f"{table}.{event.lower()}", table, str(row_id), now, person, details)]
    )


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
    moved = move_found(session, kind, event, *where, actor=actor, now=now, values=values, details=details)
    return [row.id for row in moved]


def move_found(
    session: Session,
    kind: type[Moving],
    event: StrEnum,
    *where: ColumnElement[bool],
    columns: Sequence[InstrumentedAttribute[Any]] = (),
    actor: Actor,
    now: datetime,
    values: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> list[Row[Any]]:
    """Like `move_all`; returns rows of the id, the person (None for a batch) and the columns, by id."""
    table = kind.__tablename__
    resident = kind.__table__.c.get("resident_id")
    person: ColumnElement[Any] = null() if resident is None else resident
    moved: list[Row[Any]] = []
    for (state, known), target in MACHINES[table].items():
        if known != event:
            continue
        change = update(kind).where(kind.state == state, *where)
        change = change.values(state=target, version=kind.version + 1, **(values or {}))
        found = change.returning(kind.id, person.label("person_id"), *columns)
        moved += session.execute(found, execution_options={"synchronize_session": False}).all()
    moved.sort(key=lambda row: row.id)
    action, told = f"{table}.{event.lower()}", details or {}
    audit.record_many(
        session, [Note(actor.reference, action, table, str(row.id), now, row.person_id, told) for row in moved]
    )
    return moved
