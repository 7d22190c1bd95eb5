"""Data groups by the thousand: a profile is read once, its tags and lengths are then looked up.

Hides the speed alone: the bytes are those of `datagroups.build_data_groups`, which takes over for anything unusual
(long objects, wrong or missing facts), and so says what is wrong with them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from card_io import tlv
from issuance.production.datagroups import Fact, build_data_groups
from issuance.production.profile import CardProfile, DataField, FieldKind

_SHORT = 0x80
"""A value below this has a length of one byte (ISO/IEC 7816-4:2020, 5.2.2.2), so all heads of a tag are known ahead."""

_Field = tuple[str, list[bytes], Callable[[Any], bytes], bool]


class _Unusual(Exception):
    """A fact that is not written the quick way."""


class GroupsWriter:
    """Writes the data groups of many cards of one profile."""

    def __init__(self, profile: CardProfile) -> None:
        """Look tags, lengths and encoders up."""
        self._profile = profile
        self._groups = [
            (group.number, _heads(group.tag), [_field(field) for field in group.fields])
            for group in profile.data_groups
        ]

    def write_all(self, columns: Mapping[str, Sequence[Any]]) -> list[dict[int, bytes]] | None:
        """The data groups of many cards, given column by column: what `write` gives for each row of them.

        None when a single value is unusual; then the cards are written one by one, and the odd one is told by name.
        Whole columns at a time are three times as fast: nothing is looked up or called for each card and field.
        """
        try:
            files = [(number, _column(heads, fields, columns)) for number, heads, fields in self._groups]
        except (_Unusual, LookupError, TypeError, ValueError, AttributeError):
            return None
        numbers = [number for number, _ in files]
        return [
            {number: content for number, content in zip(numbers, row, strict=True) if content}
            for row in zip(*(contents for _, contents in files), strict=True)
        ]

    def write(self, facts: Mapping[str, Fact]) -> dict[int, bytes]:
        """The card's data groups by number, as `build_data_groups` has them; the same `InvalidCardData`."""
        try:
            groups = {number: _written(heads, fields, facts) for number, heads, fields in self._groups}
        except (_Unusual, LookupError, TypeError, ValueError, AttributeError):
            return build_data_groups(self._profile, facts)
        return {number: content for number, content in groups.items() if content}


@lru_cache(maxsize=16)
def writer_for(profile: CardProfile) -> GroupsWriter:
    """The writer of a profile, made once."""
    return GroupsWriter(profile)


def _written(heads: list[bytes], fields: list[_Field], facts: Mapping[str, Fact]) -> bytes:
    parts = []
    for name, own_heads, encode, optional in fields:
        fact = facts.get(name)
        if fact:
            value = encode(fact)
            parts.append(own_heads[len(value)])
            parts.append(value)
        elif not optional:
            raise _Unusual
    if not parts:
        return b""
    content = b"".join(parts)
    return heads[len(content)] + content


def _column(heads: list[bytes], fields: list[_Field], columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
    """One group of every card."""
    parts = []
    for name, own_heads, encode, optional in fields:
        values = columns[name]
        if all(values):
            encoded = [encode(value) for value in values]
            parts.append([own_heads[len(value)] + value for value in encoded])
        elif optional:
            encoded = [encode(value) if value else b"" for value in values]
            parts.append([own_heads[len(value)] + value if value else b"" for value in encoded])
        else:
            raise _Unusual
    contents = map(b"".join, zip(*parts, strict=True))
    return [heads[len(content)] + content if content else b"" for content in contents]


def _field(field: DataField) -> _Field:
    return field.name, _heads(field.tag), _ENCODERS[field.kind], field.optional


def _heads(tag: int) -> list[bytes]:
    return [tlv.tag_bytes(tag) + tlv.length_bytes(size) for size in range(_SHORT)]


@lru_cache(maxsize=65_536)  # every birthday of a region's people, and then some
def _date(fact: date) -> bytes:
    return bytes.fromhex(f"{fact:%Y%m%d}".rjust(8, "0"))


def _digits(fact: str) -> bytes:
    if not (fact.isascii() and fact.isdigit()):
        raise _Unusual
    return bytes.fromhex(fact + "F" if len(fact) & 1 else fact)


def _bytes(fact: bytes) -> bytes:
    if type(fact) is not bytes:
        raise _Unusual
    return fact


_ENCODERS: Mapping[FieldKind, Callable[[Any], bytes]] = {
    FieldKind.TEXT: str.encode,
    FieldKind.DATE: _date,
    FieldKind.DIGITS: _digits,
    FieldKind.BYTES: _bytes,
}


def read_groupings(content: bytes) -> dict[int, bytes]:
    """The data groups of a card by number, out of what `groupings` put together; raises `InvalidTlv`."""
    return dict(tlv.parse_dgis(content))


def groupings(groups: Mapping[int, bytes]) -> bytes:
    """A card's data groups as one byte string: a data grouping each (EMV CPS 1.1, 2.2), its number the identifier."""
    return b"".join(
        [
            bytes((0, number, len(content))) + content if len(content) < 0xFF else tlv.encode_dgi(number, content)
            for number, content in groups.items()
        ]
    )
