"""Distinguished names of subjects and issuers (RFC 5280 section 4.1.2.4 and appendix A.1; X.520 upper bounds).

Hides encodings: country and serial number are PrintableString, everything else UTF8String. Encoded RDNs that repeat in
every certificate (country, organisation) are encoded once.
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, call

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
_UPPER_BOUNDS = {
    "common_name": 64,
    "serial_number": 64,
    "country": 2,
    "organization": 64,
    "surname": 128,
    "given_name": 128,
}
_PRINTABLE = {"country", "serial_number"}
# What differs from person to person is encoded anew; what repeats (names, the organisation) is remembered.
_UNIQUE = {"common_name", "serial_number"}
_REMEMBERED = 4096
_PRINTABLE_LETTERS = frozenset(string.ascii_letters + string.digits + " '()+,-./:=?")


def _rdn_head(attribute: str, size: int) -> bytes:
    """Encode what stands before a value of `size` bytes."""
    tag = der.PRINTABLE_STRING if attribute in _PRINTABLE else der.UTF8_STRING
    blank = bytes(size)
    whole = der.tlv(der.SET, der.sequence(_ATTRIBUTE_OIDS[attribute], der.tlv(tag, blank)))
    return whole[: len(whole) - size]


# A character has at most four bytes.
_RDN_HEADS = {
    name: tuple(_rdn_head(name, size) for size in range(4 * _UPPER_BOUNDS[name] + 1)) for name in _UPPER_BOUNDS
}


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
    encoders, read = _plan(profile.subject)
    values = read(subject)
    if not all(values):
        _require_complete(subject, profile)
    try:
        encoded = b"".join(map(call, encoders, values))
    except _Impossible as error:
        raise RequestRefused(str(error), profile=profile.name) from None
    size = len(encoded)
    return (der.SEQUENCE_HEADS[size] if size < len(der.SEQUENCE_HEADS) else der.head(der.SEQUENCE, size)) + encoded


class _Impossible(ValueError):
    """A value that a certificate cannot carry."""


class _Remembered(dict[str | None, bytes]):
    """Encodings of an attribute's values that came before: most people share their names with others."""

    def __init__(self, attribute: str) -> None:
        super().__init__({None: b"", "": b""})
        self._attribute = attribute

    def __missing__(self, value: str) -> bytes:
        encoded = _encode_rdn(self._attribute, value)
        if len(self) < _REMEMBERED:
            self[value] = encoded
        return encoded


@lru_cache
def _plan(
    names: tuple[str, ...],
) -> tuple[tuple[Callable[[str | None], bytes], ...], Callable[[Subject], Sequence[str | None]]]:
    """How each attribute of a profile is encoded, and how all are read out of a subject at once."""
    encoders = tuple(_unique(name) if name in _UNIQUE else _Remembered(name).__getitem__ for name in names)
    if len(names) == 1:
        return encoders, lambda subject: (getattr(subject, names[0]),)
    return encoders, attrgetter(*names)


def _unique(attribute: str) -> Callable[[str | None], bytes]:
    """How an attribute is encoded that is another one in every certificate."""
    heads, bound = _RDN_HEADS[attribute], _UPPER_BOUNDS[attribute]

    # The quick ways for nearly all: no longer than allowed, no odd sign, and no space that is not inside.
    def encode_number(value: str | None) -> bytes:
        if not value:
            return b""
        if len(value) > bound or not value.isascii() or not value.isalnum():
            return _encode_rdn(attribute, value)
        return heads[len(value)] + value.encode("ascii")

    def encode_text(value: str | None) -> bytes:
        if not value:
            return b""
        if len(value) > bound or not value.isprintable() or value[0] == " " or value[-1] == " ":
            return _encode_rdn(attribute, value)
        encoded = value.encode()
        return heads[len(encoded)] + encoded

    return encode_number if attribute in _PRINTABLE else encode_text


def _require_complete(subject: Subject, profile: Profile) -> None:
    for name in profile.subject:
        if name not in profile.optional and not getattr(subject, name):
            raise RequestRefused(
                f"a {profile.name} certificate needs the subject's {name.replace('_', ' ')}", profile=profile.name
            )


def encode_name(**attributes: str) -> bytes:
    """Encode a name from attributes in the order given, for authorities; raises `RequestRefused`."""
    try:
        return der.sequence(*(_encode_rdn(name, value) for name, value in attributes.items()))
    except _Impossible as error:
        raise RequestRefused(str(error), profile="authority") from None


def _encode_rdn(attribute: str, value: str) -> bytes:
    if not (len(value) <= _UPPER_BOUNDS[attribute] and value.isprintable() and value == value.strip()):
        _refuse(attribute, value)
    if attribute in _PRINTABLE and not (value.isascii() and value.isalnum() and attribute != "country"):
        _require_printable(attribute, value)
    encoded = value.encode()
    return _RDN_HEADS[attribute][len(encoded)] + encoded


def _refuse(attribute: str, value: str) -> None:
    bound = _UPPER_BOUNDS[attribute]
    problem = "has control characters, or spaces at an end: correct it"
    if len(value) > bound:
        problem = f"has {len(value)} characters and at most {bound} fit: shorten it"
    raise _Impossible(f"{attribute.replace('_', ' ')} {problem}")


def _require_printable(attribute: str, value: str) -> None:
    if not _PRINTABLE_LETTERS.issuperset(value) or (attribute == "country" and not _is_country(value)):
        raise _Impossible(
            f"{attribute.replace('_', ' ')} has characters that a certificate cannot carry there: correct it"
        )


def _is_country(value: str) -> bool:
    return len(value) == 2 and value.isalpha() and value.isupper()
