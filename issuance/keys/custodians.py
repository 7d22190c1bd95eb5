"""Who may hold which part of a key: a person's part is for life, whatever the key and however it was split.

Two parts of one key in one hand make the other custodians pointless, and nobody can see on a paper whether two keys
were ever the same. So who has held a first component holds first components for ever, never a second one or a share.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from issuance.errors import VaultError


class Scheme(StrEnum):
    """How a key is divided: into components that are all needed, or into shares of which some suffice."""

    COMPONENT = "component"
    SHARE = "share"


@dataclass(frozen=True, order=True)
class Place:
    """A part of a key by scheme and number (from 1 up)."""

    scheme: Scheme
    number: int

    def __str__(self) -> str:
        """As protocols print it."""
        return f"{self.scheme} {self.number}"


class WrongCustodian(VaultError):
    """This person may not enter or receive this part."""

    code = "wrong-custodian"
    custodian: str
    place: int


def person(name: str) -> str:
    """A name as persons are compared: case, spaces, look-alike forms and the two dots of ё make no other person."""
    folded = unicodedata.normalize("NFKC", name).casefold().replace("ё", "е")
    return " ".join(folded.split())


def require(custodian: str, place: Place, held: Mapping[str, Place], now: Iterable[tuple[str, Place]]) -> None:
    """Raise `WrongCustodian` for nobody, and for a person who held another part before or does so in this ceremony."""
    asked = person(custodian)
    known = [(person(name), before) for name, before in (*held.items(), *now)]
    if not asked or any(name == asked and before != place for name, before in known):
        raise WrongCustodian(
            f"{custodian.strip() or 'nobody'} may not have {place}: who ever held another part must not see it",
            custodian=custodian,
            place=place.number,
        )
