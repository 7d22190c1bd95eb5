"""Who is late in the newest plan, person by person: the places that its kept counts say are late, as applications.

A page shows so many of them; only the queues that those stand in are looked at, however many are late in all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from issuance.planning.lateness import LatePlaces, late_places
from issuance.planning.reasons import Reason
from issuance.planning.region import Kind, Region
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.services import plan_office
from uec.services.views import Page
from uec.store.tables import Application, EmissionSlot, IssuancePoint

PORTION = 2000


@dataclass(frozen=True)
class Wanted:
    """Which of those who are late: for one reason, of one class, at one point by its code, of one card variant."""

    reason: Reason | None = None
    kind: Kind | None = None
    point: str = ""
    variant: str = ""


@dataclass(frozen=True)
class LatePerson:
    """Somebody who is late by the plan: why, by when the card was due, and when it can be collected, if at all."""

    application: str
    point: str
    point_ru: str
    point_en: str
    kind: Kind
    variant: str
    reason: Reason
    due_on: date
    promised_on: date | None


def people(session: Session, wanted: Wanted, *, actor: Actor, limit: int, offset: int = 0) -> Page[LatePerson]:
    """Those who are late, by point, class and place in their queue.

    Raises `NotFound` without a plan, and `InvalidInput` for one whose counts were not kept.
    """
    plan_id, region, late = _late(session, wanted, actor)
    shown = list(_slice(late, offset, limit))
    rows = tuple(_people(session, plan_id, region, shown))
    return Page(rows, sum(one.count for one in late), offset, limit)


def everybody(session: Session, wanted: Wanted, *, actor: Actor) -> Iterator[LatePerson]:
    """All of them, a few thousand at a time; raises as `people` does."""
    plan_id, region, late = _late(session, wanted, actor)
    for offset in range(0, sum(one.count for one in late), PORTION):
        yield from _people(session, plan_id, region, list(_slice(late, offset, PORTION)))


def _late(session: Session, wanted: Wanted, actor: Actor) -> tuple[int, Region, list[LatePlaces]]:
    """The newest plan's id, its region, and the places in it that are late."""
    actor.require(Permission.VIEW_BATCHES)
    newest = plan_office.newest(session, actor=actor)
    kept = plan_office.archived(session)
    if kept is None:
        raise InvalidInput(f"The counts of plan {newest.id} are not kept: plan again first.", field="plan")
    region = kept[1].region
    return newest.id, region, [one for one in late_places(kept[1]) if _is(one, wanted, region)]


def _is(one: LatePlaces, wanted: Wanted, region: Region) -> bool:
    return (
        wanted.reason in {None, one.reason}
        and wanted.kind in {None, one.kind}
        and wanted.point in {"", region.places[one.point].code}
        and wanted.variant in {"", region.variants[one.variant]}
    )


def _slice(late: Sequence[LatePlaces], offset: int, limit: int) -> Iterator[LatePlaces]:
    """The parts of the ranges that hold the places from `offset` on of all of them together."""
    for one in late:
        skipped, offset = min(offset, one.count), max(0, offset - one.count)
        taken = min(one.count - skipped, limit)
        if taken:
            yield LatePlaces(one.point, one.kind, one.variant, one.reason, one.first + skipped, taken)
        limit -= taken


def _people(session: Session, plan_id: int, region: Region, shown: Sequence[LatePlaces]) -> Iterator[LatePerson]:
    points = {row.code: row for row in session.scalars(select(IssuancePoint))}
    seats = _seats(session, plan_id, shown, {code: row.id for code, row in points.items()}, region)
    chosen = select(Application.id, Application.number, Application.due_on)
    known = {row.id: row for row in session.execute(chosen.where(Application.id.in_([key for key, _, _ in seats])))}
    for key, promised_on, one in seats:
        if key not in known:
            continue
        point = points[region.places[one.point].code]
        yield LatePerson(
            known[key].number,
            point.code,
            point.name_ru,
            point.name_en,
            one.kind,
            region.variants[one.variant],
            one.reason,
            known[key].due_on,
            promised_on,
        )


def _seats(
    session: Session, plan_id: int, shown: Sequence[LatePlaces], points: Mapping[str, int], region: Region
) -> list[tuple[int, date | None, LatePlaces]]:
    """(application id, promised day, why) in the order of the places; queues of points that are no more have none."""
    queues = {
        one: (points.get(region.places[one.point].code, 0), int(one.kind), region.variants[one.variant])
        for one in shown
    }
    overlaps = [
        and_(
            EmissionSlot.point_id == point_id,
            EmissionSlot.kind == kind,
            EmissionSlot.variant == variant,
            EmissionSlot.first < one.first + one.count,
            EmissionSlot.first + EmissionSlot.count > one.first,
        )
        for one, (point_id, kind, variant) in queues.items()
    ]
    if not overlaps:
        return []
    found = select(EmissionSlot).where(EmissionSlot.plan_id == plan_id, or_(*overlaps)).order_by(EmissionSlot.first)
    slots = session.scalars(found).all()
    return [
        (key, slot.promised_on, one)
        for one, queue in queues.items()
        for slot in slots
        if (slot.point_id, slot.kind, slot.variant) == queue
        for key in slot.people[max(0, one.first - slot.first) : max(0, one.first + one.count - slot.first)]
    ]
