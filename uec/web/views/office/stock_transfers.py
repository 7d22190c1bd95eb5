"""Consignments between stores: send under a seal, compare seal and count, receive, dispute, settle, recall."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import IllegalMove, InvalidInput, SamePerson, Stale, UecError
from uec.domain.permissions import Permission
from uec.domain.stock import Place, StockRefused, parse_ranges
from uec.services import rows, stock_intake, stock_lists, stock_transfers
from uec.services.quality_refusals import Quarantined
from uec.services.stock_ledger import Wanted
from uec.services.stock_transfers import Found
from uec.store.tables import StockTransfer
from uec.web.access import current_actor, needs
from uec.web.context import database, now, reader
from uec.web.paging import PAGE_ROWS, number, offset
from uec.web.stock_words import told
from uec.web.texts import _
from uec.web.views.office.room import blueprint
from uec.web.wording import sentence

NAMED_LIMIT = 60
REFUSALS = (StockRefused, InvalidInput, Quarantined, SamePerson, IllegalMove, Stale)
"""What the clerk is told on the page itself, beside what was typed."""


def contents_of_form() -> list[Wanted]:
    """Boxes that were ticked, each with the count typed beside it (empty: all) or, instead, the chips named.

    And whole boxes by the numbers on them, which a scanner types line by line.
    """
    chosen = []
    for box_id in (number(text) for text in request.form.getlist("box")):
        if box_id is None:
            raise InvalidInput("Choose boxes from the list.", field="box")
        typed = request.form.get(f"count-{box_id}", "").strip()
        count = number(typed) if typed else None
        if typed and count is None:
            raise InvalidInput("Give a count in figures.", field="count")
        chips = parse_ranges(request.form.get(f"chips-{box_id}", ""))
        seen = number(request.form.get(f"seen-{box_id}", ""))
        chosen.append(Wanted(box_id, count if not chips else None, tuple(chips), seen))
    ticked = {one.box_id for one in chosen}
    named = stock_lists.boxes_of_numbers(reader(), request.form.get("numbers", "").split())
    chosen += [Wanted(box_id) for box_id in named if box_id not in ticked]
    if not chosen:
        raise InvalidInput("Choose at least one box.", field="box")
    return chosen


def why(error: UecError) -> str:
    """Undo what was begun; why it was refused, in the visitor's language."""
    database().rollback()
    if isinstance(error, IllegalMove | Stale):
        return _("Something has changed meanwhile. This is how it stands now.")
    return (sentence(error) if isinstance(error, SamePerson) else None) or told(error)


def refused(error: UecError, back: str) -> ResponseReturnValue:
    """Say on the page it came from why something was not done."""
    flash(why(error), "info")
    return redirect(back)


@blueprint.route("/stock/transfers", methods=["GET", "POST"])
@needs(Permission.KEEP_STOCK, Permission.VIEW_STOCK)
def transfers() -> ResponseReturnValue:
    """List consignments; send one."""
    stores = stock_intake.list_stores(reader())
    giver = number(request.values.get("giver", "")) or (stores[0].id if stores else 0)
    named = request.args.get("box", "")[:NAMED_LIMIT]
    if request.method == "POST":
        actor = current_actor()
        actor.require(Permission.KEEP_STOCK)
        try:
            sent = stock_transfers.send(
                database(),
                giver_id=giver,
                taker_id=number(request.form.get("taker", "")) or 0,
                seal=request.form.get("seal", ""),
                contents=contents_of_form(),
                actor=actor,
                now=now(),
            )
        except REFUSALS as error:
            return _list(giver, named, refusal=why(error)), 409
        flash(_("The consignment is on its way."), "success")
        return redirect(url_for(".transfer", transfer_id=sent))
    return _list(giver, named)


def _list(giver: int, named: str, *, refusal: str = "") -> str:
    """The list with the form to send, and what was typed there when it was refused."""
    session = reader()
    stores = stock_intake.list_stores(session)
    return render_template(
        "office/stock_transfers.html",
        refusal=refusal,
        failed="send" if refusal else "",
        typed=request.form,
        page=stock_transfers.list_transfers(session, limit=PAGE_ROWS, offset=offset()),
        stores=stores,
        names={one.id: one.name for one in stores},
        giver=giver,
        boxes=stock_lists.boxes_of(session, Place.STORE, store_id=giver, named=named),
        named=named,
    )


@blueprint.get("/stock/transfers/<int:transfer_id>")
@needs(Permission.KEEP_STOCK, Permission.VIEW_STOCK)
def transfer(transfer_id: int) -> ResponseReturnValue:
    """Show a consignment and what may be done with it now."""
    return _consignment(transfer_id)


def _consignment(transfer_id: int, *, failed: str = "", refusal: str = "") -> str:
    session = reader()
    row = rows.present(session, StockTransfer, transfer_id)
    return render_template(
        "office/stock_transfer.html",
        row=row,
        names={one.id: one.name for one in stock_intake.list_stores(session)},
        people=stock_lists.names_of(session, (row.sent_by, row.received_by)),
        ranges=stock_lists.ranges_on_the_way(session, transfer_id),
        failed=failed,
        refusal=refusal,
        typed=request.form,
    )


@blueprint.get("/stock/transfers/<int:transfer_id>/<what>")
@needs(Permission.KEEP_STOCK, Permission.VIEW_STOCK)
def transfer_again(transfer_id: int, what: str) -> ResponseReturnValue:
    """Lead who reloads a form that was refused back to the consignment."""
    if what not in {"receive", "dispute", "settle", "recall"}:
        abort(404)
    return redirect(url_for(".transfer", transfer_id=transfer_id))


@blueprint.post("/stock/transfers/<int:transfer_id>/<what>")
@needs(Permission.KEEP_STOCK, Permission.CONTROL_QUALITY)
def transfer_end(transfer_id: int, what: str) -> ResponseReturnValue:
    """Receive, dispute, settle or recall a consignment."""
    here, actor, reason = url_for(".transfer", transfer_id=transfer_id), current_actor(), request.form.get("reason", "")
    found = Found(request.form.get("seal", ""), number(request.form.get("blanks", "").strip() or "x") or 0)
    session = database()
    try:
        if what == "receive":
            stock_transfers.receive(session, transfer_id, found, actor=actor, now=now())
        elif what == "dispute":
            stock_transfers.dispute(session, transfer_id, found, remark=reason, actor=actor, now=now())
        elif what == "settle":
            missing = parse_ranges(request.form.get("chips", ""))
            stock_transfers.settle(session, transfer_id, missing=missing, remark=reason, actor=actor, now=now())
        else:
            stock_transfers.recall(session, transfer_id, reason=reason, actor=actor, now=now())
    except REFUSALS as error:
        return _consignment(transfer_id, failed=what, refusal=why(error)), 409
    flash(_("It is recorded."), "success")
    return redirect(here)
