"""Routes of the API for one of each: an application, a card, the cards of a batch, a person's place by the plan."""

from typing import Any

from uec.domain.permissions import Permission
from uec.services import applications, batch_lists, card_lists, plan_late, plan_office
from uec.services.plan_late import LatePerson, Wanted
from uec.services.views import ApplicationDetail, CardDetail, CardRow, Page
from uec.web.access import current_actor, needs
from uec.web.api import detail_schemas, schemas
from uec.web.api.routes import Values, at, gives, takes
from uec.web.context import database, now, reader


@at("/applications/<int:application_id>", secured=True)
@gives(200, detail_schemas.ApplicationDetailOutput)
@needs(Permission.VIEW_PERSON)
def one_application(application_id: int) -> ApplicationDetail:
    """Show an application with its checks and the decision."""
    return applications.detail(database(), application_id, actor=current_actor(), now=now())


@at("/cards/<int:card_id>", secured=True)
@gives(200, detail_schemas.CardDetailOutput)
@needs(Permission.VIEW_PERSON)
def one_card(card_id: int) -> CardDetail:
    """Show a card with its certificates, journal and operations."""
    return card_lists.detail(database(), card_id, actor=current_actor(), now=now())


@at("/batches/<int:batch_id>/cards", secured=True)
@takes(schemas.PageInput, "query")
@gives(200, schemas.paged(schemas.CardOutput))
@needs(Permission.VIEW_BATCHES)
def list_batch_cards(values: Values, batch_id: int) -> Page[CardRow]:
    """List the cards of a batch by number, without names: those need a look at the person's record."""
    _batch, cards = batch_lists.detail(reader(), batch_id, actor=current_actor())
    offset, limit = values["offset"], values["limit"]
    return Page(cards[offset : offset + limit], len(cards), offset, limit)


@at("/plans/newest/places/<number>", secured=True)
@takes(detail_schemas.PlaceInput, "query")
@gives(200, detail_schemas.PlaceOutput)
@needs(Permission.VIEW_BATCHES)
def one_place(values: Values, number: str) -> dict[str, Any]:
    """Show where the application with this number stands in the newest plan, and why."""
    place = plan_office.explain(reader(), number, actor=current_actor())
    return {**vars(place), "story": plan_office.story(reader(), place, language=values["language"])}


@at("/plans/newest/late", secured=True)
@takes(detail_schemas.LateInput, "query")
@gives(200, schemas.paged(detail_schemas.LateOutput))
@needs(Permission.VIEW_BATCHES)
def list_late(values: Values) -> Page[LatePerson]:
    """List who is late by the newest plan, or has no day in it."""
    wanted = Wanted(values.get("reason"), values.get("kind"), values["point"], values["variant"])
    return plan_late.people(reader(), wanted, actor=current_actor(), limit=values["limit"], offset=values["offset"])
