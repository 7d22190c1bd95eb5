"""The operator's pages at a window: take an application or a refusal, find a card, hand it over and watch it happen."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from card_io.secret import Secret
from issuance.production.sealing import seal_pins
from uec.domain.errors import InvalidNumber
from uec.domain.lifecycle import CardState, OperationKind, OperationState, Route
from uec.domain.permissions import Permission
from uec.services import (
    applications,
    card_lists,
    card_looks,
    handover,
    operation_pace,
    operations,
    points,
    refusals,
    rows,
    stations,
    unblock_letters,
)
from uec.services.card_numbers import card_number_of
from uec.services.views import CardDetail, OperationView
from uec.store.tables import Card
from uec.web import confirmations, letters, receipts, variants
from uec.web.access import current_actor, needs
from uec.web.card_work import headline_of, marks_of, problem_of, wait_of
from uec.web.context import database, now, office, policy, reader, today
from uec.web.forms.application import WindowForm, answers_of, application_form, problems
from uec.web.forms.fields import PageForm
from uec.web.forms.readers import KEYBOARD, ReaderForm
from uec.web.forms.window import HandOverForm
from uec.web.pad_words import prompt_of
from uec.web.paging import PAGE_ROWS, seek
from uec.web.stock_words import told
from uec.web.texts import _, _l
from uec.web.uploads import photo_of
from uec.web.wording import field_error

_AGAIN = {OperationKind.HAND_OVER: ".hand_over", OperationKind.UNBLOCK: ".unblock_card"}
PAD_UNFIT = "pad-unfit"
_WORK = {"keys": OperationKind.REKEY, "end": OperationKind.TERMINATE}

blueprint = Blueprint("window", __name__, url_prefix="/window")


@blueprint.get("/")
@needs(Permission.TAKE_APPLICATION, Permission.HAND_OVER_CARD)
def desk() -> ResponseReturnValue:
    """Show the cards that wait at the operator's point, or what a search finds anywhere."""
    actor, query = current_actor(), request.args.get("query", "").strip()[:100]
    page = card_lists.find(
        database(),
        actor=actor,
        now=now(),
        query=query,
        states=() if query else (CardState.PERSONALISED,),
        point_id=None if query else actor.point_id,
        limit=PAGE_ROWS,
        **seek(),
    )
    return render_template("window/desk.html", page=page, query=query)


@blueprint.route("/application", methods=["GET", "POST"])
@needs(Permission.TAKE_APPLICATION)
def application() -> ResponseReturnValue:
    """Take an application from the papers on the table."""
    actor, places = current_actor(), points.list_points(reader())
    form = WindowForm(data={"point_id": actor.point_id, "doc_type": "passport"})
    offered = variants.offered()
    form.offer(places, office().settings.banks, offered)
    if request.method == "POST":
        complete = form.validate_on_submit()
        answers, photo = answers_of(form), photo_of(form.photo)
        wrong = problems(answers, points=places, variants=offered, photo=photo, today=today(), policy=policy())
        told = form.put_errors({name: key for name, key in wrong.items() if not form[name].errors}, field_error)
        if complete and not told:
            receipt = receipts.submit_once(
                application_form(answers, photo=photo, today=today()),
                name=request.form.get("form_name", ""),
                route=Route.WINDOW,
                actor=actor,
                policy=policy(),
            )
            chosen = next((place for place in places if place.id == form.point_id.data), None)
            return render_template(
                "citizen/receipt.html",
                receipt=receipt,
                point=chosen,
                variant=variants.told(receipt.profile),
                at_window=True,
            )
    name = request.form.get("form_name") or office().random(16).hex()
    return render_template("window/application.html", form=form, form_name=name), 400 if form.errors else 200


class RefusalForm(PageForm):
    """A refusal as filed at a window."""

    snils = StringField(_l("SNILS"), validators=[InputRequired(_l("Give the SNILS"))])
    note = StringField(_l("Note (optional)"), validators=[Length(max=200, message=_l("Shorten it to 200 characters"))])


@blueprint.route("/refusal", methods=["GET", "POST"])
@needs(Permission.TAKE_APPLICATION)
def refusal() -> ResponseReturnValue:
    """File a refusal and show its confirmation."""
    form = RefusalForm()
    if form.validate_on_submit():
        try:
            number = refusals.file(
                database(),
                snils=form.snils.data,
                channel="window",
                actor=current_actor(),
                now=now(),
                note=form.note.data or "",
            )
        except InvalidNumber:
            form.snils.errors = [field_error("form.snils")]
        else:
            filed = refusals.filed_at(database(), number)
            paper = confirmations.sealed_up(confirmations.REFUSAL, number, form.snils.data, at=filed)
            return redirect(url_for("citizen.confirmation", paper=paper))
    return render_template("window/refusal.html", form=form), 400 if form.errors else 200


@blueprint.route("/cards/<int:card_id>/hand-over", methods=["GET", "POST"])
@needs(Permission.HAND_OVER_CARD)
def hand_over(card_id: int) -> ResponseReturnValue:
    """Check the holder, let the holder choose the PINs, and ask the hub to do the rest."""
    actor = current_actor()
    card = card_lists.detail(database(), card_id, actor=actor, now=now())
    form = HandOverForm(
        policy=policy(),
        pins=handover.chosen_pins(database(), card_id, settings=office().settings),
        at_readers=handover.chosen_at_readers(database(), card_id, settings=office().settings),
        data={"by": request.args.get("by")},
    )
    form.offer(stations.list_stations(reader(), now=now(), point_id=actor.point_id))
    if request.method == "POST" and form.validate_on_submit():
        station_id, reader_name = form.chosen()
        operation_id = handover.request(
            database(),
            card_id,
            actor=actor,
            station_id=station_id,
            reader=reader_name,
            sealed_pins=_sealed(card_id, card, form, station_id),
            holder_checked=bool(form.holder_checked.data),
            now=now(),
        )
        return redirect(url_for(".operation", operation_id=operation_id))
    has_photo = applications.detail(database(), card.application_id, actor=actor, now=now()).has_photo
    page = render_template(
        "window/hand_over.html", card=card, form=form, has_photo=has_photo, held_back=_held_back(card_id)
    )
    return page, 400 if form.errors else 200


def _held_back(card_id: int) -> str | None:
    """Why the card may not be handed over yet, said before its holder chooses PINs."""
    try:
        card_looks.refuse_unseen(reader(), rows.present(reader(), Card, card_id))
    except card_looks.NotLookedAt as error:
        return told(error)
    return None


def _sealed(card_id: int, card: CardDetail, form: HandOverForm, station_id: int | None) -> bytes:
    """Seal the PINs to the hub before anything is stored: from here on this process cannot read them either.

    With them goes what the holder's letter will say, which this process keeps until the letter is printed.
    """
    key = stations.hub_public_key(reader(), now=now(), station_id=station_id)
    typed = {name: "" if form.at_reader else str(form[name].data) for name in form.chosen_pins}
    pins = {name: Secret(value.encode("ascii")) for name, value in typed.items()}
    settings = office().settings
    letter = unblock_letters.draw(database(), card_id, box=letters.box(), settings=settings, now=now())
    return seal_pins(key, pins | letter, card_number=card.row.number)


@blueprint.route("/cards/<int:card_id>/work/<what>", methods=["GET", "POST"])
@needs(Permission.HAND_OVER_CARD)
def card_work(card_id: int, what: str) -> ResponseReturnValue:
    """Change the keys of a card that lies in a reader (`keys`), or make one that came back mute (`end`)."""
    kind = _WORK.get(what)
    if kind is None:
        abort(404)
    actor = current_actor()
    card = card_lists.detail(database(), card_id, actor=actor, now=now())
    form = ReaderForm()
    form.offer(stations.list_stations(reader(), now=now(), point_id=actor.point_id))
    if form.validate_on_submit():
        station_id, reader_name = form.chosen()
        operation_id = operations.request_operation(
            database(),
            kind=kind,
            card_id=card_id,
            station_id=station_id,
            reader=reader_name,
            actor=actor,
            now=now(),
        )
        return redirect(url_for(".operation", operation_id=operation_id))
    return render_template("window/card_work.html", card=card, form=form, kind=kind), 400 if form.errors else 200


@blueprint.get("/operations/<int:operation_id>")
@needs(Permission.HAND_OVER_CARD, Permission.PRODUCE_CARD)
def operation(operation_id: int) -> ResponseReturnValue:
    """Show the work at the card; the page follows it by itself."""
    return render_template("window/operation.html", **_shown(operations.operation(reader(), operation_id)))


@blueprint.get("/operations/<int:operation_id>/part")
@needs(Permission.HAND_OVER_CARD, Permission.PRODUCE_CARD)
def operation_part(operation_id: int) -> ResponseReturnValue:
    """Give the part of the page that follows the work."""
    return render_template("parts/operation.html", **_shown(operations.operation(reader(), operation_id)))


def _shown(work: OperationView) -> dict[str, object]:
    problem, advice = problem_of(work)
    marks = marks_of(work)
    left = operation_pace.seconds_left(reader(), work, now=now())
    again, letter = None, None
    if work.card_id is not None and work.kind in _AGAIN:
        again = url_for(_AGAIN[work.kind], card_id=work.card_id, by=KEYBOARD if work.error_code == PAD_UNFIT else None)
    if work.card_id is not None and work.kind is OperationKind.HAND_OVER and work.state is OperationState.DONE:
        letter = unblock_letters.state_of(reader(), work.card_id)
    return {
        "operation": work,
        "headline": headline_of(work),
        "marks": marks,
        "of": len(marks),
        "step": sum(mark.done for mark in marks),
        "seconds_left": left,
        "wait": wait_of(work),
        "prompt": prompt_of(work, now=now()),
        "problem": problem,
        "advice": advice,
        "again": again,
        "letter": letter,
        "card_number": card_number_of(reader(), work.card_id) if work.card_id else None,
        "receipt_number": work.result.get("receipt"),
        "holder": _holder(work),
    }


def _holder(work: OperationView) -> str | None:
    """The name for the receipt of a card just handed over; the look is kept by the audit like any other."""
    if work.kind is not OperationKind.HAND_OVER or work.state is not OperationState.DONE or work.card_id is None:
        return None
    actor = current_actor()
    if not actor.may(Permission.VIEW_PERSON):
        return None
    return card_lists.detail(database(), work.card_id, actor=actor, now=now()).row.full_name


@blueprint.post("/operations/<int:operation_id>/cancel")
@needs(Permission.HAND_OVER_CARD, Permission.PRODUCE_CARD)
def cancel_operation(operation_id: int) -> ResponseReturnValue:
    """Call off work that no station has begun."""
    operations.cancel_operation(database(), operation_id, actor=current_actor(), now=now())
    flash(_("The work is called off."), "success")
    return redirect(url_for(".operation", operation_id=operation_id))
