"""The code that unblocks a card: drawn at its hand-over, kept on paper or in two shares, put together for one use.

A share is a pad of random digits: the code is the digit-wise sum modulo 10 of the holder's share and the office's, so
that either alone says nothing about it. The office's share is stored nowhere: the vault derives it from the master of
the card's transport PINs, under a name of its own, whenever it is needed; so it is the hub alone that can have it.
"""

from collections.abc import Mapping, Sequence

from card_io.secret import Secret
from issuance.production.errors import UnfitPin
from issuance.production.job import Random
from issuance.production.pin_profile import Keeping, PinProfile

_FAIR = 250
"""Bytes below it are as often one digit as another."""


def draw(digits: int, *, random: Random) -> Secret:
    """So many random ASCII digits, every one as likely as any other."""
    drawn = b""
    while len(drawn) < digits:
        drawn += bytes(0x30 + byte % 10 for byte in random(digits - len(drawn)) if byte < _FAIR)
    return Secret(drawn)


def join(share: Secret, other: Secret) -> Secret:
    """The code of two shares of one length: the sum of each two digits modulo 10."""
    pairs = zip(share.reveal(), other.reveal(), strict=True)
    return Secret(bytes(0x30 + (one + another) % 10 for one, another in ((a - 0x30, b - 0x30) for a, b in pairs)))


def shares_wanted(codes: Sequence[PinProfile], kept: Mapping[str, Keeping]) -> dict[str, int]:
    """The office's shares to ask the vault for, by the name they are derived under, with their digits."""
    return {_share(code): code.transport_digits for code in codes if kept.get(code.name) is Keeping.SPLIT}


def whole(code: PinProfile, given: Secret, *, kept: Keeping, derived: Mapping[str, Secret]) -> Secret:
    """The code as the card has it, out of what the holder's letter says; `UnfitPin` when that cannot stand there.

    `derived` are what the vault derived of `shares_wanted`.
    """
    typed = given.reveal()
    if not typed.isdigit():
        raise UnfitPin(code.name, "digits")
    if len(typed) != code.transport_digits:
        raise UnfitPin(code.name, "length")
    return join(given, derived[_share(code)]) if kept is Keeping.SPLIT else given


def _share(code: PinProfile) -> str:
    return f"{code.name} office share"
