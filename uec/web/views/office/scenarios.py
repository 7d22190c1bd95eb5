"""Scenarios of the plan: tried in the digital twin, side by side, put forward by one person and approved by another."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.services import plan_events, plan_facts, plan_region, plan_scenarios, rules, scenario_approval
from uec.services.plan_scenarios import Trial
from uec.services.scenario_facts import Ground
from uec.store.tables import PlanScenario
from uec.web import plan_words, scenario_charts, scenario_words
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, reader, today
from uec.web.paging import LARGEST_ID, PAGE_ROWS, number, offset
from uec.web.texts import _
from uec.web.views.office.plans import number_of
from uec.web.views.office.room import blueprint

SIDE_BY_SIDE = 4
SHOWN_POINTS = 12


@blueprint.get("/plan/scenarios")
@needs(Permission.VIEW_BATCHES)
def planning_scenarios() -> ResponseReturnValue:
    """List the scenarios, the newest first, and try another."""
    return _page()


def _page(wrong: InvalidInput | None = None) -> ResponseReturnValue:
    """The list; with what was `wrong` in a new scenario, which stands in its form as it was typed."""
    listed = plan_scenarios.page(reader(), actor=current_actor(), limit=PAGE_ROWS, offset=offset())
    points = list(plan_region.office_points(reader()).values())
    page = render_template(
        "office/planning_scenarios.html",
        page=listed,
        rows=listed.rows,
        most=SIDE_BY_SIDE,
        standings=scenario_approval.standings(reader(), listed.rows),
        figures={one.name: one for one in plan_words.figures()},
        lines=plan_facts.table(reader()).get("lines") or [plan_events.default_line(points)],
        chances=scenario_words.chances(),
        typed=request.form if wrong else {},
        wrong=wrong and scenario_words.wrong(wrong),
        **_words(),
    )
    return (page, 400) if wrong else page


@blueprint.get("/plan/scenarios/compare")
@needs(Permission.VIEW_BATCHES)
def planning_compare() -> ResponseReturnValue:
    """Show a few scenarios side by side: figures, weeks as pictures, the points with the longest queues."""
    ids = [one for text in request.args.getlist("scenario") if (one := number(text, largest=LARGEST_ID)) is not None]
    rows = plan_scenarios.chosen(reader(), ids, actor=current_actor())[:SIDE_BY_SIDE]
    if not rows:
        flash(_("Choose up to %(most)s scenarios of the list to see them side by side.", most=SIDE_BY_SIDE), "error")
        return _page()
    lived = [(row.name, row.outcome) for row in rows if "kept" in row.outcome]
    return render_template(
        "office/planning_compare.html",
        rows=rows,
        ids=[row.id for row in rows],
        standings=scenario_approval.standings(reader(), rows),
        figures=plan_words.figures(),
        row_best=_best(rows),
        kept=scenario_charts.by_week(lived, "kept", share=True),
        queue=scenario_charts.by_week(lived, "queue", share=False),
        stock_outs=scenario_charts.by_week(lived, "stock_outs", share=False),
        points=_points([outcome for _name, outcome in lived]),
        lived=[name for name, _outcome in lived],
        point_names={one.code: (one.name_ru, one.name_en) for one in plan_region.office_points(reader()).values()},
        unlike=len({tuple(outcome.get("days", ())) for _name, outcome in lived}) > 1,
        me=current_actor(),
        **_words(),
    )


def _words() -> dict[str, Any]:
    return {
        "figure_words": plan_words.figure,
        "change_words": plan_words.changes,
        "chance_words": scenario_words.differing,
        "progress": plan_scenarios.progress,
        "course": plan_words.course,
        "how_long": plan_words.how_long,
    }


def _best(rows: Sequence[PlanScenario]) -> Mapping[str, int]:
    """Which scenario has the best median of each figure, where they differ."""
    best: dict[str, int] = {}
    for figure in plan_words.figures():
        known = [(row.outcome[figure.name][0], row.id) for row in rows if figure.name in row.outcome]
        if len({value for value, _id in known}) > 1:
            best[figure.name] = (max if figure.more_is_better else min)(known)[1]
    return best


def _points(outcomes: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[Any, Any] | None]]]:
    """The points whose queues are longest: code, and for each scenario P90 of the queue and of promises kept."""
    tables = [_worst_of(one) for one in outcomes]
    longest = {code: max(table[code][0] for table in tables if code in table) for table in tables for code in table}
    codes = sorted((code for code, queue in longest.items() if queue), key=lambda code: (-longest[code], code))
    return [(code, [table.get(code) for table in tables]) for code in codes[:SHOWN_POINTS]]


def _worst_of(outcome: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By point P90 of its queue and of the promises kept; nothing of a scenario that was lived through without them."""
    if "by_point" not in outcome:
        return {}
    queue, kept = (outcome["by_point"][name][1] for name in ("queue", "kept"))
    return dict(zip(outcome["points"], zip(queue, kept, strict=True), strict=True))


@blueprint.post("/plan/scenarios")
@needs(Permission.PLAN_BATCH)
def planning_try() -> ResponseReturnValue:
    """Save a scenario that the workers live through."""
    try:
        trial = Trial(_changes(), runs=_runs(), chances=_chances())
        name = request.form.get("name", "")
        plan_scenarios.request(database(), name, trial, ground=_ground(), actor=current_actor(), now=now())
    except InvalidInput as wrong:
        database().rollback()
        return _page(wrong)
    flash(_("The scenario is being lived through. Its figures appear here by themselves."), "success")
    return redirect(url_for(".planning_scenarios"))


def _ground() -> Ground:
    chosen = office().settings
    return Ground(rules.working_calendar(chosen), chosen.default_profile, today())


def _runs() -> int:
    runs = number(request.form.get("runs", "").strip() or "20")
    if runs is None:
        raise InvalidInput("The years to live through are a whole number: correct it.", field="runs")
    return runs


def _changes() -> dict[str, Any]:
    """What the form changes, as it is checked by the service."""
    changes: dict[str, Any] = {}
    for name in ("intake", "windows", "chips"):
        value = number_of(name)
        if value is not None:
            changes[name] = value
    line, shifts = request.form.get("shift_line", ""), number_of("shifts")
    if line and shifts is None:
        raise InvalidInput("Say how many shifts more.", field="shifts")
    if line and shifts:
        changes["shifts"] = {line: shifts}
    if request.form.get("stopped"):
        changes["stopped"] = [request.form["stopped"]]
    return {name: int(value) if _whole(value) else value for name, value in changes.items()}


def _whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _chances() -> dict[str, float]:
    """The chances that were typed, in percent, and are not as usual."""
    typed = {one.name: number_of(one.name) for one in scenario_words.chances()}
    shares = {name: round(value / scenario_words.PERCENT, 6) for name, value in typed.items() if value is not None}
    return {name: share for name, share in shares.items() if share != getattr(scenario_words.USUAL, name)}


@blueprint.post("/plan/scenarios/<int:scenario_id>/again")
@needs(Permission.PLAN_BATCH)
def planning_again(scenario_id: int) -> ResponseReturnValue:
    """Have a scenario lived through again, on what is known by now."""
    plan_scenarios.again(database(), scenario_id, actor=current_actor(), now=now())
    flash(_("The scenario is being lived through. Its figures appear here by themselves."), "success")
    return _side_by_side(scenario_id)


@blueprint.post("/plan/scenarios/<int:scenario_id>/propose")
@needs(Permission.PLAN_BATCH)
def planning_propose(scenario_id: int) -> ResponseReturnValue:
    """Put a scenario forward."""
    scenario_approval.propose(database(), scenario_id, actor=current_actor(), now=now())
    flash(_("The scenario is put forward. Another person can make it the plan."), "success")
    return _side_by_side(scenario_id)


@blueprint.post("/plan/scenarios/<int:scenario_id>/approve")
@needs(Permission.RELEASE_BATCH)
def planning_approve(scenario_id: int) -> ResponseReturnValue:
    """Make a scenario the plan, as another person."""
    scenario_approval.approve(database(), scenario_id, ground=_ground(), actor=current_actor(), now=now())
    flash(_("The scenario is in force, and the plan is being made again."), "success")
    return _side_by_side(scenario_id)


def _side_by_side(scenario_id: int) -> ResponseReturnValue:
    """Back to the scenarios that stood side by side when something was done with one of them."""
    with_it = [one for text in request.form.getlist("beside") if (one := number(text, largest=LARGEST_ID)) is not None]
    return redirect(url_for(".planning_compare", scenario=with_it[:SIDE_BY_SIDE] or [scenario_id]))
