"""Hides the linear programme: the least any plan of the region can cost, what its lines and chips are worth, and where
the cohort should go when.

Points with a similar share of their hand-over capacity to fill count as one (a cluster). Every plan of the points is,
summed up, a solution here at no higher cost, so the optimum is a bound from below; and since what happens inside a
cluster costs the same, it is a close one. Waiting is counted until a card leaves the centre; what a card waits for its
first possible trip is the same in every plan and stands in `base`. Trips have their least possible cost.
"""

from dataclasses import dataclass

import numpy as np

from issuance.planning.allot import line_groups
from issuance.planning.region import Counts, Kind, Reals, Region, last_departures
from issuance.planning.rooms import Rooms, first_departures, rooms_of
from issuance.planning.solver import INFINITY, Programme, Solved

CLUSTERS = 1
TIERS = 3
# The tiers let the programme spread the cohort evenly where it is indifferent; the bound gives their weight back.
EVENNESS = 0.0005


@dataclass(frozen=True)
class Relaxed:
    """`bound` is what any plan costs at least, `clock_base` of it that clocks wait for their first
    trip whatever is done; `targets` [P, V, D] cohort cards to have left by each day.

    `paid` [G, D] are the cards that groups of lines with a price are worth it for, and all that the others can make.
    `lines` [G, D], `chips` [V, D] and `windows` [K, D] are what one more card of capacity that day saves; `clusters`
    [P] says which cluster a point is in.
    """

    bound: float
    clock_base: float
    targets: Counts
    paid: Counts
    lines: Reals
    chips: Reals
    windows: Reals
    clusters: Counts


def relax(region: Region, *, clusters: int = CLUSTERS) -> Relaxed:
    """Solve the linear programme of a region; there is always an optimum, since everything may come too late."""
    model = _Model(region, clusters)
    solved = model.programme.solve()
    bound = solved.value / (1 + EVENNESS) + model.base
    return Relaxed(
        bound,
        model.clock_base,
        model.targets(solved),
        model.paid(solved),
        -np.minimum(solved.duals[model.line_rows], 0.0),
        np.abs(solved.duals[model.chip_rows]),
        np.abs(solved.duals[model.room_rows]),
        model.clusters,
    )


def finished_prices(region: Region, *, clusters: int = CLUSTERS) -> Reals:
    """[V, D] what one more finished card that could leave that day would save; it never rises."""
    model = _Model(region, clusters)
    found: Reals = np.maximum(-model.programme.solve().duals[model.finished_rows], 0.0)
    return found


class _Model:
    """The blocks of the programme; days are the last axis of each."""

    def __init__(self, region: Region, clusters: int) -> None:
        self.region, self.rooms = region, rooms_of(region)
        self.reachable = region.reachable
        self.clusters = _clusters(region, self.rooms, clusters)
        self.programme = Programme()
        self.base = 0.0
        self.days, self.variants = len(region.days), len(region.variants)
        # On a day nothing leaves but on the couriers of that day, and no courier takes more than fits it and the safe.
        self._carried = region.delivery.departs.astype(float)
        storage = np.array([place.storage for place in region.places], dtype=np.int64)
        self._lot = np.minimum(region.delivery.volume, storage).astype(float)[:, None, None]
        self._lines_and_chips()
        for kind in (Kind.REMAKE, Kind.CLOCK):
            self._clocks(kind)
        self.clock_base = self.base
        self._cohort()

    def _lines_and_chips(self) -> None:
        lp, shape = self.programme, (self.variants, self.days)
        supply, demand = self.region.supply, self.region.demand
        self.groups = groups = line_groups(supply)
        self.capacity = capacity = groups.capacity(supply.capacity)
        self.line_rows = lp.add_rows(capacity.shape, low=-INFINITY, high=capacity)
        made = lp.add_columns((len(groups.masks), *shape), cost=groups.prices[:, None, None])
        for group, mask in enumerate(groups.masks):
            unable = [variant for variant in range(self.variants) if variant not in mask]
            lp.put(self.line_rows[group], made[group], 1.0)
            if unable:
                closed = lp.add_rows((len(unable), self.days), low=0.0, high=0.0)
                lp.put(closed, made[group][unable], 1.0)
        deliveries = supply.deliveries.astype(float)
        deliveries[:, 0] += supply.chips
        self.chip_rows = lp.add_rows(shape, low=deliveries, high=deliveries)
        lp.balance(self.chip_rows, lp.add_columns(shape))
        known = np.where(self.reachable[:, None, None, None], demand.known, 0).sum(axis=(0, 1)).astype(float)
        orders = lp.add_rows(shape, low=known, high=known)
        lp.balance(orders, lp.add_columns(shape))
        there = np.zeros(shape)
        there[:, 0] = np.where(self.reachable[:, None, None], demand.finished, 0).sum(axis=(0, 1))
        self.finished_rows = lp.add_rows(shape, low=there, high=there)
        lp.balance(self.finished_rows, lp.add_columns(shape))
        for group in range(len(groups.masks)):
            lp.put(self.chip_rows, made[group], 1.0)
            lp.put(orders, made[group], 1.0)
            # A card leaves on the morning after it is made at the earliest.
            lp.put(self.finished_rows[:, 1:], made[group][:, :-1], -1.0)
        self.made = made

    def _clocks(self, kind: Kind) -> None:
        """One class over all points: wanted from the first trip each card could take, late after the last."""
        lp, region = self.programme, self.region
        could, due, known = self._curves(kind)
        spans, wait, late = region.spans, region.prices.wait[kind], region.prices.late[kind]
        # What is waited for the first possible trip, and what is late whatever is done, is the same in every plan.
        self.base += float(((known - could) * spans).sum()) * wait + float(((due - could).clip(0) * spans).sum()) * late
        pooled = could.sum(axis=0)
        wanted = np.diff(pooled, axis=1, prepend=0.0)
        # Of those that could have left, so many need not have: the others are late.
        calm = pooled - np.minimum(due, could).sum(axis=0)
        rows = lp.add_rows(wanted.shape, low=wanted, high=wanted)
        for price, high in ((wait, calm), (wait + late, INFINITY)):
            lp.balance(rows, lp.add_columns(wanted.shape, cost=price * spans, high=high))
        leaves = lp.add_columns(wanted.shape, high=(self._carried[:, None] * np.minimum(could, self._lot)).sum(axis=0))
        lp.put(rows, leaves, 1.0)
        lp.put(self.finished_rows, leaves, 1.0)

    def _curves(self, kind: Kind) -> tuple[Reals, Reals, Reals]:
        """[P, V, D] cumulative: who could have left, must have left, is known; nobody can leave without a courier."""
        region = self.region
        finished = region.demand.finished[:, kind].astype(float)[:, :, None]
        reachable = self.reachable[:, None, None]
        could = np.cumsum(first_departures(region, kind)[..., :-1], axis=2) + finished
        due = np.cumsum(last_departures(region)[:, kind, :, :-1], axis=2).astype(float)
        known = np.cumsum(region.demand.known[:, kind], axis=2) + finished
        return np.where(reachable, could, 0.0), due, known

    def _cohort(self) -> None:
        lp, region, kind = self.programme, self.region, Kind.COHORT
        count = int(self.clusters.max()) + 1
        known_at = region.demand.known[:, kind].astype(float)
        known_at[..., 0] += region.demand.finished[:, kind]
        known = np.zeros((count, self.variants, self.days))
        np.add.at(known, self.clusters[self.reachable], known_at[self.reachable])
        self._charge_unreachable_cohort()
        rows = lp.add_rows(known.shape, low=known, high=known)
        total = known.sum(axis=2, keepdims=True)
        for tier in range(TIERS):
            cost = region.prices.wait[kind] * region.spans * (1 + EVENNESS * tier / (TIERS - 1))
            last = tier == TIERS - 1
            waits = lp.add_columns(known.shape, cost=cost, high=INFINITY if last else total / TIERS)
            lp.balance(rows, waits)
        people = known_at.sum(axis=2, keepdims=True)
        most = np.zeros(known.shape)
        np.add.at(most, self.clusters, self._carried[:, None] * np.minimum(people, self._lot))
        self.leaves = lp.add_columns(known.shape, high=most)
        lp.put(rows, self.leaves, 1.0)
        lp.put(self.finished_rows[None], self.leaves, 1.0)
        room = np.zeros((count, self.days))
        np.add.at(room, self.clusters, self.rooms.allowance)
        self.room_rows = lp.add_rows(room.shape, low=room, high=room)
        lp.balance(self.room_rows, lp.add_columns(room.shape))
        lp.put(self.room_rows[:, None, :], self.leaves, 1.0)

    def _charge_unreachable_cohort(self) -> None:
        region, kind = self.region, Kind.COHORT
        known = region.demand.known[~self.reachable, kind].sum(axis=(0, 1)).astype(float)
        known[0] += region.demand.finished[~self.reachable, kind].sum()
        self.base += region.prices.wait[kind] * float((np.cumsum(known) * region.spans).sum())

    def paid(self, solved: Solved) -> Counts:
        """What the programme has lines with a price make, in whole cards; the capacity of those without."""
        wanted = np.ceil(solved.columns[self.made].sum(axis=1) - 1e-6).astype(np.int64)
        found: Counts = np.where(self.groups.prices[:, None] > 0, np.minimum(wanted, self.capacity), self.capacity)
        return found

    def targets(self, solved: Solved) -> Counts:
        """Each point's part of its cluster's departures, by its part of the cluster's people."""
        leaves = np.cumsum(solved.columns[self.leaves], axis=2)
        people = self.region.demand.known[:, Kind.COHORT].sum(axis=2) + self.region.demand.finished[:, Kind.COHORT]
        total = np.zeros(leaves.shape[:2])
        np.add.at(total, self.clusters, people)
        share = people / np.maximum(total[self.clusters], 1)
        targets: Counts = np.ceil(leaves[self.clusters] * share[:, :, None] - 1e-6).astype(np.int64)
        return targets


def _clusters(region: Region, rooms: Rooms, wanted: int) -> Counts:
    """[P] clusters of equal numbers of people, by how much of what couriers may bring the point needs."""
    people = region.demand.known[:, Kind.COHORT].sum(axis=(1, 2))
    need = people / np.maximum(rooms.allowance.sum(axis=1), 1)
    order = np.argsort(need, kind="stable")
    before = np.cumsum(people[order]) - people[order]
    cluster = np.zeros(len(people), dtype=np.int64)
    cluster[order] = np.minimum(before * wanted // max(1, int(people.sum())), wanted - 1)
    _, numbered = np.unique(cluster, return_inverse=True)
    return numbered.astype(np.int64)
