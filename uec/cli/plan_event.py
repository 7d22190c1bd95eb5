"""`uec plan event`: something has happened; what follows is seen before it is saved, as on the page of the facts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uec.cli.options import login_options, now, settings, signed_in, store
from uec.cli.tables import show, show_facts, show_json
from uec.domain.permissions import Permission

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from uec.domain.actors import Actor
    from uec.services.plan_changes import Consequences

# As uec.services.plan_events has them; a test compares them, and that the help names every field.
KINDS = (
    "stop", "resume", "shift", "line", "drop", "bureau", "delivery", "late", "chips", "courier", "point", "intake",
    "windows",
)  # fmt: skip


@click.command()
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--save", is_flag=True, help="Put it in force, and have the plan made again; needs --reason.")
@click.option("--reason", default="", help="What happened; kept with the facts.")
@click.option("--json", "as_json", is_flag=True, help="Print what follows as one JSON object.")
@login_options
def event(
    kind: str,
    fields: tuple[str, ...],
    save: bool,  # noqa: FBT001
    reason: str,
    as_json: bool,  # noqa: FBT001
    login: str,
    password_file: Path | None,
) -> None:
    """See what an event would do to the plan: whose day moves, who would be late, and what would help.

    Nothing is saved without --save. What is left out stays as it was. Days are like 2026-03-30, weekdays 1 (Monday) to
    7 (0: none), a week seven numbers from Monday.

    \b
    stop      line first last [machines]      a line, or so many of its machines, stands still
    resume    line first                      it works again from that day on
    shift     line more | shifts=WEEK         more (or -1: fewer) shifts a working day, or the week's anew
    line      line [name_ru name_en line_kind makes machines cards_per_hour shift_hours shifts=WEEK]
                                              a new line or another; makes: card variants, * for all
    drop      line                            a line is gone
    bureau    bureau [use=yes|no daily price days makes]
    delivery  count [day variant note]        chips are ordered
    late      delivery [day count]            delivery 0, 1, ... of the facts: another day or number; count=0: never
    chips     [variant] [count]               chips counted in the store; without count: by the stock's books
    courier   [weekdays transit cost volume]  the common round of all points
    point     point [weekdays transit cost volume storage windows minutes=WEEK minutes_a_card share_percent
              stops=DAYS stop_minutes]        one point; a mobile office has stops (0: none)
    intake    factor                          times the applications of the last four weeks are expected
    windows   factor                          times what all points hand over

    \b
        uec plan event stop line=L1 first=2026-03-02 last=2026-03-06 --login planner
        uec plan event point point=P1 minutes="480 480 480 480 480 240 0" --save --reason "open on Saturdays" ...
    """
    from uec.services import plan_changes, plan_events, plan_facts  # noqa: PLC0415

    typed = _typed(kind, fields, plan_events.EVENTS[kind].fields)
    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        actor.require(Permission.PLAN_BATCH)
        if save:
            plan_facts.one_writer(session)
            version = plan_changes.save(session, _edited(session, kind, typed), reason=reason, actor=actor, now=now())
            click.echo(f"Facts {version} are in force: a worker makes the plan again, or `uec plan make` does.")
            return
        found = _consequences(session, _edited(session, kind, typed), actor)
    show_json(asdict(found)) if as_json else _told(found)


def _edited(session: "Session", kind: str, typed: Mapping[str, str]) -> dict[str, Any]:
    from uec.services import plan_events, plan_facts, plan_region  # noqa: PLC0415

    points = list(plan_region.office_points(session).values())
    return plan_events.edited(plan_facts.table(session), kind, typed, points=points)


def _consequences(session: "Session", table: Mapping[str, Any], actor: "Actor") -> "Consequences":
    from uec.services import plan_changes, rules  # noqa: PLC0415

    chosen = settings()
    calendar, today = rules.working_calendar(chosen), chosen.policy.at(now()).day(now())
    return plan_changes.consequences(session, table, actor=actor, calendar=calendar, today=today)


def _typed(kind: str, said: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    typed: dict[str, str] = {}
    for one in said:
        name, sign, value = one.partition("=")
        if not sign or name not in known:
            raise click.BadParameter(
                f"{one!r}: write FIELD=VALUE; the fields of {kind} are {', '.join(known)}.", param_hint="FIELD=VALUE"
            )
        if name in typed:
            raise click.BadParameter(f"{name} stands there twice.", param_hint="FIELD=VALUE")
        typed[name] = value
    return typed


def _told(found: "Consequences") -> None:
    show_facts(
        {
            "come later": f"{found.later:,}, by {found.longest_days} days at most",
            "come earlier": f"{found.earlier:,}",
            "late or without a day": f"{found.late_before:,} now, {found.late_after:,} then",
            "without a day": f"{found.open_before:,} now, {found.open_after:,} then",
        }
    )
    for _ru, doubt in found.doubts:
        click.echo(f"Look at the facts: {doubt}")
    for _ru, cure in found.cures:
        click.echo(cure)
    if found.points:
        show(("point", "later", "earlier"), [(one.code, one.later, one.earlier) for one in found.points])
    changed = [(first, before, after) for first, before, after in found.weeks if before != after]
    if changed:
        show(("week of", "cards made now", "then"), changed)
    click.echo("Nothing is saved: the same with --save --reason TEXT puts it in force.")
