"""Quality: who and what is in quarantine, by which evidence; release and quarantine by hand."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.domain.quality import rule_of
from uec.domain.stock import SubjectKind
from uec.services import card_looks, rows, staff, stations, stock_lists
from uec.services import quality as service
from uec.services.quality_refusals import Quarantined
from uec.store.tables import Quarantine
from uec.web.access import current_actor, needs
from uec.web.context import database, now, policy, reader
from uec.web.problem_words import problem_of_code
from uec.web.texts import _
from uec.web.views.office.room import blueprint
from uec.web.views.office.stock_transfers import refused

MAY_SEE = (Permission.CONTROL_QUALITY, Permission.VIEW_STOCK)


@blueprint.route("/quality", methods=["GET", "POST"])
@needs(*MAY_SEE)
def quality() -> ResponseReturnValue:
    """List quarantines; impose one by hand."""
    session, actor = reader(), current_actor()
    if request.method == "POST":
        actor.require(Permission.CONTROL_QUALITY)
        kind, _colon, subject = request.form.get("subject", "").partition(" ")
        try:
            if kind not in set(SubjectKind):
                raise InvalidInput("Choose what is quarantined.", field="subject")
            made = service.impose(
                database(),
                SubjectKind(kind),
                subject or request.form.get("lot", "").strip().lower(),
                reason=request.form.get("reason", ""),
                actor=actor,
                now=now(),
            )
        except InvalidInput as error:
            if error.facts.get("field") == "reason":
                return refused(error, url_for(".quality"))
            flash(_("Choose what is quarantined; a chip lot has 12 hexadecimal digits."), "info")
            return redirect(url_for(".quality"))
        except Quarantined:
            database().rollback()
            flash(_("It is in quarantine already."), "info")
            return redirect(url_for(".quality"))
        flash(_("It is in quarantine and gets no card."), "success")
        return redirect(url_for(".quarantine", quarantine_id=made))
    band = policy().quality_band
    return render_template(
        "office/quality.html",
        rows=service.list_quarantines(session),
        stations=stations.list_stations(session, now=now()),
        people=staff.list_staff(session),
        band=band,
        kinds=SubjectKind,
        soon=round(rule_of(band).average_run(band.intolerable)),
        batches=card_looks.waiting(session, actor=actor) if actor.may(Permission.VIEW_STOCK) else [],
        plan=policy().sampling_plan,
    )


@blueprint.get("/quality/<int:quarantine_id>")
@needs(*MAY_SEE)
def quarantine(quarantine_id: int) -> ResponseReturnValue:
    """Show a quarantine with its evidence."""
    session = reader()
    row = rows.present(session, Quarantine, quarantine_id)
    return render_template(
        "office/quarantine.html",
        row=row,
        people=stock_lists.names_of(session, [row.imposed_by, row.released_by]),
        problem=problem_of_code,
    )


@blueprint.post("/quality/<int:quarantine_id>/release")
@needs(Permission.CONTROL_QUALITY)
def quarantine_release(quarantine_id: int) -> ResponseReturnValue:
    """Let it work again."""
    here = url_for(".quarantine", quarantine_id=quarantine_id)
    try:
        service.release(
            database(), quarantine_id, reason=request.form.get("reason", ""), actor=current_actor(), now=now()
        )
    except InvalidInput as error:
        return refused(error, here)
    flash(_("It is released and may work again."), "success")
    return redirect(here)
