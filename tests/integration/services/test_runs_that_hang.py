"""A run that hangs is told of and ended, by a person or its limit; nothing of it is left when the next one begins."""

import logging
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import add_staff
from uec import worker_watch
from uec.domain.actors import Actor
from uec.domain.errors import NotAllowed, StoreUnavailable
from uec.domain.permissions import Role
from uec.jobs import JOBS
from uec.scheduler import Office, tell_long_runs
from uec.services import job_control, job_list, schedule
from uec.services.schedule import DueRun
from uec.store.tables import AuditEntry, ScheduledRun
from uec.worker_watch import Watch

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RUN = DueRun("plan", NOW)
WAYS: dict[str, Any] = {"known": JOBS, "now": NOW}


@pytest.fixture
def admin(session: Session) -> Actor:
    actor = add_staff(session, "admin", Role.ADMIN)
    session.commit()
    return actor


def begun(session: Session, job: str = "plan", at: datetime = NOW) -> DueRun:
    assert schedule.trigger(session, job, at, now=at)
    run = schedule.claim(session, now=at, worker="machine 7")
    assert run == DueRun(job, at)
    return run


def outcome(session: Session, run: DueRun = RUN) -> str | None:
    return session.get_one(ScheduledRun, (run.job, run.due_at), populate_existing=True).outcome


class Ends:
    """In place of a process that begins anew."""

    def __init__(self, sessions: sessionmaker[Session], limit: timedelta = HOUR) -> None:
        self.times = 0
        self.watch = Watch(sessions, limits={"plan": limit}, begin_anew=self.begin_anew, clock=lambda: NOW + HOUR)

    def begin_anew(self) -> None:
        self.times += 1


def test_a_watch_leaves_alone_what_nobody_asked_to_end(sessions: sessionmaker[Session], session: Session) -> None:
    ends = Ends(sessions)
    ends.watch.look()
    with ends.watch.over(begun(session)):
        ends.watch.look()
    assert ends.times == 0 and outcome(session) is None


def test_who_asks_has_the_run_ended(sessions: sessionmaker[Session], session: Session, admin: Actor) -> None:
    ends, run = Ends(sessions), begun(session)
    with ends.watch.over(run):
        assert job_control.end_run(session, "plan", actor=admin, **WAYS)
        assert not job_control.end_run(session, "plan", actor=admin, **WAYS), "once is enough"
        ends.watch.look()
    assert ends.times == 1 and outcome(session) == "ended: asked for after 0 min"
    (shown,) = job_list.history(session, "plan", limit=5)
    assert (shown.failed, shown.ended_by, shown.worker, shown.tries) == (True, "Admin", "machine 7", 1)
    ends.watch.look()
    assert ends.times == 1, "nothing is in hand any more"
    schedule.finish(session, run, outcome="3 cards", now=NOW)
    assert outcome(session) == "ended: asked for after 0 min", "an end that comes too late changes nothing"


def test_a_limit_ends_a_run(sessions: sessionmaker[Session], session: Session) -> None:
    ends = Ends(sessions, limit=timedelta(0))
    with ends.watch.over(begun(session)):
        ends.watch.look()
    assert ends.times == 1 and outcome(session) == "ended: not done within its limit of 0 min"
    with ends.watch.over(DueRun("no-such-job", NOW)):
        ends.watch.look()
    assert ends.times == 1, "a job without a limit has none"


def test_a_run_that_locks_the_database_is_ended_all_the_same(
    sessions: sessionmaker[Session], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_given: object, **_named: object) -> None:
        raise StoreUnavailable("The database is locked by another process.")

    ends, run = Ends(sessions, limit=timedelta(0)), begun(session)
    monkeypatch.setattr(schedule, "finish", locked)
    with ends.watch.over(run):
        ends.watch.look()
    assert ends.times == 1 and outcome(session) is None


def test_a_run_that_is_forgotten_or_a_part_of_the_queue_is_ended_and_nothing_written(
    sessions: sessionmaker[Session], session: Session
) -> None:
    ends = Ends(sessions, limit=timedelta(0))
    with ends.watch.over(RUN):
        ends.watch.look()
    with ends.watch.over("plan"):
        ends.watch.look()
    with ends.watch.over("publish"):
        ends.watch.look()
    assert ends.times == 2 and session.scalars(select(ScheduledRun)).all() == []


def test_a_watch_goes_on_whatever_fails_in_it(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks, again = [0], Event()

    def look() -> None:
        looks[0] += 1
        if looks[0] == 1:
            raise ZeroDivisionError
        again.set()

    watch = Ends(sessions).watch
    monkeypatch.setattr(worker_watch, "LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(watch, "look", look)
    with watch.looking():
        assert again.wait(30)
    assert "failed, and goes on" in caplog.text and "ZeroDivisionError" in caplog.text


class Ended(BaseException):
    """In place of the end of this process."""


def test_a_worker_that_cannot_begin_anew_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_given: object) -> None:
        raise FileNotFoundError("no such file: python")

    def end(_code: int) -> None:
        raise Ended

    monkeypatch.setattr(logging, "shutdown", lambda: None)
    monkeypatch.setattr(multiprocessing, "active_children", list)
    monkeypatch.setattr(os, "execv", gone)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setenv(worker_watch.LEFT, "")
    with pytest.raises(Ended):
        worker_watch.begin_anew(Event())
    assert "start it again: no such file" in caplog.text


LEAVES = """
import multiprocessing, os, sys, time
from threading import Event

from uec.worker_watch import LEFT, begin_anew, bury

if LEFT not in os.environ:
    multiprocessing.get_context("spawn").Process(target=time.sleep, args=(3600,)).start()
    sys.stdout = open(sys.argv[1], "w")
    print("is lost")
    begin_anew(Event())
assert os.environ[LEFT]
bury()
assert LEFT not in os.environ
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("none is left")
"""


@pytest.mark.parametrize("output", ["/dev/null", "/dev/full"])
def test_nothing_is_left_of_the_processes_of_a_worker_that_begins_anew(output: str) -> None:
    command = [sys.executable, "-c", LEAVES, output]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "none is left\n"), done.stderr


def test_whoever_is_asked_to_end_a_run_of_a_dead_worker_does_not_begin_it(session: Session, admin: Actor) -> None:
    begun(session)
    assert job_control.end_run(session, "plan", actor=admin, **WAYS)
    assert schedule.claim_of(session, "plan", now=NOW + MINUTE) is None
    assert outcome(session) == "ended: asked for"
    later = NOW + DAY
    begun(session, at=later)
    assert job_control.end_run(session, "plan", actor=admin, **WAYS)
    assert schedule.claim_run(session, "plan", later, now=later) is None
    assert outcome(session, DueRun("plan", later)) == "ended: asked for"
    assert schedule.trigger(session, "plan", later + DAY, now=later + DAY), "and the next one comes"


def test_only_what_is_in_hand_is_ended_and_by_whoever_may(session: Session, admin: Actor) -> None:
    planner = add_staff(session, "planner", Role.PLANNER)
    session.commit()
    assert not job_control.end_run(session, "plan", actor=admin, **WAYS)
    assert schedule.trigger(session, "plan", NOW, now=NOW)
    assert not job_control.end_run(session, "plan", actor=admin, **WAYS), "it waits"
    assert schedule.claim(session, now=NOW)
    with pytest.raises(NotAllowed):
        job_control.end_run(session, "plan", actor=planner, **WAYS)
    assert job_control.end_run(session, "plan", actor=admin, **WAYS)
    kept = session.scalars(select(AuditEntry).where(AuditEntry.action == "job.end")).one()
    assert (kept.subject_id, kept.actor) == ("plan", admin.reference) and "2026-03-02 09:30" in kept.details["reason"]


@pytest.mark.parametrize(
    ("usual", "lasts", "long"),
    [
        (2 * MINUTE, 3 * HOUR, True),
        (2 * MINUTE, 19 * MINUTE, False),
        (MINUTE / 60, 14 * MINUTE, False),
        (MINUTE / 60, 16 * MINUTE, True),
        (None, 16 * MINUTE, True),
        (HOUR, 9 * HOUR, False),
    ],
)
def test_a_run_is_long_by_what_is_usual(
    sessions: sessionmaker[Session],
    session: Session,
    caplog: pytest.LogCaptureFixture,
    usual: timedelta | None,
    lasts: timedelta,
    long: bool,
) -> None:
    for n in range(1, 4):
        at = NOW - n * DAY
        begun(session, at=at)
        if usual is None:
            schedule.finish(session, DueRun("plan", at), outcome="failed: x", now=at)
        else:
            schedule.finish(session, DueRun("plan", at), outcome="3 cards", now=at + usual)
    begun(session)
    now = NOW + lasts
    (row,) = job_list.jobs(session, {"plan": DAY}, now=now)
    assert row.in_hand is not None
    assert (row.in_hand.long, row.in_hand.usual, row.in_hand.lasts) == (long, usual, lasts)
    assert row.in_hand.worker == "machine 7"
    office = Office(sessions)
    with caplog.at_level(logging.WARNING):
        tell_long_runs(office, now=now)
        tell_long_runs(office, now=now + MINUTE)
    told = [record.getMessage() for record in caplog.records if "runs for" in record.getMessage()]
    assert len(told) == long, "once"
    if long:
        assert str(lasts) in told[0] and "machine 7" in told[0] and "uec jobs end plan" in told[0]
        assert (f"usually {usual}" if usual else "never come to an end") in told[0]


HANGS = """
import os, sys, threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import uec.queue
from uec import worker, worker_watch
from uec.jobs import JOBS
from uec.settings import Settings
from uec.store import queue

url, marker, limit_s = sys.argv[1:]
worker_watch.LOOK_EVERY_S = uec.queue.SWEEP_EVERY_S = uec.queue.HEARTBEAT_S = uec.queue.LOOK_EVERY_S = 0.2
queue.STALLED_AFTER = timedelta(seconds=2)
first = Path(marker + ".begun")
limit = timedelta(hours=1) if first.exists() else timedelta(seconds=float(limit_s))  # only what hangs is to meet it
first.touch()
worker.JOBS = {name: replace(job, limit=limit) for name, job in JOBS.items()}

def do(job, tools):
    if Path(marker).exists():
        print("hangs", flush=True)
        with tools.sessions() as session:  # with a connection in its hands
            session.connection(execution_options={"sqlite_read_only": True})
            threading.Event().wait()
    return "done"

worker.do = uec.queue.do = do
print("begins", os.getpid(), flush=True)
worker.run_worker(Settings(database_url=url), stop=threading.Event())
"""


@contextmanager
def hanging_worker(url: str, marker: Path, limit_s: float) -> "Iterator[subprocess.Popen[str]]":
    marker.touch()
    command = [sys.executable, "-c", HANGS, url, str(marker), str(limit_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["asked", "limit"])
def test_a_worker_that_hangs_begins_anew_and_does_the_next_run(
    sessions: sessionmaker[Session], session: Session, admin: Actor, database_url: str, tmp_path: Path, way: str
) -> None:
    marker = tmp_path / "hang"
    assert schedule.trigger(session, "plan", NOW, now=NOW)
    with hanging_worker(database_url, marker, 3600 if way == "asked" else 0.5) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"begins {process.pid}\n"
        line = process.stdout.readline()
        marker.unlink()
        if way == "asked":
            assert job_control.end_run(session, "plan", actor=admin, **WAYS)
        if line == "hangs\n":  # a limit may come before that is said
            line = process.stdout.readline()
        assert line == f"begins {process.pid}\n", "the same process, anew"
        later = NOW + DAY
        schedule.trigger(session, "plan", later, now=later)
        deadline = time.monotonic() + 120
        while outcome(session, DueRun("plan", later)) is None:
            session.rollback()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    first, second = reversed(job_list.history(session, "plan", limit=5))
    assert (second.outcome, second.tries) == ("done", 1)
    assert first.outcome.startswith("ended: ") and first.tries == 1, "it was not begun again"
    assert str(process.pid) in str(first.worker)
