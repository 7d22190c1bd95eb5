"""Hides where an unfinished application lives: sealed in the applicant's own cookie; the office stores nothing.

The cookie goes only to the pages of the application, no script reads it, and it is worth nothing after two hours.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from flask import Response

from uec.domain.errors import InvalidInput, UecError
from uec.web import sealed

COOKIE = "uec_draft"
PATH = "/apply"
LIFE = timedelta(hours=2)
PURPOSE = "draft"
# The name under which a draft carries its own random name; no question is called so.
NAME = "draft"
NAME_BYTES = 16
# Browsers promise 4096 bytes for name, value and attributes (RFC 6265, 6.1).
LARGEST = 3900


class DraftTooLong(InvalidInput):
    """The answers do not fit into the draft."""

    code = "web.draft_too_long"


class DraftChanged(UecError):
    """The draft is not the one the page was made from: another window of the browser changed it."""

    code = "web.draft_changed"


def seal(answers: Mapping[str, str], *, key: bytes, now: datetime, random: Callable[[int], bytes]) -> str:
    """Return the draft as a cookie value, named when it is new; raise `DraftTooLong` when it would not fit."""
    named = {NAME: random(NAME_BYTES).hex(), **answers}
    value = sealed.seal(named, purpose=PURPOSE, key=key, now=now, random=random)
    if len(value) > LARGEST:
        raise DraftTooLong("The answers are too long to be kept; shorten the address and the place of birth.")
    return value


def unseal(value: str, *, key: bytes, now: datetime) -> dict[str, str]:
    """Return the answers of a draft and its name; empty when it is too old, damaged or not ours."""
    content = sealed.unseal(value, purpose=PURPOSE, key=key, now=now, life=LIFE)
    return {str(name): str(answer) for name, answer in content.items()} if isinstance(content, dict) else {}


def mark_of(answers: Mapping[str, str], names: Iterable[str]) -> str:
    """Return a short mark of some answers, to tell whether a page was made from the same ones; "" for no draft."""
    chosen = {name: answers.get(name, "") for name in names}
    if not any(chosen.values()):
        return ""
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]


def keep(response: Response, value: str, *, secure: bool) -> None:
    """Put the draft with the applicant, for the pages of the application only."""
    response.set_cookie(
        COOKIE, value, max_age=int(LIFE.total_seconds()), path=PATH, httponly=True, samesite="Strict", secure=secure
    )


def discard(response: Response) -> None:
    """Take the draft away."""
    response.delete_cookie(COOKIE, path=PATH)
