"""Applications: the list, one with its checks, the decision with a reason."""

import io
from enum import StrEnum
from typing import TypeVar

from flask import abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length

from uec.domain.lifecycle import APPLICATION, ApplicationEvent, ApplicationState, Route, sources
from uec.domain.permissions import Permission
from uec.services import applications as service
from uec.services import checks, decision, withdrawal
from uec.web import variants
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office
from uec.web.faces import printer
from uec.web.forms.fields import PageForm
from uec.web.paging import PAGE_ROWS, seek
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint

Choice = TypeVar("Choice", bound=StrEnum)


def chosen(kind: type[Choice], name: str) -> Choice | None:
    """Return the choice of a filter in the address, None for all or for nonsense."""
    try:
        return kind(request.args.get(name, ""))
    except ValueError:
        return None


@blueprint.get("/applications")
@needs(Permission.VIEW_PERSON)
def applications() -> ResponseReturnValue:
    """List applications, the ones due first on top."""
    state, route = chosen(ApplicationState, "state"), chosen(Route, "route")
    query = request.args.get("query", "").strip()[:100]
    page = service.find(
        database(),
        actor=current_actor(),
        now=now(),
        states=(state,) if state else (),
        route=route,
        query=query,
        limit=PAGE_ROWS,
        **seek(),
    )
    return render_template(
        "office/applications.html",
        page=page,
        query=query,
        state=state,
        route=route,
        states=ApplicationState,
        routes=Route,
    )


class DecisionForm(PageForm):
    """Why the officer decides so; the applicant reads the reason of a rejection."""

    reason = TextAreaField(
        _l("Reason"),
        description=_l("What you looked at. The applicant reads the reason of a rejection."),
        validators=[
            InputRequired(_l("Write the reason of the decision")),
            Length(max=1000, message=_l("Shorten it to 1000 characters")),
        ],
    )


@blueprint.route("/applications/<int:application_id>", methods=["GET", "POST"])
@needs(Permission.VIEW_PERSON)
def application(application_id: int) -> ResponseReturnValue:
    """Show one application; take the decision on it."""
    actor, form = current_actor(), DecisionForm()
    if form.validate_on_submit():
        decide = {"approve": decision.approve, "reject": decision.reject}.get(request.form.get("decision", ""))
        if decide is None:
            abort(400)
        decide(database(), application_id, actor=actor, reason=form.reason.data, now=now())
        flash(_("The decision is stored."), "success")
        return redirect(url_for(".application", application_id=application_id))
    view = service.detail(database(), application_id, actor=actor, now=now())
    decidable = view.state in sources(APPLICATION, ApplicationEvent.APPROVE)
    withdrawable = view.state in sources(APPLICATION, ApplicationEvent.WITHDRAW)
    page = render_template(
        "office/application.html",
        view=view,
        form=form,
        decidable=decidable,
        withdrawable=withdrawable,
        variant=variants.told(view.profile),
        prints=printer().face(view.profile or office().settings.default_profile) is not None,
    )
    return page, 400 if form.errors else 200


@blueprint.post("/applications/<int:application_id>/ask-again")
@needs(Permission.DECIDE_APPLICATION)
def ask_again(application_id: int) -> ResponseReturnValue:
    """Have every register asked once more."""
    checks.ask_again(database(), application_id, actor=current_actor(), now=now())
    flash(_("The registers are asked once more."), "success")
    return redirect(url_for(".application", application_id=application_id))


@blueprint.post("/applications/<int:application_id>/withdraw")
@needs(Permission.TAKE_APPLICATION)
def withdraw(application_id: int) -> ResponseReturnValue:
    """Take an application back because the applicant asks for it."""
    reason = request.form.get("reason", "")
    withdrawal.withdraw(database(), application_id, actor=current_actor(), reason=reason, now=now())
    flash(_("The application is withdrawn."), "success")
    return redirect(url_for(".application", application_id=application_id))


@blueprint.get("/applications/<int:application_id>/photo")
@needs(Permission.VIEW_PERSON)
def photo(application_id: int) -> ResponseReturnValue:
    """Send the photo of an application."""
    content = service.photo(database(), application_id, actor=current_actor(), now=now())
    if content is None:
        abort(404)
    kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
    return send_file(io.BytesIO(content), mimetype=kind)
