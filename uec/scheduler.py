"""The scheduler: exactly one process writes down what is due, by APScheduler 3.11; workers do the rest.

A lock in the database (PostgreSQL: an advisory lock; SQLite: a locked file beside it) lets one process through; a
second one waits as a standby and takes over when the first ends or is killed. One that hangs or was stopped keeps no
lock either: it has to show itself every second, or PostgreSQL ends its connection, and on SQLite the standby puts its
file aside. When it wakes it finds the lock gone and stands by; what it may have triggered until then was written down
once in any case (`uec.services.schedule`).
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Protocol

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
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
SILENT_S = 15
"""A scheduler that holds the lock and was not heard of for so long has lost it."""
LOOK_OVER, LOOK_OVER_EVERY = "look over", timedelta(seconds=10)
SLACK = timedelta(seconds=5)
RHYTHMS = {name: job.every for name, job in JOBS.items()} | {LOOK_OVER: LOOK_OVER_EVERY}
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


class Rhythm(BaseTrigger):  # type: ignore[misc]
    """Fires at the moments of a job's rhythm, which are those of the day and not of this process."""

    def __init__(self, every: timedelta) -> None:
        """Every so often, from midnight UTC."""
        self._every = every

    def __str__(self) -> str:
        return f"every {self._every}"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next moment after `now`; what was missed is one run, whenever the last one was."""
        return schedule.due_moment(now, self._every) + self._every


class Lock(Protocol):
    """Proof of being the only one."""

    def still_held(self) -> bool:
        """Show that this process is alive; whether it is still the only one. To be asked every second."""
        ...


class ServerLock:
    """A lock of a database connection."""

    def __init__(self, connection: Connection) -> None:
        """It is held as long as the connection lives."""
        self._connection = connection

    def still_held(self) -> bool:
        """Whether the connection is alive: the server ends one that asks nothing for `SILENT_S`."""
        try:
            self._connection.execute(text("SELECT 1"))
        except UecError:
            return False
        return True


class FileLock:
    """A lock of a file, whose time says when its holder was last heard of."""

    def __init__(self, path: Path) -> None:
        """Nothing is locked yet."""
        self._path, self._file = path, path.open("ab")
        self._heard, self._since = 0, time.monotonic()

    def close(self) -> None:
        """Let it go."""
        self._file.close()

    def take(self) -> bool:
        """Take the lock; false while somebody holds it who was heard of lately."""
        if not self._is_the_file():
            self._reopen()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._put_aside_if_silent()
            return False
        return self.still_held()

    def still_held(self) -> bool:
        """Whether nobody has put the file aside."""
        os.utime(self._file.fileno())
        return self._is_the_file()

    def _put_aside_if_silent(self) -> None:
        # By this process's own clock, which nobody sets.
        heard, now = os.fstat(self._file.fileno()).st_mtime_ns, time.monotonic()
        if heard != self._heard:
            self._heard, self._since = heard, now
        elif now - self._since > SILENT_S and self._is_the_file():
            _log.warning("the scheduler that triggers was not heard of for %s s: taking over", SILENT_S)
            self._path.unlink(missing_ok=True)

    def _is_the_file(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        self._file.close()
        self._file = self._path.open("ab")


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
            # Who has it must be heard of.
            connection.execute(text(f"SET idle_session_timeout = '{SILENT_S}s'"))
            yield ServerLock(connection)
        finally:
            # The lock belongs to the connection: back in the pool it would hold on to it.
            connection.invalidate()


@contextmanager
def _file_lock(engine: Engine, stop: Event) -> Iterator[Lock | None]:
    lock = FileLock(Path(f"{engine.url.database}.scheduler"))
    try:
        while not lock.take():
            if stop.wait(RETRY_S):
                yield None
                return
        yield lock
    finally:
        lock.close()


def _trigger_until(stop: Event, engine: Engine, lock: Lock) -> None:
    sessions = session_factory(engine)
    scheduler = BackgroundScheduler(timezone=UTC)
    for name, every in RHYTHMS.items():
        scheduler.add_job(
            _fire,
            Rhythm(every),
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
    late = [job.id for job in scheduler.get_jobs() if job.next_run_time > now + RHYTHMS[job.id] + SLACK]
    for name in late:
        scheduler.modify_job(name, next_run_time=now)
    return late


def _fire(sessions: sessionmaker[Session], name: str) -> None:
    if name == LOOK_OVER:
        look_over(sessions, now=datetime.now(UTC))
    else:
        trigger_now(sessions, name)


def look_over(sessions: sessionmaker[Session], *, now: datetime) -> list[str]:
    """Write down what is due of any job and does not stand there; returns their names.

    Its moment may have passed while the database was away, or the job was paused: nobody waits for the next one of a
    rhythm of a day.
    """
    return [name for name in JOBS if trigger_at(sessions, name, now)]


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
