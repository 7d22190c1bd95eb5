"""Work that is due by the clock: a scheduler only writes down that a run is due, a worker does it, once.

The key (job, due moment) makes each run happen once, however many schedulers fight. Where the clock is set back,
moments come that have been before: jobs go on at their rhythm (`forget_future`), and what is done more rarely than the
clock jumped is not done again. A run whose worker died is taken up again: at once by whoever has its job in hand
(`claim_of`), else after its lease. One that failed is tried again where the next one is far away (`try_again`). One
that hangs is ended (`ask_end`, `uec.worker_watch`) and not begun a second time. A job that somebody has paused is
neither triggered nor begun by the clock; a run that somebody asked for is done all the same.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, aliased

from uec.domain.rhythm import due_moment, next_moment
from uec.store import queue
from uec.store.queue import Work
from uec.store.tables import JobPause, ScheduledRun

QUEUE, TASK = "office", "run"

LEASE = timedelta(minutes=15)
KEPT = timedelta(days=7)
# Clocks of two machines may differ by this much; beyond it a clock was wrong.
SKEW = timedelta(minutes=1)
OUTCOME_LIMIT = 1000
FAILED, ENDED = "failed: ", "ended: "
AGAIN_AFTER = timedelta(minutes=5)
RARE = timedelta(minutes=15)
TRIES = 5


@dataclass(frozen=True)
class DueRun:
    """A run a worker has taken."""

    job: str
    due_at: datetime


def trigger(session: Session, job: str, due_at: datetime, *, now: datetime) -> bool:
    """Write down that a run is due; false when it stands there already, or an earlier one still waits for a worker.

    A run that a clock gone ahead has left waiting in the future is not waited for. On PostgreSQL the run is handed over
    to the workers in the same transaction; one that waits there without its job (of an earlier version, or failed for
    good) is handed over anew. Nothing is due of a job that is paused.
    """
    if _hand_over_waiting(session, job, now) or session.get(JobPause, job) is not None:
        session.commit()
        return False
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    entry = insert(ScheduledRun).values(job=job, due_at=due_at).on_conflict_do_nothing()
    written = session.execute(entry.returning(ScheduledRun.job)).first()
    if written is not None:
        queue.hand_over(session, [_work(job, due_at)])
    session.commit()
    return written is not None


def forget_future(session: Session, job: str, *, every: timedelta, now: datetime) -> int:
    """Forget runs that a clock which was ahead has done of moments still to come; how many. The caller commits.

    Those moments are due when they come. A clock ahead by less than half of the job's rhythm did them a little early:
    they stay done.
    """
    ahead = max(every / 2, 2 * SKEW)
    early = delete(ScheduledRun).where(
        ScheduledRun.job == job,
        ScheduledRun.due_at > now + SKEW,
        ScheduledRun.started_at > now + ahead,
        ScheduledRun.finished_at.is_not(None),
    )
    return len(session.execute(early.returning(ScheduledRun.job)).all())


def ask(session: Session, job: str, *, asked_by: str, now: datetime) -> bool:
    """Write down a run out of the job's rhythm, done even while the job is paused; the caller commits.

    False when a run of the job waits for a worker already: that one is the run that was asked for.
    """
    queue.one_at_a_time(session, f"ask:{job}")
    waiting = select(ScheduledRun).where(
        ScheduledRun.job == job,
        ScheduledRun.started_at.is_(None),
        ScheduledRun.finished_at.is_(None),
        ScheduledRun.due_at <= now + SKEW,  # another one's clock may be ahead a little
    )
    run = session.scalar(waiting.limit(1).with_for_update())
    new = run is None
    if run is None:
        run = ScheduledRun(job=job, due_at=now)
        session.add(run)
    run.asked_by = run.asked_by or asked_by
    session.flush()
    queue.hand_over(session, [_work(job, run.due_at)])
    return new


def again_at(run: ScheduledRun, *, every: timedelta, zone: tzinfo = UTC) -> datetime | None:
    """When a run that failed is tried again: 5, 10, 20, 40 minutes later; None when the next run comes before that.

    Who asked for a run asks again; and what was ended is not begun again by itself.
    """
    failed = run.finished_at is not None and (run.outcome or "").startswith(FAILED)
    if not failed or every < RARE or not 0 < run.tries < TRIES or due_moment(run.due_at, every, zone) != run.due_at:
        return None
    assert run.finished_at is not None
    moment = run.finished_at + AGAIN_AFTER * 2 ** (run.tries - 1)
    return moment if moment < next_moment(run.due_at, every, zone) else None


def try_again(session: Session, job: str, due_at: datetime, *, every: timedelta, now: datetime, zone: tzinfo) -> bool:
    """Let a run that failed be begun once more when its time has come; whether it has. The caller commits.

    Not when somebody has asked for a run since, and that one succeeded.
    """
    run = session.get(ScheduledRun, (job, due_at))
    moment = None if run is None else again_at(run, every=every, zone=zone)
    if run is None or moment is None or now < moment or session.get(JobPause, job) is not None:
        return False
    session.refresh(run, with_for_update=True)
    later = (ScheduledRun.job == job, ScheduledRun.due_at > due_at, ScheduledRun.finished_at.is_not(None))
    done = select(ScheduledRun.due_at).where(*later, ~ScheduledRun.failed).limit(1)
    if run.finished_at is None or session.scalar(done) is not None:
        return False
    run.started_at = run.finished_at = run.worker = run.outcome = run.end_asked_by = None
    run.failed = False
    session.flush()
    queue.hand_over(session, [_work(job, due_at)])
    return True


def _hand_over_waiting(session: Session, job: str, now: datetime) -> bool:
    """Whether a run waits that may be begun; it is handed over again in case its job of the queue is gone.

    So is one that was begun long ago: should the queue have given it up for good, nobody would ever finish it. As long
    as anybody has it in hand the queue makes no second job of it.
    """
    found = select(ScheduledRun.due_at, ScheduledRun.started_at).where(
        ScheduledRun.job == job, ScheduledRun.finished_at.is_(None), ScheduledRun.due_at <= now, _not_paused()
    )
    rows = session.execute(found.order_by(ScheduledRun.due_at)).all()
    left = [row.due_at for row in rows if row.started_at is None or not now - LEASE <= row.started_at <= now + SKEW]
    queue.hand_over(session, [_work(job, due_at) for due_at in left])
    return any(row.started_at is None for row in rows)


def _not_paused() -> ColumnElement[bool]:
    """Whether a run may be taken: its job is not paused, or somebody asked for this run, or to end it (`_begun`)."""
    asked = or_(ScheduledRun.asked_by.is_not(None), ScheduledRun.end_asked_by.is_not(None))
    return or_(asked, ~exists().where(JobPause.job == ScheduledRun.job))


def _work(job: str, due_at: datetime) -> Work:
    moment = due_at.isoformat()
    # One run of a job at a time: one that hangs holds up a single worker, and not one after the other.
    return Work(QUEUE, TASK, f"{TASK}:{job}:{moment}", {"job": job, "due_at": moment}, lock=f"{TASK}:{job}")


def claim_run(session: Session, job: str, due_at: datetime, *, now: datetime, worker: str = "") -> DueRun | None:
    """Take this one run, which its worker was given by the queue; None when it is finished, forgotten or paused."""
    this = select(ScheduledRun).where(ScheduledRun.job == job, ScheduledRun.due_at == due_at, _not_paused())
    run = session.scalar(this.with_for_update())
    return _begun(session, None if run is None or run.finished_at is not None else run, now, worker)


def claim(session: Session, *, now: datetime, worker: str = "") -> DueRun | None:
    """Take the run that is due longest, or one whose worker died; None when there is nothing to do.

    A run begun in the future was begun by a clock that was wrong, so its lease says nothing. Of a job that another
    worker has in hand no second run is begun.
    """
    leased = (now - LEASE, now + SKEW)
    free = or_(
        ScheduledRun.started_at.is_(None),
        ScheduledRun.finished_at.is_(None) & ~ScheduledRun.started_at.between(*leased),
    )
    other = aliased(ScheduledRun)
    in_hand = exists().where(
        other.job == ScheduledRun.job, other.finished_at.is_(None), other.started_at.between(*leased)
    )
    ready = (free, ~in_hand, _not_paused(), ScheduledRun.due_at <= now)
    oldest = select(ScheduledRun).where(*ready).order_by(ScheduledRun.due_at).limit(1)
    return _begun(session, session.scalar(oldest.with_for_update(skip_locked=True)), now, worker)


def due_jobs(session: Session, *, known: Collection[str], now: datetime) -> list[str]:
    """The jobs of those known here that have a run due and not finished, the longest due first.

    Those with a run that was begun come last: should that run be what kills workers, the other jobs are done all the
    same.
    """
    due = (ScheduledRun.finished_at.is_(None), ScheduledRun.due_at <= now, _not_paused())
    begun = func.count(ScheduledRun.started_at) > 0
    jobs = select(ScheduledRun.job).where(*due).group_by(ScheduledRun.job)
    found = session.scalars(jobs.order_by(begun, func.min(ScheduledRun.due_at), ScheduledRun.job))
    return [job for job in found if job in known]


def claim_of(session: Session, job: str, *, now: datetime, worker: str = "") -> DueRun | None:
    """Take the run of a job that is due longest; None when there is none.

    The caller alone has the job in hand (`uec.store.in_hand`), so a run that was begun has no worker any more.
    """
    due = (ScheduledRun.job == job, ScheduledRun.finished_at.is_(None), ScheduledRun.due_at <= now, _not_paused())
    oldest = select(ScheduledRun).where(*due).order_by(ScheduledRun.due_at).limit(1)
    return _begun(session, session.scalar(oldest), now, worker)


def _begun(session: Session, run: ScheduledRun | None, now: datetime, worker: str) -> DueRun | None:
    """The run as its worker's, unless somebody has asked to end it before its last worker died: then it is over."""
    if run is None:
        session.rollback()
        return None
    if run.end_asked_by is not None:
        _end(run, f"{ENDED}asked for", now)
        session.commit()
        return None
    run.started_at, run.tries, run.worker = now, run.tries + 1, worker or None
    session.commit()
    return DueRun(run.job, run.due_at)


def ask_end(session: Session, job: str, *, asked_by: str) -> datetime | None:
    """Ask the worker that has a run of the job in hand to end it; since when it has it. The caller commits.

    None when nothing is in hand, or somebody has asked already.
    """
    begun = (ScheduledRun.job == job, ScheduledRun.finished_at.is_(None), ScheduledRun.started_at.is_not(None))
    run = session.scalar(select(ScheduledRun).where(*begun).order_by(ScheduledRun.due_at).limit(1).with_for_update())
    if run is None or run.end_asked_by is not None:
        return None
    run.end_asked_by = asked_by
    return run.started_at


def end_asked(session: Session, run: DueRun) -> bool:
    """Whether somebody has asked to end this run."""
    asked = select(ScheduledRun.end_asked_by).where(ScheduledRun.job == run.job, ScheduledRun.due_at == run.due_at)
    return session.scalar(asked) is not None


def finish(session: Session, run: DueRun, *, outcome: str, now: datetime) -> None:
    """Write down what a run did, or why it failed or was ended; one that has an end keeps it."""
    row = session.get_one(ScheduledRun, (run.job, run.due_at), with_for_update=True, populate_existing=True)
    if row.finished_at is None:
        _end(row, outcome, now)
    session.commit()


def _end(run: ScheduledRun, outcome: str, now: datetime) -> None:
    run.finished_at, run.outcome = now, outcome[:OUTCOME_LIMIT]
    run.failed = outcome.startswith((FAILED, ENDED))


def sweep(session: Session, *, now: datetime) -> int:
    """Forget runs finished more than a week ago, and those that nobody has known for as long; returns how many."""
    unknown = (ScheduledRun.started_at.is_(None), ScheduledRun.due_at < now - KEPT)
    old = delete(ScheduledRun).where(or_(ScheduledRun.finished_at < now - KEPT, and_(*unknown)))
    gone = session.execute(old.returning(ScheduledRun.job)).all()
    session.commit()
    return len(gone)
