"""What an event would do to the plan, seen before it is saved: by the kept counts, without looking at a single person.

Saved, the facts are in force and the plan is made again by the job `plan`, which keeps every day it can; whoever is
moved then stands in the list of moved promises before anybody is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.lateness import late_cards
from issuance.planning.optimiser import Plan
from issuance.planning.region import Region
from issuance.planning.replan import Replanned, replan
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.permissions import Permission
from uec.services import plan_facts, plan_office, plan_region, schedule
from uec.store.tables import EmissionPlan

SHOWN_POINTS = 12


@dataclass(frozen=True)
class PointMoved:
    """People of one point whose day would move."""

    code: str
    name_ru: str
    name_en: str
    later: int
    earlier: int


@dataclass(frozen=True)
class Consequences:
    """Whose days would move, who would be late, and the last day on which anybody is served, before and after.

    `weeks` are rows (first day, made now, made then); `cures` say in words what it would take, and `doubts` what of
    the facts should be looked at, Russian and English.
    """

    later: int
    earlier: int
    longest_days: int
    late_before: int
    late_after: int
    open_before: int
    open_after: int
    weeks: tuple[tuple[date, int, int], ...]
    points: tuple[PointMoved, ...]
    cures: tuple[tuple[str, str], ...]
    doubts: tuple[tuple[str, str], ...] = ()


def consequences(
    session: Session, table: Mapping[str, Any], *, actor: Actor, calendar: WorkingCalendar, today: date
) -> Consequences:
    """What other facts would do to the newest plan; raises `NotFound` without one, `InvalidInput` for wrong facts."""
    actor.require(Permission.VIEW_BATCHES)
    after = plan_facts.with_bureaux(session, plan_facts.checked_here(session, table), today=today)
    row, plan = _kept(session)
    points = list(plan_region.office_points(session).values())
    if len(points) != len(plan.region.places):
        raise InvalidInput("Points were added since the plan was made: plan again first.", field="facts")
    before = plan_facts.current(session, today=today)
    arrived = plan_facts.arrived(session)
    region = plan_region.refitted(plan.region, before, after, calendar=calendar, points=points, arrived=arrived)
    days = plan.region.days
    more = set(after.days(days[0], days[-1], calendar, points)) - set(days)
    if more:
        region = replace(region, doubts=(*region.doubts, _weekends(len(more))))
    return compared(plan, region, today=today, frozen_until=row.frozen_until)


def _weekends(days: int) -> tuple[str, str]:
    return (
        f"Теперь работают и в выходные (дней: {days}); здесь они ещё не учтены, их учтёт следующий план.",
        f"{days} weekend days are worked now; this look ahead does not count them yet, the next plan will.",
    )


def save(session: Session, table: Mapping[str, Any], *, reason: str, actor: Actor, now: datetime) -> int:
    """Put facts in force and have the plan made again; returns their version. Raises like `plan_facts.store`."""
    version = plan_facts.store(session, table, reason=reason, actor=actor, now=now)
    schedule.ask(session, "plan", asked_by=actor.reference, now=now)
    session.commit()
    return version


def compared(plan: Plan, region: Region, *, today: date, frozen_until: date | None) -> Consequences:
    """The plan against the least disturbed one for another region with the same days."""
    days = plan.region.days
    day = next((number for number, one in enumerate(days) if one >= today), None)
    if day is None:
        raise InvalidInput("The plan has ended: plan again first.", field="facts")
    frozen = sum(1 for one in days[day:] if frozen_until is not None and one <= frozen_until)
    # What stands still today stands still for frozen batches as well.
    found = replan(plan, region, day=day, frozen=frozen)
    before, after = late_cards(plan), late_cards(found.plan)
    return Consequences(
        later=found.later,
        earlier=found.earlier,
        longest_days=_longest(found, days),
        late_before=sum(one.count for one in before),
        late_after=sum(one.count for one in after),
        open_before=sum(one.open for one in before),
        open_after=sum(one.open for one in after),
        weeks=_weeks(plan, found.plan),
        points=_points(found),
        cures=tuple((one.ru, one.en) for one in after[:5]),
        doubts=region.doubts,
    )


def _kept(session: Session) -> tuple[EmissionPlan, Plan]:
    found = plan_office.archived(session)
    if found is None:
        raise NotFound("There is no plan yet: plan first.", kind="emission_plan", id=0)
    return found


def _longest(found: Replanned, days: tuple[date, ...]) -> int:
    """By how many calendar days somebody who keeps a day comes later at most."""
    waits = [(days[one.now] - days[one.was]).days for one in found.moved if one.was < one.now < len(days)]
    return max(waits, default=0)


def _weeks(before: Plan, after: Plan) -> tuple[tuple[date, int, int], ...]:
    mondays = np.array([day.toordinal() - day.weekday() for day in before.region.days])
    made = [plan.walk.made.sum(axis=(1, 2, 3)) for plan in (before, after)]
    now, then = made
    return tuple(
        (date.fromordinal(int(first)), int(now[mondays == first].sum()), int(then[mondays == first].sum()))
        for first in np.unique(mondays)
    )


def _points(found: Replanned) -> tuple[PointMoved, ...]:
    places = found.plan.region.places
    later, earlier = np.zeros(len(places), dtype=np.int64), np.zeros(len(places), dtype=np.int64)
    for one in found.moved:
        (later if one.now > one.was else earlier)[one.point] += one.count
    order = [int(number) for number in np.argsort(-(later + earlier), kind="stable") if later[number] + earlier[number]]
    return tuple(
        PointMoved(
            places[number].code,
            places[number].name_ru,
            places[number].name_en,
            int(later[number]),
            int(earlier[number]),
        )
        for number in order[:SHOWN_POINTS]
    )
