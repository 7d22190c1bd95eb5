"""Runs that happen once: two schedulers, clocks that jump, workers that die; and the scheduler's lock itself."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session, sessionmaker

from uec import scheduler_lock
from uec.domain.rhythm import due_moment
from uec.jobs import JOBS
from uec.scheduler import Office, run_scheduler, trigger_now
from uec.scheduler_lock import only_one
from uec.services import schedule
from uec.settings import Settings
from uec.store.tables import ScheduledRun

NOW = datetime(2026, 3, 2, 9, 30, 7, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "due"),
    [
        (timedelta(seconds=5), NOW.replace(second=5, microsecond=0)),
        (timedelta(minutes=1), NOW.replace(second=0, microsecond=0)),
        (timedelta(days=1), NOW.replace(hour=0, minute=0, second=0, microsecond=0)),
    ],
)
def test_every_scheduler_finds_the_same_due_moment(every: timedelta, due: datetime) -> None:
    assert due_moment(NOW, every) == due
    assert due_moment(due, every) == due


def test_a_run_happens_once_however_many_trigger_it(sessions: sessionmaker[Session]) -> None:
    def trigger(_: int) -> bool:
        with sessions() as session:
            return schedule.trigger(session, "publish", NOW, now=NOW)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(trigger, range(8))) == 1
    with sessions() as session:
        run = schedule.claim(session, now=NOW)
        assert run is not None and schedule.claim(session, now=NOW) is None
        schedule.finish(session, run, outcome="done", now=NOW)
        assert not schedule.trigger(session, "publish", NOW, now=NOW), "not again when the clock jumps back"
        assert schedule.trigger(session, "publish", NOW + timedelta(seconds=15), now=NOW + timedelta(seconds=15))


def test_missed_runs_are_caught_up_once(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        moments = [NOW + timedelta(seconds=n) for n in range(3)]
        triggered = [schedule.trigger(session, "checks", moment, now=moment) for moment in moments]
        assert triggered == [True, False, False], "while one waits, nothing piles up behind it"


def test_a_run_of_a_worker_that_died_is_taken_up_again(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        schedule.trigger(session, "plan", NOW, now=NOW)
        first = schedule.claim(session, now=NOW)
        assert schedule.claim(session, now=NOW + schedule.LEASE) is None
        assert schedule.claim(session, now=NOW + schedule.LEASE + timedelta(seconds=1)) == first


def test_a_run_due_later_waits_and_old_ones_are_forgotten(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        schedule.trigger(session, "sweep", NOW + timedelta(minutes=1), now=NOW)
        assert schedule.claim(session, now=NOW) is None
        run = schedule.claim(session, now=NOW + timedelta(minutes=1))
        assert run is not None
        schedule.finish(session, run, outcome="x" * 5000, now=NOW)
        assert schedule.sweep(session, now=NOW + schedule.KEPT) == 0
        assert schedule.sweep(session, now=NOW + schedule.KEPT + timedelta(seconds=1)) == 1


def standing_by(engine: Engine) -> tuple[Thread, Event]:
    """A second scheduler that waits for the lock, and what says that it has got it."""
    taken = Event()

    def stand_by() -> None:
        with only_one(engine, Event()) as lock:
            if lock is not None:
                taken.set()

    second = Thread(target=stand_by)
    second.start()
    return second, taken


def test_a_second_scheduler_stands_by_and_takes_over(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_lock, "SILENT_S", 600)  # it is alive, however slow the machine
    with only_one(engine, Event()) as first:
        assert first is not None and first.still_held()
        second, taken = standing_by(engine)
        assert not taken.wait(1.5)
    assert taken.wait(60)
    second.join()


def test_one_that_hangs_keeps_no_lock(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_lock, "SILENT_S", 1)
    with only_one(engine, Event()) as first:
        assert first is not None and first.still_held()
        second, taken = standing_by(engine)
        assert taken.wait(120), "the first says nothing any more"
        second.join()
        assert not first.still_held()


def test_a_stand_by_that_is_stopped_never_gets_the_lock(engine: Engine) -> None:
    stop = Event()
    with only_one(engine, stop):
        stop.set()
        with only_one(engine, stop) as second:
            assert second is None


def test_the_scheduler_triggers_every_job(database_url: str, sessions: sessionmaker[Session]) -> None:
    stop = Event()
    running = Thread(target=run_scheduler, args=[Settings(database_url=database_url)], kwargs={"stop": stop})
    running.start()
    found: set[str] = set()
    for _ in range(600):
        with sessions() as session:
            found = set(session.scalars(select(ScheduledRun.job)))
        if found == set(JOBS):
            break
        stop.wait(0.1)
    stop.set()
    running.join()
    assert found == set(JOBS)


def test_triggering_twice_in_a_moment_writes_one_run(sessions: sessionmaker[Session]) -> None:
    assert trigger_now(Office(sessions), "sweep")
    assert not trigger_now(Office(sessions), "sweep")
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(ScheduledRun)) == 1
