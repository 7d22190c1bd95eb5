"""`uec staff`: who may sign in, with which roles."""

from pathlib import Path
from secrets import token_bytes

import click

from uec.cli.options import ID, login_options, now, read_password, reading_store, settings, signed_in, store
from uec.cli.tables import show
from uec.domain.permissions import Role


@click.group()
def staff() -> None:
    """Add staff and list them."""


@staff.command("list")
def list_staff() -> None:
    """List everybody with their roles."""
    from uec.services import staff as service  # noqa: PLC0415

    with reading_store(settings()) as session:
        people = service.list_staff(session)
    rows = [
        (one.id, one.login, one.display_name, " ".join(one.roles), one.point_id, "yes" if one.active else "no")
        for one in people
    ]
    show(("id", "login", "name", "roles", "point", "active"), rows)


@staff.command()
@click.argument("new_login")
@click.option("--name", required=True, help="Name shown on pages.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([role.value for role in Role], case_sensitive=False),
    help="What the person may do; may be repeated.",
)
@click.option("--point", type=ID, help="Id of the point of work.")
@click.option(
    "--new-password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the new person's password; asked for without it.",
)
@login_options
def add(
    new_login: str,
    name: str,
    roles: tuple[str, ...],
    point: int | None,
    new_password_file: Path | None,
    login: str,
    password_file: Path | None,
) -> None:
    """Add a member of staff; --login is the administrator who does it."""
    from uec.services import staff as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        password = read_password(new_login, new_password_file, confirm=True)
        made = service.create(
            session,
            login=new_login,
            display_name=name,
            password=password,
            roles=[Role(role) for role in roles],
            actor=actor,
            now=now(),
            random=token_bytes,
            point_id=point,
        )
    click.echo(f"{made.login} added with id {made.id}")
