"""DER in both directions, as far as certificates, lists and signed data need it (ITU-T X.690, 2021).

Hides tags and lengths. Writers take finished parts and return bytes, so that constant parts can be encoded once;
readers are strict: definite shortest lengths, nothing left over.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, ENUMERATED = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A
UTF8_STRING, PRINTABLE_STRING, UTC_TIME, GENERALIZED_TIME = 0x0C, 0x13, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
CONTEXT, CONSTRUCTED = 0x80, 0x20


class BadDer(ValueError):
    """The bytes are not the DER that was expected."""


def head(tag: int, size: int) -> bytes:
    """Encode the tag and length that stand before `size` bytes."""
    if size < 0x80:
        return bytes((tag, size))
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length


# Certificates are written by the hundred thousand, and nearly all their parts are sequences shorter than this.
SEQUENCE_HEADS = tuple(head(SEQUENCE, size) for size in range(2048))
_INTEGER_HEADS = tuple(head(INTEGER, size) for size in range(0x80))
_BITS_HEADS = tuple(head(BIT_STRING, size + 1) + b"\x00" for size in range(0x200))


def tlv(tag: int, value: bytes) -> bytes:
    """Encode one element with a one-byte tag."""
    size = len(value)
    if tag == SEQUENCE and size < 2048:
        return SEQUENCE_HEADS[size] + value
    return head(tag, size) + value


def sequence(*parts: bytes) -> bytes:
    """Encode a SEQUENCE of encoded parts."""
    return tlv(SEQUENCE, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """Encode a SET OF; DER wants its elements in order of their bytes."""
    return tlv(SET, b"".join(sorted(parts)))


def integer(value: int) -> bytes:
    """Encode an INTEGER, zero or positive."""
    if value < 0:
        raise ValueError("only zero and positive integers are written")
    size = value.bit_length() // 8 + 1
    return (_INTEGER_HEADS[size] if size < 0x80 else head(INTEGER, size)) + value.to_bytes(size, "big")


def octets(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return tlv(OCTET_STRING, value)


def bits(value: bytes) -> bytes:
    """Encode a BIT STRING of whole bytes."""
    size = len(value)
    return (_BITS_HEADS[size] if size < 0x200 else head(BIT_STRING, size + 1) + b"\x00") + value


def oid(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER; raises `ValueError` for what is none."""
    arcs = [int(arc) for arc in dotted.split(".")]
    if len(arcs) < 2 or arcs[0] > 2 or min(arcs) < 0 or (arcs[0] < 2 and arcs[1] > 39):
        raise ValueError(f"{dotted} is no object identifier")
    return tlv(OID, b"".join(_base128(arc) for arc in (arcs[0] * 40 + arcs[1], *arcs[2:])))


def _base128(arc: int) -> bytes:
    septets = [arc & 0x7F]
    while arc := arc >> 7:
        septets.append(arc & 0x7F | 0x80)
    return bytes(reversed(septets))


def explicit(number: int, *parts: bytes) -> bytes:
    """Encode an explicit or constructed context tag around encoded parts."""
    return tlv(CONTEXT | CONSTRUCTED | number, b"".join(parts))


@lru_cache(maxsize=256)
def time(moment: datetime) -> bytes:
    """Encode a Time as RFC 5280 section 4.1.2.5 has it: UTCTime until 2049, seconds, `Z`."""
    utc = moment.astimezone(UTC)
    if utc.year < 2050:
        return tlv(UTC_TIME, utc.strftime("%y%m%d%H%M%SZ").encode())
    return generalized_time(utc)


@lru_cache(maxsize=256)
def generalized_time(moment: datetime) -> bytes:
    """Encode a GeneralizedTime without fractions."""
    return tlv(GENERALIZED_TIME, moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())


@dataclass(frozen=True)
class Element:
    """One element: its tag, its value, and all of its bytes."""

    tag: int
    value: bytes
    raw: bytes

    def children(self) -> list["Element"]:
        """Read the elements inside."""
        return list(elements(self.value))

    def integer(self) -> int:
        """Read an INTEGER or ENUMERATED that is zero or positive."""
        if self.tag not in (INTEGER, ENUMERATED) or not self.value or self.value[0] & 0x80:
            raise BadDer("a whole number was expected")
        if len(self.value) > 1 and self.value[0] == 0 and not self.value[1] & 0x80:
            raise BadDer("the number is longer than it needs to be")
        return int.from_bytes(self.value, "big")

    def expect(self, tag: int) -> "Element":
        """Return this element when it has the tag."""
        if self.tag != tag:
            raise BadDer(f"tag {self.tag:02X} stands where {tag:02X} was expected")
        return self


def elements(data: bytes) -> Iterator[Element]:
    """Read the elements that fill `data` exactly; raises `BadDer`."""
    at = 0
    while at < len(data):
        element = _element(data, at)
        at += len(element.raw)
        yield element


def read(data: bytes, tag: int = SEQUENCE) -> Element:
    """Read exactly one element with this tag; raises `BadDer`."""
    element = _element(data, 0)
    if len(element.raw) != len(data):
        raise BadDer("bytes follow the end")
    return element.expect(tag)


def _element(data: bytes, at: int) -> Element:
    if at + 2 > len(data):
        raise BadDer("the data end inside an element")
    tag, first = data[at], data[at + 1]
    if tag & 0x1F == 0x1F:
        raise BadDer("tags of several bytes are not used here")
    start, size = at + 2, first
    if first & 0x80:
        count = first & 0x7F
        start += count
        if not 1 <= count <= 4 or start > len(data):
            raise BadDer("a length is impossible")
        size = int.from_bytes(data[at + 2 : start], "big")
        if size < 0x80 or size.bit_length() <= 8 * (count - 1):
            raise BadDer("a length is longer than it needs to be")
    if start + size > len(data):
        raise BadDer("an element is cut short")
    return Element(tag, data[start : start + size], data[at : start + size])


def parse_time(element: Element) -> datetime:
    """Read a UTCTime or GeneralizedTime of RFC 5280's form; raises `BadDer`."""
    form, size = {UTC_TIME: ("%y%m%d%H%M%SZ", 13), GENERALIZED_TIME: ("%Y%m%d%H%M%SZ", 15)}.get(element.tag, ("", 0))
    if len(element.value) != size or not element.value[:-1].isdigit():
        raise BadDer("a time was expected")
    try:
        parsed = datetime.strptime(element.value.decode("ascii"), form).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadDer("a time is malformed") from error
    # strptime's pivot is 1969; RFC 5280 has 50..99 in the last century.
    if element.tag == UTC_TIME and parsed.year >= 2050:
        parsed = parsed.replace(year=parsed.year - 100)
    return parsed
