"""Residents whom a full export of the register did not name: a clerk says of each whether they stay."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.absences import AbsenceState
from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.services import register_absences as service
from uec.web.access import current_actor, needs
from uec.web.context import database, now, reader
from uec.web.paging import PAGE_ROWS, number
from uec.web.texts import _
from uec.web.views.office.room import blueprint


@blueprint.get("/missing")
@needs(Permission.DECIDE_APPLICATION)
def missing() -> ResponseReturnValue:
    """List those that wait for a decision, or all."""
    after = number(request.args.get("after", "0")) or 0
    every = request.args.get("state") == "all"
    rows = service.list_open(reader(), actor=current_actor(), after=after, limit=PAGE_ROWS + 1, everything=every)
    return render_template(
        "office/missing.html",
        rows=rows[:PAGE_ROWS],
        more=len(rows) > PAGE_ROWS,
        after=after,
        every=every,
        waiting=service.open_count(reader()),
    )


@blueprint.post("/missing/<int:absence_id>")
@needs(Permission.DECIDE_APPLICATION)
def decide_missing(absence_id: int) -> ResponseReturnValue:
    """Take the clerk's decision about one of them."""
    verdict = AbsenceState.GONE if request.form.get("verdict") == "gone" else AbsenceState.STAYS
    reason = request.form.get("reason", "")
    try:
        service.decide(database(), absence_id, verdict, reason=reason, actor=current_actor(), now=now())
    except InvalidInput:
        flash(_("Give the reason: the papers that were seen, or what the register answered."), "info")
    else:
        flash(_("It is recorded."), "success")
    return redirect(url_for(".missing"))
