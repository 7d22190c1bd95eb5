"""`uec jobs`: what the office does by itself, when it last did it, and how it went."""

import click

from uec.cli.options import now, reading_store, settings
from uec.cli.tables import show


@click.group()
def jobs() -> None:
    """Show what the office does by itself."""


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
        ("job", "every", "last begun", "took s", "next", "failures", "late", "said"),
        [
            (
                row.name,
                row.every,
                f"{row.started_at:%Y-%m-%d %H:%M:%S}" if row.started_at else None,
                f"{row.took.total_seconds():.1f}" if row.took is not None else None,
                f"{row.next_at:%Y-%m-%d %H:%M:%S}",
                row.failures,
                "yes" if row.late else "no",
                row.outcome,
            )
            for row in rows
        ],
    )
    if queued:
        click.echo()
        show(("in the queue", "state", "jobs", "last"), [(q.task, q.status, q.jobs, q.last_at) for q in queued])
