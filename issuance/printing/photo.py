"""A photo as people send it, made into one picture for printer and chip: upright, in RGB, on white.

Cameras turn a picture by a note in its EXIF data alone; what is transparent has any colour underneath, mostly black.
"""

from io import BytesIO

from PIL import Image, ImageOps

from issuance.printing.errors import BadPhoto

FORMATS = ("JPEG", "PNG")
ORIENTATION = 0x0112


def picture_of(photo: bytes) -> Image.Image:
    """The photo as a picture of mode RGB; raises `BadPhoto` for what cannot be opened."""
    try:
        with Image.open(BytesIO(photo), formats=FORMATS) as opened:
            return _on_white(ImageOps.exif_transpose(opened))
    # Pillow's own list of what a broken or hostile picture raises.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPhoto from error


def is_odd(photo: bytes) -> bool:
    """Whether it is a picture that readers may show wrongly, or that says more than it shows (where it was taken)."""
    try:
        with Image.open(BytesIO(photo), formats=FORMATS) as opened:
            notes = dict(opened.getexif())
            return opened.format != "JPEG" or opened.mode not in {"RGB", "L"} or notes not in ({}, {ORIENTATION: 1})
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return False


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    white = Image.new("RGBA", clear.size, "white")
    return Image.alpha_composite(white, clear).convert("RGB")
