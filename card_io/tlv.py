"""BER-TLV data objects as cards use them, and the data groupings of personalisation.

ISO/IEC 7816-4:2020 §6 and annex E (tags up to four bytes, definite lengths up to four bytes); EMV CPS 1.1 §2.2 (DGI).
Hides the byte layout of tags and lengths. A tag is an `int` that reads like the specification: `0x9F7F`, `0x5F20`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from card_io.errors import InvalidTlv

_MAX_TAG_BYTES = 4
_MAX_LENGTH_BYTES = 4


@lru_cache(maxsize=1024)
def tag_bytes(tag: int) -> bytes:
    """The tag as it goes on the wire; `InvalidTlv` when no such tag can exist."""
    if tag < 0:
        raise InvalidTlv(f"{tag} is not a tag")
    raw = tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big")
    if _read_tag(raw, 0) != (tag, len(raw)):
        raise InvalidTlv(f"{tag:X} is not a tag")
    return raw


def length_bytes(size: int) -> bytes:
    """The shortest length field for `size` bytes of value."""
    if size < 0x80:
        return bytes([size])
    raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
    if len(raw) > _MAX_LENGTH_BYTES:
        raise InvalidTlv(f"a value of {size} bytes is too long for a data object")
    return bytes([0x80 | len(raw)]) + raw


def encode(tag: int, value: bytes) -> bytes:
    """One data object: tag, shortest length, value."""
    return tag_bytes(tag) + length_bytes(len(value)) + value


@dataclass(frozen=True, slots=True)
class Tlv:
    """One data object; the value of a constructed one holds further objects."""

    tag: int
    value: bytes

    @property
    def constructed(self) -> bool:
        """True when bit 6 of the first tag byte says that the value is made of data objects."""
        return bool(tag_bytes(self.tag)[0] & 0x20)

    def children(self) -> list["Tlv"]:
        """The objects inside a constructed one; `InvalidTlv` when the value is not made of objects."""
        if not self.constructed:
            raise InvalidTlv(f"{self.tag:X} is primitive and has nothing inside")
        return parse(self.value)

    def encode(self) -> bytes:
        """The object on the wire."""
        return encode(self.tag, self.value)


def _read_tag(data: bytes, offset: int) -> tuple[int, int]:
    """Tag and the offset behind it."""
    start = offset
    if offset >= len(data):
        raise InvalidTlv("the data end where a tag should be", offset)
    if data[offset] & 0x1F != 0x1F:
        return data[offset], offset + 1
    offset += 1
    while True:
        if offset >= len(data):
            raise InvalidTlv("the data end inside a tag", offset)
        if offset - start >= _MAX_TAG_BYTES:
            raise InvalidTlv("the tag is longer than four bytes", start)
        if offset == start + 1 and data[offset] & 0x7F == 0:
            raise InvalidTlv("the tag number starts with a zero group", start)
        offset += 1
        if not data[offset - 1] & 0x80:
            break
    tag = int.from_bytes(data[start:offset], "big")
    # 1F 00..1E would be a short tag number in the long form: two spellings of one tag.
    if offset - start == 2 and data[offset - 1] < 0x1F:
        raise InvalidTlv(f"tag {tag:X} is a short tag number in the long form", start)
    return tag, offset


def _read_length(data: bytes, offset: int) -> tuple[int, int]:
    """Length and the offset behind it. Lengths longer than needed are read (cards send them), never written."""
    if offset >= len(data):
        raise InvalidTlv("the data end where a length should be", offset)
    first = data[offset]
    if first < 0x80:
        return first, offset + 1
    if first == 0x80:
        raise InvalidTlv("the length is indefinite, which cards may not use", offset)
    count = first & 0x7F
    if count > _MAX_LENGTH_BYTES:
        raise InvalidTlv(f"the length has {count} bytes, more than four", offset)
    end = offset + 1 + count
    if end > len(data):
        raise InvalidTlv("the data end inside a length", offset)
    return int.from_bytes(data[offset + 1 : end], "big"), end


def read_one(data: bytes, offset: int = 0) -> tuple[Tlv, int]:
    """The object at `offset` and the offset behind it."""
    tag, position = _read_tag(data, offset)
    size, position = _read_length(data, position)
    if position + size > len(data):
        raise InvalidTlv(f"{tag:X} promises {size} bytes and {len(data) - position} are there", offset)
    return Tlv(tag, data[position : position + size]), position + size


def iterate(data: bytes) -> Iterator[Tlv]:
    """The objects of `data` one after the other; they must fill it exactly."""
    offset = 0
    while offset < len(data):
        item, offset = read_one(data, offset)
        yield item


def parse(data: bytes) -> list[Tlv]:
    """All objects of `data`, which they must fill exactly."""
    return list(iterate(data))


def parse_padded(data: bytes) -> list[Tlv]:
    """All objects of `data`; `00` before, between and after them is padding (ISO/IEC 7816-4 §6.2)."""
    items: list[Tlv] = []
    offset = 0
    while offset < len(data):
        if data[offset] == 0:
            offset += 1
            continue
        item, offset = read_one(data, offset)
        items.append(item)
    return items


def find(data: bytes, *path: int) -> bytes | None:
    """The value of the first object reached by following the tags of `path` inwards, or None."""
    value = data
    for tag in path:
        found = next((item.value for item in iterate(value) if item.tag == tag), None)
        if found is None:
            return None
        value = found
    return value


def require(data: bytes, *path: int) -> bytes:
    """Like `find`, but a missing object is an `InvalidTlv` naming the tag path."""
    value = find(data, *path)
    if value is None:
        raise InvalidTlv("no object " + "/".join(f"{tag:X}" for tag in path))
    return value


def single(data: bytes, tag: int) -> bytes:
    """The value of `data`, which must be exactly one object with this tag."""
    item, end = read_one(data)
    if item.tag != tag:
        raise InvalidTlv(f"object {item.tag:X} stands where {tag:X} was asked for")
    if end != len(data):
        raise InvalidTlv(f"{len(data) - end} bytes follow object {tag:X}", end)
    return item.value


def encode_dgi(dgi: int, value: bytes) -> bytes:
    """One data grouping: identifier (2 bytes), length (1 byte, or FF and 2 bytes from 255 up), value."""
    if not 0 <= dgi <= 0xFFFF:
        raise InvalidTlv(f"{dgi:X} is not a data grouping identifier")
    if len(value) > 0xFFFF:
        raise InvalidTlv(f"data grouping {dgi:04X} has {len(value)} bytes, more than 65535")
    size = bytes([len(value)]) if len(value) < 0xFF else b"\xff" + len(value).to_bytes(2, "big")
    return dgi.to_bytes(2, "big") + size + value


def parse_dgis(data: bytes) -> list[tuple[int, bytes]]:
    """The data groupings of `data` in order, as (identifier, value); they must fill it exactly."""
    items: list[tuple[int, bytes]] = []
    offset = 0
    while offset < len(data):
        header = data[offset : offset + 3]
        if len(header) < 3:
            raise InvalidTlv("the data end inside a data grouping header", offset)
        start = offset + 3
        size = header[2]
        if size == 0xFF:
            if start + 2 > len(data):
                raise InvalidTlv("the data end inside a data grouping length", offset)
            size = int.from_bytes(data[start : start + 2], "big")
            start += 2
        if start + size > len(data):
            raise InvalidTlv(f"data grouping {header[:2].hex().upper()} is cut short", offset)
        items.append((int.from_bytes(header[:2], "big"), data[start : start + size]))
        offset = start + size
    return items


def concatenate(items: Iterable[Tlv]) -> bytes:
    """Objects one after the other."""
    return b"".join(item.encode() for item in items)
