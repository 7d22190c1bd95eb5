"""Acts of destruction: what waits in a store, the proposal, the printable act, the second person's confirmation."""

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.services import rows, stock_destruction, stock_intake, stock_lists
from uec.services.printing import FONTS
from uec.services.stock_act import act_pdf
from uec.store.tables import StockDestruction
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, reader
from uec.web.paging import number
from uec.web.texts import _, ngettext
from uec.web.views.office.room import blueprint
from uec.web.views.office.stock_transfers import REFUSALS, refused

MAY_SEE = (Permission.DESTROY_STOCK, Permission.VIEW_STOCK)


@blueprint.route("/stock/destruction", methods=["GET", "POST"])
@needs(*MAY_SEE)
def destruction() -> ResponseReturnValue:
    """List acts and what waits; propose an act."""
    session = reader()
    if request.method == "POST":
        actor = current_actor()
        actor.require(Permission.DESTROY_STOCK)
        try:
            act_id = stock_destruction.propose(
                database(),
                store_id=number(request.form.get("store", "")) or 0,
                method=request.form.get("method", ""),
                actor=actor,
                now=now(),
            )
        except InvalidInput as error:
            database().rollback()
            nothing = error.facts.get("field") == "store"
            flash(
                _("Nothing waits for destruction in this store.") if nothing else _("Say how they are destroyed."),
                "info",
            )
            return redirect(url_for(".destruction"))
        flash(_("The act is proposed. A second person confirms it."), "success")
        return redirect(url_for(".destruction_act", act_id=act_id))
    stores = stock_intake.list_stores(session)
    waiting = dict.fromkeys((one.id for one in stores), 0) | stock_destruction.waiting(session)
    return render_template(
        "office/stock_destruction.html",
        acts=stock_destruction.list_acts(session),
        stores=stores,
        names={one.id: one.name for one in stores},
        waiting=waiting,
    )


@blueprint.get("/stock/destruction/<int:act_id>")
@needs(*MAY_SEE)
def destruction_act(act_id: int) -> ResponseReturnValue:
    """Show an act as it is printed and signed."""
    session = reader()
    row = rows.present(session, StockDestruction, act_id)
    listed = stock_destruction.reasons(session, row)
    return render_template(
        "office/stock_act.html",
        row=row,
        store=stock_lists.title_of(session, "point", row.store_id),
        people=stock_lists.names_of(session, [row.proposed_by, row.ended_by]),
        listed=listed,
        boxes=stock_lists.box_numbers(session, {part.box_id for part, _why in listed}),
    )


@blueprint.get("/stock/destruction/<int:act_id>.pdf")
@needs(*MAY_SEE)
def destruction_paper(act_id: int) -> ResponseReturnValue:
    """Give the act as PDF, with room for both signatures."""
    chosen = office().settings
    paper = act_pdf(
        reader(),
        act_id,
        fonts=FONTS,
        office=chosen.pki.organisation,
        zone=chosen.policy.zone,
        actor=current_actor(),
        now=now(),
    )
    return Response(
        paper, mimetype="application/pdf", headers={"Content-Disposition": f'inline; filename="act-{act_id}.pdf"'}
    )


@blueprint.post("/stock/destruction/<int:act_id>/<what>")
@needs(Permission.DESTROY_STOCK)
def destruction_end(act_id: int, what: str) -> ResponseReturnValue:
    """Confirm an act as the second person, or call it off."""
    here, actor = url_for(".destruction_act", act_id=act_id), current_actor()
    try:
        if what == "confirm":
            count = stock_destruction.confirm(database(), act_id, actor=actor, now=now())
            flash(ngettext("%(num)d card is destroyed.", "%(num)d cards are destroyed.", count), "success")
        else:
            reason = request.form.get("reason", "")
            stock_destruction.withdraw(database(), act_id, reason=reason, actor=actor, now=now())
            flash(_("The act is withdrawn; everything lies where it lay."), "success")
    except REFUSALS as error:
        return refused(error, here)
    return redirect(here)
