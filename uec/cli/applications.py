"""`uec applications`: what lies before the officers. Every look and every decision names who acts."""

from dataclasses import asdict
from pathlib import Path

import click

from uec.cli.options import ID, login_options, now, settings, signed_in, store
from uec.cli.tables import show, show_facts
from uec.domain.lifecycle import ApplicationState


@click.group()
def applications() -> None:
    """List, show, approve, reject and take back applications."""


@applications.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in ApplicationState], case_sensitive=False),
    help="Only those in this state; may be repeated.",
)
@click.option("--find", default="", help="A number, a SNILS or the beginning of a surname.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@login_options
def list_applications(states: tuple[str, ...], find: str, limit: int, login: str, password_file: Path | None) -> None:
    """List applications, the ones due first on top."""
    from uec.services import applications as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        page = service.find(
            session,
            actor=signed_in(session, login, password_file),
            now=now(),
            states=[ApplicationState(state) for state in states],
            query=find,
            limit=limit,
        )
    columns = ("id", "number", "state", "route", "name", "due")
    show(columns, [(r.id, r.number, r.state, r.route, r.full_name, r.due_on) for r in page.rows])
    click.echo(f"{len(page.rows)} of {page.total}", err=True)


@applications.command("show")
@click.argument("application_id", type=ID)
@login_options
def show_application(application_id: int, login: str, password_file: Path | None) -> None:
    """Show one application with what the registers said."""
    from uec.services import applications as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        detail = service.detail(session, application_id, actor=actor, now=now())
    facts = {name: value for name, value in asdict(detail).items() if name not in {"checks", "point"}}
    show_facts(facts | {"point": detail.point.name_ru})
    checks = [(check.register, check.outcome, check.attempts, check.detail) for check in detail.checks]
    show(("register", "outcome", "attempts", "detail"), checks)


def _decided(verb: str, application_id: int, reason: str, login: str, password_file: Path | None) -> None:
    from uec.services import decision  # noqa: PLC0415

    decide = {"approve": decision.approve, "reject": decision.reject}[verb]
    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        decide(session, application_id, actor=actor, reason=reason, now=now())
    click.echo(
        f"application {application_id}: {verb}d" if verb.endswith("e") else f"application {application_id}: {verb}ed"
    )


_reason = click.option("--reason", required=True, help="What the decision stands on; the applicant may read it.")


@applications.command()
@click.argument("application_id", type=ID)
@_reason
@login_options
def approve(application_id: int, reason: str, login: str, password_file: Path | None) -> None:
    """Approve an application; never by the one who took it."""
    _decided("approve", application_id, reason, login, password_file)


@applications.command()
@click.argument("application_id", type=ID)
@_reason
@login_options
def reject(application_id: int, reason: str, login: str, password_file: Path | None) -> None:
    """Reject an application."""
    _decided("reject", application_id, reason, login, password_file)


@applications.command()
@click.argument("application_id", type=ID)
@click.option("--reason", required=True, help="Why the applicant takes it back.")
@login_options
def withdraw(application_id: int, reason: str, login: str, password_file: Path | None) -> None:
    """Take an application back for its applicant; a card that was made for it is annulled."""
    from uec.services import withdrawal  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        withdrawal.withdraw(session, application_id, actor=actor, reason=reason, now=now())
    click.echo(f"application {application_id}: taken back")
