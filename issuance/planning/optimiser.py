"""Makes the plan of a region: a bound and prices from the linear programme, lots of courier trips, whole cards by day.

    relaxation (bound, targets, prices) -> forward walk on all trips -> lots (which trips run) -> forward walk on those

The plan always comes, whatever the input: what cannot be made in time is late or open in it, and `lateness` says why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from issuance.planning.allot import line_groups
from issuance.planning.bounds import bound_with_trips
from issuance.planning.cost import Cost, cost_of
from issuance.planning.errors import PlanningError
from issuance.planning.forward import Walk, course_of, walk
from issuance.planning.lots import trips_worth_running
from issuance.planning.region import Counts, Flags, Kind, Region
from issuance.planning.relaxation import CLUSTERS, Relaxed, relax
from issuance.planning.slots import Batches, Slots, slots_of

# Shares of its price that a cohort's waiting for a fuller trip is taken to cost; the cheapest plan of them is the plan.
PATIENCE = (1.0, 0.5)
# No closer bound is looked for where the plan is within this share of one.
CLOSE = 0.03


@dataclass(frozen=True)
class Plan:
    """A plan over counts: `walk` says what happens on each day, `trips` [P, D] which couriers run.

    `bound` is what no plan can beat; `gap` is how far above it this one may be at most, as a share of it.
    """

    region: Region
    trips: Flags
    walk: Walk
    cost: Cost
    bound: float
    relaxed: Relaxed

    @property
    def gap(self) -> float:
        """The plan's cost above the bound, as a share of the bound."""
        return self.cost.total / self.bound - 1 if self.bound else 0.0

    @cached_property
    def pieces(self) -> tuple[Slots, Batches]:
        """Places in the queues and batches, cut by the days of becoming known and due as well."""
        return slots_of(self.region, self.walk)


def make_plan(region: Region, *, clusters: int = CLUSTERS) -> Plan:
    """Plan a region with its couriers' trip costs; without any, every trip runs and the linear bound is the bound."""
    relaxed = relax(region, clusters=clusters)

    def walked(trips: Flags) -> Walk:
        return cheapest(
            region, relaxed, lambda paid: walk(course_of(region, targets=relaxed.targets, trips=trips, paid=paid))
        )

    every = walked(region.delivery.departs)
    if not region.delivery.cost.any():
        return Plan(region, region.delivery.departs, every, cost_of(region, every), relaxed.bound, relaxed)
    tried = {share: trips_worth_running(region, every, patience=share) for share in _patience(region)}
    plans = [(every, region.delivery.departs), *((walked(trips), trips) for trips in tried.values())]
    chosen, trips = min(plans, key=lambda one: cost_of(region, one[0]).total)
    cost = cost_of(region, chosen)
    return Plan(region, trips, chosen, cost, _bound(region, relaxed, cost, clusters), relaxed)


def _bound(region: Region, relaxed: Relaxed, cost: Cost, clusters: int) -> float:
    """The closer of both bounds; the linear programme's alone where the solver fails at the other."""
    try:
        closer = bound_with_trips(region, enough=cost.total / (1 + CLOSE), clusters=clusters)
    except PlanningError:
        return relaxed.bound
    # What holds without the trips' cost holds with it, and is the closer bound where clocks are late.
    return max(relaxed.bound, closer)


def _patience(region: Region) -> tuple[float, ...]:
    """How patient cohorts are tried to be; clocks never are."""
    return PATIENCE if region.demand.known[:, Kind.COHORT].any() else PATIENCE[:1]


def worth_paying(region: Region, relaxed: Relaxed) -> Counts | None:
    """[G, D] cards that lines with a price are worth it for; None where none has one, or other lines were priced."""
    groups = line_groups(region.supply)
    return relaxed.paid if groups.prices.any() and len(relaxed.paid) == len(groups.masks) else None


def cheapest(region: Region, relaxed: Relaxed, go: Callable[[Counts | None], Walk]) -> Walk:
    """The walk that asks outside lines for what the programme thinks them worth, or for all they can: what costs less.

    The programme has fractions of cards and of points; where it is too hopeful, whole cards would come late.
    """
    paid = worth_paying(region, relaxed)
    tried = [go(paid)] if paid is None else [go(paid), go(None)]
    return min(tried, key=lambda one: cost_of(region, one).total)
