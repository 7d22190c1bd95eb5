"""The queue on PostgreSQL: work is there with the transaction that makes it due, once a key; SQLite has none."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from uec.store import queue
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import downgrade, upgrade
from uec.store.queue import QueuedJobs, Work


def work(number: int, **changes: object) -> Work:
    given = {"queue": "office", "task": "run", "key": f"run:{number}", "arguments": {"number": number}}
    return Work(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
def session(postgres_url: str) -> Iterator[Session]:
    engine = make_engine(postgres_url)
    with session_factory(engine)() as opened:
        yield opened
    engine.dispose()


def set_status(session: Session, status: str) -> None:
    session.execute(text("SET LOCAL session_replication_role = replica"))
    session.execute(text(f"UPDATE procrastinate.procrastinate_jobs SET status = '{status}'"))
    session.commit()


def standing(session: Session) -> dict[str, int]:
    found = {row.status: row.jobs for row in queue.overview(session)}
    session.rollback()
    return found


def test_work_is_there_when_its_transaction_commits_and_not_before(session: Session) -> None:
    assert queue.hand_over(session, [work(1), work(2)]) == 2
    session.rollback()
    assert standing(session) == {}
    assert queue.hand_over(session, [work(1), work(2)]) == 2
    session.commit()
    (row,) = queue.overview(session)
    assert (row.task, row.status, row.jobs) == ("run", "todo", 2) and row.last_at is not None
    kept = session.execute(text("SELECT queue_name, args, lock FROM procrastinate.procrastinate_jobs ORDER BY id"))
    assert kept.all() == [("office", {"number": 1}, "run:1"), ("office", {"number": 2}, "run:2")]


def test_work_that_waits_or_runs_is_not_handed_over_again(session: Session) -> None:
    for status, again in (("todo", 0), ("doing", 0), ("failed", 1)):
        queue.hand_over(session, [work(1)])
        session.commit()
        set_status(session, status)
        assert queue.hand_over(session, [work(1)]) == again, status
        session.rollback()


def test_work_that_ended_just_now_can_be_left_alone_for_a_while(session: Session) -> None:
    queue.hand_over(session, [work(1)])
    session.commit()
    set_status(session, "failed")
    assert queue.hand_over(session, [work(1)], quiet=timedelta(minutes=10)) == 0
    session.execute(text("UPDATE procrastinate.procrastinate_events SET at = at - interval '11 minutes'"))
    assert queue.hand_over(session, [work(1)], quiet=timedelta(minutes=10)) == 1


def test_nothing_to_hand_over_is_nothing_done(session: Session) -> None:
    assert queue.hand_over(session, []) == 0
    assert queue.overview(session) == []


def test_a_silent_workers_job_is_taken_back_and_a_living_ones_is_not(session: Session) -> None:
    queue.hand_over(session, [work(1), work(2)])
    session.execute(
        text(
            "INSERT INTO procrastinate.procrastinate_workers (last_heartbeat) "
            "VALUES (now()), (now() - interval '31 seconds')"
        )
    )
    session.execute(text("UPDATE procrastinate.procrastinate_jobs SET status = 'doing', worker_id = id"))
    session.commit()
    assert queue.take_back_stalled(session) == 1
    assert queue.take_back_stalled(session) == 0
    found = session.execute(text("SELECT status::text, attempts FROM procrastinate.procrastinate_jobs ORDER BY id"))
    assert found.all() == [("doing", 0), ("todo", 1)]


def test_old_jobs_are_forgotten_and_waiting_ones_are_not(session: Session) -> None:
    queue.hand_over(session, [work(1)])
    session.commit()
    set_status(session, "succeeded")
    queue.hand_over(session, [work(2)])
    session.execute(text("UPDATE procrastinate.procrastinate_events SET at = at - interval '8 days'"))
    session.commit()
    assert queue.forget_finished(session) == 1
    assert standing(session) == {"todo": 1}


def test_without_a_queue_nothing_happens(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    with session_factory(engine)() as session:
        assert not queue.has_queue(session)
        assert queue.hand_over(session, [work(1)]) == 0
        assert queue.overview(session) == [] and queue.forget_finished(session) == 0
    engine.dispose()


def test_the_queue_has_a_schema_of_its_own_and_goes_with_it(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    assert "procrastinate_jobs" in inspect(engine).get_table_names(schema=queue.SCHEMA)
    assert not [name for name in inspect(engine).get_table_names() if name.startswith("procrastinate")]
    downgrade(postgres_url, "0001")
    assert queue.SCHEMA not in inspect(engine).get_schema_names()
    upgrade(postgres_url)
    assert queue.SCHEMA in inspect(engine).get_schema_names()
    engine.dispose()


def test_rows_are_told_as_they_stand(session: Session) -> None:
    queue.hand_over(session, [work(1, task="prepare", priority=5)])
    session.commit()
    (row,) = queue.overview(session)
    assert row == QueuedJobs("prepare", "todo", 1, row.last_at)


def test_handing_over_and_the_overview_do_not_look_through_what_has_ended(session: Session) -> None:
    """A day leaves some 90,000 jobs that ended: who hands one over, every 5 seconds, finds its key by an index."""
    session.execute(
        text(
            "INSERT INTO procrastinate.procrastinate_jobs (queue_name, task_name, queueing_lock, status) "
            "SELECT 'office', 'run', 'run:' || n, 'succeeded' FROM generate_series(1, 20000) AS n"
        )
    )
    session.commit()
    session.execute(text("ANALYZE procrastinate.procrastinate_jobs"))
    given = {"wanted": json.dumps([asdict(work(7))]), "quiet": timedelta(0)}
    steps = session.scalars(text(f"EXPLAIN {queue._HAND_OVER.text}"), given).all()
    assert any("procrastinate_jobs_by_key" in step for step in steps), steps
    assert not any("Seq Scan on procrastinate_jobs" in step for step in steps), steps
    assert queue.hand_over(session, [work(7)]) == 1, "what has ended is handed over anew"
    assert standing(session) == {"succeeded": 20000, "todo": 1}


def test_the_overview_says_when_the_newest_was_heard_of(session: Session) -> None:
    queue.hand_over(session, [work(1)])
    session.commit()
    session.execute(text("UPDATE procrastinate.procrastinate_events SET at = '2026-03-02 09:30:00+00'"))
    (row,) = queue.overview(session)
    assert row == QueuedJobs("run", "todo", 1, datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
