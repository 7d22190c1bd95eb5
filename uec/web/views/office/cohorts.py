"""Mass emission: ask for a list, propose it, approve it by its root, open its applications."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import IntegerField, SelectField
from wtforms.validators import NumberRange, Optional

from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import CohortState
from uec.domain.permissions import Permission
from uec.services import cohort as service
from uec.services import rules
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, policy, policy_book, reader, today
from uec.web.forms.fields import DayField, PageForm, options
from uec.web.phase_words import not_yet_words, refusal_words
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint


class CohortForm(PageForm):
    """The day of a list, how many people at most, and which card they get."""

    as_of = DayField(_l("As of the day"))
    limit = IntegerField(
        _l("At most how many people (optional)"),
        validators=[Optional(), NumberRange(1, 10_000_000, message=_l("Give a number from 1 on"))],
    )
    profile = SelectField(_l("Card variant"), validators=[Optional()])


@blueprint.route("/cohorts", methods=["GET", "POST"])
@needs(Permission.MANAGE_COHORT, Permission.APPROVE_COHORT)
def cohorts() -> ResponseReturnValue:
    """Show the lists; ask for a new one."""
    actor, form = current_actor(), CohortForm(data={"as_of": today()})
    usual, *others = rules.card_variants(office().settings)
    form.profile.choices = options([("", _("the usual one (%(name)s)", name=usual)), *((one, one) for one in others)])
    if request.method == "POST":
        actor.require(Permission.MANAGE_COHORT)
        if form.validate_on_submit() and _asked(form):
            flash(_("The list is in work."), "success")
            return redirect(url_for(".cohorts"))
    page = render_template("office/cohorts.html", cohorts=service.list_cohorts(reader(), actor=actor), form=form)
    return page, 400 if form.errors else 200


def _asked(form: CohortForm) -> bool:
    """Hand the form in; False when the service has put its refusal beside a field."""
    if form.as_of.data is None:
        return False
    rules_then = policy_book().on(form.as_of.data)
    try:
        service.ask(
            database(),
            actor=current_actor(),
            as_of=form.as_of.data,
            policy=rules_then,
            now=now(),
            limit=form.limit.data,
            profile=form.profile.data or None,
        )
    except InvalidInput as error:
        database().rollback()
        wrong = {str(getattr(error, "field", "")): error.message}
        opens = _("Mass emission begins on %(day)s", day=f"{rules_then.mass_emission_from:%d.%m.%Y}")
        early = form.as_of.data < rules_then.mass_emission_from
        if form.put_errors(wrong, lambda message: opens if early else refusal_words(message)):
            return False
        raise
    return True


@blueprint.post("/cohorts/<int:cohort_id>/propose")
@needs(Permission.MANAGE_COHORT)
def cohort_propose(cohort_id: int) -> ResponseReturnValue:
    """Put one's name to a list."""
    service.propose(database(), cohort_id, actor=current_actor(), now=now())
    flash(_("The list is proposed. A colleague approves it."), "success")
    return redirect(url_for(".cohort", cohort_id=cohort_id))


@blueprint.post("/cohorts/<int:cohort_id>/approve")
@needs(Permission.APPROVE_COHORT)
def cohort_approve(cohort_id: int) -> ResponseReturnValue:
    """Approve the list by the root that the page showed."""
    digest = request.form.get("digest", "")
    service.approve(database(), cohort_id, actor=current_actor(), digest=digest, now=now())
    flash(_("The list is approved."), "success")
    return redirect(url_for(".cohort", cohort_id=cohort_id))


@blueprint.post("/cohorts/<int:cohort_id>/open")
@needs(Permission.MANAGE_COHORT)
def cohort_open(cohort_id: int) -> ResponseReturnValue:
    """Ask for an application for everybody on the list."""
    try:
        service.ask_opening(database(), cohort_id, actor=current_actor(), policy=policy(), now=now())
    except service.NotYet as error:
        database().rollback()
        flash(not_yet_words(error.waits_for, error.day), "error")
    else:
        flash(_("The list is in work."), "success")
    return redirect(url_for(".cohort", cohort_id=cohort_id))


@blueprint.post("/cohorts/<int:cohort_id>/discard")
@needs(Permission.MANAGE_COHORT, Permission.APPROVE_COHORT)
def cohort_discard(cohort_id: int) -> ResponseReturnValue:
    """Make a list void that nobody should go by."""
    reason = request.form.get("reason", "")
    if not reason.strip():
        flash(_("Write why the list is discarded."), "error")
    else:
        service.discard(database(), cohort_id, actor=current_actor(), reason=reason, now=now())
        flash(_("The list is discarded."), "success")
    return redirect(url_for(".cohort", cohort_id=cohort_id))


@blueprint.post("/cohorts/<int:cohort_id>/take-off")
@needs(Permission.MANAGE_COHORT)
def cohort_take_off(cohort_id: int) -> ResponseReturnValue:
    """Take somebody off the list; one that was proposed or approved is void from then on."""
    register_id = request.form.get("register_id", "")
    left = service.take_off(database(), cohort_id, register_id, actor=current_actor(), now=now())
    void = left.state is CohortState.VOID
    flash(_("Taken off; the list is void now.") if void else _("Taken off the list."), "success")
    return redirect(url_for(".cohort", cohort_id=cohort_id))
