"""The points of the plan with their queues: a table that anybody can sort, also without JavaScript and on a phone."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from uec.domain.errors import NotFound
from uec.domain.permissions import Permission
from uec.services import plan_office
from uec.web.access import current_actor, needs
from uec.web.context import reader
from uec.web.language import pick
from uec.web.texts import _l
from uec.web.views.office.room import blueprint

ORDERS = ("descending", "ascending")
# Columns in their order; figures are sorted from the largest, names and days from the first.
COLUMNS: Mapping[str, Any] = {
    "name": _l("Point"),
    "waiting": _l("Queue"),
    "remakes": _l("Remakes"),
    "clocks": _l("On application"),
    "cohort": _l("Mass emission"),
    "open": _l("Without a day"),
    "courier": _l("Next courier"),
    "last": _l("Last hand-over"),
    "peak": _l("Safe at its fullest"),
}
FIRST = frozenset({"name", "courier", "last"})


@blueprint.get("/plan/points")
@needs(Permission.VIEW_BATCHES)
def planning_points() -> ResponseReturnValue:
    """Show the points with their queues, the longest first unless another order is asked for."""
    sort = request.args.get("sort", "")
    sort = sort if sort in COLUMNS else "waiting"
    order = request.args.get("order", "")
    order = order if order in ORDERS else ORDERS[sort in FIRST]
    found = _points()
    # Sorted twice: the second keeps the order of the first among equals, and what has no day stands last.
    found.sort(key=lambda one: one["name"])
    found.sort(key=lambda one: one[sort] or date.max if sort in FIRST else one[sort], reverse=order == ORDERS[0])
    return render_template(
        "office/planning_points.html",
        points=found,
        longest=max([1, *(one["waiting"] for one in found)]),
        columns=COLUMNS,
        sort=sort,
        order=order,
        other={name: _other(name, sort, order) for name in COLUMNS},
    )


def _points() -> list[dict[str, Any]]:
    try:
        plan = plan_office.newest(reader(), actor=current_actor())
    except NotFound:
        return []
    return [_point(one) for one in plan.facts["points"]]


def _point(one: Mapping[str, Any]) -> dict[str, Any]:
    days = {name: date.fromisoformat(one[name]) if one[name] else None for name in ("courier", "last")}
    waiting = one["remakes"] + one["clocks"] + one["cohort"]
    return {**one, **days, "name": pick(one["ru"], one["en"]), "waiting": waiting}


def _other(name: str, sort: str, order: str) -> str:
    """The order that a press on a column's head brings: turned round where the table is sorted by it already."""
    natural = ORDERS[name in FIRST]
    return natural if name != sort else ORDERS[order == ORDERS[0]]
