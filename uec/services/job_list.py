"""What the office does by itself, as an operator sees it: each job's last run, how long it took, and its failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from uec.services.schedule import due_moment
from uec.store.tables import ScheduledRun

FAILED = "failed:"
LATE_AFTER = 2


@dataclass(frozen=True)
class JobRow:
    """One job: when it last began, how long it took (None while it runs), what it said, and what comes.

    `failures` counts runs of the kept week that failed; `late` says that it has not begun for two of its rhythms.
    """

    name: str
    every: timedelta
    started_at: datetime | None
    took: timedelta | None
    outcome: str
    next_at: datetime
    failures: int
    late: bool


def jobs(session: Session, rhythms: Mapping[str, timedelta], *, now: datetime) -> list[JobRow]:
    """Every job of `rhythms` (name to rhythm) with its newest run, in their order."""
    newest = (
        select(ScheduledRun.job, func.max(ScheduledRun.due_at).label("due_at"))
        .where(ScheduledRun.started_at.is_not(None))
        .group_by(ScheduledRun.job)
        .subquery()
    )
    same = (ScheduledRun.job == newest.c.job) & (ScheduledRun.due_at == newest.c.due_at)
    last = {run.job: run for run in session.scalars(select(ScheduledRun).join(newest, same))}
    counted = select(ScheduledRun.job, func.count()).where(ScheduledRun.outcome.startswith(FAILED))
    failures = {name: count for name, count in session.execute(counted.group_by(ScheduledRun.job))}  # noqa: C416
    return [_row(name, every, last.get(name), failures.get(name, 0), now) for name, every in rhythms.items()]


def _row(name: str, every: timedelta, run: ScheduledRun | None, failures: int, now: datetime) -> JobRow:
    started = run.started_at if run else None
    took = run.finished_at - started if run and run.finished_at and started else None
    return JobRow(
        name=name,
        every=every,
        started_at=started,
        took=took,
        outcome=(run.outcome or "" if run else ""),
        next_at=due_moment(now, every) + every,
        failures=failures,
        late=started is None or now - started > LATE_AFTER * every,
    )
