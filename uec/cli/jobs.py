"""`uec jobs`: what the office does by itself, when it last did it, and how it went; pause, resume, run now, end."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from uec.cli.options import login_options, now, reading_store, settings, signed_in, store
from uec.cli.tables import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    from uec.services.job_list import JobRow, RunRow

HISTORY = 20


@click.group()
def jobs() -> None:
    """Show what the office does by itself; pause a job, let it go on, run it now, end a run that hangs."""


@jobs.command("list")
def list_jobs() -> None:
    """List the jobs with their last run, next run and failures; on PostgreSQL what stands in the queue too."""
    from uec.jobs import JOBS  # noqa: PLC0415
    from uec.services import job_list  # noqa: PLC0415
    from uec.store import queue  # noqa: PLC0415

    rhythms = {name: job.every for name, job in JOBS.items()}
    chosen = settings()
    zone = ZoneInfo(chosen.timezone)
    local = partial(_moment, zone)
    with reading_store(chosen) as session:
        rows = job_list.jobs(session, rhythms, now=now(), zone=zone)
        queued = queue.overview(session)
    show(
        ("job", "every", "last begun", "took s", "next", "failures", "late", "paused", "said"),
        [
            (
                row.name,
                row.every,
                local(row.started_at),
                _took(row),
                local(row.next_at),
                row.failures,
                "yes" if row.late else "no",
                f"by {row.pause.by} since {local(row.pause.at)}: {row.pause.reason}" if row.pause else None,
                row.outcome,
            )
            for row in rows
        ],
    )
    if queued:
        click.echo()
        rows_of_queue = [(q.task, q.status, q.jobs, local(q.last_at)) for q in queued]
        show(("in the queue", "state", "jobs", "last"), rows_of_queue)


@jobs.command("show")
@click.argument("job")
@click.option("--runs", default=HISTORY, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
def show_job(job: str, runs: int) -> None:
    """Show the runs of JOB that are kept (a week), the newest first."""
    from uec.domain.errors import NotFound  # noqa: PLC0415
    from uec.jobs import JOBS  # noqa: PLC0415
    from uec.services import job_list  # noqa: PLC0415

    if job not in JOBS:
        raise NotFound(f"There is no job {job}: see `uec jobs list`.", kind="Job", id=job)
    chosen = settings()
    zone = ZoneInfo(chosen.timezone)
    local = partial(_moment, zone)
    with reading_store(chosen) as session:
        (row,) = job_list.jobs(session, {job: JOBS[job].every}, now=now(), zone=zone)
        rows = job_list.history(session, job, limit=runs)
    for line in _state(row, local):
        click.echo(line)
    show(
        ("due", "begun", "took s", "asked by", "tries", "worker", "said"),
        [
            (
                local(run.due_at),
                local(run.started_at),
                _seconds(run.took),
                run.asked_by,
                run.tries,
                run.worker,
                _said(run),
            )
            for run in rows
        ],
    )


def _state(row: "JobRow", local: "Callable[[datetime | None], str | None]") -> "Iterator[str]":
    """What stands out: a pause, a run that hangs, failures that go on."""
    if row.pause:
        yield f"paused by {row.pause.by} since {local(row.pause.at)}: {row.pause.reason}"
    if row.in_hand and row.in_hand.long:
        usual = f"usually {_seconds(row.in_hand.usual)} s" if row.in_hand.usual is not None else "never done so far"
        yield (
            f"runs for {_seconds(row.in_hand.lasts)} s, {usual}, in {row.in_hand.worker or 'a worker'}: "
            f"look at its log; `uec jobs end {row.name}` ends the run"
        )
    if row.failing:
        again = f"; tried again at {local(row.failing.again_at)}" if row.failing.again_at else ""
        yield f"fails since {local(row.failing.since)}, {row.failing.runs} runs{again}"


def _said(run: "RunRow") -> str:
    return f"{run.outcome} (by {run.ended_by})" if run.ended_by and run.took is not None else run.outcome


@jobs.command()
@click.argument("job")
@click.option("--reason", required=True, help="Why; shown to whoever wonders.")
@login_options
def pause(job: str, reason: str, login: str, password_file: Path | None) -> None:
    """Stop JOB: the clock begins none of its runs until `uec jobs resume`."""
    from uec.jobs import JOBS  # noqa: PLC0415
    from uec.services import job_control  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        job_control.pause(session, job, reason=reason, actor=actor, known=JOBS, now=now())
    click.echo(f"{job} is paused")


@jobs.command()
@click.argument("job")
@login_options
def resume(job: str, login: str, password_file: Path | None) -> None:
    """Let JOB go on; what was missed is caught up by one run."""
    from uec.jobs import JOBS  # noqa: PLC0415
    from uec.services import job_control  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        job_control.resume(session, job, actor=signed_in(session, login, password_file), known=JOBS, now=now())
    click.echo(f"{job} goes on")


@jobs.command()
@click.argument("job")
@login_options
def run(job: str, login: str, password_file: Path | None) -> None:
    """Ask for a run of JOB at once, also of a paused one; a worker does it."""
    from uec.jobs import JOBS  # noqa: PLC0415
    from uec.services import job_control  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        new = job_control.run_now(session, job, actor=actor, known=JOBS, now=now())
    click.echo(f"a run of {job} is asked for" if new else f"a run of {job} waits for a worker already")


@jobs.command()
@click.argument("job")
@login_options
def end(job: str, login: str, password_file: Path | None) -> None:
    """End the run of JOB that a worker has in hand, because it hangs.

    The worker begins anew within seconds, and with it goes all that the run held. Nothing that is half done stays; the
    next run comes when it is due.
    """
    from uec.jobs import JOBS  # noqa: PLC0415
    from uec.services import job_control  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        asked = job_control.end_run(session, job, actor=actor, known=JOBS, now=now())
    click.echo(
        f"its worker ends the run of {job}" if asked else f"no run of {job} is to be ended: see `uec jobs show {job}`"
    )


def _moment(zone: ZoneInfo, moment: "datetime | None") -> str | None:
    """A moment in the office's time."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}" if moment else None


def _seconds(took: "timedelta | None") -> str | None:
    return f"{took.total_seconds():.1f}" if took is not None else None


def _took(row: "JobRow") -> str | None:
    if row.took is None and row.in_hand:
        return f"{_seconds(row.in_hand.lasts)} so far"
    return _seconds(row.took)
