"""`uec register`: the register of residents comes in; the stand-in gateway answers for the real ones."""

from pathlib import Path

import click

from uec.cli.options import ID, login_options, now, settings, signed_in, store
from uec.cli.tables import progress_bar, show, show_facts
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
@click.option("--full", is_flag=True, help="FILE names every resident: whom it lacks is put before a clerk.")
def import_residents(file: Path, rejects: Path, full: bool) -> None:  # noqa: FBT001
    """Import FILE (CSV, UTF-8, `;` or `,`, with a header); good rows in, bad rows to the reject file.

    The same file again changes nothing; a corrected one updates. The register changes as a whole or not at all; an
    import that was stopped goes on where it stopped when it is started again with the same file.
    """
    from uec.services.register import import_register  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session, progress_bar("residents") as bar:
        moment = now()
        report = import_register(
            session,
            path=file,
            rejects_path=rejects,
            actor=OPERATOR,
            now=moment,
            today=chosen.policy.day(moment),
            full=full,
            progress=lambda done, total, rows: bar.update(done, total, f"{rows} rows"),
        )
    show_facts(
        {
            "rows": report.rows,
            "imported": report.imported,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "rejected": f"{report.rejected} (see {rejects})" if report.rejected else 0,
            "twins": f"{report.twins} (see uec register twins)" if report.twins else 0,
            **({"missing": f"{report.missing} (see uec register missing)"} if report.missing else {}),
            **({"resumed after": f"{report.resumed} rows"} if report.resumed else {}),
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


@register.command()
@click.option("--all", "everything", is_flag=True, help="Also cases that are decided or closed.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only cases above this id.")
@click.option("--limit", type=ID, default=25, show_default=True, help="At most so many.")
@login_options
def twins(everything: bool, after: int, limit: int, login: str, password_file: Path | None) -> None:  # noqa: FBT001
    """List records that share what only one person can have; a clerk decides (page "Twins" or `decide-twins`)."""
    from uec.domain.twins import TwinState  # noqa: PLC0415
    from uec.services import twins as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        state = None if everything else TwinState.OPEN
        rows = service.list_cases(session, actor=actor, state=state, after=after, limit=limit)
        waiting = service.open_count(session)
    columns = ("id", "kind", "state", "shared", "records")
    show(columns, [(row.id, row.kind, row.state, row.shared, row.records) for row in rows])
    click.echo(f"{waiting} cases wait for a decision", err=True)


@register.command()
@click.option("--all", "everything", is_flag=True, help="Also those that are decided, or back.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only those above this id.")
@click.option("--limit", type=ID, default=25, show_default=True, help="At most so many.")
@login_options
def missing(everything: bool, after: int, limit: int, login: str, password_file: Path | None) -> None:  # noqa: FBT001
    """List residents whom a full export did not name; a clerk decides (page "Missing" or `decide-missing`)."""
    from uec.services import register_absences as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        rows = service.list_open(session, actor=actor, after=after, limit=limit, everything=everything)
        waiting = service.open_count(session)
    columns = ("id", "register_id", "full_name", "state")
    show(columns, [(row.id, row.register_id, row.full_name, row.state) for row in rows])
    click.echo(f"{waiting} residents wait for a decision", err=True)


@register.command("decide-missing")
@click.argument("absence_id", type=ID)
@click.argument("verdict", type=click.Choice(["stays", "gone"]))
@click.option("--reason", required=True, help="The papers that were seen, or what the register answered.")
@login_options
def decide_missing(absence_id: int, verdict: str, reason: str, login: str, password_file: Path | None) -> None:
    """Decide whether a resident who is missing stays entitled, or is gone and gets no card unasked."""
    from uec.domain.absences import AbsenceState  # noqa: PLC0415
    from uec.services import register_absences as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        service.decide(session, absence_id, AbsenceState(verdict.upper()), reason=reason, actor=actor, now=now())
    click.echo(f"{absence_id}: {verdict}")


@register.command("decide-twins")
@click.argument("case_id", type=ID)
@click.option("--stands", help="Register id of the record that stands: the records are one person's.")
@click.option("--wrong", multiple=True, help="Register id of a record whose number is wrong; may be repeated.")
@click.option("--namesakes", is_flag=True, help="The records are different people's, and every number is right.")
@click.option("--reason", required=True, help="The papers that were seen, or what the register answered.")
@login_options
def decide_twins(
    case_id: int,
    stands: str | None,
    wrong: tuple[str, ...],
    namesakes: bool,  # noqa: FBT001
    reason: str,
    login: str,
    password_file: Path | None,
) -> None:
    """Decide a case: one person (--stands), or different people (--wrong or --namesakes)."""
    from uec.services import twins as service  # noqa: PLC0415

    if sum(map(bool, (stands, wrong, namesakes))) != 1:
        raise click.UsageError("Give one of --stands, --wrong and --namesakes.")
    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        records = {
            one.register_id: one.resident_id for one in service.look(session, case_id, actor=actor, now=now()).records
        }
        chosen = [_record(records, name) for name in ((stands,) if stands else wrong)]
        if stands:
            service.decide_same(session, case_id, standing_id=chosen[0], reason=reason, actor=actor, now=now())
        else:
            service.decide_different(session, case_id, wrong_ids=chosen, reason=reason, actor=actor, now=now())
    click.echo(f"case {case_id} is decided")


def _record(records: dict[str, int], register_id: str) -> int:
    from uec.domain.errors import InvalidInput  # noqa: PLC0415

    if register_id not in records:
        raise InvalidInput(f"{register_id} is not in this case: it has {', '.join(records)}.", field="record")
    return records[register_id]


@register.command()
@click.argument("file", type=_file)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to answer on.")
@click.option("--port", default=8082, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
def standin(file: Path, host: str, port: int) -> None:
    """Answer for the state's registers from FILE (the register's CSV), over HTTP, until stopped.

    For demonstrations and rehearsals; it can be told to be slow, down or forgetful by POST /control.
    """
    from uec.gateways.standin import serve  # noqa: PLC0415
    from uec.processes import stop_event  # noqa: PLC0415

    stop = stop_event()
    with serve(file, host=host, port=port) as running:
        click.echo(f"registers answer on {running.url}; stop with Ctrl-C", err=True)
        stop.wait()
