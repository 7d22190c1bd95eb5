"""What a plan costs, by the same count as its bound: waiting and lateness until cards leave the centre, trips, and what
outside bureaux ask for a card."""

from dataclasses import dataclass

import numpy as np

from issuance.planning.allot import line_groups
from issuance.planning.forward import Walk
from issuance.planning.region import CLASSES, Region, last_departures


@dataclass(frozen=True)
class Cost:
    """Waiting, lateness, trips and cards made for a price, each in the currency of `Prices`."""

    waiting: float
    lateness: float
    trips: float
    making: float = 0.0

    @property
    def people(self) -> float:
        """What does not depend on the couriers' prices."""
        return self.waiting + self.lateness

    @property
    def total(self) -> float:
        """All of it."""
        return self.people + self.trips + self.making


def cost_of(region: Region, walk: Walk) -> Cost:
    """Add up a walk; a trip costs when it carries something."""
    known = np.moveaxis(region.demand.known, -1, 0).sum(axis=3).copy()
    known[0] += region.demand.finished.sum(axis=2)
    due = np.moveaxis(last_departures(region)[..., :-1], -1, 0)
    waiting = np.cumsum(known - walk.left.sum(axis=3), axis=0).sum(axis=1)
    late = np.maximum(np.cumsum(due - walk.left, axis=0), 0).sum(axis=(1, 3))
    spans, prices = region.spans, region.prices
    used = walk.left.sum(axis=(2, 3)) > 0
    return Cost(
        waiting=sum(prices.wait[kind] * float(spans @ waiting[:, kind]) for kind in range(CLASSES)),
        lateness=sum(prices.late[kind] * float(spans @ late[:, kind]) for kind in range(CLASSES)),
        trips=float((used * region.delivery.cost).sum()),
        making=float(walk.used.sum(axis=(0, 2)) @ line_groups(region.supply).prices),
    )
