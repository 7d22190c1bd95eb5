"""What the office does by itself, as an operator sees it: each job's last run, how long it took, and its failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from uec.services.schedule import LEASE, due_moment
from uec.store.tables import JobPause, ScheduledRun, Staff

FAILED = "failed:"
LATE_AFTER = 2


@dataclass(frozen=True)
class Pause:
    """Since when a job is paused, by whom and why."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class RunRow:
    """One run: `started_at` None while it waits for a worker, `took` None while it is not finished.

    `asked_by` is who asked for it out of its rhythm.
    """

    due_at: datetime
    started_at: datetime | None
    took: timedelta | None
    outcome: str
    failed: bool
    asked_by: str | None


@dataclass(frozen=True)
class JobRow:
    """One job: when it last began, how long it took (None while it runs), what it said, and what comes.

    `failures` counts runs of the kept week that failed; `late` says that it has not begun for two of its rhythms, or is
    in hand for longer than these and than a worker's lease.
    `next_at` is None while the job is paused.
    """

    name: str
    every: timedelta
    started_at: datetime | None
    took: timedelta | None
    outcome: str
    next_at: datetime | None
    failures: int
    late: bool
    pause: Pause | None = None


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
    names = _names(session)
    pauses = {
        row.job: Pause(row.paused_at, names.get(row.paused_by, row.paused_by), row.reason)
        for row in session.scalars(select(JobPause))
    }
    return [
        _row(name, every, last.get(name), failures.get(name, 0), pauses.get(name), now)
        for name, every in rhythms.items()
    ]


def history(session: Session, job: str, *, limit: int, before: datetime | None = None) -> list[RunRow]:
    """The runs of a job that are kept, the newest first; `before` is the due moment of the last one seen."""
    wanted = select(ScheduledRun).where(ScheduledRun.job == job)
    if before is not None:
        wanted = wanted.where(ScheduledRun.due_at < before)
    names = _names(session)
    return [
        RunRow(
            due_at=run.due_at,
            started_at=run.started_at,
            took=run.finished_at - run.started_at if run.finished_at and run.started_at else None,
            outcome=run.outcome or "",
            failed=(run.outcome or "").startswith(FAILED),
            asked_by=names.get(run.asked_by, run.asked_by) if run.asked_by else None,
        )
        for run in session.scalars(wanted.order_by(ScheduledRun.due_at.desc()).limit(limit))
    ]


def _names(session: Session) -> dict[str, str]:
    """References of the audit to names of people."""
    return {f"staff:{row.id}": row.display_name for row in session.execute(select(Staff.id, Staff.display_name))}


def _row(
    name: str, every: timedelta, run: ScheduledRun | None, failures: int, pause: Pause | None, now: datetime
) -> JobRow:
    started = run.started_at if run else None
    took = run.finished_at - started if run and run.finished_at and started else None
    patience = LATE_AFTER * every if took is not None else max(LATE_AFTER * every, LEASE)
    return JobRow(
        name=name,
        every=every,
        started_at=started,
        took=took,
        outcome=(run.outcome or "" if run else ""),
        next_at=None if pause else due_moment(now, every) + every,
        failures=failures,
        late=pause is None and (started is None or now - started > patience),
        pause=pause,
    )
