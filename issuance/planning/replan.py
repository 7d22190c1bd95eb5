"""Plans anew after an event (a line stops, chips are late, intake doubles) with the least disturbance.

Days gone and frozen batches stay as they were. After them clocks go by the same rules as ever; a cohort card keeps its
day of making unless lines or chips cannot do it any more, and then comes as soon as they can; only who had no date yet
may take what is free. `replan` shows at once what an event does to a plan: the linear programme is not solved again,
and nothing before the event is walked again. `renew` is the next morning's plan, from the office as it is by then.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from issuance.planning.allot import line_groups
from issuance.planning.cost import cost_of
from issuance.planning.errors import PlanningError
from issuance.planning.forward import Walk, course_of, walk
from issuance.planning.optimiser import Plan, cheapest
from issuance.planning.region import Counts, Flags, Kind, Region
from issuance.planning.relaxation import relax


@dataclass(frozen=True)
class Moved:
    """People whose promised day moves: places `first` to before `first + count` of a stream; days are indexes.

    The number of days stands for no day within the horizon.
    """

    point: int
    kind: Kind
    variant: int
    first: int
    count: int
    was: int
    now: int


@dataclass(frozen=True)
class Replanned:
    """The new plan, and who must be told that their day has moved."""

    plan: Plan
    moved: tuple[Moved, ...]

    @property
    def later(self) -> int:
        """How many people wait longer than they were told."""
        return sum(one.count for one in self.moved if one.now > one.was)

    @property
    def earlier(self) -> int:
        """How many come earlier."""
        return sum(one.count for one in self.moved if one.now < one.was)


def replan(plan: Plan, region: Region, *, day: int, frozen: int = 0) -> Replanned:
    """Plan `region`, the same region with other facts, from the morning of day `day` on; `frozen` days from then stay.

    The facts of the days before must be the same. The plan's bound is that of the old facts. Raises `PlanningError`
    for another set of days, points or variants, or a day outside the plan.
    """
    if region.days != plan.region.days or region.demand.finished.shape != plan.region.demand.finished.shape:
        raise PlanningError(
            "Only the same days, points and card variants can be planned anew: make a new plan instead."
        )
    if not 0 <= day < len(region.days):
        raise PlanningError("The day of the event lies outside the plan: make a new plan instead.")
    kept = np.cumsum(plan.walk.made[:, :, Kind.COHORT], axis=0) + plan.region.demand.finished[:, Kind.COHORT]
    groups = line_groups(region.supply)
    before = replace(plan.walk, used=groups.carried(plan.walk.used, line_groups(plan.region.supply)))

    def go(paid: Counts | None) -> Walk:
        course = course_of(region, targets=plan.relaxed.targets, trips=plan.trips, kept_plan=kept, paid=paid)
        return walk(course, before=before, first=day, frozen=day + frozen)

    walked = cheapest(region, plan.relaxed, go)
    new = replace(plan, region=region, walk=walked, cost=cost_of(region, walked))
    return Replanned(new, tuple(_moved(plan, new, day)))


def renew(old: Plan, region: Region, *, frozen_until: date | None) -> Plan:
    """Plan `region` as it is today, which may begin on a later day, so that cohorts keep their days of making.

    What `old` made until `frozen_until` is made or in batches and no more in the region. The linear programme is solved
    anew, for its bound and prices; only who had no day yet may take what is free. Raises `PlanningError` for other
    points or variants.
    """
    if len(old.region.places) != len(region.places) or old.region.variants != region.variants:
        raise PlanningError("Points or card variants have changed: make a new plan instead.")
    relaxed = relax(region)
    trips = region.delivery.departs & _trips_kept(old, region)
    kept = _kept(old, region, frozen_until)
    walked = cheapest(
        region,
        relaxed,
        lambda paid: walk(course_of(region, targets=relaxed.targets, trips=trips, kept_plan=kept, paid=paid)),
    )
    return Plan(region, trips, walked, cost_of(region, walked), relaxed.bound, relaxed)


def _kept(old: Plan, region: Region, frozen_until: date | None) -> Counts:
    """[D, P, V] cohort cards of the old plan to be made by each day of the new one, without those in batches."""
    gone = sum(1 for day in old.region.days if frozen_until is not None and day <= frozen_until)
    left = old.walk.made[:, :, Kind.COHORT].copy()
    left[:gone] = 0
    if gone:
        left -= _cut_ahead(old, gone)
    rest = np.cumsum(left, axis=0)
    by = np.searchsorted(_ordinals(old.region), _ordinals(region), side="right") - 1
    # What was to be made on days that have passed, and was not put into batches, comes as soon as it can.
    return np.maximum(np.where((by >= 0)[:, None, None], rest[np.maximum(by, 0)], 0), 0)


def _cut_ahead(old: Plan, gone: int) -> Counts:
    """[D, P, V] cohort cards of lines with a lead that are in batches, though their day is `gone` or later."""
    days, shape = len(old.region.days), old.region.demand.finished.shape
    found = np.zeros((days, shape[0], shape[2]), dtype=np.int64)
    leads = np.array([line.lead for line in old.region.supply.lines], dtype=np.int64)
    if not leads.any():
        return found
    slots, _ = old.pieces
    point, kind, variant = np.unravel_index(slots.stream, shape)
    # As in the freeze, leads are days that the calendar works, and a plan may have others between them.
    worked = np.cumsum(old.region.delivery.worked)
    ends = np.searchsorted(worked, worked[gone - 1] + leads) + 1
    within = (slots.made >= gone) & (slots.made < np.minimum(days, ends[slots.line]))
    rows = np.flatnonzero((kind == Kind.COHORT) & (slots.line >= 0) & within)
    np.add.at(found, (slots.made[rows], point[rows], variant[rows]), slots.count[rows])
    return found


def _trips_kept(old: Plan, region: Region) -> Flags:
    """[P, D] trips but those the old plan left out for their price."""
    spared = old.region.delivery.departs & ~old.trips
    place = {day: number for number, day in enumerate(old.region.days)}
    kept = np.ones(region.delivery.departs.shape, dtype=np.bool_)
    for number, day in enumerate(region.days):
        if day in place:
            kept[:, number] = ~spared[:, place[day]]
    return kept


def _ordinals(region: Region) -> Counts:
    return np.array([day.toordinal() for day in region.days], dtype=np.int64)


def _moved(old: Plan, new: Plan, day: int) -> list[Moved]:
    """Compare the days promised to everybody known by `day`, who alone have been told one."""
    days, shape = len(old.region.days), old.region.demand.finished.shape
    before, after = (_promises(plan) for plan in (old, new))
    told = old.region.demand.finished + old.region.demand.known[..., : day + 1].sum(axis=-1)
    told = np.minimum(told, new.region.demand.finished + new.region.demand.known[..., : day + 1].sum(axis=-1)).ravel()
    found = []
    for stream in np.flatnonzero((before != after).any(axis=1)):
        cuts = np.unique(np.minimum(np.concatenate([before[stream], after[stream], [told[stream]]]), told[stream]))
        cuts = cuts[cuts > 0]
        # Where nobody was told a day yet there is no cut at all.
        starts = np.concatenate([[0], cuts])[: len(cuts)]
        was, now = (np.searchsorted(curve[stream], starts, side="right") for curve in (before, after))
        point, kind, variant = (int(part) for part in np.unravel_index(stream, shape))
        found += [
            Moved(point, Kind(kind), variant, int(starts[n]), int(cuts[n] - starts[n]), int(was[n]), int(now[n]))
            for n in np.flatnonzero((was != now) & (np.minimum(was, now) <= days))
        ]
    return found


def _promises(plan: Plan) -> Counts:
    """[S, D] places of each stream handed over by the end of each day, after what lay at the point before."""
    handed = plan.walk.handed.reshape(len(plan.region.days), -1).T
    promised: Counts = np.maximum(np.cumsum(handed, axis=1) - plan.region.demand.stock.ravel()[:, None], 0)
    return promised
