"""Hides what is asked of which register, and how question and answer look on the wire: JSON over HTTP, version 1.

A register is told only what it needs to answer. `POST /v1/checks/REGISTER` takes `{"person": {...}}` and
`POST /v1/checks` takes `{"checks": [{"register": ..., "person": {...}}, ...]}`; an answer is
`{"outcome": "MATCH" | "MISMATCH", "detail": "..."}`, of many `{"answers": [...]}` in the order of the questions. A
register that cannot tell answers 503: that is never the same as a mismatch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from uec.domain.lifecycle import CheckOutcome, CheckRegister

_WHO = ("surname", "name", "patronymic", "birth_date")
ASKED: Mapping[CheckRegister, tuple[str, ...]] = {
    CheckRegister.SNILS: ("snils", "sex", *_WHO),
    CheckRegister.PASSPORT: ("doc_type", "doc_series", "doc_number", "doc_date", *_WHO),
    CheckRegister.RESIDENCE: ("snils", *_WHO),
    CheckRegister.OMS: ("oms", *_WHO),
}


class Person(Protocol):
    """Whom a question is about; dates are ISO, absent parts are empty."""

    @property
    def surname(self) -> str:
        """Surname."""

    @property
    def name(self) -> str:
        """Given name."""

    @property
    def patronymic(self) -> str:
        """Patronymic, or empty."""

    @property
    def birth_date(self) -> str:
        """Date of birth."""

    @property
    def sex(self) -> str:
        """M or F."""

    @property
    def snils(self) -> str:
        """11 digits."""

    @property
    def oms(self) -> str:
        """16 digits, or empty."""

    @property
    def doc_type(self) -> str:
        """Type of the document."""

    @property
    def doc_series(self) -> str:
        """Series of the document."""

    @property
    def doc_number(self) -> str:
        """Number of the document."""

    @property
    def doc_date(self) -> str:
        """Date of issue of the document."""


@dataclass(frozen=True)
class CheckAnswer:
    """What a register said; UNAVAILABLE stands for every kind of silence."""

    outcome: CheckOutcome
    detail: str = ""


def told(register: CheckRegister, person: Person) -> dict[str, str]:
    """Return what a register is told about a person."""
    return {name: getattr(person, name) for name in ASKED[register]}


def read_answer(item: object) -> CheckAnswer:
    """Return the answer in parsed JSON; anything that is no clear answer counts as silence."""
    outcome = item.get("outcome") if isinstance(item, dict) else None
    if outcome not in {CheckOutcome.MATCH, CheckOutcome.MISMATCH}:
        return CheckAnswer(CheckOutcome.UNAVAILABLE, "the register gave no clear answer")
    detail = item.get("detail") if isinstance(item, dict) else ""
    return CheckAnswer(CheckOutcome(outcome), detail[:500] if isinstance(detail, str) else "")
