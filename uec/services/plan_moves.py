"""Promised days that moved: listed when a plan is made, shown in the office, and told to the people by messages.

An entry has the day that was told and the day that is so now, until it is told again. A day that moves back before
anybody was told leaves the list, so that nobody hears of a plan that was none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from issuance.planning.region import Counts, Flags
from uec.domain.actors import Actor
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Permission
from uec.services import messages
from uec.store import audit
from uec.store.arrays import postgresql
from uec.store.bulk import copy_rows, insert_rows
from uec.store.tables import Application, Batch, Card, EmissionSlot, IssuancePoint, PromiseMove

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
    listed, told_now = _listed(session)
    moved = ~np.isin(old.people, listed.people) & (kept != _GONE) & (old.days != _OPEN) & (old.days != kept)
    # Nobody else lists people of both plans: who is taken out of a batch meanwhile is not in the new one, and who was
    # taken out before it is listed already.
    insert_rows(session, PromiseMove, _moves(old.only(moved), kept[moved], plan_id=after, now=now))
    # Who has been on the list for longer, a batch that was called off for one, may have another day by now.
    then = _days_of(listed.people, new)
    changed = (then != _GONE) & (then != told_now)
    _note(session, _moves(listed.only(changed), then[changed], plan_id=after, now=now))
    session.execute(delete(PromiseMove).where(UNTOLD, PromiseMove.was == PromiseMove.now))


def list_batch(session: Session, batch_id: int, promised_on: date | None, *, now: datetime) -> int:
    """Note that everybody in a batch is promised another day, or none for now; the caller commits."""
    of_batch = (
        select(Card.application_id, Batch.point_id, Card.promised_on)
        .join(Batch, Batch.id == Card.batch_id)
        .where(
            Card.batch_id == batch_id,
            Card.promised_on.is_not(None),
            Card.promised_on.is_distinct_from(promised_on),
            Card.state.in_((CardState.PLANNED, CardState.PREPARED)),
        )
    )
    told = _told(session.execute(of_batch))
    then = np.full(len(told.people), _ordinal(promised_on))
    _note(session, _moves(told, then, plan_id=None, now=now))
    return len(told.people)


def summary(session: Session, *, actor: Actor) -> list[MovedPoint]:
    """Whom nobody has told yet, by point."""
    actor.require(Permission.VIEW_BATCHES)
    at_point = (
        select(
            PromiseMove.point_id,
            func.sum(case((LATER, 1), else_=0)).label("later"),
            func.sum(case((LATER, 0), else_=1)).label("earlier"),
            func.sum(case((PromiseMove.now.is_(None), 1), else_=0)).label("open"),
            func.min(PromiseMove.now).label("first"),
            func.max(PromiseMove.now).label("last"),
        )
        .where(UNTOLD)
        .group_by(PromiseMove.point_id)
        .subquery()
    )
    point_id, *figures = at_point.c
    named = select(IssuancePoint.id, IssuancePoint.name_ru, IssuancePoint.name_en, *figures)
    rows = session.execute(named.join(at_point, point_id == IssuancePoint.id).order_by(IssuancePoint.id))
    return [MovedPoint(*row) for row in rows]


def people(session: Session, *, actor: Actor, limit: int = 50) -> list[MovedPerson]:
    """The first of them, those who wait longest more first."""
    actor.require(Permission.VIEW_BATCHES)
    order = (PromiseMove.now.desc().nulls_first(), PromiseMove.id.desc())
    first = session.scalars(select(PromiseMove.id).where(UNTOLD).order_by(*order).limit(limit)).all()
    rows = session.execute(
        select(Application.number, IssuancePoint.name_ru, IssuancePoint.name_en, PromiseMove.was, PromiseMove.now)
        .join(Application, Application.id == PromiseMove.application_id)
        .join(IssuancePoint, IssuancePoint.id == PromiseMove.point_id)
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
    told = last = 0
    while part := _untold(session, last):
        moves = [(row.application_id, row.was, row.now) for row in part]
        occasion = f"move:{part[-1].id}"
        messages.promise_moved(session, moves, occasion=occasion, now=now)
        ids = [row.id for row in part]
        session.execute(update(PromiseMove).where(PromiseMove.id.in_(ids)).values(told_at=now))
        told, last = told + len(part), part[-1].id
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


def _untold(session: Session, last: int) -> Sequence[Any]:
    """The next on the list behind an id: those told just now are not looked at again."""
    rows = select(PromiseMove.id, PromiseMove.application_id, PromiseMove.was, PromiseMove.now)
    rest = rows.where(UNTOLD, PromiseMove.id > last).order_by(PromiseMove.id)
    return session.execute(rest.limit(CHUNK).with_for_update()).all()


@dataclass(frozen=True)
class _Promises:
    """Applications, the point of each, and the ordinal of each one's promised day."""

    people: Counts
    points: Counts
    days: Counts

    def only(self, which: Counts | Flags) -> "_Promises":
        """Those of a mask, or in an order."""
        return _Promises(self.people[which], self.points[which], self.days[which])


def _joined(parts: Sequence[_Promises]) -> _Promises:
    """All of them, one behind the other."""
    return _Promises(
        np.concatenate([_NOBODY, *(one.people for one in parts)]),
        np.concatenate([_NOBODY, *(one.points for one in parts)]),
        np.concatenate([_NOBODY, *(one.days for one in parts)]),
    )


def _told(rows: Iterable[tuple[int, int, date | None]]) -> _Promises:
    """Rows of application, point and day."""
    table = np.array([(person, point, _ordinal(day)) for person, point, day in rows], dtype=np.int64).reshape(-1, 3)
    return _Promises(*table.T)


def _promises(session: Session, plan_id: int) -> _Promises:
    """Everybody of a plan, by application."""
    slots = select(EmissionSlot.people, EmissionSlot.point_id, EmissionSlot.promised_on)
    parts = []
    for people, point, day in session.execute(slots.where(EmissionSlot.plan_id == plan_id)):
        size = len(people)
        parts.append(_Promises(np.array(people, dtype=np.int64), np.full(size, point), np.full(size, _ordinal(day))))
    found = _joined(parts)
    return found.only(np.argsort(found.people))


def _listed(session: Session) -> tuple[_Promises, Counts]:
    """Those on the list, with the day they were told; and the day that is so now."""
    rows = select(PromiseMove.application_id, PromiseMove.point_id, PromiseMove.was, PromiseMove.now).where(UNTOLD)
    found = session.execute(rows).all()
    then = np.array([_ordinal(row.now) for row in found], dtype=np.int64)
    return _told((row[0], row[1], row[2]) for row in found), then


def _days_of(people: Counts, plan: _Promises) -> Counts:
    """The day of each in a plan; `_GONE` for who is not in it."""
    if not len(plan.people):
        return np.full(len(people), _GONE, dtype=np.int64)
    at = np.minimum(np.searchsorted(plan.people, people), len(plan.people) - 1)
    days: Counts = np.where(plan.people[at] == people, plan.days[at], _GONE)
    return days


def _ordinal(day: date | None) -> int:
    return day.toordinal() if day else _OPEN


def _moves(told: _Promises, then: Counts, *, plan_id: int | None, now: datetime) -> list[dict[str, Any]]:
    """A row of the list for each of them: what was told, and what is so now."""
    days = np.unique(np.concatenate([told.days, then])).tolist()
    day = {number: date.fromordinal(number) for number in days if number > 0}
    table = zip(told.people.tolist(), told.points.tolist(), told.days.tolist(), then.tolist(), strict=True)
    return [
        {
            "application_id": person,
            "point_id": point,
            "was": day[was],
            "now": day.get(new),
            "plan_id": plan_id,
            "listed_at": now,
        }
        for person, point, was, new in table
    ]


def _note(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Put them on the list, those who stand there already with the day that is so now."""
    if not rows:
        return
    if postgresql(session):
        session.execute(text(_INCOMING))
        copy_rows(session, "move_incoming", tuple(rows[0]), rows)
        session.execute(text(_UPSERT))
        session.execute(text("DROP TABLE move_incoming"))
        return
    new_row = sqlite_insert(PromiseMove)
    values = {"now": new_row.excluded.now, "plan_id": new_row.excluded.plan_id}
    upsert = new_row.on_conflict_do_update(index_elements=[PromiseMove.application_id], index_where=UNTOLD, set_=values)
    session.execute(upsert, rows)


_INCOMING = """
CREATE TEMPORARY TABLE move_incoming
(application_id INTEGER, point_id INTEGER, was DATE, now DATE, plan_id INTEGER, listed_at TIMESTAMPTZ)
"""
_UPSERT = """
INSERT INTO promise_move (application_id, point_id, was, now, plan_id, listed_at)
SELECT application_id, point_id, was, now, plan_id, listed_at FROM move_incoming
ON CONFLICT (application_id) WHERE told_at IS NULL DO UPDATE SET now = excluded.now, plan_id = excluded.plan_id
"""
