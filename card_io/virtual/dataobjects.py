"""GET DATA and STORE DATA of a security domain itself.

GlobalPlatform 2.3.1: 11.3 (GET DATA), 11.3.3.1 (key information template), 11.11.2.3 (objects that STORE DATA can
write), H.2 (card recognition data), H.4 (card capability information), 11.3.3.1 (2F00, list of applications), FF21
(extended card resources). CPLC: tag 9F7F, its parts of the personalisers 9F66 and 9F67 as older profiles have them.
"""

from typing import Final

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.errors import InvalidTlv
from card_io.virtual.keysets import KeyStore
from card_io.virtual.memory import Area
from card_io.virtual.platform import Platform
from card_io.virtual.refusal import NOT_SUPPORTED, REFERENCE_NOT_FOUND, WRONG_DATA, Refused
from card_io.virtual.registry import SECURED
from card_io.virtual.storing import StoredObjects
from card_io.virtual.verification import VerificationKeys

_GP: Final = bytes.fromhex("2A864886FC6B")
"""Object identifier {iso(1) member-body(2) country-USA(840) GlobalPlatform(114283)}."""
_STORED: Final = {0x42: "iin", 0x45: "cin", 0x66: "card_data", 0x67: "capabilities", 0x5F50: "url"}
_NUMBER_MAX: Final = 32
_OBJECT_MAX: Final = 0x400
_CPLC_PARTS: Final = {0x9F66: 26, 0x9F67: 34}
"""Where pre-personaliser and personaliser (each with date and equipment) stand in the production record."""
_CPLC_PART: Final = 8
MEMORY_BYTES: Final = 0x28000
VOLATILE_BYTES: Final = 0x1000


class DataObjects:
    """The domain's data objects: what the card computes, and what STORE DATA wrote in its place or beside it."""

    def __init__(self, platform: Platform, area: Area, keys: KeyStore, checks: VerificationKeys | None = None) -> None:
        self._platform = platform
        self._area = area
        self._keys = keys
        self._checks = checks or VerificationKeys(area)
        self._stored = StoredObjects()

    def get(self, command: CommandAPDU) -> bytes:
        """The object that P1-P2 name: whole (tag, length, value), or its value alone by an ISO class (11.3.3.1)."""
        if command.ins == 0xCB and command.cla & 0x80:
            raise Refused(NOT_SUPPORTED)
        tag = command.p1 << 8 | command.p2
        if tag == 0x2F00:  # no tag of a data object: the applications are told one after the other
            found = (tlv.encode(0x4F, item.aid) for item in self._platform.registry.instances())
            return b"".join(tlv.encode(0x61, name) for name in found)
        value = self._value(tag)
        if value is None:
            raise Refused(REFERENCE_NOT_FOUND)
        return tlv.encode(tag, value) if command.cla & 0x80 else value

    def _value(self, tag: int) -> bytes | None:
        """Objects of every domain; the issuer's has those of the chip besides."""
        stored = self._area.octets(_STORED[tag]) if tag in _STORED else None
        if stored is not None:
            return stored
        match tag:
            case 0x66:
                return self._recognition()
            case 0xE0:
                return self._key_information()
            case 0xC1:
                return self._sequence_counter()
        return self._value_of_issuer(tag) if self._of_issuer else None

    @property
    def _of_issuer(self) -> bool:
        return self._keys is self._platform.keys

    def _value_of_issuer(self, tag: int) -> bytes | None:
        match tag:
            case 0x9F7F:
                return self._platform.cplc
            case 0x67:
                return self._capabilities()
            case 0xCF:
                return self._platform.diversification_data
            case 0xFF21:
                return self._resources()
        return None

    def _sequence_counter(self) -> bytes | None:
        """Of the first key set: 3 bytes for SCP03, 2 for SCP02."""
        first = self._keys.get(0)
        if first is None:
            return None
        return self._keys.counter(first.version).to_bytes(3 if first.aes else 2, "big")

    def _protocols(self) -> list[tuple[int, int]]:
        """Protocol and `i` for each type of key that opens a session with this domain: its own, or the issuer's."""
        store = self._keys if self._keys.versions() else self._platform.keys
        present = [store.get(version) for version in store.versions()]
        kinds = sorted({3 if keys.aes else 2 for keys in present if keys is not None})
        return [(kind, self._platform.scp03_i if kind == 3 else self._platform.scp02_i) for kind in kinds]

    def _resources(self) -> bytes:
        """Number of applications (81), free non-volatile and volatile memory in bytes (82, 83)."""
        used = sum(item.size_bytes for item in self._platform.registry.load_files())
        free = (max(0, MEMORY_BYTES - used - self._platform.memory.used_bytes()), VOLATILE_BYTES)
        count = len(self._platform.registry.instances())
        parts = [
            (0x81, count.to_bytes(2, "big")),
            *((0x82 + at, size.to_bytes(4, "big")) for at, size in enumerate(free)),
        ]
        return b"".join(tlv.encode(tag, value) for tag, value in parts)

    def _recognition(self) -> bytes:
        objects = tlv.encode(0x06, _GP + b"\x01")
        objects += tlv.encode(0x60, tlv.encode(0x06, _GP + b"\x02\x02\x03\x01"))
        objects += tlv.encode(0x63, tlv.encode(0x06, _GP + b"\x03"))
        for protocol, i in self._protocols():
            objects += tlv.encode(0x64, tlv.encode(0x06, _GP + bytes([4, protocol, i])))
        return tlv.encode(0x73, objects)

    def _capabilities(self) -> bytes:
        lines = b""
        for protocol, i in self._protocols():
            sizes = tlv.encode(0x82, b"\x07") if protocol == 3 else b""
            lines += tlv.encode(0xA0, tlv.encode(0x80, bytes([protocol])) + tlv.encode(0x81, bytes([i])) + sizes)
        return lines

    def _key_information(self) -> bytes:
        lines = [
            bytes([number, version, keys.key_type, len(keys.enc)])
            for version in self._keys.versions()
            if (keys := self._keys.get(version)) is not None
            for number in (1, 2, 3)
        ]
        return b"".join(tlv.encode(0xC0, line) for line in (*lines, *self._checks.information()))

    def forget(self) -> None:
        """The session ended, or the domain is selected anew: a sequence of STORE DATA is over."""
        self._stored.forget()

    def store(self, command: CommandAPDU) -> bytes:
        """Store the objects of one block (11.11.2.3): numbers of issuer and card, card data, the domain's own name."""
        for item in self._stored.take(command):
            self._put(item)
        return b""

    def _put(self, item: tlv.Tlv) -> None:
        """One object; those that the card computes, and unknown ones, are 6A80."""
        value = item.value
        match item.tag:
            case 0x42 | 0x45 if 1 <= len(value) <= _NUMBER_MAX:
                self._area.put(_STORED[item.tag], value)
            case 0x66 | 0x67 | 0x5F50 if _is_well_formed(item):
                self._area.put(_STORED[item.tag], value)
            case 0x4F | 0x9F66 | 0x9F67 if self._of_issuer:
                self._put_of_issuer(item)
            case _:
                raise Refused(WRONG_DATA)

    def _put_of_issuer(self, item: tlv.Tlv) -> None:
        if item.tag == 0x4F:
            self._platform.rename_domain(item.value)
            return
        if len(item.value) != _CPLC_PART or self._platform.life_cycle >= SECURED:
            raise Refused(WRONG_DATA)
        record, start = self._platform.cplc, _CPLC_PARTS[item.tag]
        self._platform.area.put("cplc", record[:start] + item.value + record[start + _CPLC_PART :])


def _is_well_formed(item: tlv.Tlv) -> bool:
    """Card data are one template 73, capabilities are templates A0 and objects, a URL is at least one byte."""
    if not item.value or len(item.value) > _OBJECT_MAX:
        return False
    if item.tag == 0x5F50:
        return True
    try:
        inside = tlv.parse(item.value)
    except InvalidTlv:
        return False
    return item.tag != 0x66 or [part.tag for part in inside] == [0x73]
