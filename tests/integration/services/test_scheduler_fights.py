"""Schedulers that fight over every occasion while workers take what is due; one killed while it triggers."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker

from tests.support.databases import VICTIM, let_victims_go
from uec.domain.rhythm import due_moment
from uec.services import schedule
from uec.store import queue
from uec.store.tables import ScheduledRun

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
EVERY = timedelta(seconds=15)
OCCASIONS = 12


def test_every_occasion_is_done_once_while_two_schedulers_and_two_workers_fight(
    sessions: sessionmaker[Session],
) -> None:
    start, done = Barrier(4, timeout=60), Counter[tuple[str, datetime]]()

    def trigger(_who: int) -> int:
        written = 0
        for number in range(OCCASIONS):
            start.wait()
            now = NOW + number * EVERY
            for job in ("publish", "ocsp"):
                with sessions() as session:
                    written += schedule.trigger(session, job, due_moment(now, EVERY), now=now)
            start.wait()
        return written

    def work(_who: int) -> list[tuple[str, datetime]]:
        mine = []
        for number in range(OCCASIONS):
            start.wait()
            start.wait()  # both have triggered
            now = NOW + number * EVERY
            with sessions() as session:
                while (run := schedule.claim(session, now=now)) is not None:
                    mine.append((run.job, run.due_at))
                    schedule.finish(session, run, outcome="done", now=now)
        return mine

    with ThreadPoolExecutor(4) as pool:
        triggered = [pool.submit(trigger, who) for who in range(2)]
        worked = [pool.submit(work, who) for who in range(2)]
        written = sum(one.result() for one in triggered)
        for one in worked:
            done.update(one.result())
    with sessions() as session:
        kept = session.scalar(select(func.count()).select_from(ScheduledRun))
    assert set(done.values()) == {1}, "no occasion was done twice"
    assert written == kept == len(done) == 2 * OCCASIONS


TRIGGERER = """
import sys
from datetime import datetime, timedelta
from uec.services import schedule
from uec.store.engine import make_engine, session_factory

sessions = session_factory(make_engine(sys.argv[1]))
now = datetime.fromisoformat(sys.argv[2])
while True:
    with sessions() as session:
        schedule.trigger(session, "publish", now, now=now)
        run = schedule.claim_run(session, "publish", now, now=now)
        if run is not None:
            schedule.finish(session, run, outcome="done", now=now)
    print(now, flush=True)  # the first line says that it is at work
    now += timedelta(seconds=15)
"""


@pytest.mark.slow
def test_one_killed_while_it_triggers_leaves_a_whole_run_or_none(
    sessions: sessionmaker[Session], database_url: str
) -> None:
    chance, begin = random.Random(7), NOW
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", TRIGGERER, database_url, begin.isoformat()],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **VICTIM},
        )
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(chance.uniform(0.02, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        let_victims_go(sessions)
        with sessions() as session:
            newest = session.scalar(select(func.max(ScheduledRun.due_at)))
            assert newest is not None and newest >= begin
            waiting = list(session.scalars(select(ScheduledRun.due_at).where(ScheduledRun.started_at.is_(None))))
            assert len(waiting) <= 1
            if queue.has_queue(session):
                keys = set(session.scalars(text("SELECT queueing_lock FROM procrastinate.procrastinate_jobs")))
                rows = session.scalars(select(ScheduledRun.due_at))
                assert keys == {f"run:publish:{moment.isoformat()}" for moment in rows}, (
                    "a run and its job: both or none"
                )
            # Who takes over: what waits is done first, and the next occasion comes as if nothing had happened.
            after = newest + 2 * EVERY
            while (run := schedule.claim(session, now=after + schedule.LEASE)) is not None:
                schedule.finish(session, run, outcome="taken up", now=after)
            assert schedule.trigger(session, "publish", after, now=after)
            assert not schedule.trigger(session, "publish", after, now=after)
            run = schedule.claim(session, now=after)
            assert run == schedule.DueRun("publish", after)
            schedule.finish(session, run, outcome="done", now=after)
        begin = after + EVERY
