"""`uec batches`: planned by one person, released by another, produced by a third."""

from pathlib import Path

import click

from uec.cli.options import ID, login_options, now, settings, signed_in, store
from uec.cli.tables import show
from uec.domain.lifecycle import BatchState


@click.group()
def batches() -> None:
    """Plan, list, release and produce batches."""


@batches.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in BatchState], case_sensitive=False),
    help="Only those in this state; may be repeated.",
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@login_options
def list_batches(states: tuple[str, ...], limit: int, login: str, password_file: Path | None) -> None:
    """List batches by day of production, with what their cards have come to."""
    from uec.services import batch_lists  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        page = batch_lists.find(session, actor=actor, states=[BatchState(state) for state in states], limit=limit)
    columns = ("id", "number", "state", "day", "point", "cards", "by state")
    show(columns, [(r.id, r.number, r.state, r.planned_for, r.point_name_ru, r.total, r.cards) for r in page.rows])
    click.echo(f"{len(page.rows)} of {page.total}", err=True)


@batches.command()
@login_options
def plan(login: str, password_file: Path | None) -> None:
    """Give every approved application its batch and day, remakes first, under capacity and the 30-day clock."""
    from uec.services import batches as service  # noqa: PLC0415
    from uec.services.phases import book  # noqa: PLC0415
    from uec.services.rules import batch_rules  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        rules = batch_rules(chosen, today=chosen.policy.day(now()), book=book(session, chosen.policy))
        made = service.plan(session, actor=actor, rules=rules, now=now())
    show(
        ("id", "number", "day", "point", "cards"),
        [(row.id, row.number, row.planned_for, row.point_name_ru, row.total) for row in made.batches],
    )
    click.echo(f"{made.cards} cards planned, {made.late} late", err=True)
    for reason, count in made.unplaced.items():
        click.echo(f"{count} found no room: {reason.replace('_', ' ')}", err=True)


@batches.command()
@click.argument("batch_id", type=ID)
@login_options
def release(batch_id: int, login: str, password_file: Path | None) -> None:
    """Release a batch for production, as another person than its planner; a worker then prepares its cards."""
    from uec.services import batches as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        service.release(session, batch_id, actor=signed_in(session, login, password_file), now=now())
    click.echo(f"batch {batch_id}: released")


@batches.command()
@click.argument("batch_id", type=ID)
@click.option("--reason", required=True, help="Why it is called off.")
@login_options
def cancel(batch_id: int, reason: str, login: str, password_file: Path | None) -> None:
    """Call a batch off before anything is written; its applications may be planned again."""
    from uec.services import batches as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        service.cancel(session, batch_id, actor=actor, reason=reason, now=now())
    click.echo(f"batch {batch_id}: cancelled")


@batches.command()
@click.argument("batch_id", type=ID)
@click.option("--station", type=ID, help="Only at this station; else at whichever has a blank in a reader.")
@login_options
def produce(batch_id: int, station: int | None, login: str, password_file: Path | None) -> None:
    """Ask for the writing of every prepared card of a released batch."""
    from uec.services import operations  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        asked = operations.request_batch(session, batch_id, station_id=station, actor=actor, now=now())
    click.echo(f"{asked} cards asked for; put blanks into the readers")
