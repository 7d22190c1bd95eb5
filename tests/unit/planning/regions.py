"""Small regions for tests: one by hand, and any by chance."""

from datetime import date, timedelta

import numpy as np
from hypothesis import strategies as st

from issuance.planning.calendar import SATURDAY
from issuance.planning.region import CLASSES, Counts, Delivery, Demand, Kind, Line, Place, Prices, Region, Supply

START = date(2026, 3, 2)
MAKES = ((0,), (0, 1), (1,))


def region(
    *,
    days: int = 10,
    points: int = 1,
    variants: int = 1,
    capacity: int = 10,
    chips: int = 1000,
    clocks: int = 0,
    clock_days: int = 20,
    cohort: int = 0,
    departs: bool = True,
    hand_over: int = 100,
    cost: float = 0.0,
) -> Region:
    """One line and points alike: `clocks` cards become known each day, `cohort` at each point on the first one."""
    known = np.zeros((points, CLASSES, variants, days), dtype=np.int64)
    due = np.zeros((points, CLASSES, variants, days + 1), dtype=np.int64)
    known[:, Kind.CLOCK] = clocks
    for day in range(days):
        due[:, Kind.CLOCK, :, min(day + clock_days, days)] += clocks
    known[:, Kind.COHORT, :, 0] = due[:, Kind.COHORT, :, -1] = cohort
    nothing = np.zeros((points, CLASSES, variants), dtype=np.int64)
    return Region(
        days=tuple(START + timedelta(days=number) for number in range(days)),
        variants=tuple(f"V{number}" for number in range(variants)),
        places=tuple(Place(f"P{n}", f"Пункт {n}", f"Point {n}", "71000000", 1000) for n in range(points)),
        supply=Supply(
            (Line("L", "Линия", "Line", tuple(range(variants)), shift=5),),
            np.full((1, days), capacity, dtype=np.int64),
            np.full(variants, chips, dtype=np.int64),
            np.zeros((variants, days), dtype=np.int64),
        ),
        delivery=Delivery(
            np.full((points, days), departs),
            np.zeros(points, dtype=np.int64),
            np.full(points, 1000, dtype=np.int64),
            np.full(points, cost),
            np.full((points, days), hand_over, dtype=np.int64),
            np.ones(days, dtype=np.bool_),
        ),
        demand=Demand(known, due, nothing, nothing.copy()),
    )


def chance_region(seed: int, *, days: int, points: int, variants: int, lines: int, plenty: float) -> Region:
    """A region drawn from a seed; anything may be short, absent or in the way. `plenty` scales what there is."""
    random = np.random.default_rng(seed)
    streams = (points, CLASSES, variants)
    known = _draw(random, 6, (*streams, days)) * (random.random((*streams, 1)) < 0.7)
    known[:, Kind.COHORT, :, 0] += _draw(random, 60, (points, variants))
    finished = _draw(random, 4, streams) * (random.random(streams) < 0.2)
    dates = tuple(START + timedelta(days=int(n)) for n in np.cumsum(random.integers(1, 4, days)))
    return Region(
        days=dates,
        variants=tuple(f"V{number}" for number in range(variants)),
        places=tuple(
            Place(f"P{n}", f"Пункт {n}", f"Point {n}", "71000000", int(random.integers(0, 60))) for n in range(points)
        ),
        supply=Supply(
            tuple(
                Line(f"L{n}", f"Линия {n}", f"Line {n}", MAKES[n % 3] if variants == 2 else (0,)) for n in range(lines)
            ),
            _draw(random, 20 * plenty, (lines, days)) * (random.random((lines, days)) < 0.8),
            _draw(random, 100 * plenty, (variants,)),
            _draw(random, 50 * plenty, (variants, days)) * (random.random((variants, days)) < 0.2),
        ),
        delivery=Delivery(
            random.random((points, days)) < random.random((points, 1)),
            random.integers(0, 4, points),
            _draw(random, 60, (points,)),
            np.round(random.random(points) * 40) * (random.random() < 0.7),
            _draw(random, 20, (points, days)),
            np.array([day.weekday() < SATURDAY for day in dates], dtype=np.bool_),
        ),
        demand=Demand(known, _due(random, known, finished), _draw(random, 5, streams), finished),
        prices=Prices(beyond_days=int(random.integers(1, 40))),
    )


def _draw(random: np.random.Generator, most: float, shape: tuple[int, ...]) -> Counts:
    return random.integers(0, max(1, round(most)), shape, endpoint=True).astype(np.int64)


def _due(random: np.random.Generator, known: Counts, finished: Counts) -> Counts:
    """One clock a stream, so that the order of due days is that of becoming known; what is finished is due first."""
    days = known.shape[-1]
    due = np.zeros((*known.shape[:-1], days + 1), dtype=np.int64)
    due[..., 0] = finished
    for stream in np.ndindex(known.shape[:-1]):
        clock = int(random.integers(0, 2 * days))
        for day in range(days):
            due[stream][min(day + clock, days)] += known[stream][day]
    return due


regions = st.builds(
    chance_region,
    st.integers(0, 2**32),
    days=st.integers(1, 14),
    points=st.integers(1, 4),
    variants=st.integers(1, 2),
    lines=st.integers(1, 4),
    plenty=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
)
