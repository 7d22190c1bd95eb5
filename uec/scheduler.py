"""The scheduler: exactly one process writes down what is due, by APScheduler 3.11; workers do the rest.

One process is let through (`uec.scheduler_lock`); a second one waits as a standby and takes over when the first ends,
is killed or hangs. When that one wakes it finds the lock gone and stands by; what it may have triggered until then was
written down once in any case (`uec.services.schedule`).
"""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from threading import Event
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.errors import StoreUnavailable, UecError
from uec.domain.rhythm import due_moment, next_moment
from uec.jobs import JOBS
from uec.scheduler_lock import RETRY_S, Lock, only_one, outage
from uec.services import job_list, schedule
from uec.settings import Settings
from uec.store.engine import make_engine, reading, session_factory

LOOK_OVER, LOOK_OVER_EVERY = "look over", timedelta(seconds=10)
SLACK = timedelta(seconds=5)
RHYTHMS = {name: job.every for name, job in JOBS.items()} | {LOOK_OVER: LOOK_OVER_EVERY}
_log = logging.getLogger(__name__)


def run_scheduler(settings: Settings, *, stop: Event) -> None:
    """Trigger jobs until `stop` is set, waiting first while another scheduler does, or the database is away."""
    engine = make_engine(settings.database_url)
    try:
        while not stop.is_set():
            attempt = outage.attempt()
            try:
                with only_one(engine, stop) as alone:
                    if alone:
                        _trigger_until(stop, Office(session_factory(engine), ZoneInfo(settings.timezone)), alone)
            except StoreUnavailable as error:
                outage.begun(error, attempt)
                stop.wait(RETRY_S)
    finally:
        engine.dispose()


@dataclass
class Office:
    """The database whose jobs are triggered, where its days begin, and the long runs that were told of."""

    sessions: sessionmaker[Session]
    zone: tzinfo = UTC
    told: set[tuple[str, datetime]] = field(default_factory=set)


class Rhythm(BaseTrigger):  # type: ignore[misc]
    """Fires at the moments of a job's rhythm, which are those of the office's day and not of this process."""

    def __init__(self, every: timedelta, zone: tzinfo = UTC) -> None:
        """Every so often, from midnight there."""
        self._every, self._zone = every, zone

    def __str__(self) -> str:
        return f"every {self._every}"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next moment after `now`; what was missed is one run, whenever the last one was."""
        return next_moment(now, self._every, self._zone)


def _trigger_until(stop: Event, office: Office, lock: Lock) -> None:
    scheduler = BackgroundScheduler(timezone=UTC)
    for name, every in RHYTHMS.items():
        scheduler.add_job(
            _fire,
            Rhythm(every, office.zone),
            args=[office, name],
            id=name,
            name=name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            next_run_time=datetime.now(UTC),
        )
    scheduler.start()
    try:
        while not stop.wait(RETRY_S):
            if not lock.still_held():
                _log.info("the lock is lost: standing by")
                return
            catch_up(scheduler, now=datetime.now(UTC))
    finally:
        scheduler.shutdown(wait=True)


def catch_up(scheduler: BackgroundScheduler, *, now: datetime) -> list[str]:
    """Let jobs run at once that a clock set back has left waiting for longer than their rhythm; returns their names."""
    late = [
        job for job in scheduler.get_jobs() if job.next_run_time > job.trigger.get_next_fire_time(None, now) + SLACK
    ]
    for job in late:
        job.modify(next_run_time=now)
    return [job.id for job in late]


def _fire(office: Office, name: str) -> None:
    if name != LOOK_OVER:
        trigger_now(office, name)
        return
    now = datetime.now(UTC)
    look_over(office, now=now)
    tell_long_runs(office, now=now)


def look_over(office: Office, *, now: datetime) -> list[str]:
    """Write down what is due of any job and does not stand there; returns their names.

    Its moment may have passed while the database was away, or the job was paused: nobody waits for the next one of a
    rhythm of a day.
    """
    return [name for name in JOBS if trigger_at(office, name, now)]


def tell_long_runs(office: Office, *, now: datetime) -> None:
    """Say in the log which runs take much longer than their job usually does; each once."""
    try:
        with reading(office.sessions) as session:
            found = job_list.long_runs(session, now=now)
    except UecError:
        return  # whoever triggers tells of a database that is away
    for run in found:
        if (run.job, run.due_at) not in office.told:
            usual = f"usually {whole(run.usual)}" if run.usual is not None else "it has never come to an end so far"
            _log.warning(
                "job %s runs for %s in %s, %s: look at that worker's log; `uec jobs end %s` ends the run",
                run.job,
                whole(run.lasts),
                run.worker or "a worker",
                usual,
                run.job,
            )
    office.told = {(run.job, run.due_at) for run in found}


def whole(period: timedelta) -> timedelta:
    """A period to the second."""
    return timedelta(seconds=round(period.total_seconds()))


def trigger_now(office: Office, name: str) -> bool:
    """Write down that the job's present run is due; false when it stands there already or the database is away."""
    return trigger_at(office, name, datetime.now(UTC))


def trigger_at(office: Office, name: str, now: datetime) -> bool:
    """Write down what is due of a job at a moment, as `trigger_now` does; what failed is due again after a while."""
    every = JOBS[name].every
    moment = due_moment(now, every, office.zone)
    attempt = outage.attempt()
    try:
        with office.sessions() as session:
            forgotten = schedule.forget_future(session, name, every=every, now=now)
            if forgotten:
                _log.warning("the clock was set back: %s runs of job %s are due once more", forgotten, name)
            again = schedule.try_again(session, name, moment, every=every, now=now, zone=office.zone)
            due = schedule.trigger(session, name, moment, now=now)
    except StoreUnavailable as error:
        outage.begun(error, attempt)
        return False
    except UecError as error:
        _log.warning("job %s could not be triggered: %s", name, error)
        return False
    outage.over(attempt)
    return due or again
