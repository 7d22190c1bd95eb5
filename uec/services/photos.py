"""Hides how an applicant's photo becomes small enough for the chip; the photo as sent stays with the application.

A chip file holds 32 KB and every kilobyte costs time at the window, so the portrait is written as a JPEG of ID-1 print
size (ICAO Doc 9303 part 9 names 12 to 20 KB).
"""

from io import BytesIO

from PIL import Image

from issuance.printing.errors import BadPhoto
from issuance.printing.photo import is_odd, picture_of
from issuance.production.errors import InvalidCardData

LIMIT_BYTES = 15_000
SIZE = (300, 400)
QUALITIES = (85, 70, 55, 40, 25, 10)


def for_chip(photo: bytes) -> bytes:
    """The photo within `LIMIT_BYTES`, as it is or as a smaller JPEG; `InvalidCardData` for one that is no picture.

    What terminals may show turned, in false colours or on black, and what tells where it was taken, is drawn anew.
    """
    if len(photo) <= LIMIT_BYTES and not is_odd(photo):
        return photo
    try:
        upright = picture_of(photo)
    except BadPhoto as error:
        raise InvalidCardData("photo", "is not a picture that can be opened") from error
    upright.thumbnail(SIZE)
    smaller = (_jpeg(upright, quality) for quality in QUALITIES)
    return next((content for content in smaller if len(content) <= LIMIT_BYTES), _jpeg(upright, QUALITIES[-1]))


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    content = BytesIO()
    picture.save(content, "JPEG", quality=quality, optimize=True)
    return content.getvalue()
