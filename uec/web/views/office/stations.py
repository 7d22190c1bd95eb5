"""Stations: which are on line, a one-time code for a new one, and the end of one."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length

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
    actor, form, code = current_actor(), StationForm(), None
    form.point_id.choices = options(
        [("", _("No point")), *((one.id, pick(one.name_ru, one.name_en)) for one in points.list_points(reader()))]
    )
    if request.method == "POST":
        actor.require(Permission.MANAGE_STATIONS)
        if form.validate_on_submit():
            code = new_code(office().random)
            service.create(
                database(),
                name=form.name.data,
                point_id=form.point_id.data,
                code_hash=code_hash(code),
                actor=actor,
                now=now(),
            )
    page = render_template(
        "office/stations.html", stations=service.list_stations(database(), now=now()), form=form, code=code
    )
    return page, 400 if form.errors else 200


@blueprint.post("/stations/<int:station_id>/revoke")
@needs(Permission.MANAGE_STATIONS)
def station_revoke(station_id: int) -> ResponseReturnValue:
    """End a station for good."""
    service.revoke(database(), station_id, actor=current_actor(), now=now())
    flash(_("The station is revoked and cannot connect any more."), "success")
    return redirect(url_for(".stations"))
