"""What the office does by itself, as an operator sees it: each job's last run, what it usually takes, what hangs, what
fails since when. A week of runs is some 600,000 rows: everything here asks for the few it needs by an index, and looks
no further back than so many runs of a job: there may be none that succeeded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from statistics import median_low

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from uec.domain.rhythm import next_moment
from uec.services.schedule import LEASE, again_at
from uec.store.tables import JobPause, ScheduledRun, Staff

LATE_AFTER = 2
LONG_AFTER = timedelta(minutes=15)
LONG_TIMES = 10
USUAL_OF = 50
USUAL_AMONG = 1000
FAILING_AMONG = 20_000
"""How many rhythms of a job are looked over for its last success: more than a day of those of five seconds."""


@dataclass(frozen=True)
class Pause:
    """Since when a job is paused, by whom and why."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class Failing:
    """That a job has not succeeded since a moment, in so many runs, and when the last of them is tried again.

    Where it has not for more than `FAILING_AMONG` of its rhythms, both are of these: it may be longer.
    """

    since: datetime
    runs: int
    again_at: datetime | None


@dataclass(frozen=True)
class InHand:
    """The run that a worker has in hand: since when, where, who has asked to end it; `long` is more than is usual."""

    since: datetime
    lasts: timedelta
    worker: str
    end_asked_by: str | None
    usual: timedelta | None
    long: bool


@dataclass(frozen=True)
class LongRun:
    """A run that takes much longer than its job usually does (None: no run of it has come to an end lately)."""

    job: str
    due_at: datetime
    lasts: timedelta
    worker: str
    usual: timedelta | None


@dataclass(frozen=True)
class RunRow:
    """One run: `started_at` None while it waits for a worker, `took` None while it is not finished.

    `asked_by` is who asked for it out of its rhythm, `tries` how often it was begun.
    """

    due_at: datetime
    started_at: datetime | None
    took: timedelta | None
    outcome: str
    failed: bool
    asked_by: str | None
    tries: int
    worker: str | None
    ended_by: str | None


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
    failing: Failing | None = None
    in_hand: InHand | None = None


def jobs(session: Session, rhythms: Mapping[str, timedelta], *, now: datetime, zone: tzinfo = UTC) -> list[JobRow]:
    """Every job of `rhythms` (name to rhythm) with its newest run, in their order; `zone` is the office's."""
    counted = select(ScheduledRun.job, func.count()).where(ScheduledRun.failed).group_by(ScheduledRun.job)
    failures = {name: count for name, count in session.execute(counted)}  # noqa: C416
    names = _names(session)
    pauses = {
        row.job: Pause(row.paused_at, names.get(row.paused_by, row.paused_by), row.reason)
        for row in session.scalars(select(JobPause))
    }
    found = []
    for name, every in rhythms.items():
        run, pause = _newest(session, name), pauses.get(name)
        started = run.started_at if run else None
        took = run.finished_at - started if run and run.finished_at and started else None
        patience = LATE_AFTER * every if took is not None else max(LATE_AFTER * every, LEASE)
        found.append(
            JobRow(
                name=name,
                every=every,
                started_at=started,
                took=took,
                outcome=(run.outcome or "" if run else ""),
                next_at=None if pause else next_moment(now, every, zone),
                failures=failures.get(name, 0),
                late=pause is None and (started is None or now - started > patience),
                pause=pause,
                failing=_failing(session, run, every, zone) if run else None,
                in_hand=_in_hand(session, name, now, names),
            )
        )
    return found


def long_runs(session: Session, *, now: datetime) -> list[LongRun]:
    """The runs in hand that take much longer than their job usually does."""
    begun = (ScheduledRun.finished_at.is_(None), ScheduledRun.started_at < now - LONG_AFTER)
    return [
        LongRun(run.job, run.due_at, lasts, run.worker or "", normal)
        for run, lasts, normal, long in _measured(session, select(ScheduledRun).where(*begun), now)
        if long
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
            failed=run.failed,
            asked_by=_name(names, run.asked_by),
            tries=run.tries,
            worker=run.worker,
            ended_by=_name(names, run.end_asked_by),
        )
        for run in session.scalars(wanted.order_by(ScheduledRun.due_at.desc()).limit(limit))
    ]


def usual(session: Session, job: str) -> timedelta | None:
    """What half of the job's last runs took at most; None when none has succeeded lately."""
    of_job = select(ScheduledRun).where(ScheduledRun.job == job)
    last = aliased(ScheduledRun, of_job.order_by(ScheduledRun.due_at.desc()).limit(USUAL_AMONG).subquery())
    times = select(last.started_at, last.finished_at).where(last.finished_at.is_not(None), ~last.failed)
    took = [
        finished - started
        for started, finished in session.execute(times.order_by(last.due_at.desc()).limit(USUAL_OF))
        if started is not None and finished is not None
    ]
    return median_low(took) if took else None


def _names(session: Session) -> dict[str, str]:
    """References of the audit to names of people."""
    return {f"staff:{row.id}": row.display_name for row in session.execute(select(Staff.id, Staff.display_name))}


def _name(names: Mapping[str, str], reference: str | None) -> str | None:
    return names.get(reference, reference) if reference else None


def _newest(session: Session, job: str) -> ScheduledRun | None:
    begun = select(ScheduledRun).where(ScheduledRun.job == job, ScheduledRun.started_at.is_not(None))
    return session.scalar(begun.order_by(ScheduledRun.due_at.desc()).limit(1))


def _failing(session: Session, run: ScheduledRun, every: timedelta, zone: tzinfo) -> Failing | None:
    """Since when nothing of the job has succeeded, where its newest run has not; `run` may be in hand just now."""
    if run.finished_at is not None and not run.failed:
        return None
    of_job = (
        ScheduledRun.job == run.job,
        ScheduledRun.due_at > run.due_at - FAILING_AMONG * every,
        ScheduledRun.finished_at.is_not(None),
    )
    good = select(ScheduledRun.due_at).where(*of_job, ~ScheduledRun.failed)
    last_good = session.scalar(good.order_by(ScheduledRun.due_at.desc()).limit(1))
    since = select(func.min(ScheduledRun.finished_at), func.count()).where(*of_job, ScheduledRun.failed)
    if last_good is not None:
        since = since.where(ScheduledRun.due_at > last_good)
    first, count = session.execute(since).one()
    return None if first is None else Failing(first, count, again_at(run, every=every, zone=zone))


def _in_hand(session: Session, job: str, now: datetime, names: Mapping[str, str]) -> InHand | None:
    begun = (ScheduledRun.job == job, ScheduledRun.finished_at.is_(None), ScheduledRun.started_at.is_not(None))
    oldest = select(ScheduledRun).where(*begun).order_by(ScheduledRun.due_at).limit(1)
    for run, lasts, normal, long in _measured(session, oldest, now):
        assert run.started_at is not None
        return InHand(run.started_at, lasts, run.worker or "", _name(names, run.end_asked_by), normal, long)
    return None


def _measured(
    session: Session, wanted: Select[ScheduledRun], now: datetime
) -> Iterator[tuple[ScheduledRun, timedelta, timedelta | None, bool]]:
    """Runs in hand, how long they last, what is usual, and whether that is much longer."""
    for run in session.scalars(wanted).all():
        assert run.started_at is not None
        lasts, normal = now - run.started_at, usual(session, run.job)
        yield run, lasts, normal, lasts > max(LONG_AFTER, LONG_TIMES * (normal or timedelta(0)))
