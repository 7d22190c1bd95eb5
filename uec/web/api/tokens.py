"""Hides how a program proves who it acts for: a signed token with the staff id and its end, good for half an hour."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import request
from itsdangerous import BadSignature, URLSafeSerializer

LIFE = timedelta(minutes=30)
SALT = "uec api token 1"
SCHEME = "Bearer "


@dataclass(frozen=True)
class Bearer:
    """Whom a token acts for, and the only permissions it carries; None: all that the person has."""

    staff_id: int
    scopes: frozenset[str] | None


def issue(staff_id: int, *, key: bytes, now: datetime, scopes: Collection[str] | None = None) -> tuple[str, datetime]:
    """Return a token for a member of staff and the moment it ends; `scopes` narrows what it may do."""
    ends = now + LIFE
    content: dict[str, object] = {"staff": staff_id, "ends": int(ends.timestamp())}
    if scopes is not None:
        content["scopes"] = sorted(scopes)
    return str(URLSafeSerializer(key, salt=SALT).dumps(content)), ends


def read(token: str, *, key: bytes, now: datetime) -> Bearer | None:
    """Return whom a token acts for; None when it is forged, damaged or over."""
    try:
        content = URLSafeSerializer(key, salt=SALT).loads(token)
    except BadSignature:
        return None
    if now.timestamp() >= content["ends"]:
        return None
    scopes = content.get("scopes")
    return Bearer(int(content["staff"]), None if scopes is None else frozenset(scopes))


def presented() -> str | None:
    """Return the token this request carries, or None."""
    header = request.headers.get("Authorization", "")
    return header.removeprefix(SCHEME) if header.startswith(SCHEME) else None
