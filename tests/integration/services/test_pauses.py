"""A paused job is not begun by the clock, whoever triggers it and whatever waits; a run that is asked for is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import add_staff
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotAllowed, NotFound
from uec.domain.permissions import Role
from uec.services import job_control, job_list, schedule
from uec.store.tables import AuditEntry, ScheduledRun

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JOBS = {"publish": timedelta(seconds=15), "plan": timedelta(days=1)}


@pytest.fixture
def admin(session: Session) -> Actor:
    actor = add_staff(session, "admin", Role.ADMIN)
    session.commit()
    return actor


def test_a_pause_stops_what_waits_and_what_comes_until_it_ends(session: Session, admin: Actor) -> None:
    assert schedule.trigger(session, "publish", NOW, now=NOW)
    job_control.pause(session, "publish", reason="the vault moves", actor=admin, known=JOBS, now=NOW)
    assert schedule.claim(session, now=NOW) is None, "not even what was due before"
    assert schedule.claim_run(session, "publish", NOW, now=NOW) is None
    assert not schedule.trigger(session, "publish", NOW + MINUTE, now=NOW + MINUTE)
    assert schedule.trigger(session, "plan", NOW + MINUTE, now=NOW + MINUTE), "others go on"
    row = job_list.jobs(session, JOBS, now=NOW + MINUTE)[0]
    assert row.pause is not None and (row.pause.reason, row.pause.by) == ("the vault moves", "Admin")
    assert row.next_at is None and not row.late
    job_control.resume(session, "publish", actor=admin, known=JOBS, now=NOW + MINUTE)
    runs = [schedule.claim(session, now=NOW + MINUTE) for _ in range(3)]
    assert [run.job for run in runs if run] == ["publish", "plan"], "missed runs are caught up once"


def test_a_run_that_is_asked_for_is_done_at_once_also_of_a_paused_job(session: Session, admin: Actor) -> None:
    job_control.pause(session, "plan", reason="holidays", actor=admin, known=JOBS, now=NOW)
    assert job_control.run_now(session, "plan", actor=admin, known=JOBS, now=NOW)
    assert not job_control.run_now(session, "plan", actor=admin, known=JOBS, now=NOW + MINUTE), "one waits already"
    run = schedule.claim(session, now=NOW + MINUTE)
    assert run is not None and run.job == "plan"
    schedule.finish(session, run, outcome="3 cards", now=NOW + 2 * MINUTE)
    (shown,) = job_list.history(session, "plan", limit=5)
    assert (shown.outcome, shown.asked_by, shown.took) == ("3 cards", "Admin", MINUTE)


def test_a_waiting_run_becomes_the_one_that_was_asked_for(session: Session, admin: Actor) -> None:
    schedule.trigger(session, "plan", NOW, now=NOW)
    job_control.pause(session, "plan", reason="x", actor=admin, known=JOBS, now=NOW)
    assert not job_control.run_now(session, "plan", actor=admin, known=JOBS, now=NOW)
    assert schedule.claim(session, now=NOW) is not None
    assert len(session.scalars(select(ScheduledRun)).all()) == 1


@pytest.mark.parametrize("way", ["claim", "claim_run", "claim_of"])
def test_a_run_of_a_paused_job_whose_worker_died_is_ended_by_whoever_asks(
    session: Session, admin: Actor, way: str
) -> None:
    later = NOW + schedule.LEASE + MINUTE
    assert schedule.trigger(session, "plan", NOW, now=NOW) and schedule.claim(session, now=NOW)
    job_control.pause(session, "plan", reason="x", actor=admin, known=JOBS, now=NOW)
    assert schedule.due_jobs(session, known=JOBS, now=later) == [], "it waits for the end of the pause"
    assert job_control.end_run(session, "plan", actor=admin, known=JOBS, now=NOW)
    assert schedule.due_jobs(session, known=JOBS, now=later) == ["plan"]
    if way == "claim":
        assert schedule.claim(session, now=later) is None
    elif way == "claim_run":
        assert schedule.claim_run(session, "plan", NOW, now=later) is None
    else:
        assert schedule.claim_of(session, "plan", now=later) is None
    run = session.get_one(ScheduledRun, ("plan", NOW), populate_existing=True)
    assert (run.outcome, run.tries) == ("ended: asked for", 1), "and not begun"


def test_everything_is_audited_and_needs_its_permission(session: Session, admin: Actor) -> None:
    planner = add_staff(session, "planner", Role.PLANNER)
    session.commit()
    ways = {"known": JOBS, "now": NOW}
    with pytest.raises(NotAllowed):
        job_control.pause(session, "plan", reason="x", actor=planner, **ways)
    for refused in (job_control.resume, job_control.run_now):
        with pytest.raises(NotAllowed):
            refused(session, "plan", actor=planner, **ways)
    with pytest.raises(InvalidInput, match="reason"):
        job_control.pause(session, "plan", reason=" ", actor=admin, **ways)
    with pytest.raises(NotFound, match="no job nonsense"):
        job_control.run_now(session, "nonsense", actor=admin, **ways)
    job_control.pause(session, "plan", reason="x", actor=admin, **ways)
    job_control.pause(session, "plan", reason="y", actor=admin, **ways)
    job_control.run_now(session, "plan", actor=admin, **ways)
    job_control.resume(session, "plan", actor=admin, **ways)
    job_control.resume(session, "plan", actor=admin, **ways)
    session.commit()
    kept = session.execute(select(AuditEntry.action, AuditEntry.subject_id, AuditEntry.actor).order_by(AuditEntry.id))
    assert [tuple(row) for row in kept] == [
        (action, "plan", admin.reference) for action in ("job.pause", "job.pause", "job.run", "job.resume")
    ]


def test_two_who_ask_at_the_same_moment_get_one_run(sessions: sessionmaker[Session], session: Session) -> None:
    people = [add_staff(session, name, Role.ADMIN) for name in ("anna", "boris")]
    session.commit()
    start = Barrier(2, timeout=60)

    def ask(number: int) -> list[bool]:
        found = []
        for day in range(6):
            start.wait()
            now = NOW + timedelta(days=day, microseconds=number)
            with sessions() as mine:
                found.append(job_control.run_now(mine, "plan", actor=people[number], known=JOBS, now=now))
            start.wait()
            with sessions() as mine:  # whoever is first here does it
                run = schedule.claim_of(mine, "plan", now=now + MINUTE) if number == 0 else None
                if run is not None:
                    schedule.finish(mine, run, outcome="3 cards", now=now + MINUTE)
            start.wait()
        return found

    with ThreadPoolExecutor(2) as pool:
        asked = list(pool.map(ask, range(2)))
    assert [sum(both) for both in zip(*asked, strict=True)] == [1] * 6
    session.rollback()
    assert len(session.scalars(select(ScheduledRun)).all()) == 6
