"""`uec plan`: the plan of mass emission over everybody who waits, and what-if years in the digital twin."""

import json
import tomllib
from dataclasses import asdict, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uec.cli import plan_event, scenarios
from uec.cli.list_files import write_list
from uec.cli.options import login_options, now, settings, signed_in, store
from uec.cli.tables import show, show_facts, show_json
from uec.domain.errors import InvalidFile
from uec.domain.permissions import Permission

if TYPE_CHECKING:
    from uec.services.plan_late import LatePerson
    from uec.services.plan_office import BatchPlan

# As issuance.planning.reasons has them, which loads the solver; a test compares.
REASONS = (
    "no_work", "no_route", "no_courier", "no_room", "no_windows", "clock_too_short", "beyond_horizon", "no_maker",
    "point_full", "no_chips", "no_lines",
)  # fmt: skip
SHOWN_LATE = 10
PLAN_FACTS = ("id", "made_at", "first_day", "last_day", "frozen_until", "people", "promised")

days_option = click.option(
    "--days", type=click.IntRange(1, 800), help="Calendar days to plan; without it, as far as serving everybody takes."
)


@click.group()
def plan() -> None:
    """Plan who gets a card when, what holds it up, and what would help.

    A plan gives every approved application a place in a queue, a batch and a promised day: remakes first, then those
    with a clock, then the cohort; within a class nobody waits longer than a later applicant at the same point. It comes
    whatever the input is: what cannot be in time is listed with its reason and what it would take. The batches of the
    next working days are cut out of it and wait for their release; later plans leave them as they are.

    \b
        uec plan facts set lines.toml --reason "second line" ...   lines, chips, couriers, points
        uec plan event stop line=L1 first=2026-03-02 last=2026-03-06 ...   what would follow; --save keeps it
        uec plan make --login planner              plan everybody who waits
        uec plan show --login planner              its weeks, bottlenecks and late cards
        uec plan late --login planner              who is late, person by person, and why
        uec plan explain 2026-0000123 ...          one person's place
        uec plan simulate "second shift" --changes '{"shifts": {"centre": 1}}' ...
        uec plan compare "as it is" "second shift" ...
        uec plan propose "second shift" ...        then `uec plan approve`, by another person
    """


@plan.command()
@click.option("--anew", is_flag=True, help="A new plan, also where it moves promised days.")
@days_option
@login_options
def make(anew: bool, days: int | None, login: str, password_file: Path | None) -> None:  # noqa: FBT001
    """Plan everybody who waits, promise them a day, and cut the batches of the next days.

    Days promised by the plan before are kept as far as lines, chips and couriers still allow; who is moved is listed.
    """
    from uec.services import batches, phases, plan_office, rules  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        book = phases.book(session, chosen.policy)
        by = replace(rules.batch_rules(chosen, today=book.at(now()).day(now()), book=book), horizon_days=days)
        cut = (batches.plan_anew if anew else batches.plan)(session, actor=actor, rules=by, now=now())
        made = plan_office.newest(session, actor=actor)
        _told(made.id, made.facts, made.people, made.promised)
        click.echo(f"{cut.cards} cards in {len(cut.batches)} batches wait for their release.")


@plan.group("facts")
def facts_group() -> None:
    """What the planner is told: lines, chips, couriers, points' hours, mobile offices."""


@facts_group.command("show")
@login_options
def show_facts_table(login: str, password_file: Path | None) -> None:
    """Print the facts in force as JSON; `uec plan facts set` reads the same as TOML or JSON."""
    from uec.services import plan_facts  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        signed_in(session, login, password_file).require(Permission.VIEW_BATCHES)
        show_json(plan_facts.table(session))


@facts_group.command("set")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", required=True, help="What happened; kept with the facts.")
@login_options
def set_facts(file: Path, reason: str, login: str, password_file: Path | None) -> None:
    """Replace the facts by those in FILE (TOML, or JSON); the next plan goes by them.

    [[lines]] with code, kind (own or bureau), machines, cards_per_hour, shift_hours, shifts (seven numbers),
    makes (card variants), [[lines.maintenance]]; [chips] deliveries, in_hand (also by variant);
    [courier] weekdays, volume, cost, transit; [points.CODE] with any of these, storage, windows, minutes,
    minutes_a_card, share_percent, stops and stop_minutes (a mobile office);
    [intake] and [windows] factor; [bureaux.CODE] use, daily, price, days. Bureaux that can take orders (`uec bureau`)
    are lines by themselves: they get what own lines cannot make in time, where that is worth the price of a card, and
    nothing with use = false. Without facts: one line that makes what the points hand over, chips by the stock's
    books, a courier every working day.
    """
    from uec.services import plan_facts  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        number = plan_facts.store(session, _facts_in(file), reason=reason, actor=actor, now=now())
        session.commit()
    click.echo(f"Facts {number} are in force: `uec plan make` plans by them.")


@plan.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--batches", "batch_days", type=click.IntRange(1, 366), help="Also the batches of the first N days.")
@login_options
def show_plan(as_json: bool, batch_days: int | None, login: str, password_file: Path | None) -> None:  # noqa: FBT001
    """Show the newest plan: how far it is from the best possible, each week's bottleneck, and who is late and why.

    \b
    The JSON object has
      id, made_at, first_day, last_day, frozen_until   the plan, its days, and until when its batches are cut
      people, promised, cards           who waits, who has a day, cards made within it
      cost, bound, gap                  waiting and trips priced, the best they could be, and the share between them
      weeks     first, bottleneck (lines, chips, windows, points, none), days (one card more brings one forward by),
                made, capacity, handed, windows (cards that could be handed over), chips (left), lying (at points)
      points    code, ru, en, remakes, clocks, cohort, open, last (day), courier (next), trips, storage, peak
      reliefs, doubts                   sentences: ru, en
      late      point (its place in points), kind (0 remake, 1 clock, 2 cohort), variant, reason, count, open (without
                a day), days, ru, en; reasons sums them; late_cards and open_cards are their sums
      batches   with --batches: day, line, variant, point (its code), departs_on, cards
    """
    from uec.services import plan_office  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        actor = signed_in(session, login, password_file)
        found = plan_office.newest(session, actor=actor)
        until = found.first_day + timedelta(days=(batch_days or 0) - 1)
        batches = plan_office.batches(session, found.id, until=until) if batch_days else []
        if as_json:
            told = {name: getattr(found, name) for name in PLAN_FACTS} | found.facts
            show_json(told | ({"batches": [_batch(one) for one in batches]} if batch_days else {}))
            return
        _told(found.id, found.facts, found.people, found.promised)
        weeks = [(week["first"], week["bottleneck"], week["days"]) for week in found.facts["weeks"]]
        show(("week of", "bottleneck", "days a card"), weeks)
        if batch_days:
            columns = ("day", "line", "variant", "point", "courier", "cards")
            show(columns, [(r.day, r.line, r.variant, r.point, r.departs_on, r.cards) for r in batches])


@plan.command()
@click.option("--reason", type=click.Choice(REASONS), help="Only those late for this reason.")
@click.option("--point", default="", metavar="CODE", help="Only those of this point.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many people.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Everybody into this file instead, *.csv or *.xlsx; needs EXPORT_LISTS.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: total, and rows as in the table.")
@login_options
def late(
    reason: str | None,
    point: str,
    limit: int,
    out: Path | None,
    as_json: bool,  # noqa: FBT001
    login: str,
    password_file: Path | None,
) -> None:
    """List who is late by the newest plan, or has no day in it: application, point, reason, due day, promised day."""
    if out is not None:
        filters, zone = {"reason": reason or "", "point": point}, settings().policy.zone
        with store(settings()) as sessions:
            with sessions() as session:
                actor = signed_in(session, login, password_file)
            size = write_list(sessions, "late", out, filters=filters, actor=actor, zone=zone, now=now())
        click.echo(f"{out}: {size:,} bytes; the audit keeps that it was taken out.")
        return
    from issuance.planning.reasons import Reason  # noqa: PLC0415
    from uec.services import plan_late  # noqa: PLC0415

    wanted = plan_late.Wanted(reason=Reason(reason) if reason else None, point=point)
    with store(settings()) as sessions, sessions() as session:
        page = plan_late.people(session, wanted, actor=signed_in(session, login, password_file), limit=limit)
    if as_json:
        show_json({"total": page.total, "rows": [_late_person(one) for one in page.rows]})
        return
    columns = ("application", "point", "class", "variant", "reason", "due", "can be collected from")
    show(
        columns,
        [
            (one.application, one.point_ru, one.kind.name.lower(), one.variant, _spoken(one.reason), one.due_on,
             one.promised_on)
            for one in page.rows
        ],
    )  # fmt: skip
    click.echo(f"{len(page.rows)} of {page.total} who are late or without a day.")


@plan.command()
@click.argument("number")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: the same facts, and the story as ru and en.")
@login_options
def explain(number: str, as_json: bool, login: str, password_file: Path | None) -> None:  # noqa: FBT001
    """Explain the place of application NUMBER: who is ahead, when its card is made, leaves and can be collected."""
    from uec.services import plan_office  # noqa: PLC0415

    with store(settings()) as sessions, sessions() as session:
        place = plan_office.explain(session, number, actor=signed_in(session, login, password_file))
        stories = {language: plan_office.story(session, place, language=language) for language in ("ru", "en")}
    if as_json:
        show_json(asdict(place) | {"kind": place.kind.name.lower()} | stories)
        return
    show_facts(
        {
            "application": place.application,
            "plan": place.plan_id,
            "point": place.point,
            "class": place.kind.name.lower(),
            "card variant": place.variant,
            "ahead in its queue": place.place,
            "made on": place.made_on,
            "line": place.line,
            "courier on": place.departs_on,
            "can be collected from": place.promised_on,
            "clock ends": place.due_on,
        }
    )
    if stories["en"]:
        click.echo(stories["en"])


def _facts_in(file: Path) -> dict[str, Any]:
    """The table of a file with days as text, as they are stored."""
    try:
        text = file.read_text(encoding="utf-8")
        read: Any = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        table = json.loads(json.dumps(read, default=_day_as_text))
    except (UnicodeDecodeError, TypeError, ValueError) as problem:
        raise InvalidFile(f"{file} is no TOML or JSON ({problem}): correct it.", path=file) from problem
    if not isinstance(table, dict):
        raise InvalidFile(f"{file} holds no table: write one.", path=file)
    return table


def _day_as_text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} is no day, number or text")


def _told(plan_id: int, facts: dict[str, Any], people: int, promised: int) -> None:
    show_facts(
        {
            "plan": plan_id,
            "people": people,
            "with a promised day": promised,
            "above the bound by": f"{facts['gap']:.2%}",
            "late or without a day": facts["late_cards"],
        }
    )
    for doubt in facts.get("doubts", ()):
        click.echo(f"Look at the facts: {doubt['en']}")
    for relief in facts["reliefs"]:
        click.echo(relief["en"])
    for one in facts["late"][:SHOWN_LATE]:
        click.echo(f"{one['count']:,} late at {facts['points'][one['point']]['en']}, {_open_of(one)}: {one['en']}")
    if more := facts["late_cards"] - sum(one["count"] for one in facts["late"][:SHOWN_LATE]):
        click.echo(f"{more:,} more are late: `uec plan late` lists everybody.")


def _open_of(late: dict[str, Any]) -> str:
    """How many of those who are late have no day at all, in words."""
    return f"{late['open']:,} of them without a day" if late["open"] else f"by {late['days']} planning days at most"


def _batch(one: "BatchPlan") -> dict[str, Any]:
    facts = asdict(one)
    return facts | {"point": facts.pop("point_code")}


def _late_person(one: "LatePerson") -> dict[str, Any]:
    facts = asdict(one)
    del facts["point_ru"], facts["point_en"]
    return facts | {"kind": one.kind.name.lower()}


def _spoken(reason: str) -> str:
    return reason.replace("_", " ")


plan.add_command(plan_event.event)
for command in (scenarios.simulate, scenarios.compare, scenarios.propose, scenarios.approve):
    plan.add_command(command)
