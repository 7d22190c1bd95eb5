"""Hides how a list is cut into pages: the offset in the address, never beyond reason."""

from flask import request

PAGE_ROWS = 25
FARTHEST = 10_000_000


def offset() -> int:
    """Return the offset asked for, 0 when it makes no sense."""
    given = request.args.get("offset", "0")
    return min(int(given), FARTHEST) if given.isdigit() and len(given) < 9 else 0
