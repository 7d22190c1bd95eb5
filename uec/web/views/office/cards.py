"""Cards: the list, one with its certificates and journal, and the events of its life."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, TextAreaField
from wtforms.validators import InputRequired, Length

from uec.domain.actors import Actor
from uec.domain.lifecycle import CARD, ApplicationReason, CardEvent, CardState, sources
from uec.domain.permissions import Permission
from uec.services import card_lists, printing, unblock_letters
from uec.services import cards as service
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, policy, reader
from uec.web.faces import printer
from uec.web.forms.fields import PageForm, options
from uec.web.paging import PAGE_ROWS, seek
from uec.web.texts import _, _l
from uec.web.views.office.applications import chosen
from uec.web.views.office.room import blueprint

REPLACE = "REPLACE"
EVENTS: Mapping[str, tuple[CardEvent, Permission, Any, Callable[..., Any] | None]] = {
    "SUSPEND": (
        CardEvent.SUSPEND,
        Permission.MANAGE_CARD,
        _l("Suspend: the certificates are put on hold"),
        service.suspend,
    ),
    "RESUME": (CardEvent.RESUME, Permission.MANAGE_CARD, _l("Resume: the hold is lifted"), service.resume),
    "REPORT_LOST": (
        CardEvent.REPORT_LOST,
        Permission.TAKE_APPLICATION,
        _l("Report lost: blocked at once and for good"),
        service.report_lost,
    ),
    "ANNUL": (CardEvent.ANNUL, Permission.MANAGE_CARD, _l("Annul: the card ends for good"), service.annul),
    REPLACE: (
        CardEvent.REPLACE,
        Permission.TAKE_APPLICATION,
        _l("Replace: the card ends, a new application is opened"),
        None,
    ),
    "SPOIL": (
        CardEvent.SPOIL,
        Permission.PRODUCE_CARD,
        _l("Scrap: the card is spoiled, a new one is made"),
        service.spoil,
    ),
    "DESTROY": (
        CardEvent.DESTROY,
        Permission.MANAGE_CARD,
        _l("Destroyed: the plastic no longer exists"),
        service.destroy,
    ),
}
MANAGED = frozenset({"REPORT_LOST", "SPOIL"})


@blueprint.get("/cards")
@needs(Permission.VIEW_PERSON)
def cards() -> ResponseReturnValue:
    """List cards."""
    state, query = chosen(CardState, "state"), request.args.get("query", "").strip()[:100]
    page = card_lists.find(
        database(),
        actor=current_actor(),
        now=now(),
        query=query,
        states=(state,) if state else (),
        limit=PAGE_ROWS,
        **seek(),
    )
    return render_template("office/cards.html", page=page, query=query, state=state, states=CardState)


class LifeForm(PageForm):
    """What happens to the card, and why."""

    event = RadioField(_l("What has happened"), validate_choice=True)
    reason = TextAreaField(
        _l("Reason"),
        validators=[InputRequired(_l("Write the reason")), Length(max=500, message=_l("Shorten it to 500 characters"))],
    )

    def offer(self, actor: Actor, state: CardState) -> None:
        """Fill in what the actor may do with a card in this state."""
        self.event.choices = options(
            (name, text)
            for name, (event, permission, text, _act) in EVENTS.items()
            if state in sources(CARD, event)
            and (actor.may(permission) or (name in MANAGED and actor.may(Permission.MANAGE_CARD)))
        )


@blueprint.route("/cards/<int:card_id>", methods=["GET", "POST"])
@needs(Permission.VIEW_PERSON)
def card(card_id: int) -> ResponseReturnValue:
    """Show one card; carry out an event of its life."""
    actor = current_actor()
    view = card_lists.detail(database(), card_id, actor=actor, now=now())
    form = LifeForm()
    form.offer(actor, view.row.state)
    if request.method == "POST" and form.event.choices and form.validate_on_submit():
        return _carry_out(card_id, form, actor)
    prints = printing.card_prints(database(), card_id, printer=printer())
    letter = unblock_letters.state_of(reader(), card_id)
    page = render_template("office/card.html", card=view, form=form, prints=prints, letter=letter)
    return page, 400 if form.errors else 200


def _carry_out(card_id: int, form: LifeForm, actor: Actor) -> ResponseReturnValue:
    act = EVENTS[form.event.data][3]
    if act is None:
        receipt = service.replace(
            database(),
            card_id,
            actor=actor,
            reason=ApplicationReason.REPLACEMENT,
            policy=policy(),
            now=now(),
            random=office().random,
        )
        return render_template("citizen/receipt.html", receipt=receipt, point=None, at_window=True)
    act(database(), card_id, actor=actor, reason=form.reason.data, now=now())
    flash(_("Done: the card, its certificates and the stop-list follow."), "success")
    return redirect(url_for(".card", card_id=card_id))
