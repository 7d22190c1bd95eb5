"""Refusals to receive a card: found, filed for whoever wrote or came, confirmed on paper, taken back."""

from collections.abc import Mapping

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from uec.domain.channels import TO_THE_OFFICE
from uec.domain.errors import InvalidNumber
from uec.domain.permissions import Permission
from uec.services import refusal_lists
from uec.services import refusals as service
from uec.web import confirmations
from uec.web.access import current_actor, needs
from uec.web.context import database, now
from uec.web.forms.fields import PageForm, options
from uec.web.paging import PAGE_ROWS, offset
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint
from uec.web.wording import field_error

CHANNELS: Mapping[str, object] = {
    "post": _l("By post"),
    "window": _l("At a window"),
    "mfc": _l("At a one-stop shop"),
    "phone": _l("By telephone"),
    "email": _l("By e-mail"),
    "portal": _l("By the portal of public services"),
    "web": _l("On this site"),
}


class FilingForm(PageForm):
    """A refusal as it came to the office; on this site people file their own."""

    snils = StringField(_l("SNILS"), description=_l("11 digits"), validators=[InputRequired(_l("Give the SNILS"))])
    channel = RadioField(
        _l("How it came"),
        choices=options((name, word) for name, word in CHANNELS.items() if name in TO_THE_OFFICE),
        validators=[InputRequired(_l("Choose how the refusal came"))],
    )
    note = StringField(
        _l("Note (optional)"),
        description=_l("The incoming number of the letter, for instance"),
        validators=[Length(max=200, message=_l("Shorten it to 200 characters"))],
    )


class TakingBackForm(PageForm):
    """Why a refusal counts no more."""

    reason = TextAreaField(
        _l("Reason"),
        description=_l("The person's statement, or the mistake that was made"),
        validators=[
            InputRequired(_l("Give the reason")),
            Length(max=1000, message=_l("Shorten it to 1000 characters")),
        ],
    )


@blueprint.get("/refusals")
@needs(Permission.VIEW_PERSON)
def refusals() -> ResponseReturnValue:
    """List refusals, the newest first, or find one by its number or SNILS."""
    query = request.args.get("query", "").strip()[:100]
    page = refusal_lists.find(
        database(), actor=current_actor(), now=now(), query=query, limit=PAGE_ROWS, offset=offset()
    )
    return render_template("office/refusals.html", page=page, query=query, channels=CHANNELS)


@blueprint.route("/refusals/new", methods=["GET", "POST"])
@needs(Permission.TAKE_APPLICATION)
def file_refusal() -> ResponseReturnValue:
    """File a refusal that came to the office."""
    actor, form, moment = current_actor(), FilingForm(), now()
    if form.validate_on_submit():
        try:
            number = service.file(
                database(),
                snils=form.snils.data,
                channel=form.channel.data,
                actor=actor,
                now=moment,
                note=form.note.data or "",
            )
        except InvalidNumber:
            form.snils.errors = [field_error("form.snils")]
        else:
            if refusal_lists.look(database(), number, actor=actor, now=moment).filed_at < moment:
                flash(_("This person had refused before: nothing was filed a second time."), "info")
            else:
                flash(_("The refusal is filed under the number %(number)s.", number=number), "success")
            return redirect(url_for(".refusal", refusal_number=number))
    return render_template("office/refusal_new.html", form=form), 400 if form.errors else 200


@blueprint.route("/refusals/<refusal_number>", methods=["GET", "POST"])
@needs(Permission.VIEW_PERSON)
def refusal(refusal_number: str) -> ResponseReturnValue:
    """Show one refusal with its confirmation; take it back."""
    actor, form = current_actor(), TakingBackForm()
    if form.validate_on_submit():
        service.withdraw(database(), refusal_number, actor=actor, reason=form.reason.data, now=now())
        flash(_("The refusal is taken back: it bars the person from no list any more."), "success")
        return redirect(url_for(".refusal", refusal_number=refusal_number))
    one = refusal_lists.look(database(), refusal_number, actor=actor, now=now())
    paper = confirmations.sealed_up(confirmations.REFUSAL, one.number, one.snils, at=one.filed_at)
    page = render_template("office/refusal.html", one=one, form=form, paper=paper, channels=CHANNELS)
    return page, 400 if form.errors else 200
