"""Lists batches with what their cards have come to, and the calendar of load against capacity."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from issuance.planning.calendar import WorkingCalendar
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import BatchState, CardState
from uec.domain.permissions import Permission
from uec.services.rows import present
from uec.services.views import BatchRow, CalendarCell, CardRow, Page
from uec.store.tables import Application, Batch, Card, IssuancePoint, Staff

CALENDAR_LIMIT_DAYS = 92


def find(
    session: Session,
    *,
    actor: Actor,
    states: Sequence[BatchState] = (),
    point_id: int | None = None,
    day: date | None = None,
    line: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[BatchRow]:
    """A page of batches by day of production, of all or of one day, line, point."""
    actor.require(Permission.VIEW_BATCHES)
    wanted: list[ColumnElement[bool]] = [Batch.state.in_(states)] if states else []
    if point_id is not None:
        wanted.append(Batch.point_id == point_id)
    if day is not None:
        wanted.append(Batch.planned_for == day)
    if line is not None:
        wanted.append(func.coalesce(Batch.line, "") == line)
    total = session.scalar(select(func.count()).select_from(Batch).where(*wanted)) or 0
    chosen = select(Batch.id).where(*wanted).order_by(Batch.planned_for, Batch.id).limit(limit).offset(offset)
    ids = session.scalars(chosen).all()
    return Page(tuple(batch_rows(session, Batch.id.in_(ids))), total, offset, limit)


def detail(session: Session, batch_id: int, *, actor: Actor) -> tuple[BatchRow, tuple[CardRow, ...]]:
    """One batch and its cards, by number, without the people's names: those need a look at the person's record."""
    actor.require(Permission.VIEW_BATCHES)
    present(session, Batch, batch_id)
    (row,) = batch_rows(session, Batch.id == batch_id)
    cards = session.execute(
        select(Card, Application.number)
        .join(Application, Application.id == Card.application_id)
        .where(Card.batch_id == batch_id)
        .order_by(Card.number)
    )
    return row, tuple(
        CardRow(
            id=card.id,
            number=card.number,
            state=card.state,
            full_name="",
            printed_name="",
            expires_on=card.expires_on,
            batch_number=row.number,
            application_number=application_number,
            point_id=row.point_id,
        )
        for card, application_number in cards
    )


def calendar(
    session: Session, *, actor: Actor, first: date, last: date, working: WorkingCalendar, point_id: int | None = None
) -> list[CalendarCell]:
    """Every day from `first` to `last` at every point: capacity, cards planned, batches. At most 92 days."""
    actor.require(Permission.VIEW_BATCHES)
    if not first <= last <= first + timedelta(days=CALENDAR_LIMIT_DAYS):
        raise InvalidInput(f"Choose a period of at most {CALENDAR_LIMIT_DAYS} days, first day first.", field="last")
    points = select(IssuancePoint).order_by(IssuancePoint.code)
    if point_id is not None:
        points = points.where(IssuancePoint.id == point_id)
    live = (Batch.planned_for.between(first, last), Batch.state != BatchState.CANCELLED)
    slots: dict[tuple[int, date], list[BatchRow]] = defaultdict(list)
    for row in batch_rows(session, *live):
        slots[row.point_id, row.planned_for].append(row)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [
        _cell(point, day, tuple(slots[point.id, day]), working=working.is_working(day))
        for point in session.scalars(points)
        for day in days
    ]


def batch_rows(session: Session, *where: ColumnElement[bool]) -> list[BatchRow]:
    """Batches as rows, by day of production; two queries however many there are."""
    planner, releaser = aliased(Staff), aliased(Staff)
    found = session.execute(
        select(Batch, IssuancePoint, planner.display_name, releaser.display_name)
        .join(IssuancePoint, IssuancePoint.id == Batch.point_id)
        .outerjoin(planner, planner.id == Batch.planned_by)
        .outerjoin(releaser, releaser.id == Batch.released_by)
        .where(*where)
        .order_by(Batch.planned_for, Batch.id)
    ).all()
    counts: dict[int, dict[CardState, int]] = defaultdict(dict)
    grouped = (
        select(Card.batch_id, Card.state, func.count())
        .where(Card.batch_id.in_(select(Batch.id).where(*where)))
        .group_by(Card.batch_id, Card.state)
    )
    for batch_id, state, count in session.execute(grouped):
        counts[batch_id][state] = count
    return [
        _row(batch, point, counts[batch.id], planned_by, released_by) for batch, point, planned_by, released_by in found
    ]


def _row(
    batch: Batch, point: IssuancePoint, cards: dict[CardState, int], planned_by: str | None, released_by: str | None
) -> BatchRow:
    return BatchRow(
        id=batch.id,
        number=batch.number,
        state=batch.state,
        planned_for=batch.planned_for,
        point_id=point.id,
        point_name_ru=point.name_ru,
        point_name_en=point.name_en,
        total=sum(cards.values()),
        cards=cards,
        planned_by=planned_by,
        released_by=released_by,
        released_at=batch.released_at,
        line=batch.line,
        departs_on=batch.departs_on,
    )


def _cell(point: IssuancePoint, day: date, batches: tuple[BatchRow, ...], *, working: bool) -> CalendarCell:
    return CalendarCell(
        day=day,
        working=working,
        point_id=point.id,
        point_name_ru=point.name_ru,
        point_name_en=point.name_en,
        capacity=point.daily_capacity if working else 0,
        planned=sum(row.total - row.cards.get(CardState.ANNULLED, 0) for row in batches),
        batches=batches,
    )
