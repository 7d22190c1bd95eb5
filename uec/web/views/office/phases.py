"""Dated policy and public notices: what is in force, what is proposed and what it moves, and two people's buttons."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from uec.domain.errors import InvalidInput, Stale
from uec.domain.permissions import Permission
from uec.domain.phases import ChangeState
from uec.domain.policy import OFFICE_RULES, PolicyBook
from uec.services import notices as notice_service
from uec.services import phases as service
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, policy_book, reader, today
from uec.web.forms.fields import DayField, PageForm, options
from uec.web.phase_words import RULES, refusal_words
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint


class ChangeForm(PageForm):
    """A rule with its new value and first day."""

    rule = SelectField(_l("Rule"), choices=options(RULES.items()))
    value = StringField(
        _l("New value"),
        description=_l("A number of days or years, a day like 31.12.2026, or the name of a bank"),
        validators=[InputRequired(_l("Give the new value")), Length(max=120)],
    )
    valid_from = DayField(_l("First day"))
    act = TextAreaField(
        _l("Act or order behind it"), validators=[InputRequired(_l("Name the act or order")), Length(max=1000)]
    )


class NoticeForm(PageForm):
    """A public notice."""

    text = TextAreaField(
        _l("Text: terms, order of delivery, rights"),
        validators=[InputRequired(_l("Give the text of the notice")), Length(max=20_000)],
    )
    text_en = TextAreaField(
        _l("The text in English (optional)"),
        description=_l("Without it the English page shows the text as it was published"),
        validators=[Length(max=20_000, message=_l("Shorten it to 20000 characters"))],
    )
    places = TextAreaField(
        _l("Where it is published, a line for each"), validators=[InputRequired(_l("Name at least one place"))]
    )
    banks = TextAreaField(
        _l("Banks to choose from, a line for each; the bank of the tender first"),
        validators=[InputRequired(_l("Name at least one bank"))],
    )
    published_on = DayField(_l("Day of publication"))


@blueprint.route("/phases", methods=["GET", "POST"])
@needs(Permission.MANAGE_COHORT, Permission.APPROVE_COHORT)
def phases() -> ResponseReturnValue:
    """Show the rules, their history, and what is proposed; propose a change."""
    actor, form = current_actor(), ChangeForm(data={"valid_from": today()})
    if request.method == "POST":
        actor.require(Permission.MANAGE_COHORT)
        if form.validate_on_submit() and _proposed(form):
            flash(_("The change is proposed. A colleague sees what it moves and confirms it."), "success")
            return redirect(url_for(".phases"))
    changes = service.list_changes(reader(), actor=actor)
    page = render_template(
        "office/phases.html",
        form=form,
        changes=changes,
        names=RULES,
        was=_before(policy_book(), changes),
        rules=_in_force(policy_book(), today()),
        as_json=json.dumps,
    )
    return page, 400 if form.errors else 200


def _before(book: PolicyBook, changes: list[service.ChangeView]) -> dict[int, dict[str, Any]]:
    """What the rules of each proposed change say on its first day as yet."""
    proposed = (one for one in changes if one.state is ChangeState.PROPOSED)
    return {one.id: {name: getattr(book.on(one.valid_from), name) for name in one.rules} for one in proposed}


def _proposed(form: ChangeForm) -> bool:
    """Hand the form in; False when the service has put its refusal beside a field."""
    if form.valid_from.data is None:
        return False
    try:
        service.propose(
            database(),
            rules={form.rule.data: form.value.data},
            valid_from=form.valid_from.data,
            act=form.act.data,
            actor=current_actor(),
            base=office().settings.policy,
            now=now(),
        )
    except InvalidInput as error:
        database().rollback()
        if form.put_errors({str(getattr(error, "field", "value")): error.message}, refusal_words):
            return False
        raise
    return True


def _in_force(book: PolicyBook, day: date) -> list[tuple[Any, object, list[tuple[date, object]]]]:
    """Each rule with its value today and those that come."""
    rows = []
    for name in OFFICE_RULES:
        present, coming = getattr(book.on(day), name), []
        last = present
        for valid_from, policy in book.changes:
            value = getattr(policy, name)
            if valid_from > day and value != last:
                coming.append((valid_from, value))
                last = value
        rows.append((RULES[name], present, coming))
    return rows


@blueprint.post("/phases/<int:change_id>/confirm")
@needs(Permission.APPROVE_COHORT)
def phase_confirm(change_id: int) -> ResponseReturnValue:
    """Confirm a change by the effects that the page showed."""
    try:
        service.confirm(
            database(),
            change_id,
            shown=_shown(request.form.get("shown", "")),
            actor=current_actor(),
            base=office().settings.policy,
            now=now(),
        )
    except Stale:
        flash(_("The change moves something else by now: look at it again before you confirm it."), "error")
        return redirect(url_for(".phases"))
    flash(_("The change is confirmed; what follows from it is re-counted."), "success")
    return redirect(url_for(".phases"))


def _shown(text: str) -> Mapping[str, Any]:
    try:
        shown = json.loads(text)
    except ValueError:
        return {"": None}  # nothing a service has shown
    return shown if isinstance(shown, dict) else {"": None}


@blueprint.post("/phases/<int:change_id>/withdraw")
@needs(Permission.MANAGE_COHORT)
def phase_withdraw(change_id: int) -> ResponseReturnValue:
    """Take a proposed change back."""
    service.withdraw(database(), change_id, actor=current_actor(), now=now())
    flash(_("The change is taken back."), "success")
    return redirect(url_for(".phases"))


@blueprint.route("/notices", methods=["GET", "POST"])
@needs(Permission.MANAGE_COHORT, Permission.APPROVE_COHORT)
def notices() -> ResponseReturnValue:
    """Show the public notices with their windows; propose one."""
    actor, form = current_actor(), NoticeForm(data={"published_on": today()})
    if request.method == "POST":
        actor.require(Permission.MANAGE_COHORT)
        if form.validate_on_submit() and _notice_proposed(form):
            flash(_("The notice is proposed. A colleague confirms it."), "success")
            return redirect(url_for(".notices"))
    page = render_template(
        "office/notices.html", form=form, notices=notice_service.list_notices(reader(), actor=actor), today=today()
    )
    return page, 400 if form.errors else 200


def _notice_proposed(form: NoticeForm) -> bool:
    """Hand the form in; False when the service has put its refusal beside a field."""
    if form.published_on.data is None:
        return False
    try:
        notice_service.propose(
            database(),
            text=form.text.data,
            text_en=form.text_en.data or "",
            places=form.places.data.splitlines(),
            banks=form.banks.data.splitlines(),
            published_on=form.published_on.data,
            actor=current_actor(),
            policy=policy_book().on(form.published_on.data),
            now=now(),
        )
    except InvalidInput as error:
        database().rollback()
        if form.put_errors({str(getattr(error, "field", "text")): error.message}, refusal_words):
            return False
        raise
    return True


@blueprint.post("/notices/<int:notice_id>/confirm")
@needs(Permission.APPROVE_COHORT)
def notice_confirm(notice_id: int) -> ResponseReturnValue:
    """Confirm a notice; its windows count from then on."""
    notice_service.confirm(database(), notice_id, actor=current_actor(), now=now())
    flash(_("The notice is confirmed; its windows are open."), "success")
    return redirect(url_for(".notices"))


@blueprint.post("/notices/<int:notice_id>/withdraw")
@needs(Permission.MANAGE_COHORT)
def notice_withdraw(notice_id: int) -> ResponseReturnValue:
    """Take a proposed notice back."""
    notice_service.withdraw(database(), notice_id, actor=current_actor(), now=now())
    flash(_("The notice is taken back."), "success")
    return redirect(url_for(".notices"))
