"""Stock of blanks: stores and their balances, deliveries, boxes, and every balance down to the range of chips."""

from typing import Literal

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, IntegerField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, NumberRange

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.domain.stock import StockRefused, StoreKind, parse_ranges
from uec.services import points, stations, stock_balance, stock_cards, stock_intake, stock_lists
from uec.services.stock_intake import DeliveryForm
from uec.services.views import Page
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, reader
from uec.web.forms.fields import PageForm, options
from uec.web.language import pick
from uec.web.paging import PAGE_ROWS, offset
from uec.web.stock_words import told
from uec.web.texts import _, _l, ngettext
from uec.web.views.office.room import blueprint
from uec.web.views.office.stock_transfers import REFUSALS, why

MAY_SEE = (Permission.VIEW_STOCK, Permission.KEEP_STOCK)


class StoreForm(PageForm):
    """A new store."""

    code = StringField(_l("Code of the store"), validators=[InputRequired(_l("Give the store a short code"))])
    name = StringField(_l("Name of the store"), validators=[InputRequired(_l("Give the store a name"))])
    place = SelectField(_l("Where it is"))
    enforced = BooleanField(_l("Only blanks of the shift are written there"))


class NoteForm(PageForm):
    """A maker's delivery note."""

    maker = StringField(_l("Maker of the blanks"), validators=[InputRequired(_l("Name the maker"))])
    note = StringField(_l("Number of the delivery note"), validators=[InputRequired(_l("Give the number of the note"))])
    profile = SelectField(_l("Card profile"))
    store_id = SelectField(_l("Into which store"), coerce=int)
    transport_version = IntegerField(
        _l("Version of the transport key set"),
        validators=[
            InputRequired(_l("Give the version")),
            NumberRange(1, 2**31 - 1, message=_l("Give a number from 1 on")),
        ],
    )
    diversification = SelectField(_l("Diversification of keys"))
    check_value = StringField(
        _l("Check value of the key set"),
        description=_l("As in the maker’s letter; custodians enter the key itself into the vault"),
        validators=[InputRequired(_l("Give the check value"))],
    )
    boxes = TextAreaField(
        _l("Boxes"),
        description=_l("A line for each: number of the box, then its chips as FIRST-LAST, 20 digits each"),
        validators=[InputRequired(_l("Give the boxes"))],
    )


@blueprint.route("/stock", methods=["GET", "POST"])
@needs(*MAY_SEE)
def stock() -> ResponseReturnValue:
    """Show the stores with what is in them; enter a store."""
    actor, form = current_actor(), StoreForm(data={"enforced": True})
    places = [("central", _("Central store"))]
    places += [(f"point-{one.id}", pick(one.name_ru, one.name_en)) for one in points.list_points(reader())]
    places += [
        (f"line-{one.id}", _("Line: %(name)s", name=one.name)) for one in stations.list_stations(reader(), now=now())
    ]
    form.place.choices = options(places)
    if request.method == "POST":
        actor.require(Permission.KEEP_STOCK)
        if form.validate_on_submit() and _add_store(form):
            return redirect(url_for(".stock"))
    page = render_template(
        "office/stock.html",
        stores=stock_intake.list_stores(reader()),
        balances={line.id: line.balance for line in stock_balance.by_store(reader(), actor=actor)},
        deliveries=stock_lists.deliveries(reader()),
        form=form,
    )
    return page, 400 if form.errors else 200


def _add_store(form: StoreForm) -> bool:
    kind, _dash, number = form.place.data.partition("-")
    place = int(number) if number else None
    try:
        stock_intake.add_store(
            database(),
            code=form.code.data,
            name=form.name.data,
            kind=StoreKind(kind.upper()),
            point_id=place if kind == "point" else None,
            station_id=place if kind == "line" else None,
            enforced=form.enforced.data,
            actor=current_actor(),
            now=now(),
        )
    except InvalidInput:
        form.put_errors({"code": "taken"}, lambda _key: _("There is such a store already, or one of this place"))
        return False
    flash(_("The store is entered."), "success")
    return True


@blueprint.post("/stock/stores/<int:store_id>/keep")
@needs(Permission.KEEP_STOCK)
def store_keep(store_id: int) -> ResponseReturnValue:
    """Say whether chips written there must come out of the shift's stock."""
    enforced = request.form.get("enforced") == "yes"
    stock_intake.keep_stock(database(), store_id, enforced=enforced, actor=current_actor(), now=now())
    flash(_("It is set."), "success")
    return redirect(url_for(".stock"))


@blueprint.route("/stock/delivery", methods=["GET", "POST"])
@needs(Permission.KEEP_STOCK)
def delivery() -> ResponseReturnValue:
    """Take a delivery in."""
    known, form = stock_intake.key_sets(reader()), NoteForm(data={"profile": office().settings.default_profile})
    profiles = sorted(path.stem for path in office().settings.profile_dir.glob("*.toml"))
    form.profile.choices = options([(name, name) for name in profiles])
    form.store_id.choices = options([(one.id, one.name) for one in stock_intake.list_stores(reader())])
    form.diversification.choices = options([(name, name.upper()) for name in stock_intake.DIVERSIFICATIONS])
    if form.validate_on_submit():
        try:
            boxes = stock_intake.parse_boxes(form.boxes.data)
            fields = {name: field.data for name, field in form._fields.items() if name not in {"boxes", "csrf_token"}}
            stock_intake.deliver(database(), DeliveryForm(**fields, boxes=boxes), actor=current_actor(), now=now())
        except (InvalidInput, StockRefused) as error:
            database().rollback()
            form.put_errors({_field_of(error): told(error)}, str)
        else:
            flash(_("The delivery is in the stock."), "success")
            return redirect(url_for(".stock"))
    page = render_template("office/stock_delivery.html", form=form, key_sets=sorted(known.items()))
    return page, 400 if form.errors else 200


def _field_of(error: InvalidInput | StockRefused) -> str:
    if error.code == "uec.unknown_key_set":
        return "check_value"
    named = str(error.facts.get("field", "boxes"))
    return named if named in NoteForm.__dict__ else "boxes"


@blueprint.get("/stock/boxes")
@needs(*MAY_SEE)
def boxes() -> ResponseReturnValue:
    """Every box with its balance."""
    return _balances("box", _("Balance by box"))


@blueprint.get("/stock/balance/<by>")
@needs(*MAY_SEE)
def stock_by(by: str) -> ResponseReturnValue:
    """The balance by batch, shift or point."""
    if by == "batch":
        return _balances("batch", _("Balance by batch"))
    if by == "shift":
        return _balances("shift", _("Balance by shift"))
    lines = tuple(stock_balance.by_store(reader(), actor=current_actor()))
    whole = Page(lines, len(lines), offset=0, limit=len(lines))
    return render_template("office/stock_balance.html", by="point", title=_("Balance by point"), page=whole)


def _balances(by: Literal["box", "batch", "shift"], title: str) -> ResponseReturnValue:
    """A page of balances, each line with its way down."""
    page = stock_balance.page_of(reader(), by, actor=current_actor(), offset=offset(), limit=PAGE_ROWS)
    return render_template("office/stock_balance.html", by=by, title=title, page=page)


@blueprint.get("/stock/where/<what>/<int:key>")
@needs(*MAY_SEE)
def stock_where(what: str, key: int) -> ResponseReturnValue:
    """Where the blanks of a box, store or batch are now, range by range, and how they came there."""
    return _where(what, key)


def _where(what: str, key: int, *, failed: str = "", refusal: str = "") -> str:
    return render_template(
        "office/stock_where.html",
        title=stock_lists.title_of(reader(), what, key),
        ranges=stock_lists.ranges_of(reader(), what, key),
        movements=stock_lists.movements_of(reader(), what, key),
        most=stock_lists.MOVEMENTS,
        what=what,
        key=key,
        failed=failed,
        refusal=refusal,
        typed=request.form,
    )


@blueprint.get("/stock/where/point/<int:store_id>/<what>")
@needs(*MAY_SEE)
def store_again(store_id: int, what: str) -> ResponseReturnValue:
    """Lead who reloads a form that was refused back to the store."""
    if what != "found":
        abort(404)
    return redirect(url_for(".stock_where", what="point", key=store_id))


@blueprint.post("/stock/where/point/<int:store_id>/found")
@needs(Permission.CONTROL_QUALITY)
def store_found(store_id: int) -> ResponseReturnValue:
    """Take missing blanks that turned up into a store."""
    try:
        chips = parse_ranges(request.form.get("chips", ""))
        reason = request.form.get("reason", "")
        found = stock_cards.found_again(
            database(), chips, store_id=store_id, reason=reason, actor=current_actor(), now=now()
        )
    except REFUSALS as error:
        return _where("point", store_id, failed="found", refusal=why(error)), 409
    flash(ngettext("%(num)d blank is in the store again.", "%(num)d blanks are in the store again.", found), "success")
    return redirect(url_for(".stock_where", what="point", key=store_id))
