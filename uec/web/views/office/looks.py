"""The look at a line's cards: which of a batch are drawn, and what somebody of quality saw on each."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, StringField
from wtforms.validators import InputRequired, Length

from uec.domain.errors import InvalidNumber, NotFound
from uec.domain.permissions import Permission
from uec.domain.sampling import Defect
from uec.services import card_looks, stock_lists
from uec.web.access import current_actor, needs
from uec.web.context import database, now, reader
from uec.web.forms.fields import PageForm, options
from uec.web.texts import _, _l, ngettext
from uec.web.views.office.room import blueprint
from uec.web.wording import word

MAY_SEE = (Permission.CONTROL_QUALITY, Permission.VIEW_STOCK)
GOOD = "GOOD"


class LookForm(PageForm):
    """What somebody saw on one card; a scanner types its number."""

    number = StringField(
        _l("Number on the card"),
        validators=[InputRequired(_l("Scan the bar code or type the number")), Length(max=40)],
    )
    seen = RadioField(_l("What do you see?"), validators=[InputRequired(_l("Say what you see"))])
    note = StringField(_l("Note (optional)"), validators=[Length(max=200, message=_l("Shorten it to 200 characters"))])


@blueprint.route("/batches/<int:batch_id>/looks", methods=["GET", "POST"])
@needs(*MAY_SEE)
def looks(batch_id: int) -> ResponseReturnValue:
    """Show the drawn cards of a batch; take what was seen on one."""
    actor, form = current_actor(), LookForm()
    form.seen.choices = options([(GOOD, _("Nothing wrong")), *((one.value, word(one)) for one in Defect)])
    if request.method == "POST":
        actor.require(Permission.CONTROL_QUALITY)
        if form.validate_on_submit() and (left := _look(batch_id, form)) is not None:
            flash(
                ngettext(
                    "Recorded. %(num)d card is left to look at.", "Recorded. %(num)d cards are left to look at.", left
                )
                if left
                else _("Recorded. Every drawn card was looked at: the batch may be handed over."),
                "success",
            )
            return redirect(url_for(".looks", batch_id=batch_id))
    session = reader()
    drawn = card_looks.rows_of(session, batch_id, actor=actor)
    page = render_template(
        "office/looks.html",
        batch_id=batch_id,
        so_far=card_looks.of_batch(session, batch_id),
        drawn=drawn,
        people=stock_lists.names_of(session, [one.looked_by for one in drawn]),
        form=form,
    )
    return page, 400 if form.errors else 200


def _look(batch_id: int, form: LookForm) -> int | None:
    """How many cards are left after this one; None, with the reason at the field, when it was not taken."""
    seen = form.seen.data
    try:
        return card_looks.look(
            database(),
            form.number.data,
            batch_id=batch_id,
            defect=None if seen == GOOD else Defect(seen),
            note=form.note.data or "",
            actor=current_actor(),
            now=now(),
        )
    except InvalidNumber:
        form.number.errors = [_l("This is no card number: a digit is wrong. Scan it again")]
    except NotFound:
        form.number.errors = [_l("This card is not drawn, or was looked at already: take one from the list")]
    return None
