"""Promised days that moved: listed when a plan is made, shown in the office, and told to the people by messages.

An entry has the day that was told and the day that is so now, until it is told again. A day that moves back before
anybody was told leaves the list, so that nobody hears of a plan that was none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from issuance.planning.region import Counts
from uec.domain.actors import Actor
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Permission
from uec.services import messages
from uec.store import audit
from uec.store.arrays import postgresql
from uec.store.bulk import copy_rows
from uec.store.tables import Application, Card, EmissionSlot, IssuancePoint, PromiseMove

CHUNK = 2000
UNTOLD = PromiseMove.told_at.is_(None)
LATER: ColumnElement[bool] = or_(PromiseMove.now.is_(None), PromiseMove.now > PromiseMove.was)
# Days are ordinals: none within the plan, and not in the plan at all.
_OPEN, _GONE = 0, -1
_NOBODY: Counts = np.zeros(0, dtype=np.int64)


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
    """Note everybody who still waits and whose promised day differs between two plans; the caller commits.

    Both plans are compared as arrays: a join of a million people with a million lasts for minutes.
    """
    old, new = _promises(session, before), _promises(session, after)
    kept = _days_of(old.people, new)
    listed = _listed(session)
    new_ones = ~np.isin(old.people, listed.people)
    moved = new_ones & (kept != _GONE) & (old.days != _OPEN) & (old.days != kept)
    # Who has been on the list for longer, a batch that was called off for one, may have another day by now.
    then = _days_of(listed.people, new)
    changed = then != _GONE
    people = np.concatenate([old.people[moved], listed.people[changed]])
    was = np.concatenate([old.days[moved], listed.days[changed]])
    _note(session, people, was, np.concatenate([kept[moved], then[changed]]), plan_id=after, now=now)
    session.execute(delete(PromiseMove).where(UNTOLD, PromiseMove.was == PromiseMove.now))


def list_batch(session: Session, batch_id: int, promised_on: date | None, *, now: datetime) -> int:
    """Note that everybody in a batch is promised another day, or none for now; the caller commits."""
    of_batch = select(Card.application_id, Card.promised_on).where(
        Card.batch_id == batch_id,
        Card.promised_on.is_not(None),
        Card.promised_on.is_distinct_from(promised_on),
        Card.state.in_((CardState.PLANNED, CardState.PREPARED)),
    )
    rows = session.execute(of_batch).all()
    people = np.array([row.application_id for row in rows], dtype=np.int64)
    was = np.array([_ordinal(row.promised_on) for row in rows], dtype=np.int64)
    _note(session, people, was, np.full(len(rows), _ordinal(promised_on), dtype=np.int64), plan_id=None, now=now)
    return len(rows)


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
    order = (PromiseMove.now.is_not(None), PromiseMove.now.desc(), PromiseMove.id)
    first = session.scalars(select(PromiseMove.id).where(UNTOLD).order_by(*order).limit(limit)).all()
    rows = session.execute(
        select(Application.number, IssuancePoint.name_ru, IssuancePoint.name_en, PromiseMove.was, PromiseMove.now)
        .join(Application, Application.id == PromiseMove.application_id)
        .join(IssuancePoint, IssuancePoint.id == Application.point_id)
        .where(PromiseMove.id.in_(first))
        .order_by(*order)
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


@dataclass(frozen=True)
class _Promises:
    """Applications, rising, and the ordinal of each one's promised day."""

    people: Counts
    days: Counts


def _promises(session: Session, plan_id: int) -> _Promises:
    slots = select(EmissionSlot.people, EmissionSlot.promised_on).where(EmissionSlot.plan_id == plan_id)
    rows = [(np.array(people, dtype=np.int64), _ordinal(day)) for people, day in session.execute(slots)]
    people = np.concatenate([_NOBODY, *(ids for ids, _ in rows)])
    days = np.concatenate([_NOBODY, *(np.full(len(ids), day, dtype=np.int64) for ids, day in rows)])
    order = np.argsort(people)
    return _Promises(people[order], days[order])


def _listed(session: Session) -> _Promises:
    """Those on the list, with the day they were told."""
    rows = session.execute(select(PromiseMove.application_id, PromiseMove.was).where(UNTOLD)).all()
    return _Promises(
        np.array([row.application_id for row in rows], dtype=np.int64),
        np.array([_ordinal(row.was) for row in rows], dtype=np.int64),
    )


def _days_of(people: Counts, plan: _Promises) -> Counts:
    """The day of each in a plan; `_GONE` for who is not in it."""
    if not len(plan.people):
        return np.full(len(people), _GONE, dtype=np.int64)
    at = np.minimum(np.searchsorted(plan.people, people), len(plan.people) - 1)
    days: Counts = np.where(plan.people[at] == people, plan.days[at], _GONE)
    return days


def _ordinal(day: date | None) -> int:
    return day.toordinal() if day else _OPEN


def _note(session: Session, people: Counts, was: Counts, then: Counts, *, plan_id: int | None, now: datetime) -> None:
    day = {number: date.fromordinal(number) for number in np.unique(np.concatenate([was, then])).tolist() if number > 0}
    table = zip(people.tolist(), was.tolist(), then.tolist(), strict=True)
    rows = [{"application_id": key, "was": day[first], "now": day.get(last)} for key, first, last in table]
    if not rows:
        return
    if postgresql(session):
        session.execute(text("CREATE TEMPORARY TABLE move_incoming (application_id INTEGER, was DATE, now DATE)"))
        copy_rows(session, "move_incoming", ("application_id", "was", "now"), rows)
        session.execute(text(_UPSERT), {"plan": plan_id, "at": now})
        session.execute(text("DROP TABLE move_incoming"))
        return
    new = sqlite_insert(PromiseMove)
    values = {"now": new.excluded.now, "plan_id": new.excluded.plan_id}
    upsert = new.on_conflict_do_update(index_elements=[PromiseMove.application_id], index_where=UNTOLD, set_=values)
    session.execute(upsert, [row | {"plan_id": plan_id, "listed_at": now} for row in rows])


_UPSERT = """
INSERT INTO promise_move (application_id, plan_id, was, now, listed_at)
SELECT application_id, CAST(:plan AS INTEGER), was, now, CAST(:at AS TIMESTAMPTZ) FROM move_incoming
ON CONFLICT (application_id) WHERE told_at IS NULL DO UPDATE SET now = excluded.now, plan_id = excluded.plan_id
"""
