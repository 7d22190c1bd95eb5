"""`uec register`: the register of residents comes in; the stand-in gateway answers for the real ones."""

from pathlib import Path

import click

from uec.cli.options import now, settings, store
from uec.cli.tables import progress_bar, show_facts
from uec.domain.actors import system_actor

OPERATOR = system_actor("command line")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def register() -> None:
    """Import the register of residents; run the stand-in gateway."""


@register.command("import")
@click.argument("file", type=_file)
@click.option(
    "--rejects",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where rows that cannot be used go, each with its line, field and reason.",
)
def import_residents(file: Path, rejects: Path) -> None:
    """Import FILE (CSV, UTF-8, `;` or `,`, with a header); good rows in, bad rows to the reject file.

    The same file again changes nothing; a corrected one updates. The whole file or nothing.
    """
    from uec.services.register import import_register  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session, progress_bar("residents") as bar:
        report = import_register(
            session,
            path=file,
            rejects_path=rejects,
            actor=OPERATOR,
            now=now(),
            progress=lambda done, total, rows: bar.update(done, total, f"{rows} rows"),
        )
    show_facts(
        {
            "rows": report.rows,
            "imported": report.imported,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "rejected": f"{report.rejected} (see {rejects})" if report.rejected else 0,
            "seconds": f"{report.seconds:.1f}",
        }
    )


@register.command()
@click.argument("file", type=_file)
def municipalities(file: Path) -> None:
    """Import the region's municipalities (CSV: oktmo, name_ru, name_en); the register's rows must belong to one."""
    from uec.services.register import import_municipalities  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        count = import_municipalities(session, path=file, actor=OPERATOR, now=now())
    click.echo(f"{count} municipalities")
