"""Hides how numbers come in from an address: a page's offset, an id; nothing beyond what the database can hold."""

from typing import TypedDict

from flask import Flask, abort, request
from werkzeug.routing import IntegerConverter

from uec.web.partner_files import brings_partner_file

PAGE_ROWS = 25
FARTHEST = 10_000_000
LARGEST_ID = 2**31 - 1


class IdConverter(IntegerConverter):
    """An id in an address; one that no row can have is no such page."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Take the arguments of `int`, bounded by the largest id."""
        super().__init__(*args, **{"max": LARGEST_ID, **kwargs})  # type: ignore[arg-type]


def bound_addresses(app: Flask) -> None:
    """Make `<int:...>` of every route an id that the database can hold, and refuse texts it cannot hold."""
    app.url_map.converters["int"] = IdConverter

    @app.before_request
    def refuse_nul() -> None:
        # PostgreSQL holds no U+0000 in a text; nobody types one. A partner's file is read once its sender is known.
        asked = (request.args,) if brings_partner_file() else (request.args, request.form)
        if any("\0" in value for values in asked for value in values.values()):
            abort(400)


def number(text: str, *, largest: int = LARGEST_ID) -> int | None:
    """Return a number written in plain digits; None for anything else, and for what is too large."""
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(largest))
    return int(text) if plain and int(text) <= largest else None


def offset() -> int:
    """Return the offset asked for, 0 when it makes no sense."""
    return number(request.args.get("offset", "0"), largest=FARTHEST) or 0


class Place(TypedDict):
    """Where a page begins, as services take it: how far down, and the row it comes after or before."""

    offset: int
    after: int | None
    before: int | None


def seek() -> Place:
    """Where the page asked for begins, as the macro `pager` links to it."""
    after, before = (number(request.args.get(name, "")) for name in ("after", "before"))
    return {"offset": offset(), "after": after, "before": before}
