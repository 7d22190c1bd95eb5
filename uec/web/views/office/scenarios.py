"""Scenarios of the plan: tried in the digital twin, side by side, put forward by one person and approved by another."""

from collections.abc import Mapping
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.services import plan_events, plan_facts, plan_region, plan_scenarios
from uec.web import plan_words
from uec.web.access import current_actor, needs
from uec.web.context import database, now, reader, today
from uec.web.paging import number
from uec.web.texts import _
from uec.web.views.office.plans import number_of
from uec.web.views.office.room import blueprint

SHOWN = 6


@blueprint.get("/plan/scenarios")
@needs(Permission.VIEW_BATCHES)
def planning_scenarios() -> ResponseReturnValue:
    """Show the newest scenarios side by side."""
    return _page()


def _page(wrong: InvalidInput | None = None) -> ResponseReturnValue:
    """The page of the scenarios; with what was `wrong` in a new one, which stands in its form as it was typed."""
    rows = sorted(plan_scenarios.compare(reader(), (), actor=current_actor()), key=lambda row: -row.id)[:SHOWN]
    points = list(plan_region.office_points(reader()).values())
    page = render_template(
        "office/planning_scenarios.html",
        rows=rows,
        figures=plan_words.figures(),
        figure_words=plan_words.figure,
        change_words=plan_words.changes,
        progress=plan_scenarios.progress,
        course=plan_words.course,
        how_long=plan_words.how_long,
        row_best=_best(rows),
        proposals=plan_scenarios.proposals(reader()),
        lines=plan_facts.table(reader()).get("lines") or [plan_events.default_line(points)],
        typed=request.form if wrong else {},
        wrong=wrong and plan_words.wrong(wrong),
    )
    return (page, 400) if wrong else page


def _best(rows: list[Any]) -> Mapping[str, int]:
    """Which scenario has the best median of each figure, where they differ."""
    best: dict[str, int] = {}
    for figure in plan_words.figures():
        known = [(row.outcome[figure.name][0], row.id) for row in rows if figure.name in row.outcome]
        if len({value for value, _id in known}) > 1:
            best[figure.name] = (max if figure.more_is_better else min)(known)[1]
    return best


@blueprint.post("/plan/scenarios")
@needs(Permission.PLAN_BATCH)
def planning_try() -> ResponseReturnValue:
    """Save a scenario that the workers live through."""
    try:
        plan_scenarios.request(
            database(),
            request.form.get("name", "").strip(),
            changes=_changes(),
            runs=_runs(),
            seed=1,
            actor=current_actor(),
            now=now(),
        )
    except InvalidInput as wrong:
        database().rollback()
        return _page(wrong)
    flash(_("The scenario is being lived through. Its figures appear here by themselves."), "success")
    return redirect(url_for(".planning_scenarios"))


def _runs() -> int:
    runs = number(request.form.get("runs", "") or "20")
    if runs is None:
        raise InvalidInput("The years to live through are a whole number: correct it.", field="runs")
    return runs


def _changes() -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name in ("intake", "windows", "chips"):
        value = number_of(name)
        if value is not None:
            if not 0 <= value <= 10**9:
                raise InvalidInput("A scenario has no negative numbers: correct it.", field=name)
            changes[name] = int(value) if name == "chips" else value
    line, shifts = request.form.get("shift_line", ""), number_of("shifts")
    if line and shifts:
        changes["shifts"] = {line: int(shifts)}
    if request.form.get("stopped"):
        changes["stopped"] = [request.form["stopped"]]
    return changes


@blueprint.post("/plan/scenarios/<int:scenario_id>/propose")
@needs(Permission.PLAN_BATCH)
def planning_propose(scenario_id: int) -> ResponseReturnValue:
    """Put a scenario forward."""
    plan_scenarios.propose(database(), scenario_id, actor=current_actor(), now=now())
    flash(_("The scenario is put forward. Another person can make it the plan."), "success")
    return redirect(url_for(".planning_scenarios"))


@blueprint.post("/plan/scenarios/<int:scenario_id>/approve")
@needs(Permission.RELEASE_BATCH)
def planning_approve(scenario_id: int) -> ResponseReturnValue:
    """Make a scenario the plan, as another person."""
    plan_scenarios.approve(database(), scenario_id, actor=current_actor(), today=today(), now=now())
    flash(_("The scenario is in force, and the plan is being made again."), "success")
    return redirect(url_for(".planning_scenarios"))
