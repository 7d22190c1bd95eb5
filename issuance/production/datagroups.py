"""Data groups: the facts on a card as compact BER-TLV, built and read as the profile says.

A group is one constructed object (ISO/IEC 7816-4:2020 section 6) with one primitive object a fact, in the profile's
order: text in UTF-8, dates as packed BCD `YYYYMMDD` (4 bytes) or as they are printed (`2031NOV22`, NIST SP 800-73-4
part 1, table 11), digit strings as packed BCD padded with `F` on the right, pictures as they are. The digests of the
groups are what the security object signs.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import date

from card_io import tlv
from card_io.errors import InvalidTlv
from issuance.production.errors import InvalidCardData
from issuance.production.profile import CardProfile, DataField, DataGroup, FieldKind

Fact = str | date | bytes
DATE_BYTES = 4
PRINTED_DATE = re.compile(rb"([0-9]{4})([A-Z]{3})([0-9]{2})")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
FILE_MAX_BYTES = 0x7FFF
"""READ BINARY addresses 15 bits (ISO/IEC 7816-4, 11.3.3)."""


def build_data_groups(profile: CardProfile, facts: Mapping[str, Fact]) -> dict[int, bytes]:
    """The card's data groups by number.

    `facts` are named as in the profile: `str` for text and digits, `date` for dates, `bytes` for pictures. A group
    whose facts are all optional and absent is left out. `InvalidCardData` for a missing or unfit fact.
    """
    groups = {group.number: _build_group(group, facts) for group in profile.data_groups}
    return {number: content for number, content in groups.items() if content}


def read_data_group(group: DataGroup, content: bytes) -> dict[str, Fact]:
    """The facts of a group read from a card; `InvalidCardData` when it is not built as the profile says.

    Bytes behind the outer object are refused: a terminal hashes the whole file.
    """
    names = {field.tag: field for field in group.fields}
    facts: dict[str, Fact] = {}
    try:
        for item in tlv.parse(tlv.single(content, group.tag)):
            if item.tag not in names or names[item.tag].name in facts:
                raise InvalidCardData(group.name, f"holds object {item.tag:02X}, which does not belong there")
            field = names[item.tag]
            facts[field.name] = _decode(field, item.value)
    except InvalidTlv as error:
        raise InvalidCardData(group.name, f"cannot be read: {error.reason}") from error
    for field in group.fields:
        if not field.optional and field.name not in facts:
            raise InvalidCardData(field.name, "is missing on the card")
    return facts


def digests(groups: Mapping[int, bytes]) -> dict[int, bytes]:
    """SHA-256 of each data group file, by number."""
    return {number: hashlib.sha256(content).digest() for number, content in sorted(groups.items())}


def _build_group(group: DataGroup, facts: Mapping[str, Fact]) -> bytes:
    present = [field for field in group.fields if field.value or facts.get(field.name) not in {None, "", b""}]
    for field in group.fields:
        if not field.optional and field not in present:
            raise InvalidCardData(field.name, "is missing")
    if not present:
        return b""
    objects = (tlv.encode(field.tag, _encode(field, field.value or facts[field.name])) for field in present)
    content = tlv.encode(group.tag, b"".join(objects))
    if len(content) > FILE_MAX_BYTES:
        raise InvalidCardData(group.name, f"has {len(content)} bytes, more than the {FILE_MAX_BYTES} of a file")
    return content


def printed_date(day: date) -> bytes:
    """A date as PIV cards have it printed: year, the month's first three letters in English, day."""
    return f"{day.year:04d}{MONTHS[day.month - 1]}{day.day:02d}".encode("ascii")


def _encode(field: DataField, fact: Fact) -> bytes:
    content = _encoded(field, fact)
    if field.max_bytes and len(content) > field.max_bytes:
        raise InvalidCardData(field.name, f"has {len(content)} bytes, more than the {field.max_bytes} that it may have")
    return content


def _encoded(field: DataField, fact: Fact) -> bytes:
    match field.kind, fact:
        case FieldKind.TEXT, str():
            return fact.encode("utf-8")
        case FieldKind.DATE, date():
            return bytes.fromhex(f"{fact:%Y%m%d}".rjust(8, "0"))
        case FieldKind.PRINTED_DATE, date():
            return printed_date(fact)
        case FieldKind.DIGITS, str() if fact.isascii() and fact.isdigit():
            return bytes.fromhex(fact + "F" * (len(fact) % 2))
        case FieldKind.BYTES, bytes():
            return fact
    raise InvalidCardData(field.name, f"is not what a field of kind {field.kind} takes")


def _decode(field: DataField, value: bytes) -> Fact:
    try:
        match field.kind:
            case FieldKind.TEXT:
                return value.decode("utf-8")
            case FieldKind.DATE if len(value) == DATE_BYTES:
                return date.fromisoformat(value.hex())
            case FieldKind.PRINTED_DATE if (printed := PRINTED_DATE.fullmatch(value)) is not None:
                year, month, day = (part.decode("ascii") for part in printed.groups())
                return date(int(year), MONTHS.index(month) + 1, int(day))
            case FieldKind.DIGITS if (digits := value.hex().removesuffix("f")).isdigit():
                return digits
            case FieldKind.BYTES:
                return value
    except ValueError as error:
        raise InvalidCardData(field.name, "is not encoded as its kind demands") from error
    raise InvalidCardData(field.name, "is not encoded as its kind demands")
