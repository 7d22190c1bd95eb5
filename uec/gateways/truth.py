"""Hides what the stand-in register knows: the residents of one export, found by SNILS, document or OMS number."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from uec.domain.lifecycle import CheckOutcome, CheckRegister
from uec.domain.register_row import COLUMNS, RowChecker
from uec.gateways.questions import ASKED, CheckAnswer
from uec.gateways.truth_file import rows_of

_KEYS = {
    CheckRegister.SNILS: ("snils",),
    CheckRegister.PASSPORT: ("doc_type", "doc_series", "doc_number"),
    CheckRegister.RESIDENCE: ("snils",),
    CheckRegister.OMS: ("oms",),
}
_AT = {column: place for place, column in enumerate(COLUMNS)}


class Truth:
    """Residents by what they are asked for; a value that stands twice belongs to the first one."""

    def __init__(self) -> None:
        """Begin without residents."""
        self._people: list[tuple[str, ...]] = []
        self._found: dict[tuple[str, ...], int] = {}

    @classmethod
    def of_file(cls, path: Path, today: date) -> "Truth":
        """Return the truth of an export; its dirty rows are left out, as the office leaves them out."""
        truth, checker = cls(), RowChecker(today)
        for fields in rows_of(path):
            row, faults = checker.explain(fields)
            if not faults:
                truth.add(row)
        return truth

    def __len__(self) -> int:
        """Tell how many residents are known."""
        return len(self._people)

    def add(self, row: tuple[str, ...]) -> None:
        """Add a resident: values in the order of the register's columns."""
        self._people.append(row)
        for keys in set(_KEYS.values()):
            value = tuple(row[_AT[key]] for key in keys)
            if all(value):
                self._found.setdefault((*keys, *value), len(self._people) - 1)

    def answer(self, register: CheckRegister, person: Mapping[str, str]) -> CheckAnswer:
        """Return what the register says about a person: MATCH, or MISMATCH with the reason."""
        keys = _KEYS[register]
        place = self._found.get((*keys, *(_said(person, key) for key in keys)))
        if place is None:
            return CheckAnswer(CheckOutcome.MISMATCH, f"{', '.join(keys)}: not in the register")
        known = self._people[place]
        different = [name for name in ASKED[register] if _folded(known[_AT[name]]) != _folded(_said(person, name))]
        if different:
            return CheckAnswer(CheckOutcome.MISMATCH, f"{', '.join(different)}: differs from the register")
        if known[_AT["death_date"]]:
            return CheckAnswer(CheckOutcome.MISMATCH, "the person has died")
        return CheckAnswer(CheckOutcome.MATCH)


def _said(person: Mapping[str, str], name: str) -> str:
    return str(person.get(name) or "")


def _folded(text: str) -> str:
    # Registers write ё and е, capitals and small letters as they like.
    return " ".join(text.casefold().replace("ё", "е").split())
