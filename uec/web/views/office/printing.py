"""Printing: how a card will look, a batch's sheet for the card printer, and the match of plastic and chip by number."""

from collections.abc import Callable

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from uec.domain.errors import InvalidNumber, NotFound
from uec.domain.permissions import Permission
from uec.services import batch_lists, card_numbers, print_orders, printing
from uec.services.print_orders import WrongPrint
from uec.services.printing import UNPRINTABLE, UnprintableCards
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, policy, reader, today
from uec.web.faces import printer
from uec.web.forms.fields import PageForm
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint

SHOWN = 10


class NumberForm(PageForm):
    """The number that the plastic shows; a scanner types it and presses Enter."""

    number = StringField(
        _l("Number on the card"),
        validators=[InputRequired(_l("Scan the bar code or type the number")), Length(max=40)],
    )


def _image(draw: Callable[[], bytes]) -> Response:
    try:
        content = draw()
    except UNPRINTABLE:
        abort(404)  # the page says in words that there is a picture; the sheet says why there is none
    answer = Response(content, mimetype="image/png")
    answer.cache_control.no_store = True  # a person's data
    return answer


@blueprint.get("/cards/<int:card_id>/face.png")
@needs(Permission.VIEW_PERSON)
def card_face(card_id: int) -> ResponseReturnValue:
    """Show a card's face as it is printed."""
    return _image(lambda: printing.card_face(database(), card_id, printer=printer(), actor=current_actor(), now=now()))


@blueprint.get("/applications/<int:application_id>/face.png")
@needs(Permission.VIEW_PERSON)
def application_face(application_id: int) -> ResponseReturnValue:
    """Show what the card of an application will look like."""
    return _image(
        lambda: printing.application_face(
            database(),
            application_id,
            profile=office().settings.default_profile,
            expires_on=policy().expires_on(today()),
            printer=printer(),
            actor=current_actor(),
            now=now(),
        )
    )


@blueprint.route("/batches/<int:batch_id>/printing", methods=["GET", "POST"])
@needs(Permission.VIEW_BATCHES)
def printing_of_batch(batch_id: int) -> ResponseReturnValue:
    """Show how far the printing of a batch is; take the number of a printed card."""
    form = NumberForm()
    if request.method == "POST" and form.validate_on_submit() and (matched := _match(batch_id, form)):
        flash(_("Plastic and chip agree: %(number)s.", number=matched), "success")
        return redirect(url_for(".printing_of_batch", batch_id=batch_id))
    row, _cards = batch_lists.detail(reader(), batch_id, actor=current_actor())
    orders = print_orders.of_batch(reader(), batch_id, actor=current_actor())
    prints = printing.prints(reader(), batch_id, printer=printer())
    page = render_template("office/printing.html", batch=row, orders=orders, prints=prints, form=form)
    return page, 400 if form.errors else 200


def _match(batch_id: int, form: NumberForm) -> str:
    """The number that was matched; empty, with the reason at the field, for one that was not."""
    try:
        card_id = print_orders.match(database(), form.number.data, batch_id=batch_id, actor=current_actor(), now=now())
    except InvalidNumber:
        form.number.errors = [_l("This is no card number: a digit is wrong. Scan it again")]
        return ""
    except (NotFound, WrongPrint):
        form.number.errors = [_l("No printed card of this batch has this number: take the card aside")]
        return ""
    return card_numbers.card_number_of(reader(), card_id)


@blueprint.post("/batches/<int:batch_id>/sheet.pdf")
@needs(Permission.PRODUCE_CARD)
def print_sheet(batch_id: int) -> ResponseReturnValue:
    """Give the sheet of what is to be printed of a batch."""
    try:
        made = print_orders.print_batch(database(), batch_id, printer=printer(), actor=current_actor(), now=now())
    except UnprintableCards as error:
        numbers = ", ".join(list(error.cards)[:SHOWN])
        flash(
            _("Name or photo of these cards cannot be printed: %(numbers)s. Annul them first.", numbers=numbers),
            "error",
        )
        return redirect(url_for(".printing_of_batch", batch_id=batch_id))
    answer = Response(made, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="batch-{batch_id}.pdf"'
    answer.cache_control.no_store = True
    return answer


@blueprint.post("/cards/<int:card_id>/print/spoil")
@needs(Permission.PRODUCE_CARD)
def spoil_print(card_id: int) -> ResponseReturnValue:
    """Give up a print that did not come out right; the next sheet has it again."""
    print_orders.spoil(database(), card_id, reason=request.form.get("reason", ""), actor=current_actor(), now=now())
    flash(_("The print is given up; the next sheet has this card again."), "success")
    batch_id = card_numbers.batch_of(reader(), card_id)
    return redirect(url_for(".printing_of_batch", batch_id=batch_id))
