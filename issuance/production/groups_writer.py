"""Data groups by the thousand: a profile is read once, its tags and lengths are then looked up.

Hides the speed alone: the bytes are those of `datagroups.build_data_groups`, which takes over for anything unusual
(long objects, wrong or missing facts), and so says what is wrong with them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple

from card_io import tlv
from issuance.production.datagroups import DATE_BYTES, Fact, build_data_groups, printed_date
from issuance.production.profile import CardProfile, DataField, FieldKind

_SHORT = 0x80
"""A value below this has a length of one byte (ISO/IEC 7816-4:2020, 5.2.2.2), so all heads of a tag are known ahead."""

_LONG_GROUPING = 0xFF
"""A data grouping from this length on says its length in three bytes (EMV CPS 1.1, 2.2)."""


class _Field(NamedTuple):
    name: str
    heads: list[bytes]
    encode: Callable[[Any], bytes]
    objects: "Callable[[Sequence[Any], list[bytes]], list[bytes]] | None"
    optional: bool
    value: str


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

    def write_all(self, columns: Mapping[str, Sequence[Any]]) -> dict[int, list[bytes]] | None:
        """The data groups of many cards, given column by column, as a column for each group that the cards have.

        None when a single value is unusual, or cards differ in which groups they have; then the cards are written one
        by one, and the odd one is told by name. Whole columns at a time are four times as fast: nothing is looked up
        or called for each card and field.
        """
        try:
            files = {number: _column(heads, fields, columns) for number, heads, fields in self._groups}
        except (_Unusual, LookupError, TypeError, ValueError, AttributeError):
            return None
        if any(b"" in contents and any(contents) for contents in files.values()):
            return None
        return {number: contents for number, contents in files.items() if any(contents)}

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
    content = b"".join([_object(field, field.value or facts.get(field.name)) for field in fields])
    return heads[len(content)] + content if content else b""


def _column(heads: list[bytes], fields: list[_Field], columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
    """One group of every card."""
    cards = len(next(iter(columns.values())))
    parts: list[Iterable[bytes]] = []
    same = b""  # what all cards have at this place
    for field in fields:
        values = (field.value,) if field.value else columns[field.name]
        if _constant(values):
            same += _object(field, values[0])
            continue
        if same:
            parts.append(repeat(same, cards))
            same = b""
        parts += _parts(field, values)
    if same or not parts:
        parts.append(repeat(same, cards))
    contents = list(map(b"".join, zip(*parts, strict=True)))
    if all(contents):
        return list(map(bytes.__add__, _heads_of(heads, contents), contents))
    return [heads[len(content)] + content if content else b"" for content in contents]


def _parts(field: _Field, values: Sequence[Any]) -> list[Iterable[bytes]]:
    """One fact of every card with its tag and length, as one or more columns to be joined."""
    if not all(values):
        return [[_object(field, value) for value in values]]
    if field.objects is not None:
        return [field.objects(values, field.heads)]
    encoded = list(map(field.encode, values))
    return [_heads_of(field.heads, encoded), encoded]


def _heads_of(heads: list[bytes], contents: list[bytes]) -> Iterable[bytes]:
    """The head of each content, by its length."""
    return map(heads.__getitem__, map(len, contents))


def _constant(values: Sequence[Any]) -> bool:
    """Whether all cards have the same fact, as a batch has one issuer and one day."""
    return len(values) > 0 and values[0] == values[-1] and values.count(values[0]) == len(values)


def _object(field: _Field, value: Any) -> bytes:
    """One fact with its tag and length; nothing for an optional one that is absent."""
    if value:
        encoded = field.encode(value)
        return field.heads[len(encoded)] + encoded
    if not field.optional:
        raise _Unusual
    return b""


def _field(field: DataField) -> _Field:
    return _Field(
        name=field.name,
        heads=_heads(field.tag)[: field.max_bytes + 1 if field.max_bytes else None],
        encode=_ENCODERS[field.kind],
        objects=_OBJECTS.get(field.kind),
        optional=field.optional,
        value=field.value,
    )


def _heads(tag: int) -> list[bytes]:
    """The head of an object by the size of what stands in it; a size that it must not have has none."""
    return [tlv.tag_bytes(tag) + tlv.length_bytes(size) for size in range(_SHORT)]


def _date(fact: date) -> bytes:
    return bytes.fromhex(date.isoformat(fact).replace("-", ""))


def _date_objects(facts: Sequence[date], heads: list[bytes]) -> list[bytes]:
    """Many dates as `_date` has them, each behind its head, read as one number."""
    head = heads[DATE_BYTES].hex()
    joined = head + head.join(map(date.isoformat, facts))
    return _cut(bytes.fromhex(joined.replace("-", "")), len(heads[DATE_BYTES]) + DATE_BYTES)


def _digits(fact: str) -> bytes:
    if not (fact.isascii() and fact.isdigit()):
        raise _Unusual
    return bytes.fromhex(fact + "F" if len(fact) & 1 else fact)


def _digit_objects(facts: Sequence[str], heads: list[bytes]) -> list[bytes]:
    """Many numbers as `_digits` has them, each behind its head; those of one length, as most are, read as one."""
    size = len(facts[0])
    padding, head = "F" * (size & 1), heads[(size + 1) // 2]
    joined = "".join(facts)
    if not (joined.isascii() and joined.isdigit()):
        raise _Unusual
    if set(map(len, facts)) != {size}:
        encoded = list(map(_digits, facts))
        return list(map(bytes.__add__, _heads_of(heads, encoded), encoded))
    return _cut(bytes.fromhex(head.hex() + (padding + head.hex()).join(facts) + padding), len(head) + (size + 1) // 2)


def _cut(joined: bytes, width: int) -> list[bytes]:
    return [joined[at : at + width] for at in range(0, len(joined), width)]


def _bytes(fact: bytes) -> bytes:
    if type(fact) is not bytes:
        raise _Unusual
    return fact


_ENCODERS: Mapping[FieldKind, Callable[[Any], bytes]] = {
    FieldKind.TEXT: str.encode,
    FieldKind.DATE: _date,
    FieldKind.PRINTED_DATE: printed_date,
    FieldKind.DIGITS: _digits,
    FieldKind.BYTES: _bytes,
}


# Kinds of which a whole column is cheaper than its values one by one.
_OBJECTS: Mapping[FieldKind, Callable[[Sequence[Any], list[bytes]], list[bytes]]] = {
    FieldKind.DIGITS: _digit_objects,
    FieldKind.DATE: _date_objects,
}


def read_groupings(content: bytes) -> dict[int, bytes]:
    """The data groups of a card by number, out of what `groupings` put together; raises `InvalidTlv`."""
    return dict(tlv.parse_dgis(content))


def groupings(groups: Mapping[int, bytes]) -> bytes:
    """A card's data groups as one byte string: a data grouping each (EMV CPS 1.1, 2.2), its number the identifier."""
    return b"".join([_grouping_head(number, len(content)) + content for number, content in groups.items()])


def groupings_all(groups: Mapping[int, Sequence[bytes]]) -> list[bytes]:
    """The `groupings` of many cards, given as `GroupsWriter.write_all` has them."""
    parts: list[Iterable[bytes]] = []
    for number, contents in groups.items():
        head = {size: _grouping_head(number, size) for size in set(map(len, contents))}
        parts += (map(head.__getitem__, map(len, contents)), contents)
    return list(map(b"".join, zip(*parts, strict=True)))


def _grouping_head(number: int, size: int) -> bytes:
    if size < _LONG_GROUPING:
        return bytes((0, number, size))
    return tlv.encode_dgi(number, bytes(size))[:-size]
