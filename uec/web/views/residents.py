"""What residents see of mass emission: the public notice, the choice of a bank, and the papers of what they filed."""

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, StringField
from wtforms.validators import InputRequired

from uec.domain.actors import CITIZEN, Actor
from uec.domain.errors import InvalidInput, InvalidNumber
from uec.domain.permissions import Permission
from uec.services import confirmations as papers
from uec.services import notice_windows, notices
from uec.services.printing import FONTS
from uec.web import confirmations
from uec.web.access import current_actor, needs, public
from uec.web.context import database, now, policy, reader, today
from uec.web.forms.fields import PageForm, options
from uec.web.language import language
from uec.web.texts import _, _l
from uec.web.views import citizen, window
from uec.web.wording import field_error


class BankForm(PageForm):
    """Who chooses, and which bank."""

    snils = StringField(_l("SNILS"), description=_l("11 digits"), validators=[InputRequired(_l("Give your SNILS"))])
    bank = RadioField(_l("Bank"), validators=[InputRequired(_l("Choose a bank from the list"))])


@citizen.blueprint.get("/notice")
@public
def notice() -> ResponseReturnValue:
    """Show the public notice in force: its text, where it was published, and what one may do until when."""
    return render_template("citizen/notice.html", notice=notices.public_notice(reader(), on=today()), today=today())


@citizen.blueprint.route("/bank", methods=["GET", "POST"])
@public
def bank() -> ResponseReturnValue:
    """Take a resident's choice of bank."""
    return _choose(CITIZEN, "web")


@window.blueprint.route("/bank", methods=["GET", "POST"])
@needs(Permission.TAKE_APPLICATION)
def window_bank() -> ResponseReturnValue:
    """Take a choice of bank at a window."""
    return _choose(current_actor(), "window")


def _choose(actor: Actor, channel: str) -> ResponseReturnValue:
    known, form = notices.public_notice(reader(), on=today()), BankForm()
    form.bank.choices = options((name, name) for name in known.banks) if known else []
    late = known is None or today() > known.bank_until
    if not late and form.validate_on_submit():
        if channel == "web":
            citizen.count_filing()
        try:
            number = notices.choose_bank(
                database(), snils=form.snils.data, bank=form.bank.data, channel=channel, actor=actor,
                policy=policy(), now=now(),
            )  # fmt: skip
        except InvalidNumber:
            form.snils.errors = [field_error("form.snils")]
        except InvalidInput:
            form.bank.errors = [_("This choice is not possible any more: look at the list")]
        else:
            filed = notices.chosen_at(reader(), number)
            paper = confirmations.sealed_up(confirmations.BANK, number, form.snils.data, form.bank.data, at=filed)
            return redirect(url_for("citizen.confirmation", paper=paper))
    page = render_template(
        "citizen/bank.html",
        form=form,
        notice=known,
        late=late,
        at_window=channel == "window",
        tender=notice_windows.bank_of_tender(known, policy()),
    )
    return page, 400 if form.errors or (late and request.method == "POST") else 200


@citizen.blueprint.get("/confirmation")
@public
def confirmation() -> ResponseReturnValue:
    """Show a confirmation to whoever has its address, for a day."""
    paper = request.args.get("paper", "")
    one = confirmations.opened(paper)
    return render_template(
        "citizen/confirmation.html",
        one=one,
        paper=paper,
        heading=confirmations.heading_of(one),
        sentence=confirmations.sentence_of(one),
    )


@citizen.blueprint.get("/confirmation.pdf")
@public
def confirmation_pdf() -> ResponseReturnValue:
    """Give a confirmation as a sheet to print."""
    one = confirmations.opened(request.args.get("paper", ""))
    sheet = papers.pdf(confirmations.paper_of(one), FONTS, language=language(), now=one.when)
    answer = Response(sheet, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'inline; filename="{one.number}.pdf"'
    answer.headers["Cache-Control"] = "no-store"
    return answer
