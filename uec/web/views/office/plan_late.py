"""Who is late by the plan, person by person: what the overview counts, to be opened."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from issuance.planning.reasons import REASONS, Reason
from issuance.planning.region import Kind
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.permissions import Permission
from uec.services import plan_late, plan_region
from uec.services.plan_late import Wanted
from uec.web import plan_words
from uec.web.access import current_actor, needs
from uec.web.context import reader
from uec.web.paging import PAGE_ROWS, number, offset
from uec.web.views.office.room import blueprint


@blueprint.get("/plan/late")
@needs(Permission.VIEW_BATCHES)
def planning_late() -> ResponseReturnValue:
    """List those who are late or without a day, all of them or of one reason, class, point or card variant."""
    wanted = _wanted()
    try:
        page = plan_late.people(reader(), wanted, actor=current_actor(), limit=PAGE_ROWS, offset=offset())
    except (NotFound, InvalidInput):
        # Without a plan, or with one of another edition whose counts were not kept: nobody can be late by it.
        page = None
    return render_template(
        "office/planning_late.html",
        page=page,
        wanted=wanted,
        points=list(plan_region.office_points(reader()).values()),
        kind_words=plan_words.kinds(),
        reason_words=plan_words.reasons(),
    )


def _wanted() -> Wanted:
    """What the address asks for; what means nothing asks for all."""
    reason, kind = request.args.get("reason", ""), number(request.args.get("kind", ""))
    return Wanted(
        reason=Reason(reason) if reason in REASONS else None,
        kind=Kind(kind) if kind is not None and kind in tuple(Kind) else None,
        point=request.args.get("point", "")[:20],
        variant=request.args.get("variant", "")[:40],
    )
