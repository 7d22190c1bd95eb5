"""Distinguished names of subjects and issuers (RFC 5280 section 4.1.2.4 and appendix A.1; X.520 upper bounds).

Hides encodings: country and serial number are PrintableString, everything else UTF8String. Encoded RDNs that repeat in
every certificate (country, organisation) are encoded once.
"""

import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter, call
from typing import NamedTuple
from uuid import UUID

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
FASC_N_BYTES = 25
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
class CardNames:
    """What a PIV card is called besides its number (SP 800-73-4 part 1, 3.1.2): `fasc_n` has 25 bytes."""

    fasc_n: bytes
    uuid: UUID

    def __post_init__(self) -> None:
        if len(self.fasc_n) != FASC_N_BYTES:
            raise RequestRefused(f"a FASC-N has {FASC_N_BYTES} bytes, not {len(self.fasc_n)}", profile="")


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
    plan = profile.__dict__.get(_PLAN) or _plan(profile)
    # The certificates of one card name one subject, most of them by the same attributes.
    known: bytes | None = subject.__dict__.get(plan.memory)
    if known is not None:
        return known
    try:
        encoded = b"".join(map(call, plan.encoders, plan.read(subject)))
    except _Impossible as error:
        raise RequestRefused(str(error), profile=profile.name) from None
    size = len(encoded)
    head = der.SEQUENCE_HEADS[size] if size < len(der.SEQUENCE_HEADS) else der.head(der.SEQUENCE, size)
    whole = subject.__dict__[plan.memory] = head + encoded
    return whole


class _Impossible(ValueError):
    """A value that a certificate cannot carry."""


Encoder = Callable[[str | None], bytes]


class _Remembered(dict[str | None, bytes]):
    """Encodings of an attribute's values that came before: most people share their names with others."""

    def __init__(self, attribute: str, empty: Encoder) -> None:
        super().__init__()
        self._attribute, self._empty = attribute, empty

    def __missing__(self, value: str | None) -> bytes:
        if not value:
            return self._empty(value)
        encoded = _encode_rdn(self._attribute, value)
        if len(self) < _REMEMBERED:
            self[value] = encoded
        return encoded


class _Plan(NamedTuple):
    """How a profile's attributes are encoded, how all are read out of a subject, and under what it remembers them."""

    encoders: tuple[Encoder, ...]
    read: Callable[[Subject], Iterable[str | None]]
    memory: str


_PLAN = "_subject_plan"


def _plan(profile: Profile) -> _Plan:
    """Make a profile's plan; it is kept with the profile, where it is found without comparing profiles."""
    names = profile.subject
    encoders = tuple(_encoder(name, _empty(name, profile)) for name in names)
    read = attrgetter(*names) if len(names) > 1 else lambda subject: (getattr(subject, names[0]),)
    memory = "encoded: " + ", ".join(f"{name}?" if name in profile.optional else name for name in names)
    plan = _Plan(encoders, read, memory)
    profile.__dict__[_PLAN] = plan
    return plan


def _empty(attribute: str, profile: Profile) -> Encoder:
    """What becomes of an attribute that is not given."""
    if attribute in profile.optional:
        return lambda _value: b""
    sentence = f"a {profile.name} certificate needs the subject's {attribute.replace('_', ' ')}"

    def refuse(_value: str | None) -> bytes:
        raise _Impossible(sentence)

    return refuse


def _encoder(attribute: str, empty: Encoder) -> Encoder:
    """How an attribute is encoded: remembered, or by a quick way where it is another one in every certificate."""
    if attribute not in _UNIQUE:
        return _Remembered(attribute, empty).__getitem__
    heads, bound = _RDN_HEADS[attribute], _UPPER_BOUNDS[attribute]

    # The quick ways for nearly all: no longer than allowed, no odd sign, and no space that is not inside.
    def encode_number(value: str | None) -> bytes:
        if not value:
            return empty(value)
        if len(value) > bound or not value.isascii() or not value.isalnum():
            return _encode_rdn(attribute, value)
        return heads[len(value)] + value.encode("ascii")

    def encode_text(value: str | None) -> bytes:
        if not value:
            return empty(value)
        if len(value) > bound or not value.isprintable() or value[0] == " " or value[-1] == " ":
            return _encode_rdn(attribute, value)
        encoded = value.encode()
        return heads[len(encoded)] + encoded

    return encode_number if attribute in _PRINTABLE else encode_text


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
