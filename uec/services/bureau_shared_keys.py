"""Finds cards of a results file with a public key that stands twice in it, or in any other card; in little memory.

Of each key eight bytes of its digest are kept. Those that stand twice are looked at once more, whole.
"""

from array import array
from collections.abc import Iterable

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.bureau.reply import Made
from issuance.pki.hygiene import public_key_digest
from uec.store.tables import BureauKey, Certificate

AT_ONCE = 500


def key_digests(made: Made) -> list[tuple[str, str]]:
    """Slot and digest of each public key of a card."""
    return [(slot, public_key_digest(key.public_key)) for slot, key in made.keys.items()]


class SharedKeys:
    """Takes the cards of a file one by one; then `numbers` says which of them share a key with another card."""

    def __init__(self, session: Session) -> None:
        """Nothing was taken yet."""
        self._session = session
        self._marks = array("Q")
        self._waiting: dict[str, str] = {}
        self._known: set[str] = set()

    def add(self, made: Made) -> None:
        """Take a card."""
        for _, digest in key_digests(made):
            self._marks.append(_mark(digest))
            self._waiting[digest] = made.number
        if len(self._waiting) >= AT_ONCE:
            self._ask()

    def numbers(self, again: Iterable[Made]) -> set[str]:
        """The cards that share a key; `again` are the same cards once more."""
        self._ask()
        marks = np.sort(np.array(self._marks, np.uint64))
        twice = set(marks[1:][marks[1:] == marks[:-1]].tolist())
        holders: dict[str, list[str]] = {}
        for made in again if twice else ():
            for _, digest in key_digests(made):
                if _mark(digest) in twice:
                    holders.setdefault(digest, []).append(made.number)
        return self._known | {number for numbers in holders.values() if len(numbers) > 1 for number in numbers}

    def _ask(self) -> None:
        """Whether any of the keys that wait is a key of another card."""
        for known in (BureauKey.digest, Certificate.public_key_digest):
            wanted = select(known).where(known.in_(self._waiting))
            self._known.update(self._waiting[digest] for digest in self._session.scalars(wanted))
        self._waiting.clear()


def _mark(digest: str) -> int:
    return int(digest[:16], 16)
