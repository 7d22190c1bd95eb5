"""Hides what a good row of the register of residents is: twenty columns, checked and brought into one form.

`RowChecker.explain` is the definition: it checks every field and names each fault. `uec.domain.register_quick` has a
shortcut for rows that are in canonical form already, as nearly all rows of an export are.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date

from uec.domain import numbers
from uec.domain.errors import InvalidNumber
from uec.domain.names import InvalidName, parse_name

COLUMNS = (
    "register_id", "surname", "name", "patronymic", "birth_date", "birth_place", "sex", "snils", "oms", "doc_type",
    "doc_series", "doc_number", "doc_date", "doc_issuer", "oktmo", "fias", "address", "phone", "email", "death_date",
)  # fmt: skip

Row = tuple[str, ...]
Faults = list[tuple[str, str]]

OLDEST = date(1890, 1, 1)
# A passport is issued from the 14th birthday on.
PASSPORT_AGE_YEARS = 14
# A longer field comes from a broken quote or a broken export, never from a person.
FIELD_LIMIT = 400

# Canonical rows travel as one text: its values joined by a sign that no value has.
JOINT = "\t"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LENGTHS = {"register_id": 64, "birth_place": 255, "doc_issuer": 255, "address": 400}


class Fault(Exception):
    """Why a field is refused; the reason is what the clerk reads."""


class RowChecker:
    """Checks rows against one day (nothing lies in the future) and the known municipalities (empty: any)."""

    def __init__(self, today: date, municipalities: frozenset[str] = frozenset()) -> None:
        """Take the day of the import and the OKTMO codes there are."""
        self.today = today
        self._municipalities = municipalities
        self._fields: dict[str, Callable[[str], str]] = {
            "register_id": self._identifier,
            "surname": _name,
            "name": _name,
            "patronymic": lambda text: _name(text) if text else "",
            "birth_date": self.date,
            "birth_place": _words("birth_place"),
            "sex": _sex,
            "snils": _number(numbers.parse_snils),
            "oms": _optional(numbers.parse_oms),
            "doc_type": _doc_type,
            "doc_series": _given,
            "doc_number": _given,
            "doc_date": self.date,
            "doc_issuer": _words("doc_issuer"),
            "oktmo": self.oktmo,
            "fias": _optional(numbers.parse_fias),
            "address": _words("address"),
            "phone": _optional(numbers.parse_phone),
            "email": _optional(numbers.parse_email),
            "death_date": lambda text: self.date(text) if text else "",
        }

    def explain(self, row: Sequence[str]) -> tuple[Row, Faults]:
        """Return (canonical row, faults); the row is usable only when there is no fault."""
        if len(row) != len(COLUMNS):
            return tuple(row), [
                ("row", f"{len(row)} fields instead of {len(COLUMNS)}: a separator too many or too few")
            ]
        values: dict[str, str] = {}
        faults: Faults = []
        for column, text in zip(COLUMNS, row, strict=True):
            try:
                values[column] = self._fields[column](_tidy(text))
            except Fault as fault:
                faults.append((column, str(fault)))
        faults += _document_faults(values)
        faults += _order_faults(values)
        order = {column: place for place, column in enumerate(COLUMNS)}
        return tuple(values.get(column, "") for column in COLUMNS), sorted(faults, key=lambda pair: order[pair[0]])

    def _identifier(self, text: str) -> str:
        if not text:
            raise Fault("empty")
        if len(text) > _LENGTHS["register_id"] or not _IDENTIFIER(text):
            raise Fault("must be 1 to 64 Latin letters, digits, dots, hyphens or slashes")
        return text

    def date(self, text: str) -> str:
        """Return the ISO date; raise `Fault` when it is none, too old, or in the future."""
        if not text:
            raise Fault("empty")
        try:
            # Python reads more ISO forms than the register writes.
            day = date.fromisoformat(text) if len(text) == 10 and text[4] == "-" == text[7] else None
        except ValueError:
            day = None
        if day is None:
            raise Fault(f"{text[:20]!r} is no date like 1980-12-31")
        if not day >= OLDEST:
            raise Fault(f"before {OLDEST.isoformat()}")
        if day > self.today:
            raise Fault("in the future")
        return day.isoformat()

    def oktmo(self, text: str) -> str:
        """Return the code of a known municipality; raise `Fault` for another."""
        code = _number(numbers.parse_oktmo)(text)
        if self._municipalities and code not in self._municipalities and code[:8] not in self._municipalities:
            raise Fault(f"no municipality of the region has the code {code}")
        return code


_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,63}").fullmatch


def years_later(day: str, years: int) -> str:
    """Return an ISO date some years on; as text, 29 February counts as 1 March where it must, for nothing."""
    return f"{int(day[:4]) + years:04}{day[4:]}"


def _tidy(text: str) -> str:
    if _CONTROL.search(text):
        raise Fault("a control character (NUL, line break or the like) inside the field")
    plain = " ".join(text.split())
    if len(plain) > FIELD_LIMIT:
        raise Fault(f"{len(plain)} signs, more than {FIELD_LIMIT}")
    return plain


def _given(text: str) -> str:
    if not text:
        raise Fault("empty")
    return text


def _name(text: str) -> str:
    try:
        return parse_name(text)
    except InvalidName as error:
        raise Fault(_NAME_REASONS[error.reason]) from None


_NAME_REASONS = {
    "empty": "empty",
    "length": "longer than 100 letters",
    "mixed_letters": "Latin and Cyrillic letters mixed",
    "latin": "in Latin letters",
    "signs": "has signs that no name has",
}


def _words(column: str) -> Callable[[str], str]:
    limit = _LENGTHS[column]

    def check(text: str) -> str:
        if not text:
            raise Fault("empty")
        if len(text) > limit:
            raise Fault(f"{len(text)} signs, more than {limit}")
        return text

    return check


def _sex(text: str) -> str:
    if text not in {"M", "F"}:
        raise Fault("must be M or F" if text else "empty")
    return text


def _doc_type(text: str) -> str:
    if text not in numbers.DOCUMENTS:
        raise Fault(f"must be one of {', '.join(numbers.DOCUMENTS)}" if text else "empty")
    return text


_NUMBER_REASONS = {
    "empty": "empty",
    "check_digit": "the check digit does not fit",
    "not_digits": "not digits only (a spreadsheet may have changed it)",
    "length": "wrong number of digits (leading zeros lost?)",
    "zero": "all zeros",
}


def _number(parse: Callable[[str], str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            return parse(text)
        except InvalidNumber as error:
            raise Fault(_NUMBER_REASONS.get(error.reason, error.message)) from None

    return check


def _optional(parse: Callable[[str], str]) -> Callable[[str], str]:
    check = _number(parse)
    return lambda text: check(text) if text else ""


def _document_faults(values: dict[str, str]) -> Faults:
    if not {"doc_type", "doc_series", "doc_number"} <= values.keys():
        return []
    try:
        values["doc_series"], values["doc_number"] = numbers.parse_document(
            values["doc_type"], values["doc_series"], values["doc_number"]
        )
    except InvalidNumber as error:
        column = "doc_series" if "series" in error.kind else "doc_number"
        return [(column, _NUMBER_REASONS.get(error.reason, error.message))]
    return []


def _order_faults(values: dict[str, str]) -> Faults:
    faults: Faults = []
    born, issued, died = (values.get(column, "") for column in ("birth_date", "doc_date", "death_date"))
    if born and issued:
        if issued < born:
            faults.append(("doc_date", "before the birth"))
        elif values.get("doc_type") == "passport" and issued < years_later(born, PASSPORT_AGE_YEARS):
            faults.append(("doc_date", f"a passport before the age of {PASSPORT_AGE_YEARS}"))
    if died and born and died < born:
        faults.append(("death_date", "before the birth"))
    if died and issued and died < issued:
        faults.append(("death_date", "before the document was issued"))
    return faults
