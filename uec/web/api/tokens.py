"""Hides how a program proves who it acts for: a signed token with the staff id and its end, good for half an hour."""

from datetime import datetime, timedelta

from flask import request
from itsdangerous import BadSignature, URLSafeSerializer

LIFE = timedelta(minutes=30)
SALT = "uec api token 1"
SCHEME = "Bearer "


def issue(staff_id: int, *, key: bytes, now: datetime) -> tuple[str, datetime]:
    """Return a token for a member of staff and the moment it ends."""
    ends = now + LIFE
    token = URLSafeSerializer(key, salt=SALT).dumps({"staff": staff_id, "ends": int(ends.timestamp())})
    return str(token), ends


def read(token: str, *, key: bytes, now: datetime) -> int | None:
    """Return the staff id of a token; None when it is forged, damaged or over."""
    try:
        content = URLSafeSerializer(key, salt=SALT).loads(token)
    except BadSignature:
        return None
    return int(content["staff"]) if now.timestamp() < content["ends"] else None


def presented() -> str | None:
    """Return the token this request carries, or None."""
    header = request.headers.get("Authorization", "")
    return header.removeprefix(SCHEME) if header.startswith(SCHEME) else None
