"""What an application must hold, and how it is checked before anything is stored: one error a field, all at once.

Fields: 210-FZ, article 23 (surname, name, patronymic if any, date and place of birth, sex, chosen bank, contact data).
An error is a key such as `form.required`; the web translates it, the command line prints it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any

from uec.domain.errors import InvalidInput, InvalidNumber
from uec.domain.lifecycle import ApplicationReason
from uec.domain.names import parse_name
from uec.domain.numbers import parse_document, parse_email, parse_oms, parse_phone, parse_snils
from uec.domain.policy import Policy
from uec.domain.texts import typed

TEXT_LIMIT = 255
NAME_LIMIT = 100
ADDRESS_LIMIT = 400
PHOTO_LIMIT_BYTES = 2 * 1024 * 1024
EARLIEST_BIRTH = date(1890, 1, 1)
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"

PASSPORT = "passport"
_PARSERS: Mapping[str, Callable[[str], str]] = {
    "surname": parse_name,
    "name": parse_name,
    "patronymic": parse_name,
    "snils": parse_snils,
    "oms": parse_oms,
    "phone": parse_phone,
    "email": parse_email,
}


class InvalidForm(InvalidInput):
    """The form cannot be taken as it is. Facts: `errors`, a mapping of field to message key."""

    code = "uec.invalid_form"

    def __init__(self, errors: Mapping[str, str]) -> None:
        """Name every field that is wrong."""
        super().__init__(
            f"Correct these fields and send the form again: {', '.join(sorted(errors))}.", errors=dict(errors)
        )


@dataclass(frozen=True, kw_only=True)
class ApplicationForm:
    """What the applicant wrote, as typed; `validate` gives it back in the form that is stored."""

    surname: str
    name: str
    patronymic: str = ""
    birth_date: date
    birth_place: str
    sex: str
    snils: str
    oms: str = ""
    doc_type: str = PASSPORT
    doc_series: str
    doc_number: str
    doc_date: date
    doc_issuer: str
    address: str
    phone: str = ""
    email: str = ""
    bank: str = ""
    point_id: int
    photo: bytes | None = None
    representative_name: str | None = None
    reason: ApplicationReason = ApplicationReason.FIRST
    # The card variant chosen, by its name; empty: the office's usual one.
    profile: str = ""
    # Of the pages it was made on: messages about it speak it; empty: that of the office.
    language: str = ""

    def validate(self, *, today: date, policy: Policy) -> "ApplicationForm":
        """Return the form with spaces trimmed and numbers in their stored shape, or raise `InvalidForm`."""
        form = self._trimmed()
        errors = form._missing() | form._too_long()
        normal: dict[str, str] = {}
        for field, parse in _PARSERS.items():
            value = getattr(form, field)
            if field in errors or not value:
                continue
            try:
                normal[field] = parse(value)
            except InvalidInput:
                errors[field] = f"form.{field}"
        document, wrong = form._document()
        errors = form._wrong_dates(today) | form._wrong_rest(today, policy) | wrong | errors
        if errors:
            raise InvalidForm(errors)
        changes: dict[str, Any] = {**normal, **document}
        return replace(form, **changes)

    def _document(self) -> tuple[dict[str, str], dict[str, str]]:
        """Series and number as stored, or the field that is wrong."""
        try:
            series, number = parse_document(self.doc_type, self.doc_series, self.doc_number)
        except InvalidNumber as error:
            field = next((name for name in ("type", "number") if str(error.kind).endswith(name)), "series")
            return {}, {f"doc_{field}": f"form.doc_{field}"}
        return {"doc_series": series, "doc_number": number}, {}

    def _trimmed(self) -> "ApplicationForm":
        texts = {item.name: getattr(self, item.name) for item in fields(self)}
        trimmed: dict[str, Any] = {
            name: " ".join(typed(value).split()) for name, value in texts.items() if type(value) is str
        }
        return replace(self, **trimmed)

    def _missing(self) -> dict[str, str]:
        wanted = ("surname", "name", "birth_place", "snils", "doc_series", "doc_number", "doc_issuer", "address")
        errors = {field: "form.required" for field in wanted if not getattr(self, field)}
        if not self.phone and not self.email:
            errors["phone"] = "form.contact_required"
        return errors

    def _too_long(self) -> dict[str, str]:
        limits = {item.name: TEXT_LIMIT for item in fields(self)} | {"address": ADDRESS_LIMIT, "bank": NAME_LIMIT}
        return {
            name: "form.too_long"
            for name, limit in limits.items()
            if isinstance(getattr(self, name), str) and len(getattr(self, name)) > limit
        }

    def _wrong_dates(self, today: date) -> dict[str, str]:
        errors = {}
        if not EARLIEST_BIRTH <= self.birth_date <= today:
            errors["birth_date"] = "form.birth_date"
        if not self.birth_date <= self.doc_date <= today:
            errors["doc_date"] = "form.doc_date"
        return errors

    def _wrong_rest(self, today: date, policy: Policy) -> dict[str, str]:
        errors = {}
        if self.sex not in {"M", "F"}:
            errors["sex"] = "form.sex"
        if self.photo is not None and not _is_photo(self.photo):
            errors["photo"] = "form.photo"
        child = self.birth_date <= today and policy.needs_representative(self.birth_date, today)
        if child and not self.representative_name:
            errors["representative_name"] = "form.representative_required"
        return errors


def _is_photo(content: bytes) -> bool:
    return len(content) <= PHOTO_LIMIT_BYTES and content.startswith((JPEG, PNG))
