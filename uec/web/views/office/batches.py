"""Batches: the list, planning, one batch with its cards, release by a second person, the start of writing."""

from datetime import date
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import InvalidInput, PlanInMaking, UecError
from uec.domain.lifecycle import BatchState
from uec.domain.permissions import Permission
from uec.services import (
    batch_lists,
    batch_moves,
    bureau_drawing,
    bureau_lists,
    operations,
    rules,
    stations,
)
from uec.services import batches as service
from uec.services.batch_rules import BatchRules
from uec.services.rows import present
from uec.store.tables import Batch
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, policy_book, reader, today
from uec.web.failures import status_of
from uec.web.language import pick
from uec.web.paging import PAGE_ROWS, number, offset
from uec.web.texts import _, ngettext
from uec.web.views.office.applications import chosen
from uec.web.views.office.room import blueprint
from uec.web.wording import sentence

SHOWN_CARDS = 200


@blueprint.get("/batches")
@needs(Permission.VIEW_BATCHES)
def batches() -> ResponseReturnValue:
    """List batches by day."""
    state, day, line = chosen(BatchState, "state"), _day(request.args.get("day", "")), request.args.get("line")
    page = batch_lists.find(
        reader(),
        actor=current_actor(),
        states=(state,) if state else (),
        day=day,
        line=line if day else None,
        limit=PAGE_ROWS,
        offset=offset(),
    )
    return render_template(
        "office/batches.html", page=page, state=state, states=BatchState, day_shown=day, line=line if day else None
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@blueprint.post("/batches/plan")
@needs(Permission.PLAN_BATCH)
def plan() -> ResponseReturnValue:
    """Plan every approved application, and say what came of it."""
    way = service.plan_anew if request.args.get("way") == "anew" else service.plan
    outcome = way(database(), actor=current_actor(), rules=_rules(), now=now())
    if outcome.cards:
        made = ngettext("%(num)d card is planned", "%(num)d cards are planned", outcome.cards)
        lots = ngettext("in %(num)d batch.", "in %(num)d batches.", len(outcome.batches))
        flash(f"{made} {lots}", "success")
    else:
        flash(_("There was nothing to plan for the next days."), "info")
    if outcome.late:
        flash(
            ngettext(
                "%(num)d card comes after its due date.", "%(num)d cards come after their due date.", outcome.late
            ),
            "info",
        )
    if waiting := sum(outcome.unplaced.values()):
        flash(ngettext("%(num)d application found no room.", "%(num)d applications found no room.", waiting), "info")
    return redirect(url_for(".batches"))


def _shown(batch_id: int) -> dict[str, object]:
    row, cards = batch_lists.detail(reader(), batch_id, actor=current_actor())
    return {"batch": row, "cards": cards[:SHOWN_CARDS]}


@blueprint.get("/batches/<int:batch_id>")
@needs(Permission.VIEW_BATCHES)
def batch(batch_id: int) -> ResponseReturnValue:
    """Show one batch and what may be done with it now."""
    online = [one for one in stations.list_stations(reader(), now=now()) if one.online]
    row = present(reader(), Batch, batch_id)
    return render_template(
        "office/batch.html",
        readers=online,
        bureau=bureau_drawing.bureau_of(reader(), row),
        order=bureau_lists.standing_order(reader(), batch_id),
        **_shown(batch_id),
    )


@blueprint.get("/batches/<int:batch_id>/part")
@needs(Permission.VIEW_BATCHES)
def batch_part(batch_id: int) -> ResponseReturnValue:
    """Give the part of the page that follows the writing."""
    return render_template("parts/batch_cards.html", **_shown(batch_id))


@blueprint.post("/batches/<int:batch_id>/release")
@needs(Permission.RELEASE_BATCH)
def release(batch_id: int) -> ResponseReturnValue:
    """Release a batch for production."""
    service.release(database(), batch_id, actor=current_actor(), now=now())
    flash(_("The batch is released. Its data are being prepared."), "success")
    return redirect(url_for(".batch", batch_id=batch_id))


@blueprint.post("/batches/<int:batch_id>/produce")
@needs(Permission.PRODUCE_CARD)
def produce(batch_id: int) -> ResponseReturnValue:
    """Ask for the writing of all prepared cards at a station."""
    asked = operations.request_batch(
        database(),
        batch_id,
        station_id=number(request.form.get("station", "")),
        actor=current_actor(),
        now=now(),
    )
    if asked:
        flash(
            ngettext(
                "%(num)d card is on its way to the station.", "%(num)d cards are on their way to the station.", asked
            ),
            "success",
        )
    else:
        flash(_("No card of the batch is ready for writing yet. Wait a little and try again."), "info")
    return redirect(url_for(".batch", batch_id=batch_id))


@blueprint.post("/batches/<int:batch_id>/cancel")
@needs(Permission.PLAN_BATCH)
def cancel(batch_id: int) -> ResponseReturnValue:
    """Call a batch off."""
    service.cancel(database(), batch_id, actor=current_actor(), reason=request.form.get("reason", ""), now=now())
    flash(_("The batch is called off; its applications may be planned again."), "success")
    return redirect(url_for(".batch", batch_id=batch_id))


@blueprint.get("/batches/<int:batch_id>/move")
@needs(Permission.PLAN_BATCH)
def move_batch(batch_id: int) -> ResponseReturnValue:
    """Show what follows when a batch is made on another day or line; nothing is saved."""
    day, line = _day(request.args.get("day", "")), request.args.get("line") or None
    return _move_page(batch_id, day, line)


def _move_page(batch_id: int, day: date | None, line: str | None, wrong: UecError | None = None) -> ResponseReturnValue:
    """What follows from a day or a line that was asked for, or why that cannot be; `wrong` is why it was not saved."""
    row, _cards = batch_lists.detail(reader(), batch_id, actor=current_actor())
    ways: dict[str, Any] = {"actor": current_actor(), "rules": _rules(), "today": today()}
    wanted, on_line = day or row.planned_for, line or row.line
    found: batch_moves.Move | None = None
    openings: list[tuple[date, str]] = []
    # While the plan is made nothing is wrong with the move itself: it stands there to be sent again.
    if not isinstance(wrong, InvalidInput) and (day or line):
        try:
            found = batch_moves.consider(reader(), batch_id, day=wanted, line=on_line, **ways)
        except InvalidInput as why:
            wrong = why
    if isinstance(wrong, InvalidInput) or (found and not found.fits):
        openings = batch_moves.openings(reader(), batch_id, line=on_line, **ways)
    lines = batch_moves.lines_for(reader(), batch_id, **ways)
    page = render_template(
        "office/batch_move.html",
        batch=row,
        day=wanted,
        line=on_line,
        lines=lines,
        names={one.code: pick(one.name_ru or one.code, one.name_en or one.code) for one in lines},
        found=found,
        problem=_not_moved(wrong) if wrong else None,
        openings=openings,
    )
    return page, status_of(wrong) if wrong and request.method == "POST" else 200


def _not_moved(wrong: UecError) -> str | None:
    """Why a batch cannot be moved there, and what to do."""
    if isinstance(wrong, PlanInMaking):
        return sentence(wrong)
    words = {
        "batch": _("The batch is released already: it is not moved any more."),
        "line": _("This line does not make such cards, or is not there any more: choose one of the list."),
        "room": _("Meanwhile the line has no room for it on that day: choose another day or line."),
    }
    otherwise = _("Nothing is made on that day: choose a working day from today on.")
    return words.get(str(wrong.facts.get("field")), otherwise)


@blueprint.post("/batches/<int:batch_id>/move")
@needs(Permission.PLAN_BATCH)
def move_batch_now(batch_id: int) -> ResponseReturnValue:
    """Move a batch to another day or line."""
    day, line = _day(request.form.get("day", "")), request.form.get("line") or None
    seen = _day(request.form.get("from_day", ""))
    try:
        batch_moves.move(
            database(),
            batch_id,
            day=day or date.min,
            line=line,
            actor=current_actor(),
            rules=_rules(),
            today=today(),
            now=now(),
            seen=(seen, request.form.get("from_line", "")) if seen else None,
        )
    except (InvalidInput, PlanInMaking) as wrong:
        database().rollback()
        return _move_page(batch_id, day, line, wrong)
    flash(_("The batch is moved."), "success")
    return redirect(url_for(".batch", batch_id=batch_id))


def _rules() -> BatchRules:
    return rules.batch_rules(office().settings, today=today(), book=policy_book())
