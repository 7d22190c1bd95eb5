"""What any plan costs at least, its couriers' trips included: the centre and each point for themselves.

The cohort's cards are sold by the centre at prices by day (`relaxation.centre_of`) and bought by the points, each with
the cheapest chain of trips that could bring what it may be brought: a Lagrangian bound, at the prices of the linear
programme. The clocks' waiting is divided: a quarter of its price stays with the centre, where lines and chips delay
them, three quarters go to the points, where couriers do. A trip's cost may be charged as a whole or, by any share,
for each of the cohort's cards that fit it; at each point the share counts that gives the most.
"""

from dataclasses import replace

import numpy as np

from issuance.planning.lots import cheapest_chain, lot_prices, lots_of
from issuance.planning.region import CLASSES, Counts, Kind, Reals, Region, last_departures
from issuance.planning.relaxation import CLUSTERS, centre_of
from issuance.planning.rooms import first_departures, rooms_of

CLOCKS = (Kind.REMAKE, Kind.CLOCK)
AT_CENTRE = 0.25
WHOLE_TRIPS = (1.0, 0.5, 0.0)


def bound_with_trips(region: Region, *, clusters: int = CLUSTERS) -> float:
    """What any plan costs at least, its trips included."""
    centre = centre_of(_clocks_at(region, AT_CENTRE), clusters=clusters)
    points = _Points(_clocks_at(region, 1 - AT_CENTRE), centre.finished)
    served = sum(points.least(int(point)) for point in np.flatnonzero(region.reachable))
    return centre.least + centre.clock_base * (1 - AT_CENTRE) / AT_CENTRE + served


def _clocks_at(region: Region, share: float) -> Region:
    wait, late = region.prices.wait, region.prices.late
    prices = replace(
        region.prices,
        wait=(wait[0] * share, wait[1] * share, wait[2]),
        late=(late[0] * share, late[1] * share, late[2]),
    )
    return replace(region, prices=prices)


class _Points:
    """What each point pays at least for trips, waiting, and the cohort's cards at the price `finished` [V, D]."""

    def __init__(self, region: Region, finished: Reals) -> None:
        self.region, self.finished = region, finished
        self.due = last_departures(region)
        self.clocks = np.stack([first_departures(region, kind) for kind in CLOCKS], axis=1)[..., :-1]
        self.allowed = np.cumsum(rooms_of(region).allowance, axis=1)
        # A card that leaves on a day is spared the waiting of that day and all after it.
        self.spared = region.prices.wait[Kind.COHORT] * np.cumsum(region.spans[::-1])[::-1]
        self.storage = np.array([place.storage for place in region.places], dtype=np.int64)

    def least(self, point: int) -> float:
        """The least that the point pays, by the share of whole trips that says the most."""
        region = self.region
        days = np.flatnonzero(region.delivery.departs[point])
        left = np.zeros((CLASSES, *self.clocks.shape[2:]), dtype=np.int64)
        left[: Kind.COHORT] = self.clocks[point]
        left[: Kind.COHORT, :, days[0]] += region.demand.finished[point, : Kind.COHORT]
        prices, lots = lot_prices(region, days, left, self.due[point], kinds=CLOCKS), lots_of(left, days)
        comes, known = self._cohort(point, days)
        cost = float(region.delivery.cost[point])
        fits = max(1, min(int(region.delivery.volume[point]), int(self.storage[point])))
        found = [
            cheapest_chain(
                prices + self._bought(point, days, comes, each=(1 - whole) * cost / fits), lots + comes, whole * cost
            )[0]
            for whole in WHOLE_TRIPS
        ]
        return max(found) + region.prices.wait[Kind.COHORT] * float(np.cumsum(known) @ region.spans)

    def _cohort(self, point: int, days: Counts) -> tuple[Counts, Counts]:
        """[K + 1, K + 2] cohort cards on trip j after trip i, at the earliest; [D] those known, by day."""
        demand = self.region.demand
        known = demand.known[point, Kind.COHORT].sum(axis=0)
        there = int(demand.finished[point, Kind.COHORT].sum())
        # What becomes known on a day leaves on the next one at the earliest.
        could = there + np.concatenate([[0], np.cumsum(known)[:-1]])
        gone = np.concatenate([[0], np.minimum(could, self.allowed[point])[days]])
        comes: Counts = np.append(gone, gone[-1])[None, :] - gone[:, None]
        comes[:, -1] = 0
        known[0] += there
        return comes, known

    def _bought(self, point: int, days: Counts, comes: Counts, *, each: float) -> Reals:
        """[K + 1, K + 2] what the cards of each trip cost, less the waiting they are spared; never above nothing."""
        demand = self.region.demand
        wanted = demand.known[point, Kind.COHORT].any(axis=1) | (demand.finished[point, Kind.COHORT] > 0)
        found = np.zeros(comes.shape)
        if wanted.any():
            card = (self.finished[wanted] - self.spared).min(axis=0)[days] + each
            # Who may leave on a trip may leave on any after it.
            best = np.minimum(np.minimum.accumulate(card[::-1])[::-1], 0.0)
            found[:, 1:-1] = np.maximum(comes[:, 1:-1], 0) * best
        return found
