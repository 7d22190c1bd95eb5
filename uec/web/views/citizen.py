"""The citizen's pages: what the card is, the application in steps, its receipt and status, the refusal of a card."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, abort, current_app, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired

from uec.domain import message_words
from uec.domain.actors import CITIZEN
from uec.domain.errors import InvalidNumber, NotFound
from uec.domain.lifecycle import Route
from uec.services import intake, messages, notices, points, refusals
from uec.services.views import PointView
from uec.web import confirmations, drafts, receipts, variants
from uec.web.access import public
from uec.web.context import database, now, office, policy, reader, today
from uec.web.forms.application import (
    STEPS,
    ChoiceForm,
    SendForm,
    answers_of,
    application_form,
    problems,
    step_form,
    step_of,
)
from uec.web.forms.fields import PageForm
from uec.web.language import language
from uec.web.limits import SharedWindow
from uec.web.status_course import advice_of, course_of, headline_of
from uec.web.summary import HEADINGS, summary_of
from uec.web.texts import _l
from uec.web.uploads import photo_of
from uec.web.wording import field_error

blueprint = Blueprint("citizen", __name__)
FIRST = next(iter(STEPS))
PERSON = ("surname", "name", "patronymic", "birth_date")


@dataclass(frozen=True)
class Limits:
    """How often one sender may look up, apply and refuse."""

    look_ups: SharedWindow
    applications: SharedWindow


@blueprint.record_once
def _count_attempts(state: object) -> None:
    state.app.extensions["uec.citizen_limits"] = Limits(  # type: ignore[attr-defined]
        SharedWindow("look-up", 20, timedelta(minutes=5)), SharedWindow("apply", 30, timedelta(hours=1))
    )


def _limits() -> Limits:
    limits: Limits = current_app.extensions["uec.citizen_limits"]
    return limits


def _sender() -> str:
    return request.remote_addr or ""


@blueprint.get("/")
@public
def start() -> ResponseReturnValue:
    """Explain the card."""
    return render_template("citizen/start.html", policy=policy(), points=points.list_points(reader())[:12])


@blueprint.get("/apply")
@public
def apply() -> ResponseReturnValue:
    """Begin, or go on where the draft stands."""
    return redirect(url_for(".step", step=FIRST))


def _draft() -> dict[str, str]:
    return drafts.unseal(request.cookies.get(drafts.COOKIE, ""), key=office().key, now=now())


def _kept(answers: dict[str, str], target: str) -> ResponseReturnValue:
    response = make_response(redirect(target))
    value = drafts.seal(answers, key=office().key, now=now(), random=office().random)
    drafts.keep(response, value, secure=office().settings.base_url.startswith("https://"))
    return response


def _problems(answers: dict[str, str], places: list[PointView], photo: bytes | None = None) -> dict[str, str]:
    offered = variants.offered()
    return problems(answers, points=places, variants=offered, photo=photo, today=today(), policy=policy())


@blueprint.route("/apply/<step>", methods=["GET", "POST"])
@public
def step(step: str) -> ResponseReturnValue:
    """Ask the questions of one step; go on when its answers hold."""
    if step not in STEPS:
        abort(404)
    answers, places = _draft(), points.list_points(reader())
    if step != FIRST and not answers and receipts.kept():
        return redirect(url_for(".receipt"))
    form = step_form(step, answers, child=_child(answers))
    if isinstance(form, ChoiceForm):
        form.offer(places, office().settings.banks, variants.offered())
        if "profile" not in form:
            answers.pop("profile", None)  # what was chosen is offered no more
    if request.method == "POST":
        if step != FIRST:
            _refuse_another(answers, PERSON)
        dates_hold = form.validate_on_submit()
        answers |= answers_of(form)
        if not _child(answers):
            answers.pop("representative_name", None)
        wrong = _problems(answers, places)
        if (
            not form.put_errors({name: key for name, key in wrong.items() if not _has_error(form, name)}, field_error)
            and dates_hold
        ):
            return _kept(answers, _next_address(step))
    mark = drafts.mark_of(answers if request.method == "GET" else _draft(), PERSON)
    return _render_step(step, form, places, mark), 400 if form.errors else 200


def _child(answers: dict[str, str]) -> bool:
    """Whether a parent or guardian has to apply, by the date of birth given."""
    born = answers.get("birth_date", "")
    return bool(born) and policy().needs_representative(date.fromisoformat(born), today())


def _refuse_another(answers: dict[str, str], names: Iterable[str]) -> None:
    """Refuse a page that was made from other answers than the draft has now (two windows, two people)."""
    shown, present = request.form.get("mark", ""), drafts.mark_of(answers, names)
    if shown and present and shown != present:
        raise drafts.DraftChanged("Another application was begun in this browser; look at the answers and go on.")


def _has_error(form: PageForm, name: str) -> bool:
    return name in form and bool(form[name].errors)


def _next_address(step: str) -> str:
    names = list(STEPS)
    place = names.index(step) + 1
    return url_for(".step", step=names[place]) if place < len(names) else url_for(".check")


def _render_step(step: str, form: PageForm, places: list[PointView], mark: str) -> str:
    names = list(STEPS)
    place = names.index(step)
    back = url_for(".step", step=names[place - 1]) if place else url_for(".start")
    return render_template(
        "citizen/step.html",
        step=step,
        form=form,
        mark=mark,
        heading=HEADINGS[step],
        number=place + 1,
        total=len(names) + 1,
        back=back,
        point_hints={point.id: point.address for point in places},
    )


@blueprint.route("/apply/check", methods=["GET", "POST"])
@public
def check() -> ResponseReturnValue:
    """Show all answers, take photo and consent, and send the application."""
    answers, places = _draft(), points.list_points(reader())
    if not answers and receipts.kept():
        return redirect(url_for(".receipt"))
    wrong = _problems(answers, places)
    if wrong:
        return redirect(url_for(".step", step=step_of(min(wrong, key=lambda name: list(STEPS).index(step_of(name))))))
    form = SendForm()
    photo = photo_of(form.photo)
    if request.method == "POST":
        _refuse_another(answers, answers)
    if form.validate_on_submit():
        wrong = _problems(answers, places, photo)
        if not form.put_errors(wrong, field_error):
            return _send(answers, photo)
    parts, mark = summary_of(answers, places), drafts.mark_of(answers, answers)
    return render_template("citizen/check.html", form=form, parts=parts, mark=mark), 400 if form.errors else 200


def _send(answers: dict[str, str], photo: bytes | None) -> ResponseReturnValue:
    _limits().applications.count(_sender(), now())
    receipt = receipts.submit_once(
        application_form(answers, photo=photo, today=today()),
        name=answers[drafts.NAME],
        route=Route.WEB,
        actor=CITIZEN,
        policy=policy(),
    )
    response = make_response(redirect(url_for(".receipt")))
    receipts.keep(response, receipt, int(answers["point_id"]))
    drafts.discard(response)
    return response


@blueprint.get("/apply/receipt")
@public
def receipt() -> ResponseReturnValue:
    """Show the receipt to the one who has just sent an application."""
    found = receipts.kept()
    if found is None:
        return redirect(url_for(".status"))
    own, point_id = found
    chosen = next((point for point in points.list_points(reader()) if point.id == point_id), None)
    variant = variants.told(own.profile)
    return render_template("citizen/receipt.html", receipt=own, point=chosen, variant=variant, at_window=False)


@blueprint.post("/apply/finish")
@public
def finish() -> ResponseReturnValue:
    """Take draft and receipt off this browser, for whoever does not apply at home."""
    response = make_response(redirect(url_for(".start")))
    receipts.forget(response)
    drafts.discard(response)
    return response


class StatusForm(PageForm):
    """Number and secret of the receipt."""

    number = StringField(
        _l("Application number"),
        description=_l("For example, 2026-0000123"),
        validators=[InputRequired(_l("Give the number on the receipt"))],
    )
    secret = StringField(
        _l("Secret"),
        description=_l("Like XXXX-XXXX-XXXX"),
        validators=[InputRequired(_l("Give the secret on the receipt"))],
    )


@blueprint.route("/status", methods=["GET", "POST"])
@public
def status() -> ResponseReturnValue:
    """Show where an application stands to whoever holds its number and secret."""
    form = StatusForm(data={"number": request.args.get("number", "")})
    if not form.validate_on_submit():
        return render_template("citizen/status.html", form=form), 400 if form.errors else 200
    _limits().look_ups.check(_sender(), now())
    try:
        view = intake.application_status(database(), number=form.number.data, secret=form.secret.data, now=now())
    except NotFound:
        _limits().look_ups.count(_sender(), now())
        form.number.errors = [_l("No application has this number and secret: check both on the receipt")]
        return render_template("citizen/status.html", form=form), 404
    told = [
        (message_words.filled(one.kind, language(), one.number, one.facts), one.queued_at)
        for one in messages.of_application(reader(), view.number)
    ]
    return render_template(
        "citizen/progress.html",
        view=view,
        headline=headline_of(view),
        advice=advice_of(view),
        marks=course_of(view),
        messages=told,
    )


class RefusalForm(PageForm):
    """The least that is needed to refuse a card."""

    snils = StringField(_l("SNILS"), description=_l("11 digits"), validators=[InputRequired(_l("Give your SNILS"))])


@blueprint.route("/refuse", methods=["GET", "POST"])
@public
def refuse() -> ResponseReturnValue:
    """Take a refusal of a card of the mass emission."""
    form = RefusalForm()
    if form.validate_on_submit():
        count_filing()
        try:
            number = refusals.file(database(), snils=form.snils.data, channel="web", actor=CITIZEN, now=now())
        except InvalidNumber:
            form.snils.errors = [field_error("form.snils")]
        else:
            filed = refusals.filed_at(reader(), number)
            paper = confirmations.sealed_up(confirmations.REFUSAL, number, form.snils.data, at=filed)
            return redirect(url_for(".confirmation", paper=paper))
    known = notices.public_notice(reader(), on=today())
    return render_template("citizen/refuse.html", form=form, notice=known), 400 if form.errors else 200


def count_filing() -> None:
    """Count an application, refusal or choice of this sender; raises `TooManyAttempts`."""
    _limits().applications.count(_sender(), now())
