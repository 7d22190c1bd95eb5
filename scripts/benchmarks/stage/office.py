"""The office that works in the staged region: its list, its half year, its facts, and the plan it makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from scripts.benchmarks.figure import Figure
from scripts.benchmarks.stage import people as staged
from scripts.benchmarks.stage import year
from scripts.benchmarks.stage.split import Part, split, told
from tests.support.desk import SETTINGS
from uec.domain.actors import system_actor
from uec.services import (
    batches,
    cohort_members,
    plan_events,
    plan_facts,
    plan_freeze,
    plan_moves,
    plan_office,
    plan_region,
    plan_words,
    plan_writer,
    rules,
)
from uec.services.views import PlanOutcome
from uec.store import audit
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Cohort, PromiseMove, Resident
from uec.synthetic.register import AS_OF

POINTS, LINES, YEAR_DAYS = 150, 30, 300
ACTOR = system_actor("bench")


def people(url: str) -> None:
    """Points and an approved application for everybody alive."""
    staged.enter(url, points=POINTS, as_of=AS_OF)


def open_office(url: str) -> Iterator[Figure | str]:
    """Half a year behind those applications, a list of everybody, and the plan for who still waits."""
    today = date.today()  # noqa: DTZ011 - the day of this machine, as the pages have it
    working = rules.working_calendar(SETTINGS).between(today - timedelta(days=YEAR_DAYS), today - timedelta(days=1))
    year.live(url, points=POINTS, days=list(working)[-year.DAYS :])
    engine = make_engine(url)
    with session_factory(engine)() as session:
        _list(session)
        plan_facts.store(session, _facts(), reason="as it is", actor=ACTOR, now=datetime.now(UTC))
        session.commit()
        yield from _plan(session, today)
    engine.dispose()


def _list(session: Session) -> None:
    """A list of everybody alive: `choose` would leave out who has applied."""
    row = Cohort(number="bench-pages", as_of=AS_OF, count=0, digest="", created_at=datetime.now(UTC))
    session.add(row)
    session.flush()
    cohort_members.put(session, row.id, AS_OF, [Resident.death_date.is_(None)])
    row.count = sum(share.count for share in cohort_members.breakdown(session, row.id))
    session.commit()


def _plan(session: Session, today: date) -> Iterator[Figure | str]:
    """What `uec plan make` does: counts, the plan, everybody's place, the batches of the next days; and once more."""
    by = rules.batch_rules(SETTINGS, today=today)
    first, cut, said = _timed(lambda: batches.plan_anew(session, actor=ACTOR, rules=by, now=datetime.now(UTC)))
    made = plan_office.newest(session, actor=ACTOR)
    yield (
        f"the office's plan: {made.people:,} people, {made.promised:,} with a day, {cut.cards:,} cards cut into "
        f"{len(cut.batches)} batches, {made.facts['gap']:.2%} over the bound: {said}"
    )
    yield Figure("emission.office.plan", "s", first)
    _stop_lines(session, today)
    again, _cut, said = _timed(lambda: batches.plan(session, actor=ACTOR, rules=by, now=datetime.now(UTC)))
    moved = session.scalar(select(func.count()).where(PromiseMove.plan_id > made.id)) or 0
    yield f"three lines stop for four weeks: {moved:,} promised days moved: {said}"
    yield Figure("emission.office.replan", "s", again, first)


PARTS: tuple[Part, ...] = (
    ("who may have none any more", batches, "move_all"),
    ("counts", plan_region, "region_of"),
    ("solver", plan_office, "make_plan"),
    ("solver", plan_office, "renew_plan"),
    ("what would help", plan_words, "facts_of"),
    ("places", plan_writer, "write"),
    ("moved promises", plan_moves, "list_moves"),
    ("batches and cards", plan_freeze, "freeze"),
    ("audit", audit, "write_pending"),
)


def _timed(work: Callable[[], PlanOutcome]) -> tuple[float, PlanOutcome, str]:
    """Seconds of a plan, what it came to, and its parts in words."""
    with split(PARTS) as took:
        started = time.perf_counter()
        made = work()
        whole = time.perf_counter() - started
    return whole, made, told(took, whole)


def _stop_lines(session: Session, today: date) -> None:
    """Three of the lines stand still from today on, and every promise behind them with it."""
    table = plan_facts.table(session)
    stop = {"first": today.isoformat(), "last": (today + timedelta(days=27)).isoformat()}
    for line in (4, 5, 6):
        table = plan_events.edited(table, "stop", {"line": f"L{line}", **stop}, points=())
    plan_facts.store(session, table, reason="three lines stop", actor=ACTOR, now=datetime.now(UTC))
    session.commit()


def _facts() -> dict[str, Any]:
    shifts = [1, 1, 1, 1, 1, 0, 0]
    line = {"kind": "own", "machines": 1, "cards_per_hour": 20, "shift_hours": 8, "shifts": shifts}
    names = [(f"L{n}", f"Линия {n}", f"Line {n}") for n in range(1, LINES + 1)]
    return {
        "lines": [{"code": code, "name_ru": ru, "name_en": en, **line} for code, ru, en in names],
        "courier": {"weekdays": [0, 2, 4], "volume": 2000, "cost": 700, "transit": 1},
    }
