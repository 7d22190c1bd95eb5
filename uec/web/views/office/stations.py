"""Stations: which are on line, a one-time code for a new one, and the end of one."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.hub.enrolment import code_hash, new_code
from uec.services import points
from uec.services import stations as service
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, reader
from uec.web.forms.fields import PageForm, options
from uec.web.language import pick
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint


class StationForm(PageForm):
    """Name and place of a new station."""

    name = StringField(
        _l("Name of the station"),
        validators=[
            InputRequired(_l("Give the station a name")),
            Length(max=80, message=_l("Shorten it to 80 characters")),
        ],
    )
    point_id = SelectField(_l("Point"), coerce=lambda value: int(value) if value else None)


@blueprint.route("/stations", methods=["GET", "POST"])
@needs(Permission.MANAGE_STATIONS, Permission.PRODUCE_CARD)
def stations() -> ResponseReturnValue:
    """Show the stations; make a one-time code for a new one."""
    actor, form = current_actor(), _form()
    if request.method == "POST":
        actor.require(Permission.MANAGE_STATIONS)
        if form.validate_on_submit() and (code := _enter(form, actor)):
            return _page(_form(formdata=None), code=code)
    return _page(form), 400 if form.errors else 200


@blueprint.post("/stations/<int:station_id>/code")
@needs(Permission.MANAGE_STATIONS)
def station_code(station_id: int) -> ResponseReturnValue:
    """Make another one-time code for a station that was never enrolled."""
    code = new_code(office().random)
    try:
        service.renew_code(database(), station_id, code_hash=code_hash(code), actor=current_actor(), now=now())
    except InvalidInput:
        database().rollback()
        flash(_("This station is enrolled or revoked by now. Enter a new one."), "info")
        return redirect(url_for(".stations"))
    return _page(_form(formdata=None), code=code)


@blueprint.get("/stations/<int:station_id>/<what>")
@needs(Permission.MANAGE_STATIONS, Permission.PRODUCE_CARD)
def stations_again(station_id: int, what: str) -> ResponseReturnValue:
    """Lead who reloads the page of a code back to the list: a code is shown once."""
    if what not in {"code", "revoke"}:
        abort(404)
    return redirect(url_for(".stations"))


@blueprint.post("/stations/<int:station_id>/revoke")
@needs(Permission.MANAGE_STATIONS)
def station_revoke(station_id: int) -> ResponseReturnValue:
    """End a station for good."""
    service.revoke(database(), station_id, actor=current_actor(), now=now())
    flash(_("The station is revoked and cannot connect any more."), "success")
    return redirect(url_for(".stations"))


def _form(**more: object) -> StationForm:
    form = StationForm(**more)
    form.point_id.choices = options(
        [("", _("No point")), *((one.id, pick(one.name_ru, one.name_en)) for one in points.list_points(reader()))]
    )
    return form


def _enter(form: StationForm, actor: Actor) -> str:
    """The code of a new station; empty when its name is taken, which the form then says."""
    code = new_code(office().random)
    try:
        service.create(
            database(),
            name=form.name.data,
            point_id=form.point_id.data,
            code_hash=code_hash(code),
            actor=actor,
            now=now(),
        )
    except InvalidInput as error:
        database().rollback()
        taken = error.facts.get("wrong") == "taken"
        said = _("There is a station of this name already") if taken else _("Give the station a name")
        form.put_errors({"name": said}, str)
        return ""
    return code


def _page(form: StationForm, *, code: str = "") -> str:
    """The list, and the code if one was just made; how to use it is told with it."""
    moment = now()
    return render_template(
        "office/stations.html",
        stations=service.list_stations(database(), now=moment),
        form=form,
        code=code,
        hub_url=office().settings.hub_url,
        moment=moment,
    )
