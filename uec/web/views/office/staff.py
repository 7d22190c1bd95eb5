"""Staff: who may sign in, with which roles."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission, Role
from uec.services import points
from uec.services import staff as service
from uec.services.passwords import WeakPassword
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, reader
from uec.web.forms.fields import PageForm, options
from uec.web.language import pick
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint
from uec.web.wording import sentence, word

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
    if form.validate_on_submit() and _created(form):
        flash(_("The member of staff is added."), "success")
        return redirect(url_for(".staff_list"))
    page = render_template("office/staff.html", people=service.list_staff(reader()), form=form, now=now())
    return page, 400 if form.errors else 200


def _created(form: StaffForm) -> bool:
    """Create the account; a refusal is written beside its field."""
    try:
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
    except WeakPassword as error:
        form.password.errors = [sentence(error)]
    except InvalidInput:
        form.login.errors = [
            _("Take a free login of 3 to 60 signs: small Latin letters, digits, dot, hyphen, underscore")
        ]
    else:
        return True
    return False


class RolesForm(PageForm):
    """What a member of staff may do from now on."""

    roles = SelectMultipleField(_l("Roles"), validators=[InputRequired(_l("Choose at least one role"))])


class PasswordForm(PageForm):
    """A new password for somebody who forgot theirs."""

    password = PasswordField(
        _l("New password"),
        description=_l("At least 12 characters. Tell it to the person only; it also lifts a lock."),
        validators=[Length(min=SHORTEST_PASSWORD, max=200, message=_l("Choose a password of at least 12 characters"))],
    )


def _member(staff_id: int) -> service.StaffView:
    found = next((one for one in service.list_staff(reader()) if one.id == staff_id), None)
    return found or abort(404)


def _member_page(person: service.StaffView, roles: RolesForm, password: PasswordForm) -> ResponseReturnValue:
    roles.roles.choices = options((role.value, word(role)) for role in Role)
    page = render_template(
        "office/staff_member.html", person=person, roles=roles, password=password, own=person.id == _own(), now=now()
    )
    return page, 400 if roles.errors or password.errors else 200


def _own() -> int | None:
    return current_actor().staff_id


@blueprint.get("/staff/<int:staff_id>")
@needs(Permission.MANAGE_STAFF)
def staff_member(staff_id: int) -> ResponseReturnValue:
    """Show one member of staff: roles, password, the account itself."""
    person = _member(staff_id)
    return _member_page(person, RolesForm(data={"roles": [role.value for role in person.roles]}), PasswordForm())


@blueprint.post("/staff/<int:staff_id>/roles")
@needs(Permission.MANAGE_STAFF)
def staff_roles(staff_id: int) -> ResponseReturnValue:
    """Give a member of staff other roles."""
    person, form = _member(staff_id), RolesForm()
    form.roles.choices = options((role.value, word(role)) for role in Role)
    if not form.validate_on_submit():
        return _member_page(person, form, PasswordForm(formdata=None))
    chosen = [Role(value) for value in form.roles.data]
    service.set_roles(database(), staff_id, roles=chosen, actor=current_actor(), now=now())
    flash(_("The roles are changed. They hold from the next click on."), "success")
    return redirect(url_for(".staff_member", staff_id=staff_id))


@blueprint.post("/staff/<int:staff_id>/password")
@needs(Permission.MANAGE_STAFF)
def staff_password(staff_id: int) -> ResponseReturnValue:
    """Set a new password for a member of staff."""
    person, form = _member(staff_id), PasswordForm()
    if form.validate_on_submit():
        try:
            service.set_password(
                database(),
                staff_id,
                password=form.password.data,
                actor=current_actor(),
                now=now(),
                random=office().random,
            )
        except WeakPassword as error:
            form.password.errors = [sentence(error)]
        else:
            flash(_("The new password holds from now on."), "success")
            return redirect(url_for(".staff_member", staff_id=staff_id))
    roles = RolesForm(formdata=None, data={"roles": [role.value for role in person.roles]})
    return _member_page(person, roles, form)


@blueprint.post("/staff/<int:staff_id>/active")
@needs(Permission.MANAGE_STAFF)
def staff_switch(staff_id: int) -> ResponseReturnValue:
    """Let a member of staff sign in, or stop it."""
    active = request.form.get("active") == "yes"
    service.set_active(database(), staff_id, active=active, actor=current_actor(), now=now())
    flash(_("The account is open again.") if active else _("The account is switched off."), "success")
    return redirect(url_for(".staff_member", staff_id=staff_id))
