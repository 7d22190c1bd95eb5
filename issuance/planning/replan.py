"""Plans anew after an event (a line stops, chips are late, intake doubles) with the least disturbance.

Days gone and frozen batches stay as they were. After them clocks go by the same rules as ever; a cohort card keeps its
day of making unless lines or chips cannot do it any more, and then comes as soon as they can; only who had no date yet
may take what is free. The linear programme is not solved again, and nothing before the event is walked again.
"""

from dataclasses import dataclass, replace

import numpy as np

from issuance.planning.cost import cost_of
from issuance.planning.errors import PlanningError
from issuance.planning.forward import course_of, walk
from issuance.planning.optimiser import Plan
from issuance.planning.region import Counts, Kind, Region


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
    course = course_of(region, targets=plan.relaxed.targets, trips=plan.trips, kept_plan=kept)
    walked = walk(course, before=plan.walk, first=day, frozen=day + frozen)
    new = replace(plan, region=region, walk=walked, cost=cost_of(region, walked))
    return Replanned(new, tuple(_moved(plan, new, day)))


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
        starts = np.concatenate([[0], cuts[:-1]])
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
