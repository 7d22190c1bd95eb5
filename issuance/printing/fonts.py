"""The typeface of the faces (DejaVu Sans Condensed: Latin and Cyrillic, free licence), and how wide its texts are.

Widths come from the typeface's own tables, in thousandths of the size, so that the PDF, the picture and the check at
the window agree to the last hundredth of a millimetre.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont

from issuance.printing.errors import NoFont, UnknownSign
from issuance.printing.face import Weight

FILES: Mapping[Weight, str] = {
    Weight.REGULAR: "DejaVuSansCondensed.ttf",
    Weight.BOLD: "DejaVuSansCondensed-Bold.ttf",
}
POINT_MM = 25.4 / 72


@dataclass(frozen=True)
class Typeface:
    """One cut of the typeface: its file, and the width of every sign in parts of the size."""

    path: Path
    widths: Mapping[str, float]

    def width_mm(self, text: str, size_pt: float, *, field: str = "the text") -> float:
        """How wide a text is at a size; raises `UnknownSign` naming the field."""
        try:
            return sum([self.widths[sign] for sign in text]) * size_pt * POINT_MM
        except KeyError as error:
            raise UnknownSign(field, error.args[0]) from None


@lru_cache(maxsize=8)
def typeface(folder: Path, weight: Weight) -> Typeface:
    """The cut of a weight out of a folder; raises `NoFont`."""
    path = folder / FILES[weight]
    if not path.is_file():
        raise NoFont(str(path))
    with TTFont(path, lazy=True) as font:
        em, widths = font["head"].unitsPerEm, font["hmtx"].metrics
        return Typeface(path, {chr(code): widths[glyph][0] / em for code, glyph in font.getBestCmap().items()})
