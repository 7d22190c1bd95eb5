"""The plan: its weeks, lines and points, what steers it, and promises that moved. Pages read what was counted."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_percent, get_locale
from sqlalchemy.orm import Session

from issuance.planning.facts import PLENTY, Outside, Partner
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.permissions import Permission
from uec.services import plan_changes, plan_events, plan_facts, plan_lists, plan_moves, plan_office, plan_region, rules
from uec.services.points import list_points
from uec.store.tables import EmissionPlan
from uec.web import charts, plan_words
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, reader, today
from uec.web.language import short_day
from uec.web.paging import number
from uec.web.texts import _, ngettext
from uec.web.views.office.room import blueprint

SPANS = (7, 14, 31, 62)
USUAL_SPAN = 14
EVENT_FIELDS = 2000


@dataclass(frozen=True)
class Week:
    """A week of the plan with its day as one."""

    first: date
    bottleneck: str
    days: float
    made: int
    capacity: int
    handed: int
    windows: int
    chips: int
    lying: int


def _newest() -> EmissionPlan | None:
    try:
        return plan_office.newest(reader(), actor=current_actor())
    except NotFound:
        return None


@blueprint.get("/plan")
@needs(Permission.VIEW_BATCHES)
def planning() -> ResponseReturnValue:
    """Show the newest plan: figures, load and stock as pictures and a table, what would help, who is late."""
    plan = _newest()
    weeks = (
        [Week(**week | {"first": date.fromisoformat(week["first"])}) for week in plan.facts["weeks"]] if plan else []
    )
    names = [short_day(week.first) for week in weeks]
    counted = bool(weeks) and max(week.chips for week in weeks) < PLENTY // 2
    return render_template(
        "office/planning.html",
        plan=plan,
        weeks=weeks,
        gap=format_percent(plan.facts["gap"], "0.##%") if plan else "",
        moved=plan_moves.untold(reader(), actor=current_actor()),
        load=charts.columns([week.made for week in weeks], [week.capacity for week in weeks], names),
        chips=charts.curve([week.chips for week in weeks], names) if counted else None,
        lying=charts.curve([week.lying for week in weeks], names),
        bottleneck_words=plan_words.bottlenecks(),
        kind_words=plan_words.kinds(),
        reason_words=plan_words.reasons(),
    )


@blueprint.get("/plan/lines")
@needs(Permission.VIEW_BATCHES)
def planning_lines() -> ResponseReturnValue:
    """Show what each line makes on each day: batches that are cut, and the plan behind them."""
    days = number(request.args.get("days", ""))
    days = days if days in SPANS else USUAL_SPAN
    point_id = number(request.args.get("point", ""))
    first = _asked_day("first", today() - timedelta(days=today().weekday()))
    found = plan_lists.gantt(
        reader(),
        actor=current_actor(),
        first=first,
        last=first + timedelta(days=days - 1),
        calendar=rules.working_calendar(office().settings),
        today=today(),
        point_id=point_id,
        variants=rules.card_variants(office().settings),
    )
    locale = get_locale()
    names = locale.days["stand-alone"]["narrow"] if locale else {}
    return render_template(
        "office/planning_lines.html",
        gantt=found,
        days=days,
        spans=SPANS,
        point_id=point_id,
        points=list_points(reader()),
        before=(first - timedelta(days=days)).isoformat(),
        after=(first + timedelta(days=days)).isoformat(),
        today=today(),
        weekdays=[str(names.get(one, "")) for one in range(7)],
    )


def _asked_day(name: str, otherwise: date) -> date:
    try:
        asked = date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return otherwise
    return asked if abs((asked - otherwise).days) < 20_000 else otherwise


@blueprint.get("/plan/person")
@needs(Permission.VIEW_BATCHES)
def planning_person() -> ResponseReturnValue:
    """Explain the place of one application."""
    asked = request.args.get("number", "").strip()
    place = plan_office.explain(reader(), asked, actor=current_actor())
    words = {"kind_words": plan_words.kinds(), "reason_words": plan_words.reasons()}
    story = plan_office.story(reader(), place, language=str(get_locale()))
    return render_template("office/planning_person.html", place=place, story=story, **words)


@blueprint.get("/plan/facts")
@needs(Permission.VIEW_BATCHES)
def planning_facts() -> ResponseReturnValue:
    """Show lines, chips and couriers as the planner knows them; say what has happened."""
    return _facts_page()


def _facts_page(wrong: InvalidInput | None = None) -> ResponseReturnValue:
    """The page of the facts; with what was `wrong` in an event, which stands in its form as it was typed."""
    table = plan_facts.table(reader())
    points = list(plan_region.office_points(reader()).values())
    variants = rules.card_variants(office().settings)
    in_hand = plan_facts.free_chips(reader(), plan_facts.checked(table), variants)
    page = render_template(
        "office/planning_facts.html",
        lines=table.get("lines") or [plan_events.default_line(points)],
        bureaux=_bureaux(table),
        deliveries=table.get("chips", {}).get("deliveries", []),
        in_hand=[(name, count) for name, count in zip(variants, in_hand, strict=True) if count != PLENTY],
        variants=variants,
        courier=table.get("courier", {}),
        told_points=table.get("points", {}),
        intake=table.get("intake", {}).get("factor", 0),
        windows=table.get("windows", {}).get("factor", 1),
        points=points,
        history=plan_facts.history(reader(), actor=current_actor()),
        today=today(),
        typed=request.form if wrong else {},
        wrong=wrong and plan_words.wrong(wrong),
    )
    return (page, 400) if wrong else page


def _bureaux(table: dict[str, Any]) -> list[tuple[Partner, Outside]]:
    """The bureaux that can take orders, and how the plan may use each."""
    facts = plan_facts.with_bureaux(reader(), plan_facts.checked(table), today=today())
    return [(one, facts.outside(one.code)) for one in facts.partners]


def _event(session: Session) -> tuple[dict[str, Any], dict[str, str]]:
    """The table after the event of the form, and the form's fields to send again."""
    fields = {
        name: value[:EVENT_FIELDS] for name, value in request.form.items() if name not in {"csrf_token", "reason"}
    }
    points = list(plan_region.office_points(session).values())
    table = plan_facts.table(session)
    return plan_events.edited(table, fields.get("kind", ""), fields, points=points), fields


@blueprint.post("/plan/event")
@needs(Permission.PLAN_BATCH)
def planning_event() -> ResponseReturnValue:
    """Show what an event would do to the plan; nothing is saved."""
    try:
        table, fields = _event(reader())
        plan_facts.checked_here(reader(), table)
    except InvalidInput as wrong:
        return _facts_page(wrong)
    try:
        found = plan_changes.consequences(
            reader(),
            table,
            actor=current_actor(),
            calendar=rules.working_calendar(office().settings),
            today=today(),
        )
    except NotFound:
        return render_template("office/planning_event.html", found=None, fields=fields)
    chart = charts.columns(
        [after for _first, _before, after in found.weeks],
        [before for _first, before, _after in found.weeks],
        [short_day(first) for first, _before, _after in found.weeks],
    )
    return render_template("office/planning_event.html", found=found, fields=fields, chart=chart)


@blueprint.post("/plan/event/save")
@needs(Permission.PLAN_BATCH)
def planning_save() -> ResponseReturnValue:
    """Put the facts after an event in force; the plan is made again by its job."""
    try:
        plan_facts.one_writer(database())
        table, _fields = _event(database())
        plan_changes.save(database(), table, reason=request.form.get("reason", ""), actor=current_actor(), now=now())
    except InvalidInput as wrong:
        database().rollback()
        return _facts_page(wrong)
    flash(_("Saved. The plan is being made again; whose day moves will be listed under “Moved promises”."), "success")
    return redirect(url_for(".planning_facts"))


@blueprint.get("/plan/moved")
@needs(Permission.VIEW_BATCHES)
def planning_moved() -> ResponseReturnValue:
    """List whose promised day moved and who was not told yet."""
    return render_template(
        "office/planning_moved.html",
        points=plan_moves.summary(reader(), actor=current_actor()),
        people=plan_moves.people(reader(), actor=current_actor()),
    )


@blueprint.post("/plan/moved/tell")
@needs(Permission.PLAN_BATCH)
def planning_tell() -> ResponseReturnValue:
    """Queue messages to everybody on the list."""
    told = plan_moves.tell(database(), actor=current_actor(), now=now())
    flash(ngettext("%(num)d person is told.", "%(num)d people are told.", told), "success")
    return redirect(url_for(".planning_moved"))


def number_of(name: str) -> float | None:
    """A number of the form, None where the field is empty; raises `InvalidInput`."""
    text = request.form.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        return float(text)
    except ValueError as problem:
        raise InvalidInput(f"{text!r} is no number: correct {name}.", field=name) from problem
