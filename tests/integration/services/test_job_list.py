"""The list of jobs: last run and how long it took, what failed this week, what is late; the queue beside it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import add_staff
from uec.cli import cli
from uec.domain.permissions import Role
from uec.jobs import JOBS
from uec.services import job_control, job_list, schedule
from uec.store.tables import ScheduledRun

NOW = datetime(2026, 3, 2, 9, 30, 7, tzinfo=UTC)
EVERY = {"publish": timedelta(seconds=15), "plan": timedelta(days=1)}


def run(session: Session, job: str, ago_s: int, took_s: int | None, outcome: str | None) -> None:
    begun = NOW - timedelta(seconds=ago_s)
    ended = begun + timedelta(seconds=took_s) if took_s is not None else None
    failed = (outcome or "").startswith(schedule.FAILED)
    session.add(
        ScheduledRun(job=job, due_at=begun, started_at=begun, finished_at=ended, outcome=outcome, failed=failed)
    )
    session.commit()


def test_the_newest_run_of_each_job_is_shown_with_the_failures_before(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        run(session, "publish", 40, 2, "failed: the vault is away")
        run(session, "publish", 10, 3, "CRL 2")
        schedule.trigger(session, "publish", NOW, now=NOW)
        publish, plan = job_list.jobs(session, EVERY, now=NOW)
    assert (publish.outcome, publish.took, publish.failures, publish.late) == ("CRL 2", timedelta(seconds=3), 1, False)
    assert publish.started_at == NOW - timedelta(seconds=10)
    assert publish.next_at == NOW.replace(second=15)
    assert (plan.started_at, plan.took, plan.outcome, plan.failures, plan.late) == (None, None, "", 0, True)
    assert plan.next_at == datetime(2026, 3, 3, tzinfo=UTC)


def test_a_run_that_goes_on_has_no_length_and_an_old_one_is_late(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        run(session, "publish", 33, None, None)
        (row,) = job_list.jobs(session, {"publish": EVERY["publish"]}, now=NOW)
        (hangs,) = job_list.jobs(session, {"publish": EVERY["publish"]}, now=NOW + schedule.LEASE)
        run(session, "publish", 31, 1, "done")
        (row_of_old,) = job_list.jobs(session, {"publish": EVERY["publish"]}, now=NOW)
    assert row.took is None and row.outcome == "" and not row.late, "somebody works on it"
    assert hangs.took is None and hangs.late, "and for too long"
    assert row_of_old.took is not None and row_of_old.late


def test_nobody_looks_for_a_success_through_all_that_is_kept(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    every = EVERY["publish"]
    with sessions() as session:
        run(session, "publish", 75, 2, "CRL 1")
        for n in range(4, -1, -1):
            run(session, "publish", n * 15, 1, "failed: the vault is away")
        first = NOW - timedelta(seconds=59)
        (row,) = job_list.jobs(session, {"publish": every}, now=NOW)
        assert row.failing == job_list.Failing(first, 5, None)
        assert job_list.usual(session, "publish") == timedelta(seconds=2)
        monkeypatch.setattr(job_list, "FAILING_AMONG", 3)
        monkeypatch.setattr(job_list, "USUAL_AMONG", 5)
        (row,) = job_list.jobs(session, {"publish": every}, now=NOW)
        assert row.failing == job_list.Failing(first + 2 * every, 3, None) and row.failures == 5
        assert job_list.usual(session, "publish") is None


@pytest.mark.parametrize("words", [["jobs", "list"], ["worker", "--help"], ["jobs", "--help"]])
def test_the_commands_answer(words: list[str], database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "uec.toml"
    file.write_text(f'database_url = "{database_url}"\n')
    answer = CliRunner().invoke(cli, ["--settings", str(file), *words])
    assert answer.exit_code == 0, answer.output
    if words == ["jobs", "list"]:
        lines = answer.output.splitlines()
        assert lines[0].startswith("job\tevery") and {line.split("\t")[0] for line in lines[1:]} >= set(JOBS)


def test_a_command_says_what_hangs_what_fails_and_who_paused_it(
    sessions: sessionmaker[Session], database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "uec.toml"
    file.write_text(f'database_url = "{database_url}"\ntimezone = "Asia/Vladivostok"\n')

    def said(*words: str) -> str:
        answer = CliRunner().invoke(cli, ["--settings", str(file), "jobs", *words])
        assert answer.exit_code == 0, answer.output
        return answer.output

    now = datetime.now(UTC)
    with sessions() as session:
        admin = add_staff(session, "admin", Role.ADMIN)
        for hours, begun in ((30, True), (3, False)):
            at = now - timedelta(hours=hours)
            assert schedule.trigger(session, "plan", at, now=at)
            found = schedule.claim(session, now=at, worker="node2 4711")
            assert found is not None
            if begun:
                schedule.finish(session, found, outcome="3 cards", now=at + timedelta(minutes=2))
        run(session, "expire", 60, 1, "failed: x")
        job_control.pause(session, "expire", reason="the disk is full", actor=admin, known=JOBS, now=now)
    shown = said("show", "plan")
    assert (
        re.search(r"runs for 1\d{4}\.\d s, ", shown)
        and "usually 120.0 s, in node2 4711" in shown
        and "`uec jobs end plan`" in shown
    )
    assert f"{(now - timedelta(hours=30)).astimezone(ZoneInfo('Asia/Vladivostok')):%Y-%m-%d %H:%M:%S}" in shown
    assert "so far" in said("list")
    shown = said("show", "expire")
    assert "paused by Admin since" in shown and "the disk is full" in shown and "fails since" in shown
