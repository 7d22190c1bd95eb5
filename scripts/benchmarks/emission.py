"""Mass emission: the plan of a region and its gap, a new plan, a simulated year, places for everybody, the cohort."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
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
from scripts.benchmarks import cohort
from scripts.benchmarks.figure import Figure, seconds
from tests.support.postgres import DURABLE, PREFIX, Server, server_programs
from uec.services import plan_office, plan_people, plan_scenarios
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Application, EmissionPlan

CALENDAR = Path(__file__).parents[2] / "config" / "calendar" / "russia.toml"
START = date(2026, 1, 12)
OPTIMUM_S, TRIPS_S, TRIPS_GAP, REPLAN, TWIN_S, PLACES = 3.0, 60.0, 0.05, 0.3, 10.0, 3.0
PEOPLE, QUICK_PEOPLE, POINTS, LINES, DAYS = 1_400_000, 100_000, 150, 30, 250
RUNS = 3


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """The planner's rows, the twin's, the places' on PostgreSQL, then the register's and the cohort's."""
    region = sample_region(calendar=calendar.load(CALENDAR), start=START, days=DAYS, lines=LINES, points=POINTS)
    yield from _optimum(region)
    plan, full = _timed(lambda: make_plan(region))
    yield Figure("emission.plan.trips", "s", full, goal=TRIPS_S, at_most=True)
    yield Figure("emission.plan.trips.gap", "share of the bound", plan.gap, goal=TRIPS_GAP, at_most=True)
    yield from _replan(plan, full)
    yield from _twin(region, plan)
    yield from _places(QUICK_PEOPLE if quick else PEOPLE)
    yield from cohort.figures(quick=quick)


def _timed(work: Callable[[], Plan]) -> tuple[Plan, float]:
    started = time.perf_counter()
    plan = work()
    return plan, time.perf_counter() - started


def _optimum(region: Region) -> Iterator[Figure | str]:
    """Linear programme and whole cards by day, all trips free; the gap is what is left between the two."""
    free = replace(region, delivery=replace(region.delivery, cost=region.delivery.cost * 0))
    took, gaps = [], []
    for _ in range(RUNS):
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
    outcome = simulate(region, seed=3, setting=plan_scenarios.setting(), trips=plan.trips)
    took = time.process_time() - started
    yield f"twin: {outcome.handed:,} cards handed over, {outcome.plans} plans, {outcome.kept:.1%} of promises kept"
    yield Figure("emission.twin.year", "s", took, goal=TWIN_S, at_most=True)


def _places(people: int) -> Iterator[Figure | str]:
    """Batches, slots and everybody's place, beside one window SELECT over the same people."""
    programs = server_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is needed: apt-get install postgresql")
    home = Path(tempfile.mkdtemp(prefix=PREFIX))
    server = Server(programs, home, durability=DURABLE)
    try:
        url = server.dsn(server.migrated())
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in _people_sql(people):
                connection.execute(statement.encode())
        engine = make_engine(url)
        with session_factory(engine)() as session:
            yield from _written(session, people)
        engine.dispose()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _written(session: Session, people: int) -> Iterator[Figure | str]:
    region = _region(session, people)
    plan = make_plan(region)
    floors, took = [], []
    for _ in range(RUNS):
        started = time.perf_counter()
        session.execute(_bare_window()).all()
        floors.append(time.perf_counter() - started)
        started = time.perf_counter()
        row = EmissionPlan(made_at=datetime.now(UTC), first_day=START, last_day=START, people=0, promised=0, facts={})
        session.add(row)
        session.flush()
        plan_office.write(session, row.id, plan, list(range(1, POINTS + 1)))
        placed = plan_people.give_places(session, row.id)
        session.commit()
        took.append(time.perf_counter() - started)
        if placed != people:
            raise LookupError(f"{placed} of {people} have a place")
    yield Figure("emission.places", "s", statistics.median(took), statistics.median(floors), PLACES, at_most=True)


def _region(session: Session, people: int) -> Region:
    """The places' region: one queue for each point, known on the first day."""
    base = sample_region(calendar=calendar.load(CALENDAR), start=START, days=DAYS, points=POINTS, cohort=people)
    known = np.zeros((POINTS, len(Kind), 1, DAYS), dtype=np.int64)
    due = np.zeros((POINTS, len(Kind), 1, DAYS + 1), dtype=np.int64)
    for point, kind, _, count in plan_people.demand(session):
        known[point - 1, kind, 0, 0] += count
        due[point - 1, kind, 0, -1] += count
    nothing = np.zeros((POINTS, len(Kind), 1), dtype=np.int64)
    supply = base.supply
    return replace(
        base,
        variants=("uec",),
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


def _people_sql(people: int) -> Iterator[str]:
    """Points, a list, and approved applications of it, made by the server itself; sizes of points as in a region."""
    yield "INSERT INTO municipality VALUES ('71000000', 'Город', 'Town')"
    yield (
        "INSERT INTO issuance_point (id, code, name_ru, name_en, address, oktmo, windows, daily_capacity) "
        f"SELECT n, 'P' || n, 'Пункт ' || n, 'Point ' || n, '-', '71000000', 5, 100 FROM generate_series(1, {POINTS}) n"
    )
    yield (
        "INSERT INTO cohort (id, number, state, as_of, count, digest, created_at) "
        f"VALUES (1, 'C-1', 'DRAFT', '{START}', {people}, '', now())"
    )
    yield (
        "INSERT INTO application (id, number, route, reason, state, surname, name, birth_date, birth_place, sex, "
        "snils, doc_type, doc_series, doc_number, doc_date, doc_issuer, address, point_id, secret_hash, submitted_at, "
        "due_on, cohort_id, remake, version) SELECT n, '2026-' || n, 'MASS', 'FIRST', 'APPROVED', 'Иванов', 'Иван', "
        "'1980-01-01', 'г. Тюмень', 'M', lpad(n::text, 11, '0'), 'passport', '7110', '123456', '2010-01-01', "
        "'УФМС России по Тюменской области', 'г. Тюмень, ул. Ленина, д. 1, кв. 1', "
        f"1 + floor({POINTS} * power((n::bigint * 7919 % 100003) / 100003.0, 2))::int, '', "
        "timestamptz '2026-01-01' + (n % 86400) * interval '1 second', '2026-12-31', 1, false, 1 "
        f"FROM generate_series(1, {people}) n"
    )
    yield "VACUUM ANALYZE application"
