"""Signing in and out of the staff pages."""

from datetime import timedelta

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import SignInRefused
from uec.services import staff
from uec.web import kept, sessions
from uec.web.access import public
from uec.web.context import database, now
from uec.web.forms.sign_in import SignInForm
from uec.web.language import local_path
from uec.web.limits import SharedWindow
from uec.web.wording import sentence

blueprint = Blueprint("auth", __name__)
LIMIT = 20
PERIOD = timedelta(minutes=5)


@blueprint.record_once
def _count_attempts(state: object) -> None:
    state.app.extensions["uec.sign_in_attempts"] = SharedWindow("sign-in", LIMIT, PERIOD)  # type: ignore[attr-defined]


@blueprint.route("/sign-in", methods=["GET", "POST"])
@public
def sign_in() -> ResponseReturnValue:
    """Ask for login and password, and let a member of staff in."""
    target = local_path(request.values.get("next"), url_for("office.home"))
    if g.actor is not None:
        return redirect(target)
    form = SignInForm()
    if not form.validate_on_submit():
        return _page(form, target, 400 if form.errors else 200)
    attempts: SharedWindow = current_app.extensions["uec.sign_in_attempts"]
    sender = request.remote_addr or ""
    attempts.check(sender, now())
    try:
        actor = staff.sign_in(database(), form.login.data, form.password.data, now())
    except SignInRefused as error:
        # Only a failure counts: a whole centre of windows may sign in from one address in one morning.
        attempts.count(sender, now())
        form.login.errors = [sentence(error)]
        return _page(form, target, 401)
    sessions.sign_in(actor)
    late = kept.after_sign_in(request.form.get("kept", ""), actor.staff_id)
    return kept.page_of(late, signed_in_again=True) if late else redirect(target)


def _page(form: SignInForm, target: str, status: int) -> ResponseReturnValue:
    page = render_template("auth/sign_in.html", form=form, target=target, kept=request.form.get("kept", ""))
    return page, status


@blueprint.post("/sign-out")
@public
def sign_out() -> ResponseReturnValue:
    """End the sign-in."""
    sessions.sign_out()
    return redirect(url_for("auth.sign_in"))
