"""Makes a text fit its place: shrunk to the least size, then shortened by its rule, then refused by name.

ICAO Doc 9303 part 3, section 4 leaves truncation to the issuer and wants it to be regular: initials from the end, never
letters cut off a first name or surname. What does not fit is known before anything is ordered.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from issuance.printing.errors import TextDoesNotFit
from issuance.printing.face import PER_MM, PER_POINT, Shorten, TextPlace
from issuance.printing.fonts import Typeface

_STEP = 0.25  # points


@dataclass(frozen=True)
class Fitted:
    """A text as it is printed, and its size in points."""

    text: str
    size_pt: float


def fit(text: str, place: TextPlace, face: Typeface) -> Fitted:
    """The largest form of a text that fits its place; raises `TextDoesNotFit` and `UnknownSign`.

    Letters with marks of their own are put together first (NFC), so that `й` is one sign however it was typed.
    """
    whole = " ".join(unicodedata.normalize("NFC", text).split())
    room = place.width / PER_MM
    largest, least = place.size / PER_POINT, place.least / PER_POINT
    for form in forms(whole, place.shorten):
        at_one_point = face.width_mm(form, 1.0, field=place.name)
        if at_one_point * least <= room:
            size = largest if not at_one_point else min(largest, room / at_one_point)
            return Fitted(form, max(least, int(size / _STEP) * _STEP))
    fitting = sum(face.width_mm(whole[: count + 1], least) <= room for count in range(len(whole)))
    raise TextDoesNotFit(place.name, len(whole), fitting)


def forms(text: str, rule: Shorten) -> Iterator[str]:
    """The text and its shorter forms, longest first."""
    yield text
    if rule is Shorten.NEVER:
        return
    mark = " " if rule is Shorten.NAME else "-"
    parts = text.split(mark)
    for kept in range(len(parts) - 1, 0, -1):
        parts[kept] = f"{parts[kept][:1]}."
        yield mark.join(parts)
    if rule is Shorten.NAME and "-" in parts[0]:
        first, *rest = parts
        for shorter in forms(first, Shorten.SURNAME):
            yield " ".join([shorter, *rest])
