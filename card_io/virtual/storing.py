"""STORE DATA for a security domain itself: the sequence of blocks, and the data objects in them.

GlobalPlatform Card Specification 2.3.1: 11.11.2.1 (P1), 11.11.2.2 (block number), 11.11.2.3 (structures that go on in
the next block). Without a word on the structure (P1 bits 5 and 4 are 00) the domain expects BER-TLV, as hosts that
know no other form send it.
"""

from collections.abc import Iterator
from typing import Final

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.errors import InvalidTlv
from card_io.virtual.refusal import NO_MEMORY, WRONG_DATA, WRONG_P1P2, Refused

_LAST: Final = 0x80
_ENCRYPTION: Final = 0x60
_STRUCTURE: Final = 0x18
_DGI: Final = 0x08
_RFU: Final = 0x18
_PENDING_MAX: Final = 0x1000
_TEMPLATE: Final = 0x0070


class StoredObjects:
    """The blocks of one sequence; `forget` when the session ends or the domain is selected anew."""

    def __init__(self) -> None:
        self._block = 0
        self._structure = 0
        self._pending = b""

    def forget(self) -> None:
        """The next block is number 0."""
        self._block, self._pending = 0, b""

    def take(self, command: CommandAPDU) -> list[tlv.Tlv]:
        """The data objects that are whole with this block; `Refused` starts the sequence over."""
        block, pending, structure = self._block, self._pending, command.p1 & _STRUCTURE
        self.forget()
        if command.p2 != block or command.p1 & _ENCRYPTION or structure == _RFU:
            raise Refused(WRONG_P1P2)
        if pending and structure != self._structure:
            raise Refused(WRONG_DATA)
        data = pending + command.data
        if len(data) > _PENDING_MAX:
            raise Refused(NO_MEMORY)
        read = _data_groupings if structure == _DGI else _objects
        objects: list[tlv.Tlv] = []
        end = 0
        for item, end in read(data):  # noqa: B007 - where the last whole one ends
            objects += _in_template(item)
        last = bool(command.p1 & _LAST)
        if last and end != len(data):
            raise Refused(WRONG_DATA)
        if not last:
            self._block, self._structure, self._pending = (block + 1) & 0xFF, structure, data[end:]
        return objects


def _objects(data: bytes) -> Iterator[tuple[tlv.Tlv, int]]:
    """BER-TLV objects and where each ends, as long as they are whole."""
    end = 0
    while end < len(data):
        try:
            item, end = tlv.read_one(data, end)
        except InvalidTlv:
            return
        yield item, end


def _data_groupings(data: bytes) -> Iterator[tuple[tlv.Tlv, int]]:
    """The same of data groupings: identifier 2, length 1 (or FF and 2), value."""
    end = 0
    while end + 3 <= len(data):
        dgi, size, start = int.from_bytes(data[end : end + 2], "big"), data[end + 2], end + 3
        if size == 0xFF:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        end = start + size
        if end > len(data):
            return
        yield tlv.Tlv(dgi, data[start:end]), end


def _in_template(item: tlv.Tlv) -> list[tlv.Tlv]:
    """The objects of data grouping 0070, which wraps BER-TLV; any other is an object by its number."""
    if item.tag != _TEMPLATE:
        return [item]
    try:
        return tlv.parse(item.value)
    except InvalidTlv as error:
        raise Refused(WRONG_DATA) from error
