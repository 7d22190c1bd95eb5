"""`uec phases`: rules with a date, proposed by one person and confirmed by another, and the public notices."""

from datetime import datetime
from pathlib import Path

import click

from uec.cli.options import ID, login_options, now, settings, signed_in, store
from uec.cli.tables import show, show_facts, show_json
from uec.domain.channels import TO_THE_OFFICE
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.policy import OFFICE_RULES

_day = click.DateTime(["%Y-%m-%d"])


@click.group()
def phases() -> None:
    """Change the policy from a day on; publish the notice of mass emission."""


@phases.command()
@click.option("--on", "day", type=_day, help="The day; default today.")
def rules(day: datetime | None) -> None:
    """Show the rules in force on a day."""
    from uec.services import phases as service  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session:
        policy = service.book(session, chosen.policy).on(day.date() if day else chosen.policy.day(now()))
    show_facts({name: getattr(policy, name) for name in OFFICE_RULES})


@phases.command()
@login_options
def history(login: str, password_file: Path | None) -> None:
    """List every change of the policy, the newest first."""
    from uec.services import phases as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        changes = service.list_changes(session, actor=signed_in(session, login, password_file))
    columns = ("id", "state", "from", "rules", "act", "proposed by", "decided by")
    show(
        columns,
        [(c.id, c.state, c.valid_from, c.rules, c.act, c.proposed_by, c.decided_by) for c in changes],
    )


@phases.command()
@click.argument("rule", nargs=-1, required=True)
@click.option("--from", "valid_from", type=_day, required=True, help="First day.")
@click.option("--act", required=True, help="The act or order behind it.")
@login_options
def propose(rule: tuple[str, ...], valid_from: datetime, act: str, login: str, password_file: Path | None) -> None:
    """Propose RULE (NAME=VALUE, may be repeated) from a day on, and show what it moves."""
    from uec.services import phases as service  # noqa: PLC0415

    chosen, pairs = settings(), _pairs(rule)
    with store(chosen) as sessions, sessions() as session:
        change = service.propose(
            session,
            rules=pairs,
            valid_from=valid_from.date(),
            act=act,
            actor=signed_in(session, login, password_file),
            base=chosen.policy,
            now=now(),
        )
    click.echo(f"change {change.id} is proposed; it moves:", err=True)
    show_json(dict(change.effects))


def _pairs(rules: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE of each, every rule once."""
    pairs: dict[str, str] = {}
    for text in rules:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text} is not NAME=VALUE", param_hint="RULE")
        if name not in OFFICE_RULES:
            raise click.BadParameter(f"{name} is none of {', '.join(OFFICE_RULES)}", param_hint="RULE")
        if name in pairs:
            raise click.BadParameter(f"{name} is given twice", param_hint="RULE")
        pairs[name] = value
    return pairs


@phases.command()
@click.argument("change_id", type=ID)
@login_options
def withdraw(change_id: int, login: str, password_file: Path | None) -> None:
    """Take a proposed change back."""
    from uec.services import phases as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        service.withdraw(session, change_id, actor=signed_in(session, login, password_file), now=now())
    click.echo(f"change {change_id} is taken back")


@phases.command()
@click.argument("change_id", type=ID)
@click.option("--yes", is_flag=True, help="Do not ask after showing what it moves.")
@login_options
def confirm(change_id: int, yes: bool, login: str, password_file: Path | None) -> None:  # noqa: FBT001
    """Confirm a proposed change, as another person."""
    from uec.services import phases as service  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        found = [one for one in service.list_changes(session, actor=actor) if one.id == change_id]
        if not found:
            raise NotFound(
                f"There is no change {change_id}: see uec phases history.", kind="PolicyChange", id=change_id
            )
        show_json(dict(found[0].effects))
        if not yes and not click.confirm("Confirm the change that moves this?", err=True):
            raise InvalidInput("The change is not confirmed; it stays proposed.", field="confirm")
        service.confirm(session, change_id, shown=found[0].effects, actor=actor, base=chosen.policy, now=now())
    click.echo(f"change {change_id} is in force from {found[0].valid_from}")


@phases.command()
@login_options
def notices(login: str, password_file: Path | None) -> None:
    """List the public notices and their windows, the newest first."""
    from uec.services import notices as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        rows = service.list_notices(session, actor=signed_in(session, login, password_file))
    columns = ("id", "state", "published", "refuse until", "bank until", "places", "banks")
    show(
        columns,
        [
            (n.id, n.state, n.published_on, n.refusal_until, n.bank_until, "; ".join(n.places), "; ".join(n.banks))
            for n in rows
        ],
    )


@phases.command("propose-notice")
@click.argument("text_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--english", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The same text in English, a file."
)
@click.option("--place", "places", multiple=True, required=True, help="Where it is published; may be repeated.")
@click.option("--bank", "banks", multiple=True, required=True, help="A bank to choose; that of the tender first.")
@click.option("--on", "day", type=_day, required=True, help="The day of publication.")
@login_options
def propose_notice(
    text_file: Path, english: Path | None, places: tuple[str, ...], banks: tuple[str, ...], day: datetime, login: str,
    password_file: Path | None,
) -> None:  # fmt: skip
    """Propose the public notice whose text is in TEXT_FILE (UTF-8)."""
    from uec.services import notices as service  # noqa: PLC0415
    from uec.services import phases as rules_service  # noqa: PLC0415

    chosen = settings()
    text, text_en = _text_of(text_file), _text_of(english) if english else ""
    with store(chosen) as sessions, sessions() as session:
        made = service.propose(
            session,
            text=text,
            text_en=text_en,
            places=places,
            banks=banks,
            published_on=day.date(),
            actor=signed_in(session, login, password_file),
            policy=rules_service.book(session, chosen.policy).on(day.date()),
            now=now(),
        )
    click.echo(f"notice {made.id} is proposed: refusals until {made.refusal_until}, banks until {made.bank_until}")


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8 text: save it anew.", field="text") from None


@phases.command("withdraw-notice")
@click.argument("notice_id", type=ID)
@login_options
def withdraw_notice(notice_id: int, login: str, password_file: Path | None) -> None:
    """Take a proposed notice back."""
    from uec.services import notices as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        service.withdraw(session, notice_id, actor=signed_in(session, login, password_file), now=now())
    click.echo(f"notice {notice_id} is taken back")


@phases.command("confirm-notice")
@click.argument("notice_id", type=ID)
@login_options
def confirm_notice(notice_id: int, login: str, password_file: Path | None) -> None:
    """Confirm a proposed notice, as another person; its windows count from then on."""
    from uec.services import notices as service  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        service.confirm(session, notice_id, actor=signed_in(session, login, password_file), now=now())
    click.echo(f"notice {notice_id} is confirmed")


@phases.command("choose-bank")
@click.argument("snils")
@click.argument("bank")
@click.option(
    "--channel",
    default="window",
    show_default=True,
    type=click.Choice(TO_THE_OFFICE),
    help="How it came to the office.",
)
@login_options
def choose_bank(snils: str, bank: str, channel: str, login: str, password_file: Path | None) -> None:
    """File the choice of BANK by the resident with this SNILS, within the time for it."""
    from uec.domain.permissions import Permission  # noqa: PLC0415
    from uec.services import notices as service  # noqa: PLC0415
    from uec.services import phases as rules_service  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        actor.require(Permission.TAKE_APPLICATION)
        policy = rules_service.book(session, chosen.policy).at(now())
        number = service.choose_bank(
            session, snils=snils, bank=bank, channel=channel, actor=actor, policy=policy, now=now()
        )
    click.echo(f"choice {number}")
