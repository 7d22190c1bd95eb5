"""Lists batches with what their cards have come to, and the calendar of load against capacity.

A month of a region is some three thousand batches: days are summed up by the database, and few batches are named.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from issuance.planning.calendar import WorkingCalendar
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import BatchState, CardState
from uec.domain.permissions import Permission
from uec.services import plan_facts, plan_region
from uec.services.rows import present
from uec.services.views import BatchRow, CalendarDay, CardRow, Page
from uec.store.lengths import Length, length_of, lengths_by
from uec.store.steering import NEAR, steered
from uec.store.tables import Application, Batch, Card, IssuancePoint, Staff

CALENDAR_LIMIT_DAYS = 92
# Batches of a day that its square in the calendar names; where there are more, so many of them.
NAMED_A_DAY, NAMED_OF_MANY = 40, 4


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
    found = select(Batch.id).where(*wanted)
    ids = session.scalars(found.order_by(Batch.planned_for, Batch.id).limit(limit).offset(offset)).all()
    length = length_of(session, found, offset=offset, limit=limit, shown=len(ids))
    return Page(tuple(batch_rows(session, Batch.id.in_(ids))), length.rows, offset, limit, length.about)


def lengths_by_state(session: Session, *, actor: Actor) -> dict[BatchState, Length]:
    """How many batches stand in each state; states without one are left out."""
    actor.require(Permission.VIEW_BATCHES)
    return lengths_by(session, Batch.state, BatchState)


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
    session: Session,
    *,
    actor: Actor,
    first: date,
    last: date,
    working: WorkingCalendar,
    today: date,
    point_id: int | None = None,
) -> list[CalendarDay]:
    """Every day from `first` to `last`, 92 at most: what lines can make and make, and the batches of a point or all."""
    actor.require(Permission.VIEW_BATCHES)
    if not first <= last <= first + timedelta(days=CALENDAR_LIMIT_DAYS):
        raise InvalidInput(f"Choose a period of at most {CALENDAR_LIMIT_DAYS} days, first day first.", field="last")
    days = tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
    points = list(plan_region.office_points(session).values())
    capacity = plan_facts.current(session, today=today).supply(days, working, points).capacity.sum(axis=0)
    live = [Batch.planned_for.between(first, last), Batch.state != BatchState.CANCELLED]
    counted, made = _by_day(session, live)
    planned = made
    if point_id is not None:
        live.append(Batch.point_id == point_id)
        counted, planned = _by_day(session, live)
    shown = _shown(session, live, counted)
    return [
        CalendarDay(
            day=day,
            working=working.is_working(day),
            capacity=int(capacity[number]),
            made=made.get(day, 0),
            planned=planned.get(day, 0),
            count=counted.get(day, 0),
            batches=tuple(shown[day]),
        )
        for number, day in enumerate(days)
    ]


def _by_day(session: Session, live: Sequence[ColumnElement[bool]]) -> tuple[dict[date, int], dict[date, int]]:
    """How many batches and how many cards there are on each day."""
    day = Batch.planned_for
    batches = select(day, func.count()).where(*live).group_by(day)
    # By the stage: it stands in the index of a batch's cards, so that no card is read.
    cards = select(day, func.count()).join(Card, Card.batch_id == Batch.id).group_by(day)
    cards = cards.where(*live, Card.stage != CardState.ANNULLED.value)
    with steered(session, NEAR):
        return dict(session.execute(batches).all()), dict(session.execute(cards).all())


def _shown(
    session: Session, live: Sequence[ColumnElement[bool]], counted: Mapping[date, int]
) -> dict[date, list[BatchRow]]:
    """The batches of each day that are named: all of them, or the first where a list of the day says more."""
    place = func.row_number().over(partition_by=Batch.planned_for, order_by=Batch.id)
    numbered = select(Batch.id, Batch.planned_for, place.label("place")).where(*live).subquery()
    first = select(numbered.c.id, numbered.c.planned_for, numbered.c.place).where(numbered.c.place <= NAMED_A_DAY)
    ids = [key for key, day, number in session.execute(first) if counted[day] <= NAMED_A_DAY or number <= NAMED_OF_MANY]
    shown: dict[date, list[BatchRow]] = defaultdict(list)
    for row in batch_rows(session, Batch.id.in_(ids)):
        shown[row.planned_for].append(row)
    return shown


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
