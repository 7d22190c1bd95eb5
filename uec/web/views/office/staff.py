"""Staff: who may sign in, with which roles."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length

from uec.domain.permissions import Permission, Role
from uec.services import points
from uec.services import staff as service
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, reader
from uec.web.forms.fields import PageForm, options
from uec.web.language import pick
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint
from uec.web.wording import word

SHORTEST_PASSWORD = 12


class StaffForm(PageForm):
    """A new member of staff."""

    login = StringField(_l("Login"), validators=[InputRequired(_l("Give a login")), Length(max=60)])
    display_name = StringField(_l("Full name"), validators=[InputRequired(_l("Give the full name")), Length(max=120)])
    password = PasswordField(
        _l("First password"),
        description=_l("At least 12 characters"),
        validators=[Length(min=SHORTEST_PASSWORD, max=200, message=_l("Choose a password of at least 12 characters"))],
    )
    point_id = SelectField(_l("Point"), coerce=lambda value: int(value) if value else None)
    roles = SelectMultipleField(_l("Roles"), validators=[InputRequired(_l("Choose at least one role"))])


@blueprint.route("/staff", methods=["GET", "POST"])
@needs(Permission.MANAGE_STAFF)
def staff_list() -> ResponseReturnValue:
    """Show the staff; add a member."""
    form = StaffForm()
    form.point_id.choices = options(
        [("", _("No point")), *((one.id, pick(one.name_ru, one.name_en)) for one in points.list_points(reader()))]
    )
    form.roles.choices = options((role.value, word(role)) for role in Role)
    if form.validate_on_submit():
        service.create(
            database(),
            login=form.login.data,
            display_name=form.display_name.data,
            password=form.password.data,
            roles=[Role(value) for value in form.roles.data],
            point_id=form.point_id.data,
            actor=current_actor(),
            now=now(),
            random=office().random,
        )
        flash(_("The member of staff is added."), "success")
        return redirect(url_for(".staff_list"))
    page = render_template("office/staff.html", people=service.list_staff(reader()), form=form, now=now())
    return page, 400 if form.errors else 200


@blueprint.post("/staff/<int:staff_id>/active")
@needs(Permission.MANAGE_STAFF)
def staff_switch(staff_id: int) -> ResponseReturnValue:
    """Let a member of staff sign in, or stop it."""
    active = request.form.get("active") == "yes"
    service.set_active(database(), staff_id, active=active, actor=current_actor(), now=now())
    flash(_("The change is stored."), "success")
    return redirect(url_for(".staff_list"))
