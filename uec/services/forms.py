"""What an application must hold, and how it is checked before anything is stored: one error a field, all at once.

Fields: 210-FZ, article 23 (surname, name, patronymic if any, date and place of birth, sex, chosen bank, contact data).
An error is a key such as `form.required`; the web translates it, the command line prints it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date

from uec.domain import names, numbers
from uec.domain.errors import InvalidInput, InvalidNumber
from uec.domain.lifecycle import ApplicationReason
from uec.domain.policy import Policy

TEXT_LIMIT = 200
ADDRESS_LIMIT = 500
PHOTO_LIMIT_BYTES = 2 * 1024 * 1024
EARLIEST_BIRTH = date(1890, 1, 1)
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"

PASSPORT = "passport"
BIRTH_CERTIFICATE = "birth_certificate"


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

    def validate(self, *, today: date, policy: Policy) -> "ApplicationForm":
        """Return the form with spaces trimmed and numbers in their stored shape, or raise `InvalidForm`."""
        form = self._trimmed()
        errors = form._missing() | form._too_long()
        normal: dict[str, str] = {}
        for field, parse in form._parsers().items():
            value = getattr(form, field)
            if field in errors or not value:
                continue
            try:
                normal[field] = parse(value)
            except InvalidNumber:
                errors[field] = f"form.{field}"
        errors = form._wrong_dates(today) | form._wrong_rest(today, policy) | errors
        if errors:
            raise InvalidForm(errors)
        return replace(form, **normal)  # type: ignore[arg-type]

    def _trimmed(self) -> "ApplicationForm":
        texts = {item.name: getattr(self, item.name) for item in fields(self)}
        trimmed = {name: " ".join(value.split()) for name, value in texts.items() if type(value) is str}
        return replace(self, **trimmed)

    def _missing(self) -> dict[str, str]:
        wanted = ("surname", "name", "birth_place", "snils", "doc_series", "doc_number", "doc_issuer", "address")
        errors = {field: "form.required" for field in wanted if not getattr(self, field)}
        if not self.phone and not self.email:
            errors["phone"] = "form.contact_required"
        return errors

    def _too_long(self) -> dict[str, str]:
        limits = {item.name: TEXT_LIMIT for item in fields(self)} | {"address": ADDRESS_LIMIT}
        return {
            name: "form.too_long"
            for name, limit in limits.items()
            if isinstance(getattr(self, name), str) and len(getattr(self, name)) > limit
        }

    def _parsers(self) -> dict[str, Callable[[str], str]]:
        parsers: dict[str, Callable[[str], str]] = {
            "snils": numbers.parse_snils,
            "oms": numbers.parse_oms,
            "phone": numbers.parse_phone,
        }
        if self.doc_type == PASSPORT:
            parsers |= {"doc_series": numbers.parse_passport_series, "doc_number": numbers.parse_passport_number}
        elif self.doc_type == BIRTH_CERTIFICATE:
            parsers |= {
                "doc_series": numbers.parse_birth_certificate_series,
                "doc_number": numbers.parse_birth_certificate_number,
            }
        return parsers

    def _wrong_dates(self, today: date) -> dict[str, str]:
        errors = {}
        if not EARLIEST_BIRTH <= self.birth_date <= today:
            errors["birth_date"] = "form.birth_date"
        if not self.birth_date <= self.doc_date <= today:
            errors["doc_date"] = "form.doc_date"
        return errors

    def _wrong_rest(self, today: date, policy: Policy) -> dict[str, str]:
        errors = {
            field: "form.name"
            for field in ("surname", "name", "patronymic")
            if getattr(self, field) and not names.is_person_name(getattr(self, field))
        }
        if self.sex not in {"M", "F"}:
            errors["sex"] = "form.sex"
        if self.doc_type not in {PASSPORT, BIRTH_CERTIFICATE}:
            errors["doc_type"] = "form.doc_type"
        if self.email and not _looks_like_email(self.email):
            errors["email"] = "form.email"
        if self.photo is not None and not _is_photo(self.photo):
            errors["photo"] = "form.photo"
        if policy.needs_representative(self.birth_date, today) and not self.representative_name:
            errors["representative_name"] = "form.representative_required"
        return errors


def _looks_like_email(text: str) -> bool:
    local, at, host = text.rpartition("@")
    return bool(local and at) and "." in host.strip(".") and " " not in text


def _is_photo(content: bytes) -> bool:
    return len(content) <= PHOTO_LIMIT_BYTES and content.startswith((JPEG, PNG))
