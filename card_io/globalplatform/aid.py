"""Application identifiers: 5 to 16 bytes.

ISO/IEC 7816-4:2020 §12.3.4. Hides nothing but the check.
"""

from card_io.errors import CardError


class InvalidAid(CardError, ValueError):
    """An AID of a length that cannot be."""

    code = "card.aid"


def check_aid(aid: bytes) -> bytes:
    """The AID itself when it has 5 to 16 bytes; else `InvalidAid`."""
    if not 5 <= len(aid) <= 16:
        raise InvalidAid(f"an AID of {len(aid)} bytes; AIDs have 5 to 16")
    return aid
