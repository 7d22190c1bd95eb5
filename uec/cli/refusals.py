"""`uec refusals`: residents who want no card. Filing asks a SNILS and nothing else; the number is the confirmation."""

from pathlib import Path

import click

from uec.cli.options import login_options, now, settings, signed_in, store
from uec.cli.tables import show
from uec.domain.channels import TO_THE_OFFICE

_channel = click.option(
    "--channel", default="window", show_default=True, type=click.Choice(TO_THE_OFFICE), help="How the refusal came."
)


@click.group()
def refusals() -> None:
    """File refusals to receive a card, and list them."""


@refusals.command("file")
@click.argument("snils")
@_channel
@click.option("--note", default="", help="What the clerk adds.")
@login_options
def file_refusal(snils: str, channel: str, note: str, login: str, password_file: Path | None) -> None:
    """File a refusal of the resident with this SNILS; an open mass application ends with it."""
    from uec.domain.permissions import Permission  # noqa: PLC0415
    from uec.services import refusals as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        actor.require(Permission.TAKE_APPLICATION)
        number = service.file(session, snils=snils, channel=channel, actor=actor, note=note, now=now())
    click.echo(f"refusal {number}")


@refusals.command("withdraw")
@click.argument("number")
@click.option("--reason", required=True, help="The person's statement, or the mistake that was made.")
@login_options
def withdraw_refusal(number: str, reason: str, login: str, password_file: Path | None) -> None:
    """Take a refusal back: the next list of mass emission has the person again."""
    from uec.services import refusals as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        service.withdraw(session, number, actor=signed_in(session, login, password_file), reason=reason, now=now())
    click.echo(f"refusal {number} is taken back")


@refusals.command("list")
@click.option("--find", default="", help="The number of a confirmation, or a SNILS.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@login_options
def list_refusals(find: str, limit: int, login: str, password_file: Path | None) -> None:
    """List refusals, the newest first."""
    from uec.services import refusal_lists  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        page = refusal_lists.find(session, actor=actor, query=find, limit=limit, now=now())
    columns = ("number", "SNILS", "channel", "filed", "in the register", "note", "taken back")
    rows = [(r.number, r.snils, r.channel, r.filed_at, r.recognised, r.note, r.withdrawn_at or "") for r in page.rows]
    show(columns, rows)
    click.echo(f"{len(page.rows)} of {page.total}", err=True)
