"""Moves a batch that nobody has released to another day or line: what follows is seen first, then it is saved.

The mover becomes the one who planned it, and so may not release it. A batch may not be put on a day without room on its
line, nor before its people could be served from: the next courier after its day takes it along.
"""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.facts import Facts
from issuance.planning.rooms import next_trip
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, Stale
from uec.domain.lifecycle import BatchState, CardState
from uec.domain.permissions import Permission
from uec.services import plan_facts, plan_moves, plan_region
from uec.services.batch_rules import BatchRules
from uec.services.rows import locked_batch, present
from uec.store import audit
from uec.store.tables import Application, Batch, Card

LOOK_AHEAD_DAYS = 60


@dataclass(frozen=True)
class Move:
    """A batch on another day: when it leaves and can be collected, and what stands against it.

    `later` and `earlier` people's promised day moves; `late` of them come after their clock; `free` cards the line can
    still make that day without it.
    """

    day: date
    line: str | None
    departs_on: date | None
    promised_on: date | None
    cards: int
    free: int
    later: int
    earlier: int
    late: int

    @property
    def fits(self) -> bool:
        """Whether the line has room for it."""
        return self.cards <= self.free


def consider(
    session: Session, batch_id: int, *, day: date, line: str | None, actor: Actor, rules: BatchRules, today: date
) -> Move:
    """What it means to make a batch on another day or line; raises `InvalidInput` for a day that cannot be.

    Without a line it stays on its own.
    """
    actor.require(Permission.VIEW_BATCHES)
    batch = present(session, Batch, batch_id)
    if batch.state is not BatchState.PLANNED:
        raise InvalidInput("Only a batch that is planned and not yet released can be moved.", field="day")
    if not today <= day or not rules.calendar.is_working(day):
        raise InvalidInput("Choose a working day from today on.", field="day")
    facts = plan_facts.current(session, today=today)
    wanted = line or batch.line
    departs, promised = _journey(session, batch, day, facts, rules.calendar)
    of_batch = (Card.batch_id == batch_id, Card.state.in_((CardState.PLANNED, CardState.PREPARED)))
    cards = session.scalar(select(func.count()).select_from(Card).where(*of_batch)) or 0
    told = select(func.count()).select_from(Card).where(*of_batch)
    past_clock = told.join(Application, Application.id == Card.application_id)
    return Move(
        day=day,
        line=wanted,
        departs_on=departs,
        promised_on=promised,
        cards=cards,
        free=_free(session, batch, day, wanted, facts, rules.calendar, today),
        later=cards if promised is None else session.scalar(told.where(Card.promised_on < promised)) or 0,
        earlier=0 if promised is None else session.scalar(told.where(Card.promised_on > promised)) or 0,
        late=cards if promised is None else session.scalar(past_clock.where(Application.due_on < promised)) or 0,
    )


def move(
    session: Session,
    batch_id: int,
    *,
    day: date,
    line: str | None,
    actor: Actor,
    rules: BatchRules,
    today: date,
    now: datetime,
    seen: tuple[date, str] | None = None,
) -> Move:
    """Move it; raises `InvalidInput` also where the line has no room. People whose day moves are listed.

    With the day and line that were `seen`, raises `Stale` when a colleague has moved it from there.
    """
    actor.require(Permission.PLAN_BATCH)
    batch = locked_batch(session, batch_id)
    if seen is not None and (batch.planned_for, batch.line or "") != seen:
        raise Stale(f"Batch {batch.number} was moved meanwhile: look at what follows anew.", kind="batch", id=batch_id)
    found = consider(session, batch_id, day=day, line=line, actor=actor, rules=rules, today=today)
    if not found.fits:
        raise InvalidInput(
            f"The line can make {found.free} more cards on {day:%d.%m.%Y} and the batch has {found.cards}: "
            "choose another day or line.",
            field="day",
        )
    plan_moves.list_batch(session, batch_id, found.promised_on, now=now)
    details = {"from": batch.planned_for.isoformat(), "to": day.isoformat(), "line": found.line}
    batch.planned_for, batch.line, batch.departs_on = day, found.line, found.departs_on
    batch.planned_by, batch.planned_at = actor.staff_id, now
    session.execute(
        update(Card)
        .where(Card.batch_id == batch_id)
        .values(promised_on=found.promised_on, expires_on=rules.policy.expires_on(day), version=Card.version + 1)
    )
    audit.record(
        session,
        actor=actor.reference,
        action="batch.move",
        subject_kind="batch",
        subject_id=batch_id,
        details=details,
        now=now,
    )
    session.commit()
    return found


def _journey(
    session: Session, batch: Batch, day: date, facts: Facts, calendar: WorkingCalendar
) -> tuple[date | None, date | None]:
    """The next courier's day after the making, and the first day the point hands over from then on."""
    points = plan_region.office_points(session)
    days = tuple(calendar.between(day, date.fromordinal(day.toordinal() + LOOK_AHEAD_DAYS)))
    delivery = facts.delivery(days, calendar, [points[batch.point_id]])
    leaves = int(next_trip(delivery.departs)[0, 0])
    if leaves >= len(days):
        return None, None
    arrives = leaves + int(delivery.transit[0])
    open_days = np.flatnonzero(delivery.hand_over[0, arrives:]) if arrives < len(days) else np.zeros(0, dtype=np.int64)
    return days[leaves], days[arrives + int(open_days[0])] if len(open_days) else None


def _free(
    session: Session,
    batch: Batch,
    day: date,
    line: str | None,
    facts: Facts,
    calendar: WorkingCalendar,
    today: date,
) -> int:
    """Cards the line can make on the day beside the batches there; none of a bureau before they can be back."""
    points = list(plan_region.office_points(session).values())
    supply = facts.supply((day,), calendar, points)
    own = [number for number, one in enumerate(supply.lines) if line is None or one.code == line]
    if not own:
        raise InvalidInput(f"There is no line {line!r}: choose one of the list.", field="line")
    own = [number for number in own if day >= calendar.after(today, supply.lines[number].lead)]
    taken = select(func.count()).select_from(Card).join(Batch, Batch.id == Card.batch_id)
    there = taken.where(
        Batch.planned_for == day,
        Batch.id != batch.id,
        Batch.state != BatchState.CANCELLED,
        Card.state != CardState.ANNULLED,
    )
    if line is not None:
        there = there.where((Batch.line == line) | Batch.line.is_(None))
    return max(0, int(supply.capacity[own, 0].sum()) - (session.scalar(there) or 0))
