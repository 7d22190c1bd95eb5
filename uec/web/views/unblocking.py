"""The code that unblocks a card, at a window: its letter is printed once, and a PIN is set anew by it."""

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from issuance.production.pin_profile import Keeping
from issuance.production.sealing import seal_pins
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Permission
from uec.services import applications, card_lists, stations, unblock, unblock_letters
from uec.services import confirmations as papers
from uec.services.printing import FONTS
from uec.web import letters
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, policy, reader
from uec.web.forms.window import UnblockForm
from uec.web.language import language
from uec.web.views import window


@window.blueprint.route("/cards/<int:card_id>/unblock", methods=["GET", "POST"])
@needs(Permission.HAND_OVER_CARD)
def unblock_card(card_id: int) -> ResponseReturnValue:
    """Check the holder, let the holder type the code and a new PIN, and ask the hub to do the rest."""
    actor = current_actor()
    card = card_lists.detail(database(), card_id, actor=actor, now=now())
    asking = unblock.asking(reader(), card_id, settings=office().settings)
    form = UnblockForm(
        policy=policy(), asking=asking, at_readers=asking.at_readers, data={"by": request.args.get("by")}
    )
    form.offer(stations.list_stations(reader(), now=now(), point_id=actor.point_id))
    if request.method == "POST" and form.validate_on_submit():
        station_id, reader_name = form.chosen()
        key = stations.hub_public_key(reader(), now=now(), station_id=station_id)
        operation_id = unblock.request(
            database(),
            card_id,
            actor=actor,
            station_id=station_id,
            reader=reader_name,
            sealed_pins=seal_pins(key, form.typed(), card_number=card.row.number),
            holder_checked=bool(form.holder_checked.data),
            settings=office().settings,
            now=now(),
        )
        return redirect(url_for("window.operation", operation_id=operation_id))
    has_photo = applications.detail(database(), card.application_id, actor=actor, now=now()).has_photo
    page = render_template(
        "window/unblock.html",
        card=card,
        form=form,
        has_photo=has_photo,
        split=asking.kept is Keeping.SPLIT,
        ready=card.row.state is CardState.ACTIVE,
    )
    return page, 400 if form.errors else 200


@window.blueprint.post("/cards/<int:card_id>/letter")
@needs(Permission.HAND_OVER_CARD)
def letter(card_id: int) -> ResponseReturnValue:
    """Give the holder's letter as a sheet to print, this once."""
    session = database()
    taken = unblock_letters.take(
        session, card_id, box=letters.box(), settings=office().settings, actor=current_actor(), now=now()
    )
    sheet = papers.pdf(letters.paper_of(taken), FONTS, language=language(), now=now())
    session.commit()
    answer = Response(sheet, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'inline; filename="card-{taken.card_number[-letters.SHOWN :]}.pdf"'
    answer.headers["Cache-Control"] = "no-store"
    return answer
