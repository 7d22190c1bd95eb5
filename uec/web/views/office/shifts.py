"""Shifts: open one's own, issue blanks to one, the live balance by box, spoil, give back, close."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import NotAllowed
from uec.domain.permissions import Permission
from uec.domain.stock import Place, ShiftState, parse_ranges
from uec.services import rows, stations, stock_balance, stock_intake, stock_lists, stock_shifts
from uec.store.tables import StockShift
from uec.web.access import current_actor, needs
from uec.web.context import database, now, reader
from uec.web.paging import number
from uec.web.texts import _
from uec.web.views.office.room import blueprint
from uec.web.views.office.stock_transfers import NAMED_LIMIT, REFUSALS, contents_of_form, refused, why

MAY_SEE = (Permission.OPERATE_SHIFT, Permission.KEEP_STOCK, Permission.VIEW_STOCK)


@blueprint.route("/shifts", methods=["GET", "POST"])
@needs(*MAY_SEE)
def shifts() -> ResponseReturnValue:
    """List shifts; open one's own."""
    actor = current_actor()
    if request.method == "POST":
        actor.require(Permission.OPERATE_SHIFT)
        try:
            opened = stock_shifts.open_shift(
                database(),
                store_id=number(request.form.get("store", "")) or 0,
                station_id=number(request.form.get("station", "")),
                actor=actor,
                now=now(),
            )
        except REFUSALS as error:
            return refused(error, url_for(".shifts"))
        flash(_("Your shift is open. A store keeper issues blanks to it."), "success")
        return redirect(url_for(".shift", shift_id=opened))
    session = reader()
    own = None if actor.may(Permission.VIEW_STOCK) else actor.staff_id
    found = stock_shifts.list_shifts(session, operator_id=own)
    return render_template(
        "office/shifts.html",
        rows=found,
        stores=stock_intake.list_stores(session),
        names={one.id: one.name for one in stock_intake.list_stores(session)},
        stations=stations.list_stations(session, now=now()),
        people=stock_lists.names_of(session, [one.operator_id for one in found]),
    )


def _shown(shift_id: int) -> dict[str, object]:
    session, actor = reader(), current_actor()
    row = rows.present(session, StockShift, shift_id)
    return {
        "row": row,
        "balance": stock_balance.by_shift(session, shift_id, actor=actor).balance,
        "lines": stock_shifts.box_lines(session, shift_id),
        "own": row.operator_id == actor.staff_id and actor.may(Permission.OPERATE_SHIFT),
        "open": row.state is ShiftState.OPEN,
    }


@blueprint.get("/shifts/<int:shift_id>")
@needs(*MAY_SEE)
def shift(shift_id: int) -> ResponseReturnValue:
    """Show a shift with its balance and what may be done in it now."""
    return _page(shift_id)


def _page(shift_id: int, *, failed: str = "", refusal: str = "") -> str:
    """The page, with what was typed into the form that was refused."""
    session, shown = reader(), _shown(shift_id)
    row = rows.present(session, StockShift, shift_id)
    named = request.args.get("box", "")[:NAMED_LIMIT]
    return render_template(
        "office/shift.html",
        named=named,
        store=stock_lists.title_of(session, "point", row.store_id),
        people=stock_lists.names_of(session, [row.operator_id, row.closed_by]),
        in_store=stock_lists.boxes_of(session, Place.STORE, store_id=row.store_id, named=named),
        in_hand=stock_lists.boxes_of(session, Place.HAND, shift_id=row.id),
        failed=failed,
        refusal=refusal,
        typed=request.form,
        **shown,
    )


@blueprint.get("/shifts/<int:shift_id>/part")
@needs(*MAY_SEE)
def shift_part(shift_id: int) -> ResponseReturnValue:
    """Give the part of the page that follows the work."""
    return render_template("parts/shift_balance.html", **_shown(shift_id))


@blueprint.get("/shifts/<int:shift_id>/<what>")
@needs(*MAY_SEE)
def shift_again(shift_id: int, what: str) -> ResponseReturnValue:
    """Lead who reloads a form that was refused back to the shift."""
    if what not in {"issue", "give-back", "set-aside", "spoil", "miss", "close"}:
        abort(404)
    return redirect(url_for(".shift", shift_id=shift_id))


@blueprint.post("/shifts/<int:shift_id>/<what>")
@needs(Permission.OPERATE_SHIFT, Permission.KEEP_STOCK, Permission.CONTROL_QUALITY)
def shift_do(shift_id: int, what: str) -> ResponseReturnValue:
    """Issue, give back, set aside, spoil, record as missing, close."""
    here, actor, session = url_for(".shift", shift_id=shift_id), current_actor(), database()
    reason = request.form.get("reason", "")
    try:
        if what == "issue":
            stock_shifts.issue(session, shift_id, contents_of_form(), actor=actor, now=now())
        elif what == "give-back":
            stock_shifts.give_back(session, shift_id, contents_of_form(), actor=actor, now=now())
        elif what == "set-aside":
            stock_shifts.set_aside(session, shift_id, actor=actor, now=now())
        elif what == "close":
            stock_shifts.close(session, shift_id, actor=actor, now=now(), reason=reason)
        else:
            write_off = stock_shifts.spoil if what == "spoil" else stock_shifts.miss
            chips = parse_ranges(request.form.get("chips", ""))
            write_off(session, shift_id, chips, reason=reason, actor=actor, now=now())
    except REFUSALS as error:
        return _page(shift_id, failed=what, refusal=why(error)), 409
    except NotAllowed as error:
        if error.code != NotAllowed.code or what != "close":
            raise
        session.rollback()
        refusal = _("This shift is not yours. Its operator closes it, or quality does with a reason.")
        return _page(shift_id, failed=what, refusal=refusal), 409
    flash(_("The shift is closed.") if what == "close" else _("It is recorded."), "success")
    return redirect(here)
