"""Routes of the API for outside bureaux: what a program of the office, or of a partner's gateway, does with orders.

The file of an approved order is made by the job `bureaux`, which alone talks to the vault: once a minute, or at once by
`POST /api/jobs/bureaux/runs`.
"""

from typing import Any, BinaryIO, cast

from flask import request, send_file
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnsupportedMediaType

from uec.domain.bureau import BureauRefused, OrderState
from uec.domain.errors import NotFound
from uec.domain.permissions import Permission
from uec.services import bureau_drawing, bureau_lists, bureau_masters, bureau_orders, bureaux, rules
from uec.services.bureau_lists import OrderPage, OrderRow
from uec.services.views import Page
from uec.store.tables import Bureau
from uec.web import bureau_files
from uec.web.access import current_actor, needs
from uec.web.api import bureau_schemas, schemas
from uec.web.api.routes import Values, at, gives, gives_file, takes, takes_file
from uec.web.context import database, now, office, reader
from uec.web.partner_files import takes_partner_files

TAKEN_TYPES = (bureau_files.CONTENT_TYPE, "application/pkcs7-signature", "application/octet-stream")
VIEWERS = (Permission.VIEW_BATCHES, Permission.KEEP_STOCK)


@at("/bureaux", secured=True)
@gives(200, bureau_schemas.BureauOutput(many=True))
@needs(*VIEWERS, Permission.MANAGE_STATIONS)
def list_bureaux() -> list[dict[str, Any]]:
    """List the outside bureaux, their certificates, and the card keys that each holds."""
    session = reader()
    return [
        {
            "code": one.code,
            "name": one.name,
            "state": one.state,
            "cards_per_day": one.cards_per_day,
            "transport_version": one.transport_version,
            "missing": _missing(one),
            "certificates": bureaux.certificates(session, one.id),
            "keys": bureau_masters.held(session, one.id),
        }
        for one in bureaux.list_bureaux(session)
    ]


def _missing(bureau: Bureau) -> str:
    try:
        bureaux.ready_for_orders(reader(), bureau.id, now=now())
    except BureauRefused as error:
        return error.finding
    return ""


@at("/bureaux/orders", secured=True)
@takes(bureau_schemas.OrdersInput, "query")
@gives(200, schemas.paged(bureau_schemas.OrderRowOutput))
@needs(*VIEWERS)
def list_orders(values: Values) -> Page[OrderRow]:
    """List orders to bureaux, the newest first."""
    session = reader()
    states: tuple[OrderState, ...] = (values["state"],) if "state" in values else ()
    bureau_id = bureaux.find(session, values["bureau"]).id if values["bureau"] else None
    return bureau_lists.orders(
        session, bureau_id=bureau_id, states=states, offset=values["offset"], limit=values["limit"]
    )


@at("/bureaux/orders", "POST", secured=True)
@takes(bureau_schemas.OrderInput)
@gives(201, bureau_schemas.OrderOutput)
@needs(Permission.PLAN_BATCH)
def draw_order(values: Values) -> OrderPage:
    """Draw up an order for a released and prepared batch; another person approves it."""
    session = database()
    batch = bureau_orders.find_batch(session, values["batch"])
    profile = rules.card_profile(office().settings, batch.profile)
    code = values["bureau"]
    bureau = bureaux.find(session, code) if code else bureau_drawing.required(session, batch)
    way = values["certificates"] or bureau_orders.usual_way(profile)
    drawing = bureau_orders.Drawing(batch.id, bureau.id, way, values["spare"])
    made = bureau_orders.draw(session, drawing, profile=profile, actor=current_actor(), now=now())
    return bureau_lists.order_page(session, made)


@at("/bureaux/orders/<number>", secured=True)
@gives(200, bureau_schemas.OrderOutput)
@needs(*VIEWERS)
def one_order(number: str) -> OrderPage:
    """Show an order: its state, the reconciliation of its cards and blanks, its files and consignments."""
    session = reader()
    return bureau_lists.order_page(session, bureau_lists.find_order(session, number).id)


@at("/bureaux/orders/<number>/approve", "POST", secured=True)
@gives(200, bureau_schemas.OrderOutput)
@needs(Permission.RELEASE_BATCH)
def approve_order(number: str) -> OrderPage:
    """Let an order go out, as another person than the one who drew it up."""
    session = database()
    order_id = bureau_lists.find_order(session, number).id
    bureau_orders.approve(session, order_id, actor=current_actor(), now=now())
    return bureau_lists.order_page(session, order_id)


@at("/bureaux/orders/<number>/cancel", "POST", secured=True)
@takes(bureau_schemas.CancelInput)
@gives(200, bureau_schemas.OrderOutput)
@needs(Permission.PLAN_BATCH)
def cancel_order(values: Values, number: str) -> OrderPage:
    """Call an order off before it is sent: its blanks go back, its batch may be made elsewhere."""
    session = database()
    order_id = bureau_lists.find_order(session, number).id
    bureau_orders.cancel(session, order_id, reason=values["reason"], actor=current_actor(), now=now())
    return bureau_lists.order_page(session, order_id)


@at("/bureaux/orders/<number>/files/<int:file_id>", secured=True)
@gives_file(bureau_files.CONTENT_TYPE, "signed and encrypted CMS")
@needs(Permission.RELEASE_BATCH)
def order_file(number: str, file_id: int) -> ResponseReturnValue:
    """Give a file that was made for the bureau: the order, or an answer with certificates, signed and encrypted."""
    session = reader()
    page = bureau_lists.order_page(session, bureau_lists.find_order(session, number).id)
    name = bureau_lists.sent_file(session, page.row.id, file_id).name
    path = bureau_files.made(page.bureau.code, name)
    if path is None:
        raise NotFound(f"{name} does not lie here any more: the bureau has fetched it.", kind="BureauFile", id=file_id)
    return send_file(path, mimetype=bureau_files.CONTENT_TYPE, as_attachment=True, download_name=name)


@at("/bureaux/files", "POST", secured=True)
@takes_file(bureau_files.CONTENT_TYPE)
@takes(bureau_schemas.FileInput, "query")
@gives(201, bureau_schemas.TakenOutput)
@needs(Permission.PRODUCE_CARD)
@takes_partner_files
def take_file(values: Values) -> object:
    """Take an acknowledgement or results, the body as the bureau signed it; it counts whole or not at all.

    What is refused is recorded, moves nothing, and is told with its `finding`.
    """
    if request.mimetype not in TAKEN_TYPES:
        raise UnsupportedMediaType
    return bureau_files.take(cast("BinaryIO", request.stream), values["name"])
