"""Makes the plan of a region: a bound and prices from the linear programme, lots of courier trips, whole cards by day.

    relaxation (bound, targets, prices) -> forward walk on all trips -> lots (which trips run) -> forward walk on those

The plan always comes, whatever the input: what cannot be made in time is late or open in it, and `lateness` says why.
"""

from dataclasses import dataclass
from functools import cached_property

from issuance.planning.cost import Cost, cost_of
from issuance.planning.forward import Walk, course_of, walk
from issuance.planning.lots import bound_with_trips, trips_worth_running
from issuance.planning.region import Flags, Region
from issuance.planning.relaxation import CLUSTERS, Relaxed, relax
from issuance.planning.slots import Batches, Slots, slots_of


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
    every = walk(course_of(region, targets=relaxed.targets))
    if not region.delivery.cost.any():
        return Plan(region, region.delivery.departs, every, cost_of(region, every), relaxed.bound, relaxed)
    trips = trips_worth_running(region, every)
    lots = walk(course_of(region, targets=relaxed.targets, trips=trips))
    bound = bound_with_trips(region, clusters=clusters)
    chosen = min(((lots, trips), (every, region.delivery.departs)), key=lambda one: cost_of(region, one[0]).total)
    return Plan(region, chosen[1], chosen[0], cost_of(region, chosen[0]), bound, relaxed)
