"""`uec jobs`: what the office does by itself, when it last did it, and how it went; pause, resume, run now."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.options import login_options, now, reading_store, settings, signed_in, store
from uec.cli.tables import show

if TYPE_CHECKING:
    from datetime import datetime, timedelta

HISTORY = 20


@click.group()
def jobs() -> None:
    """Show what the office does by itself; pause a job, let it go on, run it now."""


@jobs.command("list")
def list_jobs() -> None:
    """List the jobs with their last run, next run and failures; on PostgreSQL what stands in the queue too."""
    from uec.jobs import JOBS  # noqa: PLC0415
    from uec.services import job_list  # noqa: PLC0415
    from uec.store import queue  # noqa: PLC0415

    rhythms = {name: job.every for name, job in JOBS.items()}
    with reading_store(settings()) as session:
        rows = job_list.jobs(session, rhythms, now=now())
        queued = queue.overview(session)
    show(
        ("job", "every", "last begun", "took s", "next", "failures", "late", "paused", "said"),
        [
            (
                row.name,
                row.every,
                _moment(row.started_at),
                _seconds(row.took),
                _moment(row.next_at),
                row.failures,
                "yes" if row.late else "no",
                row.pause.reason if row.pause else None,
                row.outcome,
            )
            for row in rows
        ],
    )
    if queued:
        click.echo()
        show(("in the queue", "state", "jobs", "last"), [(q.task, q.status, q.jobs, q.last_at) for q in queued])


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
    with reading_store(settings()) as session:
        rows = job_list.history(session, job, limit=runs)
    show(
        ("due", "begun", "took s", "asked by", "said"),
        [(_moment(row.due_at), _moment(row.started_at), _seconds(row.took), row.asked_by, row.outcome) for row in rows],
    )


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


def _moment(moment: "datetime | None") -> str | None:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else None


def _seconds(took: "timedelta | None") -> str | None:
    return f"{took.total_seconds():.1f}" if took is not None else None
