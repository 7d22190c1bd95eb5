"""Hides how a member of staff stays signed in: a signed cookie with the staff id, looked up in the database each time.

A sign-in ends after 30 minutes without a request and 12 hours in any case (OWASP Session Management Cheat Sheet).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from flask import Flask, g, request, session

from uec.domain.actors import Actor
from uec.services import staff
from uec.web.api import tokens
from uec.web.context import now, office, reader

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
SAFE = frozenset({"GET", "HEAD"})


def sign_in(actor: Actor) -> None:
    """Start a fresh session for the actor; nothing of the one before lives on."""
    session.clear()
    moment = now().timestamp()
    session["staff"] = actor.staff_id
    session["since"] = moment
    session["seen"] = moment
    g.actor = actor


def sign_out() -> None:
    """Forget who is signed in."""
    session.clear()


def _expired(moment: datetime) -> bool:
    seen = datetime.fromtimestamp(session.get("seen", 0), tz=moment.tzinfo)
    since = datetime.fromtimestamp(session.get("since", 0), tz=moment.tzinfo)
    return moment - seen > IDLE or moment - since > LONGEST


def recognise(app: Flask) -> None:
    """Put who is signed in into `g.actor` before any view: None for a visitor."""

    @app.before_request
    def load_actor() -> None:
        g.actor = None
        if request.endpoint == "static":
            return
        if request.path.startswith("/api/"):
            g.actor = _caller()
            return
        g.actor = _visitor()
        if g.actor is not None and not request.headers.get("HX-Request"):
            # A page that refreshes a part of itself does not keep an empty chair signed in.
            session["seen"] = now().timestamp()


def _visitor() -> Actor | None:
    """Who is signed in on the pages; a session that is over is forgotten."""
    staff_id = session.get("staff")
    if staff_id is None:
        return None
    actor = None if _expired(now()) else staff.actor_of(reader(), staff_id)
    if actor is None:
        sign_out()
        g.was_signed_in = staff_id
    return actor


def _caller() -> Actor | None:
    """Whom a program acts for: by its token, or, for reading only, by the pages' sign-in."""
    token = tokens.presented()
    if token is None:
        return _visitor() if request.method in SAFE else None
    bearer = tokens.read(token, key=office().key, now=now())
    actor = None if bearer is None else staff.actor_of(reader(), bearer.staff_id)
    if actor is None or bearer is None or bearer.scopes is None:
        return actor
    scopes = bearer.scopes
    return replace(actor, permissions=frozenset(one for one in actor.permissions if one.value in scopes))
