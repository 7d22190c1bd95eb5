"""Hides how much of a cohort may leave for a point on each trip, so that no point gets more than it can hand over.

A trip may bring what fits the courier and the safe and can be handed over before the next trip arrives, less the room
kept for clocks. What a trip leaves unused may be brought by a later one; that makes the rule a cumulative one, and the
same for the bound and for the plan.
"""

from dataclasses import dataclass

import numpy as np

from issuance.planning.region import Counts, Flags, Kind, Region


@dataclass(frozen=True)
class Rooms:
    """`arrives` [P, D] index of the day a trip of that morning arrives (D: after the horizon).

    `reach` [P, D] cards that can be handed over from the day of departure until the trip after it arrives;
    `allowance` [P, D] cohort cards that the trip adds to what may be brought; zero where nobody leaves.
    """

    arrives: Counts
    reach: Counts
    allowance: Counts


def rooms_of(region: Region, trips: Flags | None = None) -> Rooms:
    """The rooms when only `trips` [P, D] run; all trips by default."""
    departs = region.delivery.departs if trips is None else trips
    points, days = departs.shape
    arrives = region.delivery.arrives[:, :-1]
    nxt = next_trip(departs)
    arrives_next = np.where(nxt < days, np.take_along_axis(arrives, np.minimum(nxt, days - 1), axis=1), days)
    handed = np.concatenate([np.zeros((points, 1), np.int64), np.cumsum(region.delivery.hand_over, axis=1)], axis=1)
    row = np.arange(points)[:, None]
    reach = handed[row, arrives_next] - handed[:, :-1]
    until_next = handed[row, arrives_next] - handed[row, arrives]
    storage = np.array([place.storage for place in region.places], dtype=np.int64)
    room = np.minimum(np.minimum(region.delivery.volume, storage)[:, None], until_next)
    allowance = np.where(departs, np.maximum(room - _reserved(region, departs), 0), 0)
    return Rooms(arrives, np.where(departs, reach, 0), allowance)


def next_trip(departs: Flags) -> Counts:
    """[P, D] index of the first trip after each day; D where there is none."""
    days = departs.shape[1]
    at = np.where(departs, np.arange(days)[None, :], days)
    later = np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([later[:, 1:], np.full((len(departs), 1), days)], axis=1)


def first_departures(region: Region, kind: Kind, trips: Flags | None = None) -> Counts:
    """[P, V, D + 1] cards of a class by the first trip they could take if made the day they become known."""
    departs = region.delivery.departs if trips is None else trips
    by_day = np.cumsum(region.demand.known[:, kind], axis=2)
    # What was known before each trip less what was known before the trip before it; the rest finds none.
    before = np.concatenate([np.zeros_like(by_day[..., :1]), by_day[..., :-1]], axis=2)
    gone = np.maximum.accumulate(np.where(departs[:, None], before, 0), axis=2)
    gone = np.concatenate([gone, by_day[..., -1:]], axis=2)
    first: Counts = np.diff(gone, axis=2, prepend=0)
    return first


def _reserved(region: Region, departs: Flags) -> Counts:
    clocks = first_departures(region, Kind.REMAKE, departs) + first_departures(region, Kind.CLOCK, departs)
    reserved: Counts = clocks.sum(axis=1)[:, :-1]
    return reserved
