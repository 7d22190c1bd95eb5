"""Where everything stands on one card's face: what is common to the PDF and the picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from issuance.printing.code128 import QUIET_MODULES, bars, modules
from issuance.printing.face import PER_MM, Box, Face, TextPlace, Weight
from issuance.printing.fitting import Fitted, fit
from issuance.printing.fonts import typeface
from issuance.printing.photo import picture_of

DOT_MM = 25.4 / 300


@dataclass(frozen=True)
class Facts:
    """What is printed on one card: texts by the names of the face, the number in digits, the photo if there is one."""

    texts: Mapping[str, str]
    number: str
    photo: bytes | None = None


@dataclass(frozen=True)
class Line:
    """A text in its place: left and baseline in millimetres."""

    place: TextPlace
    fitted: Fitted

    @property
    def left_mm(self) -> float:
        """From the left edge of the card."""
        return self.place.left / PER_MM

    @property
    def baseline_mm(self) -> float:
        """From the upper edge of the card."""
        return self.place.baseline / PER_MM


@dataclass(frozen=True)
class Rectangle:
    """A filled rectangle, in millimetres."""

    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float
    colour: str


@dataclass(frozen=True)
class Layout:
    """A face filled in; what comes later stands above what came before: rectangles, photo, lines."""

    rectangles: tuple[Rectangle, ...]
    photo: tuple[Rectangle, Image.Image] | None
    lines: tuple[Line, ...]


def compose(face: Face, facts: Facts, fonts: Path) -> Layout:
    """Fill a face in. Raises `TextDoesNotFit`, `UnknownSign`, `BadPhoto`, `NoFont`."""
    rectangles = [_rectangle(band) for band in face.bands]
    for box in face.code:
        rectangles += _code(box, facts.number)
    photo = (_rectangle(face.photo[0]), _picture(facts.photo, face.photo[0])) if facts.photo and face.photo else None
    return Layout(tuple(rectangles), photo, tuple(fit_all(face, facts.texts, fonts)))


def fit_all(face: Face, texts: Mapping[str, str], fonts: Path) -> list[Line]:
    """Every text of a face that there is, fitted; the check at the window. Raises as `compose` does."""
    lines = []
    for place in face.texts:
        text = texts.get(place.fact, "") if place.fact else place.text
        if text:
            lines.append(Line(place, fit(text, place, typeface(fonts, Weight(place.weight)))))
    return lines


def _rectangle(box: Box) -> Rectangle:
    return Rectangle(box.left / PER_MM, box.top / PER_MM, box.width / PER_MM, box.height / PER_MM, box.colour)


def _code(box: Box, number: str) -> list[Rectangle]:
    """The bars of the number in the middle of their place, which is wide enough for the quiet zones too."""
    wide = modules(number)
    # Whole dots of a printer of 300 dots an inch, so that no bar comes out wider than its neighbour of the same width.
    dots = int(box.width / PER_MM / (wide + 2 * QUIET_MODULES) / DOT_MM)
    module = max(1, dots) * DOT_MM
    left = round((box.left + box.width / 2) / PER_MM / DOT_MM - wide * module / DOT_MM / 2) * DOT_MM
    return [
        Rectangle(left + first * module, box.top / PER_MM, width * module, box.height / PER_MM, box.colour)
        for first, width in bars(number)
    ]


def _picture(photo: bytes, box: Box) -> Image.Image:
    """The photo upright, cut to the shape of its place from the middle."""
    upright = picture_of(photo)
    shape = box.width / box.height
    width = min(upright.width, round(upright.height * shape))
    height = min(upright.height, round(upright.width / shape))
    return ImageOps.fit(upright, (max(1, width), max(1, height)))
