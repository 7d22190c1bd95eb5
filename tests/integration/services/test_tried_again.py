"""A run that failed is tried again where the next one is far away; the list says since when nothing succeeds."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

import uec.queue
from tests.support.office import add_staff
from uec import worker
from uec.domain.permissions import Role
from uec.jobs import JOBS, Tools, UnknownJob, known
from uec.queue import ATTEMPTS, BackOff, make_app, run_due
from uec.scheduler import Office, trigger_at
from uec.services import export_jobs, job_control, job_list, schedule
from uec.settings import Settings
from uec.store.tables import ScheduledRun

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def work(session: Session, now: datetime, outcome: str) -> bool:
    run = schedule.claim(session, now=now)
    if run is not None:
        schedule.finish(session, run, outcome=outcome, now=now)
    return run is not None


def fail(sessions: sessionmaker[Session], office: Office, now: datetime) -> None:
    """What is due of the plan at a moment is begun, and fails."""
    assert trigger_at(office, "plan", now)
    with sessions() as session:
        assert work(session, now, "failed: x")


def listed(sessions: sessionmaker[Session], now: datetime) -> job_list.JobRow:
    with sessions() as session:
        (row,) = job_list.jobs(session, {"plan": DAY}, now=now)
    return row


def minutes_of_work(sessions: sessionmaker[Session], job: str, *, outcome: str, until: timedelta) -> list[int]:
    """At which minutes of the day a run was begun, with the scheduler looking every minute."""
    office, begun = Office(sessions), []
    for minute in range(until // MINUTE):
        now = MIDNIGHT + minute * MINUTE
        trigger_at(office, job, now)
        with sessions() as session:
            while work(session, now, outcome):
                begun.append(minute)
    return begun


def test_a_daily_run_that_failed_is_tried_four_more_times(sessions: sessionmaker[Session]) -> None:
    assert minutes_of_work(sessions, "plan", outcome="failed: x", until=4 * 60 * MINUTE) == [0, 5, 15, 35, 75]
    with sessions() as session:
        assert session.scalars(select(ScheduledRun.tries)).all() == [5], "one run of the day, and one row"


@pytest.mark.parametrize("outcome", ["3 cards in 1 batches, 0 late, 0 unplaced", "ended: asked for"])
def test_what_was_done_or_ended_is_not_tried_again(sessions: sessionmaker[Session], outcome: str) -> None:
    assert minutes_of_work(sessions, "plan", outcome=outcome, until=60 * MINUTE) == [0]


def test_what_comes_again_soon_is_not_tried_in_between(sessions: sessionmaker[Session]) -> None:
    assert minutes_of_work(sessions, "messages", outcome="failed: x", until=5 * MINUTE) == [0, 1, 2, 3, 4]
    assert minutes_of_work(sessions, "release", outcome="failed: x", until=30 * MINUTE) == [0, 5, 15, 20]


def test_a_success_ends_the_tries(sessions: sessionmaker[Session]) -> None:
    office, again = Office(sessions), MIDNIGHT + 6 * MINUTE
    fail(sessions, office, MIDNIGHT)
    assert listed(sessions, MIDNIGHT + MINUTE).failing == job_list.Failing(MIDNIGHT, 1, MIDNIGHT + 5 * MINUTE)
    assert trigger_at(office, "plan", again) and not trigger_at(office, "plan", again), "once"
    with sessions() as session:
        assert work(session, again, "3 cards")
    assert not trigger_at(office, "plan", again + 60 * MINUTE)
    row = listed(sessions, again)
    assert row.failing is None and row.outcome == "3 cards"


def test_nothing_of_the_run_that_failed_is_left_for_the_one_that_tries_again(sessions: sessionmaker[Session]) -> None:
    """Somebody asked for its end, and it failed before its worker heard of that."""
    office, again = Office(sessions), MIDNIGHT + 5 * MINUTE
    assert trigger_at(office, "plan", MIDNIGHT)
    with sessions() as session:
        run = schedule.claim(session, now=MIDNIGHT)
        assert run is not None and schedule.ask_end(session, "plan", asked_by="staff:7")
        schedule.finish(session, run, outcome="failed: x", now=MIDNIGHT)
    assert trigger_at(office, "plan", again)
    with sessions() as session:
        (shown,) = job_list.history(session, "plan", limit=5)
        assert (shown.outcome, shown.failed, shown.ended_by, shown.tries) == ("", False, None, 1)
        assert schedule.claim(session, now=again) == run, "it is begun"
        schedule.finish(session, run, outcome="failed: y", now=again)
    row = listed(sessions, again)
    assert row.failing == job_list.Failing(again, 1, again + 10 * MINUTE) and row.failures == 1


def test_a_paused_job_is_not_tried_again(sessions: sessionmaker[Session]) -> None:
    office = Office(sessions)
    with sessions() as session:
        admin = add_staff(session, "admin", Role.ADMIN)
        session.commit()
    fail(sessions, office, MIDNIGHT)
    with sessions() as session:
        job_control.pause(session, "plan", reason="x", actor=admin, known=JOBS, now=MIDNIGHT)
    assert not trigger_at(office, "plan", MIDNIGHT + 6 * MINUTE)
    with sessions() as session:
        job_control.resume(session, "plan", actor=admin, known=JOBS, now=MIDNIGHT)
    assert trigger_at(office, "plan", MIDNIGHT + 7 * MINUTE)


def test_a_success_that_somebody_asked_for_ends_the_tries_as_well(sessions: sessionmaker[Session]) -> None:
    office, asked = Office(sessions), MIDNIGHT + 2 * MINUTE
    fail(sessions, office, MIDNIGHT)
    with sessions() as session:
        admin = add_staff(session, "admin", Role.ADMIN)
        session.commit()
        assert job_control.run_now(session, "plan", actor=admin, known=JOBS, now=asked)
        assert work(session, asked, "3 cards")
    assert not trigger_at(office, "plan", MIDNIGHT + 6 * MINUTE)


def test_a_run_somebody_asked_for_is_not_tried_again_by_itself(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        admin = add_staff(session, "admin", Role.ADMIN)
        session.commit()
        now = MIDNIGHT + 3 * MINUTE
        job_control.run_now(session, "plan", actor=admin, known=JOBS, now=now)
        assert work(session, now, "failed: x")
        run = session.scalars(select(ScheduledRun)).one()
        assert run.failed and schedule.again_at(run, every=DAY) is None


def test_the_tries_of_a_day_end_with_it_wherever_the_office_is(sessions: sessionmaker[Session]) -> None:
    zone = ZoneInfo("Asia/Vladivostok")  # midnight is 14:00 UTC
    office, moment = Office(sessions, zone), datetime(2026, 3, 1, 14, tzinfo=UTC)
    late = moment + DAY - 3 * MINUTE
    fail(sessions, office, late)
    with sessions() as session:
        run = session.scalars(select(ScheduledRun)).one()
    assert run.due_at == moment and schedule.again_at(run, every=DAY, zone=zone) is None
    assert trigger_at(office, "plan", moment + DAY), "the next day's comes first"


def test_the_list_says_since_when_and_how_often_a_job_fails(session: Session) -> None:
    every = timedelta(seconds=15)
    said = ["CRL 1", "failed: a", "failed: a", "ended: asked for", "failed: b"]
    for n, one in enumerate(said):
        at = MIDNIGHT + n * every
        assert schedule.trigger(session, "publish", at, now=at) and work(session, at, one)
    (row,) = job_list.jobs(session, {"publish": every}, now=MIDNIGHT + MINUTE)
    assert row.failing == job_list.Failing(MIDNIGHT + every, 4, None) and row.failures == 4
    at = MIDNIGHT + MINUTE + every
    assert schedule.trigger(session, "publish", at, now=at) and schedule.claim(session, now=at)
    (row,) = job_list.jobs(session, {"publish": every}, now=at)
    assert row.failing is not None and row.failing.runs == 4, "while the next one is in hand, too"


@pytest.fixture
def tools(sessions: sessionmaker[Session], database_url: str) -> Iterator[Tools]:
    with worker.tools_of(Settings(database_url=database_url)) as opened:
        yield opened


def test_a_fault_of_the_program_fails_its_run_and_no_worker(
    tools: Tools, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(_tools: Tools) -> str:
        raise ZeroDivisionError("the secret of a citizen")

    monkeypatch.setitem(JOBS, "plan", replace(JOBS["plan"], work=fault))
    with tools.sessions() as session:
        schedule.trigger(session, "plan", MIDNIGHT, now=MIDNIGHT)
    with caplog.at_level(logging.ERROR):
        assert worker.work_once(tools)
    with tools.sessions() as session:
        run = session.scalars(select(ScheduledRun)).one()
    assert (
        run.failed and run.outcome == "failed: a fault of the program (ZeroDivisionError): the worker's log tells where"
    )
    assert "Traceback" in caplog.text and run.worker == tools.name


def test_the_parts_that_the_queue_has_are_watched_as_well(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    @contextmanager
    def over(work: object) -> Iterator[None]:
        told.append(work)
        yield
        told.append("over")

    monkeypatch.setattr(uec.queue, "prepare_part", lambda *_: told.append("a part") or "prepared")
    monkeypatch.setattr(export_jobs, "make", lambda *_, **__: told.append("a file") or "made")
    tasks = make_app(tools, over).tasks
    assert tasks["prepare"](batch_id=1, first=1, last=2) == "prepared" and tasks["export"](export_id=1) == "made"
    assert told == ["prepare", "a part", "over", "exports", "a file", "over"]
    assert {"prepare", "exports"} < set(JOBS), "where their limits are"


def test_a_job_of_a_newer_version_is_left_to_its_workers(tools: Tools) -> None:
    with tools.sessions() as session:
        schedule.trigger(session, "of-tomorrow", MIDNIGHT, now=MIDNIGHT)
        assert schedule.due_jobs(session, known=JOBS, now=MIDNIGHT) == []
        assert schedule.due_jobs(session, known=["of-tomorrow"], now=MIDNIGHT) == ["of-tomorrow"]
    with pytest.raises(UnknownJob, match="a worker of the newer one"):
        known("of-tomorrow")
    with pytest.raises(UnknownJob):
        run_due(tools, "of-tomorrow", MIDNIGHT)
    with tools.sessions() as session:
        run = session.scalars(select(ScheduledRun)).one()
        assert run.started_at is None, "it waits"
        assert schedule.sweep(session, now=MIDNIGHT + schedule.KEPT) == 0
        assert schedule.sweep(session, now=MIDNIGHT + schedule.KEPT + MINUTE) == 1, "and not for ever"


def test_the_queue_tries_again_what_a_worker_does_not_know() -> None:
    class Job:
        attempts = 1

    error = UnknownJob("x", job="x")
    assert BackOff().get_retry_decision(exception=error, job=Job()) is not None  # type: ignore[arg-type]
    Job.attempts = ATTEMPTS
    assert BackOff().get_retry_decision(exception=error, job=Job()) is None  # type: ignore[arg-type]


def test_a_run_the_queue_has_given_up_is_handed_over_again(sessions: sessionmaker[Session]) -> None:
    """One that was begun and whose worker vanished, with the queue's job failed for good, does not stand for ever."""
    every = timedelta(seconds=15)
    with sessions() as session:
        assert schedule.trigger(session, "publish", MIDNIGHT, now=MIDNIGHT)
        assert schedule.claim(session, now=MIDNIGHT)
        later = MIDNIGHT + schedule.LEASE + every
        assert schedule.trigger(session, "publish", later, now=later), "it holds no later one up"
        assert schedule.claim_run(session, "publish", MIDNIGHT, now=later) == schedule.DueRun("publish", MIDNIGHT)
