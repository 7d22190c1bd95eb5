"""Pauses a job, lets it go on, asks for a run out of its rhythm, ends one: by a person, with the audit's knowledge."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services import schedule
from uec.store import audit
from uec.store.tables import JobPause

REASON_LIMIT = 200


def pause(session: Session, job: str, *, reason: str, actor: Actor, known: Collection[str], now: datetime) -> None:
    """Stop a job until `resume`; what is being done is finished. Raises `NotAllowed`, `NotFound`, `InvalidInput`."""
    _check(job, actor, known)
    reason = typed(reason)
    if not 0 < len(reason) <= REASON_LIMIT:
        raise InvalidInput(f"Give the reason of the pause in at most {REASON_LIMIT} letters.", field="reason")
    row = session.get(JobPause, job) or JobPause(job=job)
    row.paused_at, row.paused_by, row.reason = now, actor.reference, reason
    session.add(row)
    _tell(session, job, "pause", actor, now, reason)


def resume(session: Session, job: str, *, actor: Actor, known: Collection[str], now: datetime) -> None:
    """Let a job go on; what was missed is caught up by one run. Nothing happens when it is not paused."""
    _check(job, actor, known)
    row = session.get(JobPause, job)
    if row is not None:
        session.delete(row)
        _tell(session, job, "resume", actor, now, "")


def run_now(session: Session, job: str, *, actor: Actor, known: Collection[str], now: datetime) -> bool:
    """Ask for a run at once, also of a paused job; false when one waits for a worker already."""
    _check(job, actor, known)
    new = schedule.ask(session, job, asked_by=actor.reference, now=now)
    if new:
        _tell(session, job, "run", actor, now, "")
    session.commit()
    return new


def end_run(session: Session, job: str, *, actor: Actor, known: Collection[str], now: datetime) -> bool:
    """Have the run that a worker has in hand ended; false when there is none, or somebody has asked for it already.

    The worker does it within seconds (`uec.worker_watch`). That run is not begun again; the next one comes when it is
    due.
    """
    _check(job, actor, known)
    since = schedule.ask_end(session, job, asked_by=actor.reference)
    if since is not None:
        _tell(session, job, "end", actor, now, f"begun at {since:%Y-%m-%d %H:%M:%S} UTC")
    session.commit()
    return since is not None


def _check(job: str, actor: Actor, known: Collection[str]) -> None:
    actor.require(Permission.MANAGE_JOBS)
    if job not in known:
        raise NotFound(f"There is no job {job}: see `uec jobs list`.", kind="Job", id=job)


def _tell(session: Session, job: str, action: str, actor: Actor, now: datetime, reason: str) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"job.{action}",
        subject_kind="job",
        subject_id=job,
        details={"reason": reason} if reason else {},
        now=now,
    )
    session.commit()
