"""`uec cohorts`: lists for mass emission, computed from the register and approved by two people."""

import json
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.options import ID, login_options, now, settings, signed_in, store
from uec.cli.tables import show, show_facts, show_json
from uec.domain.errors import InvalidFile, NotFound
from uec.services.views import CohortView

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from uec.domain.actors import Actor
    from uec.services.cohort_reasons import Fact
    from uec.services.cohort_why import Verdict


@click.group()
def cohorts() -> None:
    """Compute, propose and approve lists for mass emission."""


def _told(view: CohortView) -> None:
    show_facts(
        {"id": view.id, "number": view.number, "state": view.state, "people": view.count, "Merkle root": view.digest}
    )


@cohorts.command("list")
@login_options
def list_cohorts(login: str, password_file: Path | None) -> None:
    """List all lists, the newest first."""
    from uec.services import cohort  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        rows = cohort.list_cohorts(session, actor=signed_in(session, login, password_file))
    show(
        ("id", "number", "state", "as of", "people", "root"),
        [(row.id, row.number, row.state, row.as_of, row.count, row.digest[:16] or "being computed") for row in rows],
    )


@cohorts.command()
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day people must be entitled on; default today.")
@click.option("--oktmo", multiple=True, help="Only residents of this municipality; may be repeated.")
@click.option("--limit", type=ID, help="At most so many people.")
@click.option("--variant", help="Card profile they get, by name; default: the office's usual one.")
@login_options
def compute(
    as_of: datetime | None,
    oktmo: tuple[str, ...],
    limit: int | None,
    variant: str | None,
    login: str,
    password_file: Path | None,
) -> None:
    """Make a draft list of everybody entitled who neither applied nor refused."""
    from uec.services import cohort, phases, rules  # noqa: PLC0415

    chosen = settings()
    known = rules.card_variants(chosen)
    if variant is not None and variant not in known:
        raise click.BadParameter(f"is none of {', '.join(known)}", param_hint="--variant")
    with store(chosen) as sessions, sessions() as session:
        day = as_of.date() if as_of else chosen.policy.day(now())
        view = cohort.compute(
            session,
            actor=signed_in(session, login, password_file),
            as_of=day,
            policy=phases.book(session, chosen.policy).on(day),
            now=now(),
            oktmo=oktmo,
            limit=limit,
            profile=variant,
        )
    _told(view)


@cohorts.command()
@click.argument("cohort_id", type=ID)
@login_options
def propose(cohort_id: int, login: str, password_file: Path | None) -> None:
    """Put one's name to a drafted list."""
    from uec.services import cohort  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        _told(cohort.propose(session, cohort_id, actor=signed_in(session, login, password_file), now=now()))


@cohorts.command()
@click.argument("cohort_id", type=ID)
@click.option("--root", required=True, help="The Merkle root that was shown and is approved.")
@login_options
def approve(cohort_id: int, root: str, login: str, password_file: Path | None) -> None:
    """Approve a proposed list by its Merkle root, as another person."""
    from uec.services import cohort  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        _told(cohort.approve(session, cohort_id, actor=actor, digest=root, now=now()))


@cohorts.command("take-off")
@click.argument("cohort_id", type=ID)
@click.argument("register_id")
@login_options
def take_off(cohort_id: int, register_id: str, login: str, password_file: Path | None) -> None:
    """Take the resident REGISTER_ID off a list; a list that was proposed or approved is void from then on."""
    from uec.services import cohort  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        _told(cohort.take_off(session, cohort_id, register_id, actor=actor, now=now()))


@cohorts.command()
@click.argument("cohort_id", type=ID)
@click.option("--reason", required=True, help="Why nobody should go by it.")
@login_options
def discard(cohort_id: int, reason: str, login: str, password_file: Path | None) -> None:
    """Make a list void for good, before applications are opened from it."""
    from uec.services import cohort  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        _told(cohort.discard(session, cohort_id, actor=actor, reason=reason, now=now()))


@cohorts.command("open")
@click.argument("cohort_id", type=ID)
@login_options
def open_applications(cohort_id: int, login: str, password_file: Path | None) -> None:
    """Open the applications of an approved list."""
    from uec.services import cohort, phases  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        policy = phases.book(session, chosen.policy).at(now())
        opened = cohort.open_applications(session, cohort_id, actor=actor, policy=policy, now=now())
    click.echo(f"{opened} applications opened")


@cohorts.command()
@click.argument("cohort_id", type=ID)
@login_options
def breakdown(cohort_id: int, login: str, password_file: Path | None) -> None:
    """Count a list's members by municipality, age and sex."""
    from uec.domain.permissions import Permission  # noqa: PLC0415
    from uec.services import cohort_members  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        signed_in(session, login, password_file).require(Permission.VIEW_BATCHES)
        rows = cohort_members.breakdown(session, cohort_id)
    show(("municipality", "age", "sex", "people"), [(row.oktmo, row.band, row.sex, row.count) for row in rows])


@cohorts.command()
@click.argument("cohort_id", type=ID)
@login_options
def members(cohort_id: int, login: str, password_file: Path | None) -> None:
    """Print the register ids of everybody on a list, one a line, in the order of its Merkle tree.

    With them anybody can compute the root that was approved: `uec cohorts check`, or any program for RFC 6962 trees
    (a leaf is SHA-256 over 00 and the id, a node SHA-256 over 01, left and right).
    """
    from uec.services import cohort_evidence  # noqa: PLC0415

    with store(settings()) as sessions:
        actor = _actor(sessions, login, password_file)
        # Whoever reads along may take their time: nobody waits for them.
        with closing(cohort_evidence.members(sessions, cohort_id, actor=actor, now=now())) as register_ids:
            for register_id in register_ids:
                click.echo(register_id)


@cohorts.command()
@click.argument("cohort_id", type=ID)
@click.argument("register_id")
@login_options
def prove(cohort_id: int, register_id: str, login: str, password_file: Path | None) -> None:
    """Print a proof (JSON) that the resident REGISTER_ID is on a list; it names nobody else."""
    from uec.services import cohort_evidence  # noqa: PLC0415

    with store(settings()) as sessions:
        actor = _actor(sessions, login, password_file)
        show_json(cohort_evidence.prove(sessions, cohort_id, register_id, actor=actor, now=now()).as_facts())


def _actor(sessions: "sessionmaker[Session]", login: str, password_file: Path | None) -> "Actor":
    with sessions() as session:
        return signed_in(session, login, password_file)


@cohorts.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--root", required=True, help="The Merkle root that was approved.")
@click.option("--holds", default="", metavar="REGISTER_ID", help="Somebody who should be on the list.")
def check(file: Path, root: str, holds: str) -> None:
    """Check FILE, of `uec cohorts members` or `prove`, against the approved root, without an installation.

    Ends with 1 where the root is another one, or --holds is not on the list.
    """
    from uec.services import cohort_evidence  # noqa: PLC0415

    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidFile(f"{file} is not UTF-8 text: take it as it was given out.", path=file) from None
    if text.lstrip().startswith("{"):
        person, found_root = _proved(file, text)
        holding, said = holds in {"", person}, f"{person} is on the list with that root."
    else:
        found = cohort_evidence.check_members(text.splitlines(), holds=holds)
        found_root, holding, said = found.root, found.holds or not holds, f"{found.count} people are on the list."
    if found_root != root.strip().lower():
        raise InvalidFile(f"{file} has the root {found_root}, which is not the one that was approved.", path=file)
    if not holding:
        raise NotFound(f"{holds} is not in {file}.", kind="resident", id=holds)
    click.echo(f"The root is the one that was approved. {said}")
    if holds:
        click.echo(f"{holds} is on it.")


def _proved(file: Path, text: str) -> tuple[str, str]:
    """Whose proof it is, and the root to which it leads."""
    from uec.services import cohort_evidence  # noqa: PLC0415

    try:
        facts = json.loads(text)
    except json.JSONDecodeError as problem:
        raise InvalidFile(f"{file} is no JSON ({problem}): take it as it was given out.", path=file) from problem
    root = cohort_evidence.check_proof(facts)
    return str(facts["register_id"]), root


@cohorts.command()
@click.argument("person")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day; default today.")
@login_options
def why(person: str, as_of: datetime | None, login: str, password_file: Path | None) -> None:
    """Say why PERSON (SNILS or register id) is entitled or not: the conditions of the list, one by one."""
    from uec.services import cohort_why, phases  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session:
        day = as_of.date() if as_of else chosen.policy.day(now())
        policy = phases.book(session, chosen.policy).on(day)
        actor, moment = signed_in(session, login, password_file), now()
        told = [
            cohort_why.why(session, resident_id, actor=actor, as_of=day, policy=policy, now=moment)
            for resident_id in cohort_why.named(session, person, actor=actor)
        ]
    if not told:
        raise NotFound(f"Nobody in the register has the SNILS or register id {person}.", kind="resident", id=person)
    if not policy.mass_emission_open(day):
        click.echo(f"mass emission begins on {policy.mass_emission_from}: of an earlier day there is no list", err=True)
    columns = ("register id", "name", "entitled", "against")
    show(columns, [(row.register_id, row.full_name, row.entitled, _against(row)) for row in told])


def _against(verdict: "Verdict") -> str:
    """The conditions that do not hold, each with what stands behind it."""
    said = (" ".join([name, *map(_fact, facts)]) for name, facts in verdict.facts.items())
    return ", ".join(said) or "-"


def _fact(fact: "Fact") -> str:
    day = "" if fact.day is None else fact.day.isoformat()
    return " ".join(filter(None, (fact.number, day)))
