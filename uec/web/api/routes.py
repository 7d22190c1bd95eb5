"""The routes of the API; each names its permission like a page does, calls one service and returns a shape."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, cast

from flask import Request, current_app, request, url_for
from flask_smorest import Blueprint
from marshmallow import Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest

from uec.domain.actors import CITIZEN
from uec.domain.lifecycle import Route
from uec.domain.permissions import Permission
from uec.services import applications, batch_lists, card_lists, intake, points, staff
from uec.services.forms import ApplicationForm
from uec.services.views import BatchRow
from uec.web import published as published_lists
from uec.web import variants
from uec.web.access import current_actor, needs, public
from uec.web.api import schemas, tokens
from uec.web.context import database, now, office, policy, reader
from uec.web.faces import no_room
from uec.web.limits import SharedWindow

View = TypeVar("View", bound=Callable[..., Any])
Values = Mapping[str, Any]


class _Parser(FlaskParser):
    """Reads bodies; one that is nested deeper than can be read is refused like one that is no JSON."""

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Read the body; raises `BadRequest`."""
        try:
            return super().load_json(req, schema)
        except RecursionError as error:
            raise BadRequest from error


class _Blueprint(Blueprint):  # type: ignore[misc]
    """Routes whose bodies the parser above reads."""

    ARGUMENTS_PARSER = _Parser()


blueprint = _Blueprint("api", __name__, url_prefix="/api", description="The office for programs")
SECURITY: list[dict[str, list[str]]] = [{"token": []}]


def _count_attempts(state: Any) -> None:
    state.app.extensions["uec.api_attempts"] = SharedWindow("api", 60, timedelta(minutes=5))


blueprint.record_once(_count_attempts)


def count_attempt() -> None:
    """Count an attempt of this sender; raises `TooManyAttempts`."""
    attempts: SharedWindow = current_app.extensions["uec.api_attempts"]
    attempts.count(request.remote_addr or "", now())


def takes(schema: type[Schema], location: str = "json") -> Callable[[View], View]:
    """Check what comes in by a schema and hand it to the view."""
    return cast("Callable[[View], View]", blueprint.arguments(schema, location=location))


def gives(status: int, schema: type[Schema] | Schema) -> Callable[[View], View]:
    """Shape what goes out by a schema."""
    return cast("Callable[[View], View]", blueprint.response(status, schema))


def takes_file(content_type: str) -> Callable[[View], View]:
    """Describe a body that is a file, which the view reads as it comes."""
    body = {"required": True, "content": {content_type: {"schema": _file_of(content_type)}}}
    return cast("Callable[[View], View]", blueprint.doc(requestBody=body))


def gives_file(content_type: str, description: str) -> Callable[[View], View]:
    """Describe an answer that is a file."""
    described = blueprint.response(200, _file_of(content_type), content_type=content_type, description=description)
    return cast("Callable[[View], View]", described)


def _file_of(content_type: str) -> dict[str, str]:
    return {"type": "string", "contentMediaType": content_type}


def at(rule: str, method: str = "GET", *, secured: bool = False) -> Callable[[View], View]:
    """Register a route, described as needing a token when `secured`."""

    def register(view: View) -> View:
        first, *others = view.__name__.split("_")
        told: dict[str, Any] = {"operationId": first + "".join(map(str.capitalize, others))}
        described = blueprint.doc(**told, **({"security": SECURITY} if secured else {}))(view)
        blueprint.route(rule, methods=[method])(described)
        return view

    return register


def _asked(values: Values) -> dict[str, Any]:
    """What a list was asked for, as the services take it: one state or all, and the rest by name."""
    return {name: value for name, value in values.items() if name != "state"} | {
        "states": (values["state"],) if "state" in values else ()
    }


@at("/session", "POST")
@takes(schemas.SignInInput)
@gives(200, schemas.TokenOutput)
@public
def open_session(values: Values) -> dict[str, object]:
    """Give a bearer token for login and password."""
    count_attempt()
    actor = staff.sign_in(database(), values["login"], values["password"], now())
    scopes = values["scopes"]
    token, ends = tokens.issue(cast("int", actor.staff_id), key=office().key, now=now(), scopes=scopes)
    carried = sorted(one for one in actor.permissions if scopes is None or one.value in scopes)
    return {"token": token, "ends_at": ends, "display": actor.display, "permissions": carried}


@at("/points")
@gives(200, schemas.PointOutput(many=True))
@public
def list_points() -> object:
    """List the places where cards are applied for and collected."""
    return points.list_points(reader())


@at("/card-variants")
@gives(200, schemas.VariantOutput(many=True))
@public
def list_variants() -> object:
    """List the kinds of card that an applicant may choose, the usual one first."""
    return variants.offered()


@at("/applications", "POST")
@takes(schemas.ApplicationInput)
@gives(201, schemas.ReceiptOutput)
@public
def submit(values: Values) -> object:
    """Take an application, as the citizen's form does."""
    count_attempt()
    return intake.submit_application(
        database(),
        form=ApplicationForm(**values),
        route=Route.WEB,
        actor=CITIZEN,
        policy=policy(),
        now=now(),
        random=office().random,
        misfits=no_room,
        variants=variants.names(),
    )


@at("/applications/status", "POST")
@takes(schemas.StatusInput)
@gives(200, schemas.StatusOutput)
@public
def status(values: Values) -> object:
    """Say where an application stands, for its number and secret."""
    count_attempt()
    return intake.application_status(database(), number=values["number"], secret=values["secret"], now=now())


@at("/applications", secured=True)
@takes(schemas.ApplicationsInput, "query")
@gives(200, schemas.paged(schemas.ApplicationOutput))
@needs(Permission.VIEW_PERSON)
def list_applications(values: Values) -> object:
    """List applications, the ones due first on top."""
    return applications.find(database(), actor=current_actor(), now=now(), **_asked(values))


@at("/cards", secured=True)
@takes(schemas.CardsInput, "query")
@gives(200, schemas.paged(schemas.CardOutput))
@needs(Permission.VIEW_PERSON)
def list_cards(values: Values) -> object:
    """List cards with their states; `query` finds a card number, an application number, a SNILS or a surname."""
    return card_lists.find(database(), actor=current_actor(), now=now(), **_asked(values))


@at("/batches", secured=True)
@takes(schemas.BatchesInput, "query")
@gives(200, schemas.paged(schemas.BatchOutput))
@needs(Permission.VIEW_BATCHES)
def list_batches(values: Values) -> object:
    """List batches by day."""
    return batch_lists.find(reader(), actor=current_actor(), **_asked(values))


@at("/batches/<int:batch_id>", secured=True)
@gives(200, schemas.BatchOutput)
@needs(Permission.VIEW_BATCHES)
def one_batch(batch_id: int) -> BatchRow:
    """Show a batch with the states of its cards."""
    row, _cards = batch_lists.detail(reader(), batch_id, actor=current_actor())
    return row


@at("/published")
@gives(200, schemas.PublishedOutput)
@public
def published() -> dict[str, object]:
    """Say where the revocation list, the certificates and the stop-list lie."""
    crl = published_lists.crl(reader())
    return {
        "crl_url": url_for("pki.crl", issuer="issuing"),
        "crl_number": crl.number if crl else None,
        "crl_next_update": crl.next_update if crl else None,
        "root_certificate_url": url_for("pki.certificate", name="root"),
        "issuing_certificate_url": url_for("pki.certificate", name="issuing"),
        "stop_list_url": url_for("pki.stop_list"),
    }
