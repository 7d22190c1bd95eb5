"""Moves a batch that nobody has released to another day or line: what follows is seen first, then it is saved.

The mover becomes the one who planned it, and so may not release it. A batch may not be put on a day without room on its
line, on a line that does not make its card variant, nor on a day that is over; the next courier after its day takes it
along. A courier or windows that are too full for it are told and left to the planner.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from sqlalchemy import ColumnElement, and_, false, func, or_, select, true, update
from sqlalchemy.orm import Session

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.facts import Facts
from issuance.planning.region import Kind, Line
from issuance.planning.rooms import next_trip
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, PlanInMaking, Stale
from uec.domain.lifecycle import BatchState, CardState
from uec.domain.permissions import Permission
from uec.domain.policy import sensible
from uec.services import numbering, plan_facts, plan_moves, plan_region
from uec.services.batch_room import room_for
from uec.services.batch_rules import BatchRules
from uec.services.plan_people import KIND
from uec.services.rows import locked_batch, present
from uec.store import audit
from uec.store.tables import Application, Batch, Card

LOOK_AHEAD_DAYS = 60
OPENINGS_WITHIN_DAYS = 30
UNWRITTEN = (CardState.PLANNED, CardState.PREPARED)


@dataclass(frozen=True)
class Load:
    """Cards with those of the batch, and how many there is room for."""

    cards: int
    room: int

    @property
    def over(self) -> int:
        """Cards for which there is no room."""
        return max(0, self.cards - self.room)


@dataclass(frozen=True)
class People:
    """What becomes of the people: the days they are promised now, and whose day moves where.

    `late` of them come after their clock, `late_before` did so already; mass emission has no clock.
    """

    first: date | None
    last: date | None
    later: int
    earlier: int
    late_before: int
    late: int


@dataclass(frozen=True)
class Move:
    """A batch on another day: when it leaves and can be collected, and what stands against it.

    `free` cards the line can still make that day without it. `courier` is the trip that takes it along, `windows` what
    its point hands over on the day it is promised for; both None where there is no such day.
    """

    day: date
    line: str | None
    departs_on: date | None
    promised_on: date | None
    cards: int
    free: int
    courier: Load | None
    windows: Load | None
    people: People

    @property
    def fits(self) -> bool:
        """Whether the line has room for it."""
        return self.cards <= self.free


def consider(
    session: Session, batch_id: int, *, day: date, line: str | None, actor: Actor, rules: BatchRules, today: date
) -> Move:
    """What it means to make a batch on another day or line; raises `InvalidInput` for one that cannot be.

    Without a line it stays on its own.
    """
    actor.require(Permission.VIEW_BATCHES)
    sensible(day, "day")
    batch = present(session, Batch, batch_id)
    if batch.state is not BatchState.PLANNED:
        raise InvalidInput("Only a batch that is planned and not yet released can be moved.", field="batch")
    room = room_for(session, batch, (day,), rules, today)
    if day < today or not (rules.calendar.is_working(day) or room.capacity.any()):
        raise InvalidInput("Choose a working day from today on.", field="day")
    wanted = line or batch.line
    free = room.free(day, wanted)
    journey = _journey(session, batch, day, plan_facts.current(session, today=today), rules.calendar)
    cards = _size(session, batch_id)
    courier, windows = _loads(session, batch, cards, journey)
    return Move(
        day=day,
        line=wanted,
        departs_on=journey.departs_on,
        promised_on=journey.promised_on,
        cards=cards,
        free=free,
        courier=courier,
        windows=windows,
        people=_people(session, batch_id, journey.promised_on),
    )


def lines_for(session: Session, batch_id: int, *, actor: Actor, rules: BatchRules, today: date) -> tuple[Line, ...]:
    """The lines that make the card variant of a batch."""
    actor.require(Permission.VIEW_BATCHES)
    return room_for(session, present(session, Batch, batch_id), (today,), rules, today).lines


def openings(
    session: Session, batch_id: int, *, line: str | None, actor: Actor, rules: BatchRules, today: date
) -> list[tuple[date, str]]:
    """The next days, each with a line's code, that have room for a batch: on `line` if it has any, else on others."""
    actor.require(Permission.VIEW_BATCHES)
    days = tuple(today + timedelta(days=number) for number in range(OPENINGS_WITHIN_DAYS))
    batch = present(session, Batch, batch_id)
    room = room_for(session, batch, days, rules, today)
    return room.openings(_size(session, batch_id), line, but=(batch.planned_for, batch.line))


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

    With the day and line that were `seen`, raises `Stale` when a colleague has moved it from there. Raises
    `PlanInMaking` while batches are cut, or another one is moved.
    """
    actor.require(Permission.PLAN_BATCH)
    _one_by_one(session)
    batch = locked_batch(session, batch_id)
    if seen is not None and (batch.planned_for, batch.line or "") != seen:
        raise Stale(f"Batch {batch.number} was moved meanwhile: look at what follows anew.", kind="batch", id=batch_id)
    found = consider(session, batch_id, day=day, line=line, actor=actor, rules=rules, today=today)
    if not found.fits:
        raise InvalidInput(
            f"The line can make {found.free} more cards on {day:%d.%m.%Y} and the batch has {found.cards}: "
            "choose another day or line.",
            field="room",
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


def _one_by_one(session: Session) -> None:
    """Nobody else moves or cuts batches until the end: two that saw the same room would fill it twice.

    A plan of the whole region holds the series for a minute: nobody waits for it, least of all with a batch locked.
    """
    if not numbering.held(session, "batch"):
        raise PlanInMaking("The plan is being made just now: try again in a minute.")


@dataclass(frozen=True)
class _Journey:
    """The courier's day and the first day of hand-over behind it, and what trip and windows have room for."""

    departs_on: date | None = None
    promised_on: date | None = None
    volume: int = 0
    hand_over: int = 0


def _of(batch_id: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The cards of a batch that wait to be written."""
    return Card.batch_id == batch_id, Card.state.in_(UNWRITTEN)


def _size(session: Session, batch_id: int) -> int:
    return session.scalar(select(func.count()).select_from(Card).where(*_of(batch_id))) or 0


def _journey(session: Session, batch: Batch, day: date, facts: Facts, calendar: WorkingCalendar) -> _Journey:
    """The next courier's day after the making, and the first day the point hands over from then on."""
    points = plan_region.office_points(session)
    worked = facts.days(day, day + timedelta(days=LOOK_AHEAD_DAYS), calendar, list(points.values()))
    days = tuple(sorted({day, *worked}))
    delivery = facts.delivery(days, calendar, [points[batch.point_id]])
    leaves = int(next_trip(delivery.departs)[0, 0])
    if leaves >= len(days):
        return _Journey()
    arrives = int(delivery.arrives[0, leaves])
    volume = int(delivery.volume[0])
    handed = delivery.hand_over[0, arrives:]
    open_days = np.flatnonzero(handed)
    if not len(open_days):
        return _Journey(days[leaves], volume=volume)
    first = int(open_days[0])
    return _Journey(days[leaves], days[arrives + first], volume, int(handed[first]))


def _loads(session: Session, batch: Batch, cards: int, journey: _Journey) -> tuple[Load | None, Load | None]:
    """How full the courier's trip and the point's windows are with the batch on them."""
    beside = select(func.count()).select_from(Card).join(Batch, Batch.id == Card.batch_id)
    beside = beside.where(
        Batch.point_id == batch.point_id,
        Batch.id != batch.id,
        Batch.state != BatchState.CANCELLED,
        Card.state != CardState.ANNULLED,
    )
    if journey.departs_on is None:
        return None, None
    courier = Load(cards + (session.scalar(beside.where(Batch.departs_on == journey.departs_on)) or 0), journey.volume)
    if journey.promised_on is None:
        return courier, None
    # Whoever is promised that day was made within the look ahead: cards of earlier years need not be read.
    lately = Batch.planned_for >= journey.promised_on - timedelta(days=LOOK_AHEAD_DAYS)
    promised = session.scalar(beside.where(Card.promised_on == journey.promised_on, lately)) or 0
    return courier, Load(cards + promised, journey.hand_over)


def _people(session: Session, batch_id: int, promised: date | None) -> People:
    """Whose day moves where when the batch is promised for a day, or for none."""
    never: ColumnElement[bool] = Card.promised_on.is_(None)
    later: ColumnElement[bool] = ~never
    earlier: ColumnElement[bool] = false()
    after_clock: ColumnElement[bool] = true()
    if promised is not None:
        later, earlier = Card.promised_on < promised, or_(never, Card.promised_on > promised)
        after_clock = Application.due_on < promised
    has_clock = KIND.in_([int(Kind.REMAKE), int(Kind.CLOCK)])
    late_before = and_(has_clock, or_(never, Card.promised_on > Application.due_on))
    counted = [func.count().filter(one) for one in (later, earlier, late_before, and_(has_clock, after_clock))]
    found = select(func.min(Card.promised_on), func.max(Card.promised_on), *counted)
    found = found.join(Application, Application.id == Card.application_id).where(*_of(batch_id))
    first, last, *counts = session.execute(found).one()
    return People(first, last, *counts)
