"""Hides how an application is sent once however often its button is pressed, and how its receipt is shown again.

The secret of a receipt comes from the office's key and the name of the form it was sent with. The same form sent again
(a double press, a reload, a connection lost before the answer) finds its application by that secret and gets the same
receipt; another form of the same person is refused as ever. The receipt stays with the applicant, sealed, for half an
hour.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime, timedelta

from flask import Response, request

from uec.domain.actors import Actor
from uec.domain.errors import NotFound
from uec.domain.lifecycle import Route
from uec.domain.policy import Policy
from uec.services import intake
from uec.services.applicant_secret import new_secret
from uec.services.forms import ApplicationForm
from uec.services.views import Receipt
from uec.web import sealed, variants
from uec.web.context import database, now, office
from uec.web.faces import no_room

COOKIE = "uec_receipt"
PATH = "/apply"
LIFE = timedelta(minutes=30)
PURPOSE = "receipt"


def _random_of(name: str, form: ApplicationForm, actor: Actor) -> Callable[[int], bytes]:
    """Randomness that belongs to one form of one sender about one person."""
    purpose = f"secret of {actor.reference} {name} {form.snils}"
    return lambda count: sealed.derived(office().key, purpose, count)


def submit_once(form: ApplicationForm, *, name: str, route: Route, actor: Actor, policy: Policy) -> Receipt:
    """Send the application, or find what the form called `name` sent before; an unguessable name of its own each."""
    random = _random_of(name, form, actor) if name else office().random
    session = database()
    try:
        return intake.submit_application(
            session,
            form=form,
            route=route,
            actor=actor,
            policy=policy,
            now=now(),
            random=random,
            misfits=no_room,
            variants=variants.names(),
        )
    except intake.AlreadyServed as error:
        session.rollback()
        if not name or not error.application:
            raise
        secret = new_secret(random)
        try:
            sent = intake.application_status(session, number=error.application, secret=secret, now=now())
        except NotFound:
            raise error from None
        return Receipt(sent.number, secret, sent.submitted_at, sent.due_on, form.profile)


def keep(response: Response, receipt: Receipt, point_id: int) -> None:
    """Put the receipt with the applicant, for the pages of the application only."""
    facts = asdict(receipt) | {
        "submitted_at": receipt.submitted_at.isoformat(),
        "due_on": receipt.due_on.isoformat(),
    }
    value = sealed.seal([facts, point_id], purpose=PURPOSE, key=office().key, now=now(), random=office().random)
    response.set_cookie(
        COOKIE, value, max_age=int(LIFE.total_seconds()), path=PATH, httponly=True, samesite="Strict",
        secure=office().settings.base_url.startswith("https://"),
    )  # fmt: skip


def kept() -> tuple[Receipt, int] | None:
    """Return the receipt the applicant got and the point chosen, None when there is none any more."""
    value = request.cookies.get(COOKIE, "")
    content = sealed.unseal(value, purpose=PURPOSE, key=office().key, now=now(), life=LIFE)
    if content is None:
        return None
    facts, point_id = content
    submitted_at, due_on = datetime.fromisoformat(facts["submitted_at"]), date.fromisoformat(facts["due_on"])
    own = Receipt(facts["number"], facts["secret"], submitted_at, due_on, facts.get("profile", ""))
    return own, int(point_id)


def forget(response: Response) -> None:
    """Take the receipt away."""
    response.delete_cookie(COOKIE, path=PATH)
