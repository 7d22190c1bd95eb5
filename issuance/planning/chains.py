"""What each point pays at least where the centre sells it finished cards at prices by day: all points at once.

As in `lots`, the cheapest chain of trips is a shortest path; here nothing is known of lines and chips but the prices.
Between two trips that run everybody waits for the later one, clocks by their due days, and a cohort as far as it may be
brought; whoever may leave on a trip may leave on any after it, at the least price of these, or never. A trip's cost is
charged as a whole or, by any share, for each of the cards that fit it. Arrays [P, K] are by point and its trips.
"""

from dataclasses import dataclass

import numpy as np

from issuance.planning.region import Counts, Kind, Reals, Region, last_departures
from issuance.planning.rooms import first_departures, rooms_of

CLOCKS = (Kind.REMAKE, Kind.CLOCK)


@dataclass(frozen=True)
class Least:
    """What each point [P] pays at least, cards at their price included; `leaves` [P, V, D] cards that so leave."""

    value: Reals
    leaves: Reals


@dataclass(frozen=True)
class _Stream:
    """Clocks of one class and variant: [P, K + 1] `gone` by each trip at most, from none before the first.

    `late` [P, K] cards due before each trip that could have left by it, at most; `gone_due` and `late_due` are the sums
    of the first so many cards' last times to leave, on the calendar of `Chains`.
    """

    variant: int
    wait: float
    lateness: float
    gone: Reals
    late: Reals
    gone_due: Reals
    late_due: Reals
    total: Reals
    due: Reals
    due_sum: Reals

    def at_the_end(self, end: float) -> Reals:
        """[P, K + 1] what those cost who have not left after each trip, if it is the last."""
        waits = self.wait * (self.total - self.gone) * end
        late = np.maximum(self.due - self.gone, 0) * end - np.maximum(self.due_sum - self.gone_due, 0)
        return waits + self.lateness * late

    def lateness_on(self, trip: int, time: Reals) -> Reals:
        """[P, trip] what those are late who leave on a trip (from 1) at `time` [P, 1], by the trip before it."""
        late = np.maximum(self.late[:, trip - 1, None] - self.gone[:, :trip], 0) * time
        return self.lateness * (late - np.maximum(self.late_due[:, trip - 1, None] - self.gone_due[:, :trip], 0))


class Chains:
    """The trips, clocks and cohorts of a region's points, to be priced again and again."""

    def __init__(self, region: Region) -> None:
        """Take a region apart into its points' trips."""
        self.region = region
        runs = region.delivery.departs & region.reachable[:, None]
        self.trips: Counts = runs.sum(axis=1)
        most = int(self.trips.max(initial=0))
        self.runs = np.arange(most) < self.trips[:, None]
        self.day = np.where(self.runs, np.argsort(~runs, axis=1, kind="stable")[:, :most], 0)
        # The calendar: waiting is the time of leaving less that of becoming known.
        self.time = np.concatenate([[0.0], np.cumsum(region.spans)])
        self.base = 0.0
        self.streams = [stream for kind in CLOCKS for stream in self._streams(kind)]
        self._cohort()
        self.lots: Reals = sum((stream.gone for stream in self.streams), self.gone)
        storage = np.array([place.storage for place in region.places], dtype=np.int64)
        self.fits = np.maximum(np.minimum(region.delivery.volume, storage), 1).astype(float)

    def least(self, prices: Reals, whole: Reals) -> Least:
        """The least for finished cards at `prices` [V, D], with the share `whole` [P] of trips' cost charged whole."""
        cost, each = self.region.delivery.cost * whole, self.region.delivery.cost * (1 - whole) / self.fits
        at = np.where(self.runs, prices[:, self.day], np.inf)
        bought = [_Bought(stream.wait * self.time[self.day] + at[stream.variant] + each[:, None],
                          stream.wait * self.time[-1]) for stream in self.streams]  # fmt: skip
        spared = self.region.prices.wait[Kind.COHORT] * (self.time[-1] - self.time[self.day])
        cards = np.where(self.wanted.T[:, :, None], at - spared + each[:, None], np.inf)
        cohort = _Bought(cards.min(axis=0), 0.0)
        best, before = self._paths(cost, bought, cohort.price)
        ends = best + sum((stream.at_the_end(self.time[-1]) for stream in self.streams), np.zeros_like(best))
        ends[np.arange(best.shape[1]) > self.trips[:, None]] = np.inf
        last = ends.argmin(axis=1)
        leaves = np.zeros((len(best), *prices.shape))
        taken = [
            (stream.gone, one, np.full(self.day.shape, stream.variant))
            for stream, one in zip(self.streams, bought, strict=True)
        ]
        taken.append((self.gone, cohort, cards.argmin(axis=0)))
        for point, trip, earlier in _along(before, last):
            for gone, one, variant in taken:
                on = one.trip[point, trip - 1]
                some, count = on >= 0, gone[point, trip] - gone[point, earlier]
                row, on = point[some], on[some]
                np.add.at(leaves, (row, variant[row, on], self.day[row, on]), count[some])
        return Least(ends[np.arange(len(ends)), last], leaves)

    def _paths(self, cost: Reals, bought: "list[_Bought]", cohort: Reals) -> tuple[Reals, Counts]:
        """[P, K + 1] the least until each trip, and the trip before it on the way."""
        best: Reals = np.full(self.lots.shape, np.inf)
        best[:, 0] = 0.0
        before: Counts = np.zeros(best.shape, dtype=np.int64)
        rows = np.arange(len(best))
        for trip in range(1, best.shape[1]):
            ways: Reals = best[:, :trip] + np.where(self.lots[:, trip, None] > self.lots[:, :trip], cost[:, None], 0.0)
            ways += (self.gone[:, trip, None] - self.gone[:, :trip]) * cohort[:, trip - 1, None]
            time = self.time[self.day[:, trip - 1]][:, None]
            for stream, one in zip(self.streams, bought, strict=True):
                ways += (stream.gone[:, trip, None] - stream.gone[:, :trip]) * one.price[:, trip - 1, None]
                ways += stream.lateness_on(trip, time)
            before[:, trip] = ways.argmin(axis=1)
            best[:, trip] = ways[rows, before[:, trip]]
        return best, before

    def _by_trip(self, by_day: Reals) -> Reals:
        """[P, K + 1] a cumulative count [P, D] by trip, from none before the first one."""
        taken = np.take_along_axis(by_day, self.day, axis=1)
        taken = np.where(self.runs, taken, taken.max(axis=1, initial=0.0)[:, None])
        return np.concatenate([np.zeros((len(by_day), 1)), taken], axis=1)

    def _streams(self, kind: Kind) -> list[_Stream]:
        demand, wait = self.region.demand, self.region.prices.wait[kind]
        first = first_departures(self.region, kind)[..., :-1].astype(float)
        due = last_departures(self.region)[:, kind, :, :-1].astype(float)
        first[np.arange(len(first)), :, self.day[:, 0] if self.day.size else 0] += np.where(
            self.region.reachable[:, None], demand.finished[:, kind], 0
        )
        found = []
        for variant in np.flatnonzero((demand.known[:, kind].sum(axis=2) + demand.finished[:, kind]).any(axis=0)):
            known = demand.known[:, kind, variant].sum(axis=0) @ self.time[:-1]
            self.base -= wait * float(known)
            gone = self._by_trip(np.cumsum(first[:, variant], axis=1))
            total = (demand.known[:, kind, variant].sum(axis=1) + demand.finished[:, kind, variant]).astype(float)
            found.append(self._stream(kind, int(variant), gone, due[:, variant], total[:, None]))
        return found

    def _stream(self, kind: Kind, variant: int, gone: Reals, due: Reals, total: Reals) -> _Stream:
        start = np.zeros((len(due), 1))
        count = np.concatenate([start, np.cumsum(due, axis=1)], axis=1)
        times = np.concatenate([start, np.cumsum(due * self.time[:-1], axis=1)], axis=1)
        # Due before a trip: by the evening before it.
        late = np.minimum(gone[:, 1:], np.take_along_axis(count, self.day, axis=1))

        def sums(cards: Reals) -> Reals:
            return np.stack([np.interp(*row) for row in zip(cards, count, times, strict=True)])

        prices = self.region.prices
        return _Stream(
            variant, prices.wait[kind], prices.late[kind], gone, late, sums(gone), sums(late), total,
            count[:, -1:], times[:, -1:],
        )  # fmt: skip

    def _cohort(self) -> None:
        """Whom a trip may take at the latest count, and what it costs if nobody ever leaves."""
        demand, kind = self.region.demand, Kind.COHORT
        known = demand.known[:, kind].sum(axis=1)
        there = demand.finished[:, kind].sum(axis=1)
        before = np.cumsum(known, axis=1) - known + there[:, None]
        could = np.minimum(before, np.cumsum(rooms_of(self.region).allowance, axis=1))
        self.gone = self._by_trip(could.astype(float))
        self.wanted = demand.known[:, kind].any(axis=2) | (demand.finished[:, kind] > 0)
        waiting = float((known @ (self.time[-1] - self.time[:-1])).sum() + there.sum() * self.time[-1])
        self.base += self.region.prices.wait[kind] * waiting


class _Bought:
    """[P, K] the least price of a card that may leave on a trip or any later one, and that trip; -1 for never."""

    def __init__(self, price: Reals, never: float) -> None:
        self.price = np.empty_like(price)
        self.trip = np.empty(price.shape, dtype=np.int64)
        least, at = np.full(len(price), never), np.full(len(price), -1)
        for trip in range(price.shape[1] - 1, -1, -1):
            better = price[:, trip] < least
            least, at = np.where(better, price[:, trip], least), np.where(better, trip, at)
            self.price[:, trip], self.trip[:, trip] = least, at


def _along(before: Counts, last: Counts) -> "list[tuple[Counts, Counts, Counts]]":
    """Back from each point's last trip: points, their trips (from 1), and the trips before these."""
    found, trip = [], last.copy()
    while (points := np.flatnonzero(trip)).size:
        earlier = before[points, trip[points]]
        found.append((points, trip[points], earlier))
        trip[points] = earlier
    return found
