"""The scheduler: exactly one process writes down what is due, by APScheduler 3.11; workers do the rest.

A lock in the database (PostgreSQL: an advisory lock; SQLite: a locked file beside it) lets one process through; a
second one waits as a standby and takes over when the first ends or is killed.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.errors import StoreUnavailable, UecError
from uec.jobs import JOBS
from uec.services import schedule
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.outage import Outage

LOCK_NUMBER = 0x7565637363686564
RETRY_S = 1.0
SLACK = timedelta(seconds=5)
_log = logging.getLogger(__name__)
_outage = Outage(_log)


def run_scheduler(settings: Settings, *, stop: Event) -> None:
    """Trigger jobs until `stop` is set, waiting first while another scheduler does, or the database is away."""
    engine = make_engine(settings.database_url)
    try:
        while not stop.is_set():
            try:
                with only_one(engine, stop) as alone:
                    if alone:
                        _trigger_until(stop, engine, alone)
            except StoreUnavailable as error:
                _outage.begun(error)
                stop.wait(RETRY_S)
    finally:
        engine.dispose()


class Lock:
    """Proof of being the only one; `still_held` says whether it is still true."""

    def __init__(self, connection: Connection | None = None) -> None:
        """A lock of a database connection, or of a file (None), which cannot be lost."""
        self._connection = connection

    def still_held(self) -> bool:
        """Whether the connection that holds the lock is alive."""
        if self._connection is None:
            return True
        try:
            self._connection.execute(text("SELECT 1"))
        except UecError:
            return False
        return True


@contextmanager
def only_one(engine: Engine, stop: Event) -> Iterator[Lock | None]:
    """Wait for the lock and hold it; None when `stop` was set first."""
    held = _advisory_lock if engine.dialect.name == "postgresql" else _file_lock
    with held(engine, stop) as lock:
        if lock:
            _log.info("this scheduler is the one that triggers")
        yield lock


@contextmanager
def _advisory_lock(engine: Engine, stop: Event) -> Iterator[Lock | None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A machine that vanished from the network gives its lock up as well, and not after the two hours of TCP.
        for name, seconds in (("tcp_keepalives_idle", 5), ("tcp_keepalives_interval", 5), ("tcp_keepalives_count", 2)):
            connection.execute(text(f"SET {name} = {seconds}"))
        _outage.over()
        take = text("SELECT pg_try_advisory_lock(:number)").bindparams(number=LOCK_NUMBER)
        while not connection.scalar(take):
            if stop.wait(RETRY_S):
                yield None
                return
        try:
            yield Lock(connection)
        finally:
            # The lock belongs to the connection: back in the pool it would hold on to it.
            connection.invalidate()


@contextmanager
def _file_lock(engine: Engine, stop: Event) -> Iterator[Lock | None]:
    path = Path(f"{engine.url.database}.scheduler")
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(RETRY_S):
                    yield None
                    return
        yield Lock()


def _trigger_until(stop: Event, engine: Engine, lock: Lock) -> None:
    sessions = session_factory(engine)
    scheduler = BackgroundScheduler(timezone=UTC)
    for name, job in JOBS.items():
        scheduler.add_job(
            trigger_now,
            IntervalTrigger(seconds=int(job.every.total_seconds()), timezone=UTC),
            args=[sessions, name],
            id=name,
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
    late = [job.id for job in scheduler.get_jobs() if job.next_run_time > now + JOBS[job.id].every + SLACK]
    for name in late:
        scheduler.modify_job(name, next_run_time=now)
    return late


def trigger_now(sessions: sessionmaker[Session], name: str) -> bool:
    """Write down that the job's present run is due; false when it stands there already or the database is away."""
    return trigger_at(sessions, name, datetime.now(UTC))


def trigger_at(sessions: sessionmaker[Session], name: str, now: datetime) -> bool:
    """Write down what is due of a job at a moment, as `trigger_now` does."""
    every = JOBS[name].every
    try:
        with sessions() as session:
            forgotten = schedule.forget_future(session, name, every=every, now=now)
            if forgotten:
                _log.warning("the clock was set back: %s runs of job %s are due once more", forgotten, name)
            due = schedule.trigger(session, name, schedule.due_moment(now, every), now=now)
    except StoreUnavailable as error:
        _outage.begun(error)
        return False
    except UecError as error:
        _log.warning("job %s could not be triggered: %s", name, error)
        return False
    _outage.over()
    return due
