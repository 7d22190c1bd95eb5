"""Tells a card that is none of this profile's by name, and which card to put in instead: in one place, for every work.

What a card answers that is no card of the profile (or none that can be understood) depends on where it was asked; what
the person at the reader should do depends on the work: a blank is wanted to be written, and one certain card for all
that comes after.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from card_io.errors import CardError
from issuance.production.errors import CardLocked, CardRefused, ForeignCard

CARD_LOCK = "card_lock"
"""Label of the step, and name of the check, that finds a card locked: SELECT of its domain says so."""
SW_CLOSED = 0x6283
"""SELECT of the domain on a card that is locked or terminated (GlobalPlatform v2.3.1, 11.9.3.2)."""

BLANK, OURS = "a blank card", "a card of this kind"


@contextmanager
def as_foreign() -> Iterator[None]:
    """A card is foreign that refuses what every card of the profile answers, or whose answer cannot be read.

    One that is locked says so at the step `CARD_LOCK`, where that is asked: `CardLocked`.
    """
    try:
        yield
    except CardRefused as error:
        if error.label == CARD_LOCK and error.sw == SW_CLOSED:
            raise CardLocked from error
        raise ForeignCard(f"it answers the step {error.label} with status {error.sw:04X}") from error
    except CardError as error:
        raise ForeignCard("its answers cannot be read as those of such a card") from error


@contextmanager
def wanting(card: str) -> Iterator[None]:
    """Within the block whoever puts in a foreign card is told to put in `card`, like `BLANK`."""
    try:
        yield
    except ForeignCard as error:
        raise ForeignCard(error.reason, instead=card) from error


def numbered(card_number: str) -> str:
    """The words for one certain card."""
    return f"card {card_number}"
