"""Twins of the register: the cases that wait for a clerk, and one case with its records side by side."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, SelectMultipleField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from uec.domain.permissions import Permission
from uec.domain.twins import TwinState
from uec.services import twins as service
from uec.services.twins import CaseView
from uec.web.access import current_actor, needs
from uec.web.context import database, now, reader
from uec.web.forms.fields import PageForm, options
from uec.web.paging import PAGE_ROWS, number
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint

SAME, DIFFERENT = "same", "different"


class TwinForm(PageForm):
    """What a clerk decides about a case."""

    verdict = RadioField(
        _l("The records are of"),
        choices=options(((SAME, _l("one person")), (DIFFERENT, _l("different people")))),
        validators=[InputRequired(_l("Choose whose the records are"))],
    )
    standing = RadioField(_l("One person: which record stands"), coerce=int, validators=[Optional()])
    wrong = SelectMultipleField(_l("Different people: whose number is wrong"), coerce=int, validators=[Optional()])
    reason = TextAreaField(
        _l("Reason"),
        description=_l("The papers that were seen, or what the register answered"),
        validators=[InputRequired(_l("Give the reason")), Length(max=2000)],
    )


@blueprint.get("/twins")
@needs(Permission.DECIDE_APPLICATION)
def twins() -> ResponseReturnValue:
    """List cases; those that wait by default."""
    after = number(request.args.get("after", "0")) or 0
    every = request.args.get("state") == "all"
    state = None if every else TwinState.OPEN
    rows = service.list_cases(reader(), actor=current_actor(), state=state, after=after, limit=PAGE_ROWS + 1)
    return render_template(
        "office/twins.html",
        rows=rows[:PAGE_ROWS],
        more=len(rows) > PAGE_ROWS,
        after=after,
        every=every,
        waiting=service.open_count(reader()),
    )


@blueprint.route("/twins/<int:case_id>", methods=["GET", "POST"])
@needs(Permission.DECIDE_APPLICATION)
def twin(case_id: int) -> ResponseReturnValue:
    """Show one case; take the clerk's decision."""
    actor = current_actor()
    case = service.look(database(), case_id, actor=actor, now=now())
    form = _form(case)
    if request.method == "POST" and form.validate_on_submit():
        reason = form.reason.data
        if form.verdict.data == SAME:
            standing = form.standing.data or 0
            service.decide_same(database(), case_id, standing_id=standing, reason=reason, actor=actor, now=now())
        else:
            wrong = form.wrong.data or []
            service.decide_different(database(), case_id, wrong_ids=wrong, reason=reason, actor=actor, now=now())
        flash(_("The case is decided."), "success")
        return redirect(url_for(".twins"))
    return render_template("office/twin.html", case=case, form=form), 400 if form.errors else 200


def _form(case: CaseView) -> TwinForm:
    form = TwinForm()
    records = options((one.resident_id, f"{one.register_id}, {one.full_name}") for one in case.records)
    form.standing.choices, form.wrong.choices = records, records
    return form
