"""Distinguished names of subjects and issuers (RFC 5280 section 4.1.2.4 and appendix A.1; X.520 upper bounds).

Hides encodings: country and serial number are PrintableString, everything else UTF8String. Encoded RDNs that repeat in
every certificate (country, organisation) are encoded once.
"""

import string
from dataclasses import dataclass
from functools import lru_cache

from issuance.errors import RequestRefused
from issuance.pki import der
from issuance.pki.profiles import Profile

_ATTRIBUTE_OIDS = {
    "common_name": der.oid("2.5.4.3"),
    "surname": der.oid("2.5.4.4"),
    "serial_number": der.oid("2.5.4.5"),
    "country": der.oid("2.5.4.6"),
    "organization": der.oid("2.5.4.10"),
    "given_name": der.oid("2.5.4.42"),
}
_COMMON_NAME_BYTES = 64
_SHORT_VALUE = 0x7F - 9
_UPPER_BOUNDS = {
    "common_name": 64,
    "serial_number": 64,
    "country": 2,
    "organization": 64,
    "surname": 128,
    "given_name": 128,
}
_PRINTABLE = {"country", "serial_number"}
_PRINTABLE_LETTERS = frozenset(string.ascii_letters + string.digits + " '()+,-./:=?")


@dataclass(frozen=True)
class Subject:
    """Whom or what a certificate names. A profile takes the attributes it lists and leaves the others out."""

    common_name: str | None = None
    serial_number: str | None = None
    surname: str | None = None
    given_name: str | None = None
    organization: str | None = None
    country: str | None = None

    def text(self) -> str:
        """Return a line for people and the database: `C=RU, O=..., CN=...` of what is there."""
        letters = {"country": "C", "organization": "O", "surname": "SN", "given_name": "GN", "common_name": "CN"}
        parts = [(letter, getattr(self, name)) for name, letter in letters.items()]
        parts.append(("serialNumber", self.serial_number))
        return ", ".join(f"{letter}={value}" for letter, value in parts if value)


def fit_common_name(surname: str, *given: str) -> str:
    """Return the longest of `Surname Name Patronymic`, `Surname N. P.` and a cut `Surname` that every reader takes.

    RFC 5280 bounds a common name to 64 characters, widely used readers to 64 bytes, and a Cyrillic letter has two. The
    whole names stand in the surname and given name attributes, which are longer.
    """
    names = [name for name in given if name]
    initials = [f"{name[0]}." for name in names]
    for parts in ([surname, *names], [surname, *initials]):
        if len((text := " ".join(parts)).encode()) <= _COMMON_NAME_BYTES:
            return text
    return surname.encode()[:_COMMON_NAME_BYTES].decode(errors="ignore").strip()


def encode_subject(subject: Subject, profile: Profile) -> bytes:
    """Encode the attributes a profile lists; raises `RequestRefused` for one that is missing or impossible."""
    parts = [_rdn(name, value, profile.name) for name in profile.subject if (value := getattr(subject, name))]
    if len(parts) < len(profile.subject):
        _require_complete(subject, profile)
    return der.tlv(der.SEQUENCE, b"".join(parts))


def _require_complete(subject: Subject, profile: Profile) -> None:
    for name in profile.subject:
        if name not in profile.optional and not getattr(subject, name):
            raise RequestRefused(
                f"a {profile.name} certificate needs the subject's {name.replace('_', ' ')}", profile=profile.name
            )


def encode_name(**attributes: str) -> bytes:
    """Encode a name from attributes in the order given, for authorities."""
    return der.sequence(*(_rdn(name, value, "authority") for name, value in attributes.items()))


@lru_cache(maxsize=4096)
def _rdn(attribute: str, value: str, profile: str) -> bytes:
    bound = _UPPER_BOUNDS[attribute]
    if len(value) > bound:
        raise RequestRefused(
            f"{attribute.replace('_', ' ')} has {len(value)} characters and at most {bound} fit: shorten it",
            profile=profile,
        )
    if value != value.strip() or not value.isprintable():
        raise RequestRefused(
            f"{attribute.replace('_', ' ')} has control characters, or spaces at an end: correct it", profile=profile
        )
    tag = der.UTF8_STRING
    if attribute in _PRINTABLE:
        tag = der.PRINTABLE_STRING
        if not _PRINTABLE_LETTERS.issuperset(value) or (attribute == "country" and not _is_country(value)):
            raise RequestRefused(
                f"{attribute.replace('_', ' ')} has characters that a certificate cannot carry there: correct it",
                profile=profile,
            )
    encoded, oid = value.encode(), _ATTRIBUTE_OIDS[attribute]
    if (size := len(encoded)) <= _SHORT_VALUE:  # nearly all: every length is one byte, and the OID has five
        return bytes((der.SET, size + 9, der.SEQUENCE, size + 7)) + oid + bytes((tag, size)) + encoded
    return der.tlv(der.SET, der.sequence(oid, der.tlv(tag, encoded)))


def _is_country(value: str) -> bool:
    return len(value) == 2 and value.isalpha() and value.isupper()
