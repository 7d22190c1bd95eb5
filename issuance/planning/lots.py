"""Hides which courier trips are worth their price: lots, point by point, by dynamic programming.

After Wagner and Whitin (1958): between two trips that run, everything that could have left waits for the later one.
What waiting and lateness cost, and what fits the courier and the safe, is known for every pair of trips, so the
cheapest chain of trips is a shortest path; `chains` asks such paths what trips cost at least.
"""

from dataclasses import replace

import numpy as np

from issuance.planning.forward import Walk
from issuance.planning.region import Counts, Flags, Kind, Reals, Region, last_departures


def trips_worth_running(region: Region, walk: Walk, *, patience: float = 1.0) -> Flags:
    """[P, D] the trips to keep, when `walk` used every trip there is.

    A cohort card that waits for a later trip lets another point's leave earlier where lines are short, so that its
    waiting costs less than its price: the share `patience` of it.
    """
    region = _with_patience(region, patience)
    due = last_departures(region)
    left = np.ascontiguousarray(np.moveaxis(walk.left, 0, -1))
    kept = np.zeros_like(region.delivery.departs)
    for point in np.flatnonzero(region.reachable):
        days = np.flatnonzero(region.delivery.departs[point])
        kept[point, days[_cheapest(region, int(point), days, left[point], due[point])]] = True
    return kept


def _with_patience(region: Region, patience: float) -> Region:
    wait, prices = region.prices.wait, region.prices
    return replace(region, prices=replace(prices, wait=(wait[0], wait[1], wait[2] * patience)))


def _cheapest(region: Region, point: int, days: Counts, left: Counts, due: Counts) -> list[int]:
    lots = _lots(left, days)
    limit = min(int(region.delivery.volume[point]), region.places[point].storage)
    prices = np.where(lots > limit, np.inf, _lot_prices(region, days, left, due))
    # What already left in one trip may leave in one trip.
    step = np.arange(len(days))
    prices[step, step + 1] = np.where(np.isinf(prices[step, step + 1]), 0.0, prices[step, step + 1])
    return _cheapest_chain(prices, lots, float(region.delivery.cost[point]))


def _lots(left: Counts, days: Counts) -> Counts:
    """[K + 1, K + 2] cards on trip j when trip i was the one before it; indexes as in `_lot_prices`."""
    gone = np.concatenate([[0], np.cumsum(left.sum(axis=(0, 1))[days])])
    lots: Counts = np.append(gone, gone[-1])[None, :] - gone[:, None]
    lots[:, -1] = 0
    return lots


def _lot_prices(region: Region, days: Counts, left: Counts, due: Counts) -> Reals:
    """[K + 1, K + 2] what waits and is late, beyond what was, when between trips i and j none runs.

    Index 0 is before the first trip, index k the k-th one, K + 1 the end of the horizon.
    """
    spans, trips = region.spans, len(days)
    slot = np.searchsorted(days, np.arange(len(spans)), side="right")
    by_day = np.zeros((trips + 1, len(spans)))
    for kind in Kind:
        for variant in range(left.shape[1]):
            stream = left[kind, variant]
            if not stream.any():
                continue
            gone = np.concatenate([[0], np.cumsum(stream[days])])
            by_day += region.prices.wait[kind] * (gone[slot][None, :] - gone[:, None])
            wanted = np.cumsum(due[kind, variant, :-1])
            late = np.maximum(wanted[None, :] - gone[:, None], 0) - np.maximum(wanted - gone[slot], 0)[None, :]
            by_day += region.prices.late[kind] * late
    summed = np.concatenate([np.zeros((trips + 1, 1)), np.cumsum(by_day * spans, axis=1)], axis=1)
    ends = np.concatenate([[0], days, [len(spans)]])
    begins = ends[:-1]
    prices: Reals = summed[:, ends] - summed[np.arange(trips + 1), begins][:, None]
    return prices


def _cheapest_chain(prices: Reals, lots: Counts, trip_cost: float) -> list[int]:
    """The trips (from 0) that carry something on the cheapest chain from before the first one to the end."""
    trips = len(lots) - 1
    best = np.full(trips + 2, np.inf)
    best[0] = 0.0
    before = np.zeros(trips + 2, dtype=np.int64)
    for trip in range(1, trips + 2):
        costs = best[:trip] + prices[:trip, trip] + np.where(lots[:trip, trip] > 0, trip_cost, 0.0)
        before[trip] = int(np.argmin(costs))
        best[trip] = costs[before[trip]]
    chain, at = [], int(before[trips + 1])
    while at:
        if lots[before[at], at] > 0:
            chain.append(at - 1)
        at = int(before[at])
    return chain[::-1]
