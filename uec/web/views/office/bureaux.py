"""Outside bureaux: partners and their certificates, orders with their reconciliation, files both ways."""

from typing import BinaryIO, cast

from flask import abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from uec.domain.bureau import BureauRefused, Certificates, CertificateUse
from uec.domain.errors import InvalidInput, SamePerson, UecError
from uec.domain.permissions import Permission
from uec.domain.stock import StockRefused
from uec.services import (
    bureau_drawing,
    bureau_lists,
    bureau_masters,
    bureau_orders,
    bureaux,
    rules,
    stock_lists,
)
from uec.services.rows import present
from uec.store.tables import Batch, Bureau
from uec.web import bureau_files
from uec.web.access import current_actor, needs
from uec.web.bureau_words import FILE_KINDS, found, held_up, why
from uec.web.context import database, now, office, reader
from uec.web.paging import PAGE_ROWS, number, offset
from uec.web.partner_files import takes_partner_files
from uec.web.stock_words import told as told_of_stock
from uec.web.texts import _
from uec.web.views.office.room import blueprint
from uec.web.wording import SENTENCES

REFUSALS = (BureauRefused, StockRefused, SamePerson, InvalidInput)


def _told(error: UecError) -> str:
    say = SENTENCES.get(error.code)
    if say is not None:
        return say(error)
    return told_of_stock(error) if isinstance(error, StockRefused) else _("Check what was typed.")


def _refused(session: Session, error: UecError, back: str) -> ResponseReturnValue:
    session.rollback()
    flash(_told(error), "info")
    return redirect(back)


def _missing(session: Session, bureau_id: int) -> str:
    try:
        bureaux.ready_for_orders(session, bureau_id, now=now())
    except BureauRefused as error:
        return _told(error)
    return ""


@blueprint.get("/bureaux")
@needs(Permission.VIEW_BATCHES, Permission.KEEP_STOCK, Permission.MANAGE_STATIONS)
def bureaux_list() -> ResponseReturnValue:
    """List bureaux and orders; what can be ordered, and where files are brought."""
    session = reader()
    partners = bureaux.list_bureaux(session)
    return render_template(
        "office/bureaux.html",
        partners=partners,
        missing={one.id: _missing(session, one.id) for one in partners},
        orders=bureau_lists.orders(session, offset=offset(), limit=PAGE_ROWS),
        batches=bureau_lists.orderable_batches(session),
        ways=Certificates,
        limit_mb=office().settings.bureau_file_mb,
        strays=bureau_lists.refused_files(session, limit=10),
        found=found,
    )


@blueprint.get("/bureaux/<int:bureau_id>")
@needs(Permission.VIEW_BATCHES, Permission.KEEP_STOCK, Permission.MANAGE_STATIONS)
def bureau(bureau_id: int) -> ResponseReturnValue:
    """Show a bureau, its certificates and its orders."""
    session = reader()
    row = present(session, Bureau, bureau_id)
    certificates = bureaux.certificates(session, bureau_id)
    people = {one for row_ in certificates for one in (row_.proposed_by, row_.approved_by)}
    return render_template(
        "office/bureau.html",
        row=row,
        certificates=certificates,
        names=stock_lists.names_of(session, (row.proposed_by, row.approved_by, *people)),
        missing=_missing(session, bureau_id),
        orders=bureau_lists.orders(session, bureau_id=bureau_id, offset=offset(), limit=PAGE_ROWS),
        held=bureau_masters.held(session, bureau_id),
        uses=CertificateUse,
    )


@blueprint.post("/bureaux/<int:bureau_id>/<what>")
@needs(Permission.MANAGE_STATIONS)
def bureau_step(bureau_id: int, what: str) -> ResponseReturnValue:
    """Approve or end a bureau, bring, approve or end a certificate of it."""
    session, actor, here = database(), current_actor(), url_for(".bureau", bureau_id=bureau_id)
    certificate = number(request.form.get("certificate", "")) or 0
    try:
        if what == "approve":
            bureaux.approve(session, bureau_id, actor=actor, now=now())
        elif what == "end":
            bureaux.end(session, bureau_id, actor=actor, now=now())
        elif what == "certificate":
            upload = request.files.get("file")
            use = CertificateUse(request.form.get("use", CertificateUse.SIGNATURE))
            content = upload.read() if upload else b""
            bureaux.add_certificate(session, bureau_id, content, use=use, actor=actor, now=now())
        elif what == "approve-certificate":
            bureaux.approve_certificate(session, certificate, actor=actor, now=now())
        elif what == "end-certificate":
            bureaux.end_certificate(session, certificate, actor=actor, now=now())
        else:
            abort(404)
    except ValueError:
        abort(400)
    except REFUSALS as error:
        return _refused(session, error, here)
    flash(_("It is recorded."), "success")
    return redirect(here)


@blueprint.post("/bureaux/orders")
@needs(Permission.PLAN_BATCH)
def draw_order() -> ResponseReturnValue:
    """Draw up an order for a batch."""
    session, back = database(), url_for(".bureaux_list")
    try:
        way = Certificates(request.form.get("certificates", Certificates.HAND_OVER))
        batch = present(session, Batch, number(request.form.get("batch", "")) or 0)
        bureau_id = number(request.form.get("bureau", "")) or bureau_drawing.required(session, batch).id
        drawing = bureau_orders.Drawing(batch.id, bureau_id, way)
        profile = rules.card_profile(office().settings, batch.profile)
        made = bureau_orders.draw(session, drawing, profile=profile, actor=current_actor(), now=now())
    except ValueError:
        abort(400)
    except REFUSALS as error:
        return _refused(session, error, back)
    flash(_("The order is drawn up. A colleague approves it."), "success")
    return redirect(url_for(".bureau_order", order_id=made))


@blueprint.get("/bureaux/orders/<int:order_id>")
@needs(Permission.VIEW_BATCHES, Permission.KEEP_STOCK)
def bureau_order(order_id: int) -> ResponseReturnValue:
    """Show an order: what became of its cards and blanks, its files and consignments."""
    session = reader()
    page = bureau_lists.order_page(session, order_id)
    return render_template(
        "office/bureau_order.html",
        page=page,
        row=page.row,
        sums=page.sums,
        names=stock_lists.names_of(session, (page.row.drawn_by, page.row.approved_by)),
        file_kinds=FILE_KINDS,
        found=found,
        why=why,
        held_up=held_up(page.row.held_up_by, page.row.held_up_why),
        here={one.id for one in page.files if bureau_files.made(page.bureau.code, one.name)},
    )


@blueprint.post("/bureaux/orders/<int:order_id>/<what>")
@needs(Permission.PLAN_BATCH, Permission.RELEASE_BATCH, Permission.KEEP_STOCK)
def bureau_order_step(order_id: int, what: str) -> ResponseReturnValue:
    """Approve, cancel or close an order; receive a consignment of it."""
    session, actor, here = database(), current_actor(), url_for(".bureau_order", order_id=order_id)
    try:
        if what == "approve":
            bureau_orders.approve(session, order_id, actor=actor, now=now())
        elif what == "cancel":
            bureau_orders.cancel(session, order_id, reason=request.form.get("reason", ""), actor=actor, now=now())
        elif what == "close":
            bureau_orders.close(session, order_id, actor=actor, now=now())
        elif what == "receive":
            consignment = number(request.form.get("consignment", "")) or 0
            bureau_orders.receive(session, consignment, request.form.get("seal", ""), actor=actor, now=now())
        else:
            abort(404)
    except REFUSALS as error:
        return _refused(session, error, here)
    flash(_("It is recorded."), "success")
    return redirect(here)


@blueprint.get("/bureaux/orders/<int:order_id>/files/<int:file_id>")
@needs(Permission.RELEASE_BATCH)
def bureau_order_file(order_id: int, file_id: int) -> ResponseReturnValue:
    """Give a signed and encrypted order, or an answer, to whoever takes it to the bureau."""
    page = bureau_lists.order_page(reader(), order_id)
    path = bureau_files.made(page.bureau.code, bureau_lists.sent_file(reader(), order_id, file_id).name)
    if path is None:
        abort(404)
    return send_file(path, mimetype=bureau_files.CONTENT_TYPE, as_attachment=True, download_name=path.name)


@blueprint.post("/bureaux/files")
@needs(Permission.PRODUCE_CARD)
@takes_partner_files
def bring_bureau_file() -> ResponseReturnValue:
    """Take a file that a bureau gave; it counts whole or not at all."""
    session, back, upload = database(), url_for(".bureaux_list"), request.files.get("file")
    if upload is None or not upload.filename:
        flash(_("Choose the file that the bureau gave."), "info")
        return redirect(back)
    try:
        taken = bureau_files.take(cast("BinaryIO", upload.stream), upload.filename)
    except REFUSALS as error:
        return _refused(session, error, back)
    order = bureau_lists.find_order(session, taken.order)
    flash(_("The file is taken: %(kind)s.", kind=str(FILE_KINDS[taken.kind.value]).lower()), "success")
    return redirect(url_for(".bureau_order", order_id=order.id))
