"""Mass emission: plan of a region and its gap, new plan, simulated year, register, cohort, places, pages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.planning import calendar
from issuance.planning.cost import cost_of
from issuance.planning.forward import course_of, walk
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.region import Demand, Kind, Region, Supply
from issuance.planning.relaxation import relax
from issuance.planning.replan import replan
from issuance.planning.sample import sample_region
from issuance.planning.twin import simulate
from scripts.benchmarks import cohort, pages
from scripts.benchmarks.figure import Figure, medians, seconds
from scripts.benchmarks.stage import long_work, office
from uec.services import plan_people, plan_writer, scenario_years
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Application, EmissionPlan

CALENDAR = Path(__file__).parents[2] / "config" / "calendar" / "russia.toml"
START = date(2026, 1, 12)
OPTIMUM_S, TRIPS_S, TRIPS_GAP, REPLAN, TWIN_S, PLACES = 3.0, 60.0, 0.05, 0.3, 10.0, 3.0
POINTS, LINES, DAYS = office.POINTS, office.LINES, 250
RUNS, VARIANT = 3, "uec"


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """The planner's rows, the twin's; on PostgreSQL the register's, the cohort's, the places' and the pages'."""
    region = sample_region(calendar=calendar.load(CALENDAR), start=START, days=DAYS, lines=LINES, points=POINTS)
    yield from _optimum(region, runs=1 if quick else RUNS)
    plan, full = _timed(lambda: make_plan(region))
    yield Figure("emission.plan.trips", "s", full, goal=TRIPS_S, at_most=True)
    yield Figure("emission.plan.trips.gap", "share of the bound", plan.gap, goal=TRIPS_GAP, at_most=True)
    yield from _replan(plan, full)
    yield from _twin(region, plan)
    with cohort.register_file(cohort.QUICK_RESIDENTS if quick else cohort.RESIDENTS) as (url, file):
        floor = yield from cohort.import_figures(url, file)
        yield from cohort.cohort_figures(url)
        yield from _places(url)
        yield from cohort.twin_figures(url)
        yield from long_work.full_figures(url, file, floor)
        yield from office.open_office(url)
        yield from pages.page_figures(url)
        yield from long_work.export_figures(url)


def _timed(work: Callable[[], Plan]) -> tuple[Plan, float]:
    started = time.perf_counter()
    plan = work()
    return plan, time.perf_counter() - started


def _optimum(region: Region, *, runs: int) -> Iterator[Figure | str]:
    """Linear programme and whole cards by day, all trips free; the gap is what is left between the two."""
    free = replace(region, delivery=replace(region.delivery, cost=region.delivery.cost * 0))
    took, gaps = [], []
    for _ in range(runs):
        started = time.perf_counter()
        relaxed = relax(free)
        walked = walk(course_of(free, targets=relaxed.targets))
        took.append(time.perf_counter() - started)
        gaps.append(cost_of(free, walked).total / relaxed.bound - 1)
    yield f"{DAYS} days x {LINES} lines x {POINTS} points, {int(region.demand.known.sum()):,} cards"
    yield Figure("emission.plan", "s", statistics.median(took), goal=OPTIMUM_S, at_most=True)
    yield Figure("emission.plan.gap", "share of the bound", gaps[0])


def _replan(plan: Plan, full: float) -> Iterator[Figure | str]:
    """Three lines stop for four weeks in the middle of the year."""
    capacity = plan.region.supply.capacity.copy()
    capacity[3:6, 105:125] = 0
    event = replace(plan.region, supply=replace(plan.region.supply, capacity=capacity))
    took = statistics.median(seconds(lambda: replan(plan, event, day=100, frozen=5)) for _ in range(RUNS))
    yield Figure("emission.replan", "s", took, full, REPLAN, at_most=True)


def _twin(region: Region, plan: Plan) -> Iterator[Figure | str]:
    """One year by chance, in seconds of one core, with the trips of the plan."""
    started = time.process_time()
    outcome = simulate(region, seed=3, setting=scenario_years.setting(), plan=plan)
    took = time.process_time() - started
    yield f"twin: {outcome.handed:,} cards handed over, {outcome.plans} plans, {outcome.kept:.1%} of promises kept"
    yield Figure("emission.twin.year", "s", took, goal=TWIN_S, at_most=True)


def _places(url: str) -> Iterator[Figure | str]:
    """Batches, slots and everybody's place, beside one window SELECT over the same people."""
    office.people(url)
    engine = make_engine(url)
    with session_factory(engine)() as session:
        yield from _written(session)
    engine.dispose()


def _written(session: Session) -> Iterator[Figure | str]:
    plan = make_plan(_region(session))
    people = int(plan.region.demand.known.sum())
    placed: list[int] = []
    floor, took = medians(
        [lambda: session.execute(_bare_window()).all(), lambda: placed.append(_write(session, plan))], runs=RUNS
    )
    if set(placed) != {people}:
        raise LookupError(f"{placed} of {people} have a place")
    yield f"{people:,} people of {int(plan.walk.made.sum()):,} cards planned have a place"
    yield Figure("emission.places", "s", took, floor, PLACES, at_most=True)


def _write(session: Session, plan: Plan) -> int:
    row = EmissionPlan(made_at=datetime.now(UTC), first_day=START, last_day=START, people=0, promised=0, facts={})
    session.add(row)
    session.flush()
    placed = plan_writer.write(session, row.id, plan, list(range(1, POINTS + 1)))
    session.commit()
    return placed


def _region(session: Session) -> Region:
    """The places' region: the queues of every point, known on the first day."""
    people = session.scalar(select(func.count()).select_from(Application)) or 0
    base = sample_region(calendar=calendar.load(CALENDAR), start=START, days=DAYS, points=POINTS, cohort=people)
    known = np.zeros((POINTS, len(Kind), 1, DAYS), dtype=np.int64)
    due = np.zeros((POINTS, len(Kind), 1, DAYS + 1), dtype=np.int64)
    for point, kind, _, _, count in plan_people.demand(session, VARIANT):
        known[point - 1, kind, 0, 0] += count
        due[point - 1, kind, 0, -1] += count
    nothing = np.zeros((POINTS, len(Kind), 1), dtype=np.int64)
    supply = base.supply
    return replace(
        base,
        variants=(VARIANT,),
        supply=Supply(
            tuple(replace(line, makes=(0,)) for line in supply.lines),
            supply.capacity,
            supply.chips.sum(keepdims=True),
            supply.deliveries.sum(axis=0, keepdims=True),
        ),
        demand=Demand(known, due, nothing, nothing.copy()),
    )


def _bare_window() -> Any:
    """The places of everybody and nothing else: no look at deaths and refusals, and nothing sent but a sum."""
    place = func.row_number().over(
        partition_by=(Application.point_id, plan_people.KIND),
        order_by=(Application.due_on, Application.submitted_at, Application.id),
    )
    window = select(Application.id, place.label("place")).subquery()
    return select(func.sum(window.c.place), func.max(window.c.id))
