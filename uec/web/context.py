"""Hides what a request stands on: settings, database, clock and randomness, made once a process, for views only."""

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from flask import Flask, current_app, g
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.policy import Policy, PolicyBook
from uec.services import phases
from uec.settings import Settings
from uec.store.engine import reading

EXTENSION = "uec"
KEY_BYTES = 32


@dataclass(frozen=True)
class Office:
    """What the web process was started with."""

    settings: Settings
    sessions: sessionmaker[Session]
    clock: Callable[[], datetime]
    random: Callable[[int], bytes]
    key: bytes


def office() -> Office:
    """Return the office behind this application."""
    found: Office = current_app.extensions[EXTENSION]
    return found


def now() -> datetime:
    """Return the moment of this request: the same one however often it is asked for."""
    if "now" not in g:
        g.now = office().clock()
    moment: datetime = g.now
    return moment


def today() -> date:
    """Return the office's calendar day of this request."""
    return office().settings.policy.day(now())


def policy() -> Policy:
    """Return the rules in force at this request."""
    return policy_book().at(now())


def policy_book() -> PolicyBook:
    """Return all versions of the rules: those of the settings, and what the office changed by dated acts."""
    if "policy_book" not in g:
        g.policy_book = phases.book(reader(), office().settings.policy)
    found: PolicyBook = g.policy_book
    return found


def _stack() -> ExitStack:
    if "sessions" not in g:
        g.sessions = ExitStack()
    stack: ExitStack = g.sessions
    return stack


def database() -> Session:
    """Return this request's session for changes, and for looks that the audit keeps; closed after the answer."""
    if "database" not in g:
        g.database = _stack().enter_context(office().sessions())
    session: Session = g.database
    return session


def reader() -> Session:
    """Return this request's session that only reads, so that a page never waits for a writer."""
    if "reader" not in g:
        g.reader = _stack().enter_context(reading(office().sessions))
    session: Session = g.reader
    return session


def close_sessions(app: Flask) -> None:
    """Close the sessions of a request when its answer is made; what was not committed is undone."""

    @app.teardown_appcontext
    def close(_error: BaseException | None) -> None:
        stack: ExitStack | None = g.pop("sessions", None)
        if stack is not None:
            stack.close()


def load_key(path: Path) -> bytes:
    """Return the key that signs cookies; made at the first start, readable by its owner alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(handle, "wb") as file:
        file.write(key := secrets.token_bytes(KEY_BYTES))
    return key
