"""A made-up region of any size: for benchmarks, tests, and to try the planner before there is a register.

Points are of very unequal size, as towns are; couriers go one to three times a week; chips come in deliveries.
"""

from datetime import date

import numpy as np

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.region import CLASSES, Counts, Delivery, Demand, Kind, Line, Place, Reals, Region, Supply

VARIANTS = ("UEC-1", "UEC-2")
SHARES = np.array([0.7, 0.3])
CLOCK_DAYS = 20


def sample_region(
    *,
    calendar: WorkingCalendar,
    start: date,
    days: int = 250,
    lines: int = 30,
    points: int = 150,
    cohort: int = 1_000_000,
    seed: int = 1,
    load: float = 0.95,
) -> Region:
    """A region whose lines are busy to the share `load` when everybody is to be served within the horizon."""
    random = np.random.default_rng(seed)
    size = random.lognormal(0.0, 1.0, points)
    size /= size.sum()
    planned = _working_days(calendar, start, days)
    demand = _demand(random, size, days, cohort)
    total = int(demand.known.sum())
    daily = max(1, round(total / days / load / lines))
    makes = tuple((0, 1) if number % 3 else (0,) for number in range(lines))
    supply = Supply(
        lines=tuple(
            Line(f"L{n + 1}", f"Линия {n + 1}", f"Line {n + 1}", made, daily // 2) for n, made in enumerate(makes)
        ),
        capacity=np.full((lines, days), daily, dtype=np.int64),
        chips=np.round(total * SHARES * 0.25).astype(np.int64),
        deliveries=_deliveries(total, days),
    )
    return Region(planned, VARIANTS, _places(size, total, days), supply, _couriers(random, size, total, days), demand)


def _working_days(calendar: WorkingCalendar, start: date, days: int) -> tuple[date, ...]:
    found = [calendar.next_working(start)]
    while len(found) < days:
        found.append(calendar.after(found[-1], 1))
    return tuple(found)


def _deliveries(total: int, days: int) -> Counts:
    deliveries = np.zeros((len(VARIANTS), days), dtype=np.int64)
    at = range(max(1, days // 6), days, max(1, days // 6))
    for day in at:
        deliveries[:, day] = np.round(total * SHARES / len(at)) + 1
    return deliveries


def _demand(random: np.random.Generator, size: Reals, days: int, cohort: int) -> Demand:
    points = len(size)
    known = np.zeros((points, CLASSES, len(VARIANTS), days), dtype=np.int64)
    mean = 0.4 * cohort / days * size[:, None, None] * SHARES[None, :, None]
    known[:, Kind.CLOCK] = random.poisson(mean, (points, len(VARIANTS), days))
    known[:, Kind.REMAKE] = random.poisson(mean * 0.02, (points, len(VARIANTS), days))
    known[:, Kind.COHORT, :, 0] = np.round(cohort * size[:, None] * SHARES)
    due = np.zeros((points, CLASSES, len(VARIANTS), days + 1), dtype=np.int64)
    for kind in (Kind.REMAKE, Kind.CLOCK):
        due[:, kind, :, CLOCK_DAYS:days] = known[:, kind, :, : max(0, days - CLOCK_DAYS)]
        due[:, kind, :, days] = known[:, kind, :, max(0, days - CLOCK_DAYS) :].sum(axis=-1)
    due[:, Kind.COHORT, :, -1] = known[:, Kind.COHORT].sum(axis=-1)
    nothing = np.zeros((points, CLASSES, len(VARIANTS)), dtype=np.int64)
    return Demand(known, due, nothing, nothing.copy())


def _places(size: Reals, total: int, days: int) -> tuple[Place, ...]:
    storage = np.round(size * total / days * 15).astype(int) + 20
    return tuple(
        Place(f"P{n + 1}", f"Пункт {n + 1}", f"Point {n + 1}", f"71{n + 1:06d}", int(room))
        for n, room in enumerate(storage)
    )


def _couriers(random: np.random.Generator, size: Reals, total: int, days: int) -> Delivery:
    points = len(size)
    departs = np.zeros((points, days), dtype=np.bool_)
    for point in range(points):
        weekdays = random.choice(5, 1 + point % 3, replace=False)
        departs[point] = np.isin(np.arange(days) % 5, weekdays)
    daily = size * total / days
    hand_over = np.ceil(daily * random.uniform(1.02, 2.0, points)).astype(np.int64)
    return Delivery(
        departs=departs,
        transit=random.integers(0, 3, points).astype(np.int64),
        volume=np.ceil(daily * 20).astype(np.int64) + 50,
        cost=np.round(random.uniform(300, 1500, points)),
        hand_over=np.repeat(hand_over[:, None], days, axis=1),
        worked=np.ones(days, dtype=np.bool_),
    )
