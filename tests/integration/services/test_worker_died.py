"""SQLite: what a worker had in hand when it was killed, or could not write down, is done at once; never by two."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from uec import worker
from uec.domain.errors import StoreUnavailable
from uec.jobs import Tools
from uec.services import schedule
from uec.settings import Settings
from uec.store.in_hand import in_hand
from uec.store.tables import ScheduledRun

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
STANDS_STILL = """
import sys, threading
from uec import worker
from uec.settings import Settings
def stand(job, tools):
    print(job, flush=True)
    threading.Event().wait()
worker.do = stand
with worker.tools_of(Settings(database_url=sys.argv[1])) as tools:
    worker.work_once(tools)
print("nothing", flush=True)
"""


@pytest.fixture
def tools(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tools]:
    monkeypatch.setattr(worker, "do", lambda job, _tools: f"did {job}")
    with worker.tools_of(Settings(database_url=sqlite_url)) as opened:
        yield opened


def due(tools: Tools, *jobs: str, at: datetime = NOW) -> None:
    with tools.sessions() as session:
        assert all(schedule.trigger(session, job, at, now=at) for job in jobs)


def outcomes(tools: Tools) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    with tools.sessions() as session:
        for run in session.scalars(select(ScheduledRun).order_by(ScheduledRun.job, ScheduledRun.due_at)):
            found.setdefault(run.job, []).append(run.outcome)
    return found


def test_a_living_worker_keeps_its_run_and_a_killed_one_loses_it_at_once(tools: Tools) -> None:
    due(tools, "publish")
    url = tools.settings.database_url
    with subprocess.Popen([sys.executable, "-c", STANDS_STILL, str(url)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "publish\n"
            due(tools, "checks", "publish", at=NOW + timedelta(seconds=15))
            assert worker.work_once(tools), "what it has not in hand"
            assert not worker.work_once(tools), "however long ago it was begun, and also what is due anew"
            assert outcomes(tools) == {"checks": ["did checks"], "publish": [None, None]}
        finally:
            other.kill()
    assert worker.work_once(tools) and worker.work_once(tools)
    assert not worker.work_once(tools)
    assert outcomes(tools)["publish"] == ["did publish", "did publish"]


def test_an_end_that_was_not_written_down_holds_nobody_up(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    due(tools, "publish")
    finish = schedule.finish

    def lost(*_given: object, **_named: object) -> None:
        raise StoreUnavailable("The disk of the database is full.")

    monkeypatch.setattr(schedule, "finish", lost)
    assert not worker.work_once(tools)
    monkeypatch.setattr(schedule, "finish", finish)
    assert outcomes(tools) == {"publish": [None]}
    assert worker.work_once(tools)
    assert outcomes(tools) == {"publish": ["did publish"]}


def test_a_run_that_kills_its_workers_stops_no_other_job(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    due(tools, "publish")

    class Killed(BaseException):
        """The end of a process."""

    def fatal(job: str, _tools: Tools) -> str:
        if job == "publish":
            raise Killed
        return f"did {job}"

    monkeypatch.setattr(worker, "do", fatal)
    for n in range(3):
        with pytest.raises(Killed):
            worker.work_once(tools)
        due(tools, "checks", at=NOW + timedelta(seconds=5 * n))
        assert worker.work_once(tools)
    assert outcomes(tools) == {"checks": ["did checks"] * 3, "publish": [None]}


@pytest.mark.parametrize("job", ["publish", "..", "a/b", "заявления"])
def test_a_job_is_in_the_hands_of_one(tmp_path: Path, job: str) -> None:
    database = tmp_path / "uec.db"
    with in_hand(database, job) as first, in_hand(database, job) as second, in_hand(database, "other") as third:
        assert (first, second, third) == (True, False, True)
    with in_hand(database, job) as again:
        assert again
    assert {path.parent for path in tmp_path.rglob("*.lock")} == {tmp_path / "uec.db.jobs"}


def test_without_a_place_for_its_lock_a_worker_says_so(tools: Tools, tmp_path: Path) -> None:
    due(tools, "publish")
    (tmp_path / "uec.db.jobs").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="free some space"), in_hand(tmp_path / "uec.db", "publish"):
        pass
    assert not worker.work_once(tools)
