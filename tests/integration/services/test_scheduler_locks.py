"""Who is the one that triggers: one that hangs keeps no lock; moments are the day's; what was missed is looked for."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import add_staff
from uec import scheduler_lock
from uec.domain.permissions import Role
from uec.domain.rhythm import due_moment
from uec.jobs import JOBS
from uec.scheduler import RHYTHMS, Office, Rhythm, look_over
from uec.scheduler_lock import FileLock
from uec.services import job_control, schedule
from uec.store import queue
from uec.store.engine import make_engine, session_factory
from uec.store.tables import ScheduledRun

NOW = datetime(2026, 3, 2, 9, 30, 7, 123456, tzinfo=UTC)
DAY = timedelta(days=1)


@given(
    every=st.sampled_from(sorted(set(RHYTHMS.values()))),
    now=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    before=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_a_job_fires_at_the_moments_of_the_day_whenever_the_process_was_started(
    every: timedelta, now: datetime, before: datetime
) -> None:
    found = Rhythm(every).get_next_fire_time(before, now)
    assert now < found <= now + every
    assert found == due_moment(found, every) == Rhythm(every).get_next_fire_time(None, now)


def test_what_is_shown_as_the_next_run_is_when_it_fires() -> None:
    assert Rhythm(DAY).get_next_fire_time(NOW, NOW) == datetime(2026, 3, 3, tzinfo=UTC)
    assert Rhythm(timedelta(hours=1)).get_next_fire_time(NOW, NOW) == datetime(2026, 3, 2, 10, tzinfo=UTC)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[list[FileLock]]:
    made = [FileLock(tmp_path / "lock") for _ in range(3)]
    yield made
    for one in made:
        one.close()


def test_a_silent_holder_of_the_file_loses_it_and_knows(locks: list[FileLock], passing: Clock, tmp_path: Path) -> None:
    first, second, third = locks
    assert first.take() and first.still_held()
    for _ in range(5):  # it shows itself, however long that goes on
        assert not second.take()
        passing.now += scheduler_lock.SILENT_S + 1
        before = (tmp_path / "lock").stat().st_mtime_ns
        os.utime(tmp_path / "lock", ns=(before + 1, before + 1))
    assert not second.take()
    passing.now += scheduler_lock.SILENT_S + 1
    assert not second.take(), "its file is put aside"
    assert second.take() and second.still_held()
    assert not first.still_held(), "what wakes up finds that it is not the one any more"
    assert not first.take() and not third.take(), "and waits like anybody"
    second.close()
    assert [first.take(), third.take()].count(True) == 1


def test_two_that_wait_for_a_silent_one_do_not_both_get_it(locks: list[FileLock], passing: Clock) -> None:
    first, *waiting = locks
    assert first.take()
    assert not any(one.take() for one in waiting)
    passing.now += scheduler_lock.SILENT_S + 1
    for _ in range(4):
        taken = [one.take() for one in waiting]
    assert taken.count(True) == 1
    assert waiting[taken.index(True)].still_held() and not first.still_held()


def test_nobody_waits_a_day_for_what_was_missed(sessions: sessionmaker[Session]) -> None:
    """A daily job that was paused over its moment is caught up when it goes on, once."""
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    with sessions() as session:
        admin = add_staff(session, "admin", Role.ADMIN)
        session.commit()
        job_control.pause(session, "plan", reason="holidays", actor=admin, known=JOBS, now=NOW)
    assert set(look_over(Office(sessions), now=midnight)) == set(JOBS) - {"plan"}
    with sessions() as session:
        job_control.resume(session, "plan", actor=admin, known=JOBS, now=midnight + timedelta(hours=2))
    later = midnight + timedelta(hours=2, seconds=1)
    assert "plan" in look_over(Office(sessions), now=later)
    assert look_over(Office(sessions), now=later) == []
    with sessions() as session:
        assert session.scalars(select(ScheduledRun.due_at).where(ScheduledRun.job == "plan")).all() == [midnight]


def test_of_one_job_one_run_is_in_hand(sessions: sessionmaker[Session]) -> None:
    """One that hangs holds up one worker: the others do other jobs, and the next run of it when that is over."""
    with sessions() as session:
        for job in ("checks", "publish"):
            schedule.trigger(session, job, NOW, now=NOW)
        first = schedule.claim(session, now=NOW)
        assert first is not None
        later = NOW + timedelta(seconds=15)
        assert schedule.trigger(session, first.job, later, now=later)
        other = schedule.claim(session, now=later)
        assert other is not None and other.job != first.job
        assert schedule.claim(session, now=later) is None, "the first one is still in hand"
        schedule.finish(session, first, outcome="done", now=later)
        assert schedule.claim(session, now=later) == schedule.DueRun(first.job, later)


def test_the_queue_gives_out_one_run_of_a_job_at_a_time(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    later = NOW + timedelta(seconds=15)
    with session_factory(engine)() as session:
        assert queue.has_queue(session)
        schedule.trigger(session, "checks", NOW, now=NOW)
        session.execute(update(ScheduledRun).values(started_at=NOW))
        session.commit()
        schedule.trigger(session, "checks", later, now=later)
        schedule.trigger(session, "publish", later, now=later)
        session.execute(text(f"SET search_path = {queue.SCHEMA}"))
        worker = session.scalar(text("SELECT worker_id FROM procrastinate_register_worker_v1()"))

        def fetch() -> str | None:
            given = text("SELECT args ->> 'job' FROM procrastinate_fetch_job_v2(NULL, :worker)")
            found: str | None = session.scalar(given, {"worker": worker})
            return found

        assert [fetch(), fetch(), fetch()] == ["checks", "publish", None]
        session.execute(text("UPDATE procrastinate_jobs SET status = 'succeeded' WHERE status = 'doing'"))
        assert fetch() == "checks"
        session.rollback()
    engine.dispose()
