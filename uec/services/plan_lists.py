"""The plan as pages draw it: lines by day, out of batches that are cut and of the plan that goes on behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.facts import USUAL
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import BatchState, CardState
from uec.domain.permissions import Permission
from uec.services import plan_facts, plan_region
from uec.store.steering import NEAR, steered
from uec.store.tables import Batch, Card, EmissionBatch, EmissionPlan, IssuancePoint

LIMIT_DAYS = 92
# So many batches can still be told apart, and taken hold of, in a picture.
DRAWN_ONE_BY_ONE = 240


@dataclass(frozen=True)
class Bar:
    """A batch that is cut, on its line and day."""

    id: int
    number: str
    state: BatchState
    point_ru: str
    point_en: str
    variant: str
    cards: int


@dataclass(frozen=True)
class Cell:
    """A line on a day: cards in batches that are cut, cards the plan has behind them, and what the line can make."""

    day: date
    cut: int
    planned: int
    capacity: int
    batches: int
    bars: tuple[Bar, ...] = ()

    @property
    def load(self) -> float:
        """The share of the capacity that is taken; above 1 where a line lost capacity after batches were cut."""
        return (self.cut + self.planned) / self.capacity if self.capacity else float(bool(self.cut + self.planned))


@dataclass(frozen=True)
class LineRow:
    """One line over the days; `code` is empty for batches that any station may make.

    `makes` are the card variants that it makes; None: all of them.
    """

    code: str
    name_ru: str
    name_en: str
    kind: str
    cells: tuple[Cell, ...]
    makes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Gantt:
    """Lines by days; `one_by_one` where there are batches, and few enough to be drawn each; `any_cut` where any are.

    On the days `off` nothing is worked.
    """

    days: tuple[date, ...]
    rows: tuple[LineRow, ...]
    frozen_until: date | None
    one_by_one: bool
    any_cut: bool
    off: frozenset[date]


def gantt(
    session: Session,
    *,
    actor: Actor,
    first: date,
    last: date,
    calendar: WorkingCalendar,
    today: date,
    point_id: int | None = None,
    variants: Sequence[str] = USUAL,
) -> Gantt:
    """The lines from a day to a day, 92 at most; few statements however many batches there are.

    With a point its batches alone are drawn one by one; what the lines have to make stays the whole. `variants` are the
    card variants, the usual one first.
    """
    actor.require(Permission.VIEW_BATCHES)
    if not first <= last <= first + timedelta(days=LIMIT_DAYS):
        raise InvalidInput(f"Choose a period of at most {LIMIT_DAYS} days, first day first.", field="last")
    days = tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
    newest = session.execute(
        select(EmissionPlan.id, EmissionPlan.frozen_until).order_by(EmissionPlan.id.desc()).limit(1)
    ).one_or_none()
    frozen_until = newest.frozen_until if newest else None
    bars, cut, one_by_one = _cut(session, first, last, point_id)
    points = list(plan_region.office_points(session).values())
    supply = (
        plan_facts.current(session, today=today).supply(days, calendar, points, variants=variants) if points else None
    )
    rows = []
    leads = {line.code: line.lead for line in supply.lines} if supply else {}
    cut_until = {code: calendar.after(frozen_until, lead) for code, lead in leads.items()} if frozen_until else {}
    planned = {
        (code, day): cards
        for (code, day), cards in (_planned(session, newest.id, first, last) if newest else {}).items()
        if frozen_until is None or day > cut_until.get(code, frozen_until)
    }
    for number, line in enumerate(supply.lines if supply else ()):
        cells = tuple(
            _cell(day, line.code, int(supply.capacity[number, at]) if supply else 0, cut, planned, bars)
            for at, day in enumerate(days)
        )
        makes = tuple(variants[one] for one in line.makes) if len(line.makes) < len(variants) else None
        rows.append(LineRow(line.code, line.name_ru, line.name_en, line.kind, cells, makes))
    # Batches of lines that are there no more are not lost from sight.
    for code in sorted({code for code, _ in (*cut, *planned)} - leads.keys()):
        cells = tuple(_cell(day, code, 0, cut, planned, bars) for day in days)
        rows.append(LineRow(code, code, code, "own", cells))
    off = frozenset(day for day in days if not calendar.is_working(day))
    return Gantt(days, tuple(rows), frozen_until, one_by_one, bool(cut), off)


Slot = tuple[str, date]


def _cell(
    day: date,
    code: str,
    capacity: int,
    cut: dict[Slot, tuple[int, int]],
    planned: dict[Slot, int],
    bars: dict[Slot, list[Bar]],
) -> Cell:
    cards, batches = cut.get((code, day), (0, 0))
    return Cell(day, cards, planned.get((code, day), 0), capacity, batches, tuple(bars.get((code, day), ())))


def _cut(
    session: Session, first: date, last: date, point_id: int | None
) -> tuple[dict[Slot, list[Bar]], dict[Slot, tuple[int, int]], bool]:
    """Batches one by one where they are few, cards and batches by line and day, and whether they are drawn each."""
    live = (Batch.planned_for.between(first, last), Batch.state != BatchState.CANCELLED)
    line = func.coalesce(Batch.line, "")
    slot = (line, Batch.planned_for)
    batches = select(*slot, func.count()).where(*live).group_by(*slot)
    # By the stage: it stands in the index of a batch's cards, so that no card is read.
    cards = select(*slot, func.count()).join(Card, Card.batch_id == Batch.id).group_by(*slot)
    cards = cards.where(*live, Card.stage != CardState.ANNULLED.value)
    with steered(session, NEAR):
        made = {(code, day): int(number) for code, day, number in session.execute(cards)}
        cut = {(code, day): (made.get((code, day), 0), int(number)) for code, day, number in session.execute(batches)}
    drawn = live if point_id is None else (*live, Batch.point_id == point_id)
    count = session.scalar(select(func.count()).select_from(Batch).where(*drawn)) or 0
    one_by_one = 0 < count <= DRAWN_ONE_BY_ONE
    bars: dict[Slot, list[Bar]] = {}
    for code, day, bar in _bars(session, drawn, line) if one_by_one else ():
        bars.setdefault((code, day), []).append(bar)
    return bars, cut, one_by_one


def _bars(
    session: Session, live: Sequence[ColumnElement[bool]], line: ColumnElement[str]
) -> list[tuple[str, date, Bar]]:
    cards = func.count(Card.id).filter(Card.stage != CardState.ANNULLED.value)
    point = (IssuancePoint.name_ru, IssuancePoint.name_en)
    found = select(line, Batch.planned_for, Batch.id, Batch.number, Batch.state, *point, Batch.profile, cards)
    found = found.join(IssuancePoint, IssuancePoint.id == Batch.point_id).outerjoin(Card, Card.batch_id == Batch.id)
    found = found.where(*live).group_by(line, Batch.id, *point).order_by(Batch.id)
    return [
        (code, day, Bar(key, number, state, point_ru, point_en, variant, count))
        for code, day, key, number, state, point_ru, point_en, variant, count in session.execute(found)
    ]


def _planned(session: Session, plan_id: int, first: date, last: date) -> dict[Slot, int]:
    rows = session.execute(
        select(EmissionBatch.line, EmissionBatch.day, func.sum(EmissionBatch.cards))
        .where(EmissionBatch.plan_id == plan_id, EmissionBatch.day.between(first, last))
        .group_by(EmissionBatch.line, EmissionBatch.day)
    )
    return {(code, day): int(cards) for code, day, cards in rows}
