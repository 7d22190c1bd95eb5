"""Promised days that moved: listed when a plan is made, shown in the office, and told to the people by messages.

An entry has the day that was told and the day that is so now, until it is told again. A day that moves back before
anybody was told leaves the list, so that nobody hears of a plan that was none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.permissions import Permission
from uec.services import messages, plan_people
from uec.store import audit
from uec.store.tables import Application, Card, EmissionSlot, IssuancePoint, PromiseMove

CHUNK = 2000
UNTOLD = PromiseMove.told_at.is_(None)
LATER: ColumnElement[bool] = or_(PromiseMove.now.is_(None), PromiseMove.now > PromiseMove.was)
_COLUMNS = ("application_id", "plan_id", "was", "now", "listed_at")


@dataclass(frozen=True)
class MovedPoint:
    """Moves at one point that nobody has been told of; `first` and `last` of the new days."""

    point_id: int
    name_ru: str
    name_en: str
    later: int
    earlier: int
    open: int
    first: date | None
    last: date | None


@dataclass(frozen=True)
class MovedPerson:
    """One of them, by the number of the application."""

    application: str
    point_ru: str
    point_en: str
    was: date
    now: date | None


def list_moves(session: Session, before: int, after: int, *, now: datetime) -> None:
    """Note everybody who still waits and whose promised day differs between two plans; the caller commits."""
    old, new = _promises(session, before), _promises(session, after)
    moved = _row(old.c.application_id, after, old.c.promised_on, new.c.promised_on, now)
    moved = moved.join(new, new.c.application_id == old.c.application_id).where(
        old.c.promised_on.is_not(None), old.c.promised_on.is_distinct_from(new.c.promised_on)
    )
    _note(session, moved)
    # Who has been on the list for longer, a batch that was called off for one, may have a day again.
    listed = _row(PromiseMove.application_id, after, PromiseMove.was, new.c.promised_on, now)
    _note(session, listed.join(new, new.c.application_id == PromiseMove.application_id).where(UNTOLD))
    session.execute(delete(PromiseMove).where(UNTOLD, PromiseMove.was == PromiseMove.now))


def list_batch(session: Session, batch_id: int, promised_on: date | None, *, now: datetime) -> int:
    """Note that everybody in a batch is promised another day, or none for now; the caller commits."""
    moved = _row(Card.application_id, None, Card.promised_on, literal(promised_on, PromiseMove.now.type), now)
    of_batch = (Card.batch_id == batch_id, Card.promised_on.is_not(None))
    moved = moved.where(*of_batch, Card.promised_on.is_distinct_from(promised_on))
    count = session.scalar(select(func.count()).select_from(moved.subquery())) or 0
    _note(session, moved)
    return count


def summary(session: Session, *, actor: Actor) -> list[MovedPoint]:
    """Whom nobody has told yet, by point."""
    actor.require(Permission.VIEW_BATCHES)
    rows = session.execute(
        select(
            IssuancePoint.id,
            IssuancePoint.name_ru,
            IssuancePoint.name_en,
            func.sum(case((LATER, 1), else_=0)),
            func.sum(case((LATER, 0), else_=1)),
            func.sum(case((PromiseMove.now.is_(None), 1), else_=0)),
            func.min(PromiseMove.now),
            func.max(PromiseMove.now),
        )
        .join(Application, Application.id == PromiseMove.application_id)
        .join(IssuancePoint, IssuancePoint.id == Application.point_id)
        .where(UNTOLD)
        .group_by(IssuancePoint.id, IssuancePoint.name_ru, IssuancePoint.name_en)
        .order_by(IssuancePoint.id)
    )
    return [MovedPoint(*row) for row in rows]


def people(session: Session, *, actor: Actor, limit: int = 50) -> list[MovedPerson]:
    """The first of them, those who wait longest more first."""
    actor.require(Permission.VIEW_BATCHES)
    rows = session.execute(
        select(Application.number, IssuancePoint.name_ru, IssuancePoint.name_en, PromiseMove.was, PromiseMove.now)
        .join(Application, Application.id == PromiseMove.application_id)
        .join(IssuancePoint, IssuancePoint.id == Application.point_id)
        .where(UNTOLD)
        .order_by(PromiseMove.now.is_not(None), PromiseMove.now.desc(), PromiseMove.id)
        .limit(limit)
    )
    return [MovedPerson(*row) for row in rows]


def untold(session: Session, *, actor: Actor) -> int:
    """How many people have not been told."""
    actor.require(Permission.VIEW_BATCHES)
    return session.scalar(select(func.count()).select_from(PromiseMove).where(UNTOLD)) or 0


def tell(session: Session, *, actor: Actor, now: datetime) -> int:
    """Queue a message to everybody on the list; returns to how many. Raises `NotAllowed`."""
    actor.require(Permission.PLAN_BATCH)
    told = 0
    while part := _untold(session):
        moves = [(row.application_id, row.was, row.now) for row in part]
        occasion = f"move:{part[-1].id}"
        messages.promise_moved(session, moves, occasion=occasion, now=now)
        ids = [row.id for row in part]
        session.execute(update(PromiseMove).where(PromiseMove.id.in_(ids)).values(told_at=now))
        told += len(part)
    if told:
        audit.record(
            session,
            actor=actor.reference,
            action="emission.tell",
            subject_kind="promise_move",
            subject_id=0,
            details={"people": told},
            now=now,
        )
    session.commit()
    return told


def _untold(session: Session) -> Sequence[Any]:
    rows = select(PromiseMove.id, PromiseMove.application_id, PromiseMove.was, PromiseMove.now)
    return session.execute(rows.where(UNTOLD).order_by(PromiseMove.id).limit(CHUNK).with_for_update()).all()


def _promises(session: Session, plan_id: int) -> Any:
    """(application_id, promised_on) of everybody in a plan."""
    seats = plan_people.people(session, EmissionSlot.plan_id == plan_id)
    found = select(seats.c.application_id, EmissionSlot.promised_on)
    return found.join(EmissionSlot, EmissionSlot.id == seats.c.slot_id).subquery()


def _row(application: Any, plan_id: int | None, was: Any, is_now: Any, listed_at: datetime) -> Select[Any]:
    return select(
        application,
        literal(plan_id, PromiseMove.plan_id.type).label("plan_id"),
        was.label("was"),
        is_now.label("now"),
        literal(listed_at, PromiseMove.listed_at.type).label("listed_at"),
    )


def _note(session: Session, moved: Select[Any]) -> None:
    kind = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    new = kind(PromiseMove).from_select(_COLUMNS, moved)
    session.execute(
        new.on_conflict_do_update(
            index_elements=[PromiseMove.application_id],
            index_where=UNTOLD,
            set_={"now": new.excluded.now, "plan_id": new.excluded.plan_id},
        )
    )
