"""Real schedulers: one triggers, the other stands by and takes over when it is killed -9; no run is doubled."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.rhythm import due_moment
from uec.services import schedule
from uec.store.tables import ScheduledRun

ALONE = "this scheduler is the one that triggers"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
EVERY = timedelta(seconds=30)


@dataclass
class Schedulers:
    """Processes of `uec scheduler` over one database."""

    folder: Path
    settings: Path
    running: list[tuple[subprocess.Popen[bytes], Path]] = field(default_factory=list)

    def start(self) -> int:
        log = self.folder / f"{len(self.running)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "uec", "--settings", str(self.settings), "scheduler"], stdout=out, stderr=out
            )
        self.running.append((process, log))
        return len(self.running) - 1

    def says(self, number: int, text: str) -> bool:
        return text in self.running[number][1].read_text()

    def wait(self, holds: Callable[[], bool], timeout_s: float = 120.0) -> float:
        """Seconds until something holds."""
        begun = time.monotonic()
        while not holds():
            assert time.monotonic() - begun < timeout_s, [log.read_text() for _process, log in self.running]
            time.sleep(0.02)
        return time.monotonic() - begun


@pytest.fixture
def schedulers(database_url: str, tmp_path: Path) -> Iterator[Schedulers]:
    file = tmp_path / "uec.toml"
    file.write_text(f'database_url = "{database_url}"\n')
    made = Schedulers(tmp_path, file)
    yield made
    for process, _log in made.running:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.slow
def test_the_standby_takes_over_from_one_that_was_killed(
    schedulers: Schedulers, sessions: sessionmaker[Session], capsys: pytest.CaptureFixture[str]
) -> None:
    first = schedulers.start()
    schedulers.wait(lambda: schedulers.says(first, ALONE))
    second = schedulers.start()
    schedulers.wait(lambda: schedulers.says(second, "scheduler runs"))
    time.sleep(1.5)
    assert not schedulers.says(second, ALONE), "it stands by"

    process, _log = schedulers.running[first]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    taken = schedulers.wait(lambda: schedulers.says(second, ALONE))
    with sessions() as session:
        last = session.scalar(select(func.max(ScheduledRun.due_at)))

    def triggers() -> bool:
        with sessions() as session:
            for run in iter(lambda: schedule.claim(session, now=datetime.now(UTC)), None):
                schedule.finish(session, run, outcome="done", now=datetime.now(UTC))
            newest = session.scalar(select(func.max(ScheduledRun.due_at)))
        return newest is not None and last is not None and newest > last

    schedulers.wait(triggers)
    with capsys.disabled():
        print(f" [taken over in {taken:.2f} s] ", end="")

    third = schedulers.start()
    schedulers.wait(lambda: schedulers.says(third, "scheduler runs"))
    successor, _log = schedulers.running[second]
    successor.terminate()
    assert successor.wait(60) == 0
    schedulers.wait(lambda: schedulers.says(third, ALONE))


@pytest.mark.slow
@pytest.mark.nightly  # the lock is let go after 15 s; test_scheduler_locks.py has the same in one process
def test_the_standby_takes_over_from_one_that_was_stopped_and_that_one_stands_by_when_it_wakes(
    schedulers: Schedulers,
) -> None:
    first = schedulers.start()
    schedulers.wait(lambda: schedulers.says(first, ALONE))
    second = schedulers.start()
    schedulers.wait(lambda: schedulers.says(second, "scheduler runs"))
    stopped, _log = schedulers.running[first]
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        schedulers.wait(lambda: schedulers.says(second, ALONE))
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    schedulers.wait(lambda: schedulers.says(first, "the lock is lost: standing by"))


@dataclass
class Clockwork:
    """Two schedulers with clocks of their own and workers that may die, over one table of runs."""

    session: Session
    ahead: list[timedelta] = field(default_factory=lambda: [timedelta(0), timedelta(0)])
    now: datetime = NOW
    held: list[schedule.DueRun] = field(default_factory=list)
    done: list[tuple[datetime, datetime]] = field(default_factory=list)

    def clock(self, who: int) -> datetime:
        return self.now + self.ahead[who]

    def trigger(self, who: int) -> None:
        now = self.clock(who)
        schedule.trigger(self.session, "plan", due_moment(now, EVERY), now=now)

    def begin(self) -> None:
        run = schedule.claim(self.session, now=self.now)
        if run is not None:
            self.held.append(run)

    def end(self) -> None:
        if self.held:
            run = self.held.pop(0)
            schedule.finish(self.session, run, outcome="done", now=self.now)
            self.done.append((run.due_at, self.now))


STEPS = st.one_of(
    st.tuples(st.just("pass"), st.integers(0, 90)),
    st.tuples(st.just("skew"), st.integers(-55, 55)),
    st.tuples(st.just("trigger"), st.integers(0, 1)),
    st.tuples(st.sampled_from(["begin", "end"]), st.just(0)),
)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=20, deadline=None
)
@given(st.lists(STEPS, max_size=40))
def test_no_moment_is_done_twice_however_two_clocks_disagree(
    sessions: sessionmaker[Session], steps: list[tuple[str, int]]
) -> None:
    with sessions() as session:
        session.execute(delete(ScheduledRun))
        session.commit()
        work = Clockwork(session)
        for step, value in steps:
            match step:
                case "pass":
                    work.now += timedelta(seconds=value)
                case "skew":
                    work.ahead[value % 2] = timedelta(seconds=value)
                case "trigger":
                    work.trigger(value)
                case "begin":
                    work.begin()
                case _:
                    work.end()
            waiting = session.scalar(
                select(func.count()).where(ScheduledRun.started_at.is_(None), ScheduledRun.due_at <= work.now)
            )
            session.rollback()
            assert (waiting or 0) <= 2, "missed runs do not pile up: at most one by each clock"
        moments = [due_at for due_at, _at in work.done]
        assert len(moments) == len(set(moments)), "each moment once"
        assert len({run.due_at for run in work.held}) == len(work.held) and not {run.due_at for run in work.held} & set(
            moments
        )
