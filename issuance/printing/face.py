"""A card's printed face as data: places for texts, photo and bar code on an ID-1 card, read from TOML.

Lengths are hundredths of a millimetre from the upper left corner, sizes of letters tenths of a point, colours six hex
digits. The card is ID-1 of ISO/IEC 7810:2019 (85.60 x 53.98 mm); nothing may stand outside it.
"""

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from issuance.printing.errors import InvalidFace
from issuance.production.typed_toml import MisshapenTable, read_table

WIDTH, HEIGHT = 8560, 5398
PER_MM = 100
PER_POINT = 10
_COLOUR = re.compile(r"[0-9a-f]{6}")


class Weight(StrEnum):
    """Which cut of the typeface."""

    REGULAR = "regular"
    BOLD = "bold"


class Shorten(StrEnum):
    """What may be done to a text that does not fit at its smallest size."""

    NEVER = "never"
    NAME = "name"
    """Words from the last to the second become initials: `Анна-Мария Александровна`, `Анна-Мария А.`"""
    SURNAME = "surname"
    """Parts of a double surname from the last to the second become initials: `Иванова-П.`"""


@dataclass(frozen=True, slots=True)
class TextPlace:
    """A line of text from `left` on, `width` wide, standing on `baseline`.

    `fact` names what is printed; without one it is `text` itself. It shrinks from `size` to `least`, then is shortened.
    """

    name: str
    left: int
    baseline: int
    width: int
    size: int
    least: int
    fact: str = ""
    text: str = ""
    weight: Weight = Weight.REGULAR
    shorten: Shorten = Shorten.NEVER
    colour: str = "000000"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: the photo's place, the bar code's, or a coloured band."""

    name: str
    left: int
    top: int
    width: int
    height: int
    colour: str = "000000"


@dataclass(frozen=True, slots=True)
class Face:
    """Everything printed on one side of a card; `photo` and `code` (Code 128 of the number) are each a list of one."""

    name: str
    title: str
    texts: tuple[TextPlace, ...]
    bands: tuple[Box, ...] = ()
    photo: tuple[Box, ...] = ()
    code: tuple[Box, ...] = ()

    @property
    def facts(self) -> frozenset[str]:
        """The names of what is printed."""
        return frozenset(place.fact for place in self.texts if place.fact)


def load_face(path: Path) -> Face:
    """Read and check a face file; `InvalidFace` names what is wrong."""
    try:
        face = read_table(Face, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidFace(path.stem, "the file", str(error)) from error
    except MisshapenTable as error:
        raise InvalidFace(path.stem, error.place, error.reason) from error
    for place, reason in _faults(face, path.stem):
        raise InvalidFace(path.stem, place, reason)
    return face


def _faults(face: Face, file_name: str) -> list[tuple[str, str]]:
    found = []
    if face.name != file_name:
        found.append(("name", f"must be the file's own name, {file_name}"))
    for text in face.texts:
        if bool(text.fact) == bool(text.text):
            found.append((f"texts.{text.name}", "needs either a fact or a text of its own"))
        if not 0 < text.least <= text.size:
            found.append((f"texts.{text.name}", "must shrink to a size above nothing and not above its own"))
        right = text.left + text.width
        if not (min(text.left, text.width - 1) >= 0 and right <= WIDTH and 0 < text.baseline <= HEIGHT):
            found.append((f"texts.{text.name}", "stands outside the card"))
    for box in (*face.bands, *face.photo, *face.code):
        inside = min(box.left, box.top) >= 0 and box.left + box.width <= WIDTH and box.top + box.height <= HEIGHT
        if not inside or box.width <= 0 or box.height <= 0:
            found.append((box.name, "stands outside the card"))
    if len(face.photo) > 1 or len(face.code) > 1:
        found.append(("photo", "and code have one place each, or none"))
    colours = [(text.name, text.colour) for text in face.texts] + [(band.name, band.colour) for band in face.bands]
    return found + [
        (name, "has a colour that is not six hex digits") for name, colour in colours if not _COLOUR.fullmatch(colour)
    ]
