"""Selecting a security domain and reading what it says about itself: FCI, CPLC, keys, card recognition data.

GlobalPlatform Card Specification 2.3.1 §11.3 (GET DATA), §11.9 (SELECT), annex E.5.1 (INITIALIZE UPDATE), annex H.2 and
H.3 (recognition data); the CPLC layout as card makers publish it (tag 9F7F). Builders and parsers only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.errors import InvalidTlv, UnexpectedAnswer
from card_io.globalplatform.aid import check_aid

TAG_IIN = 0x42
TAG_CIN = 0x45
TAG_CARD_DATA = 0x66
TAG_CARD_CAPABILITIES = 0x67
TAG_SEQUENCE_COUNTER = 0xC1
TAG_CONFIRMATION_COUNTER = 0xC2
TAG_KEY_INFORMATION = 0xE0
TAG_CPLC = 0x9F7F
TAG_EXTENDED_RESOURCES = 0xFF21

ISD_AID = bytes.fromhex("A000000151000000")
"""The default AID of the issuer security domain (H.1.3)."""
KNOWN_ISD_AIDS = (
    ISD_AID,
    bytes.fromhex("A0000001510000"),
    bytes.fromhex("A000000003000000"),
    bytes.fromhex("A000000018434D00"),
)
"""Names of issuer security domains that makers gave: the default, its older form, those of two card managers."""

_GP_OID = bytes.fromhex("2A864886FC6B")


def select(aid: bytes = b"") -> CommandAPDU:
    """SELECT by name, first or only; without an AID the default selected security domain."""
    return CommandAPDU(0x00, 0xA4, 0x04, 0x00, check_aid(aid) if aid else b"", 256)


def select_next(aid: bytes) -> CommandAPDU:
    """SELECT by (part of) name, next occurrence."""
    return CommandAPDU(0x00, 0xA4, 0x04, 0x02, check_aid(aid), 256)


def get_data(tag: int, data: bytes = b"") -> CommandAPDU:
    """GET DATA for a tag of one or two bytes; the answer is the whole data object."""
    if not 0 < tag <= 0xFFFF:
        raise InvalidTlv(f"GET DATA carries tags of one or two bytes, not {tag:X}")
    return CommandAPDU(0x80, 0xCA, tag >> 8, tag & 0xFF, data, 256)


def list_applications() -> CommandAPDU:
    """GET DATA 2F00: the applets of the card as templates 61 (table 11-30)."""
    return get_data(0x2F00, b"\x5c\x00")


def initialize_update(kvn: int, host_challenge: bytes) -> CommandAPDU:
    """INITIALIZE UPDATE; `kvn` 0 takes the first available key set, the challenge has 8 bytes (16 in S16 mode)."""
    if len(host_challenge) not in (8, 16):
        raise UnexpectedAnswer(f"a host challenge of {len(host_challenge)} bytes; use 8, or 16 in S16 mode")
    return CommandAPDU(0x80, 0x50, kvn, 0x00, host_challenge, 256)


@dataclass(frozen=True, slots=True)
class Fci:
    """File control information of a security domain or an applet (table 11-82)."""

    aid: bytes
    management_data: bytes | None
    life_cycle_data: bytes | None
    max_data: int | None


def parse_fci(data: bytes) -> Fci:
    """Read a SELECT answer; cards leave out parts or all of A5. Raises `InvalidTlv` when there is no 6F or no 84."""
    template = tlv.single(data, 0x6F)
    proprietary = tlv.find(template, 0xA5) or b""
    size = tlv.find(proprietary, 0x9F65)
    return Fci(
        aid=tlv.require(template, 0x84),
        management_data=tlv.find(proprietary, 0x73),
        life_cycle_data=tlv.find(proprietary, 0x9F6E),
        max_data=None if size is None else int.from_bytes(size, "big"),
    )


_CPLC_FIELDS = (
    ("ic_fabricator", 2),
    ("ic_type", 2),
    ("os_id", 2),
    ("os_release_date", 2),
    ("os_release_level", 2),
    ("ic_fabrication_date", 2),
    ("ic_serial_number", 4),
    ("ic_batch_identifier", 2),
    ("ic_module_fabricator", 2),
    ("ic_module_packaging_date", 2),
    ("icc_manufacturer", 2),
    ("ic_embedding_date", 2),
    ("ic_pre_personalizer", 2),
    ("ic_pre_personalization_date", 2),
    ("ic_pre_personalization_equipment", 4),
    ("ic_personalizer", 2),
    ("ic_personalization_date", 2),
    ("ic_personalization_equipment", 4),
)
CPLC_SIZE = sum(size for _, size in _CPLC_FIELDS)


@dataclass(frozen=True, slots=True)
class Cplc:
    """Card production life cycle data: 42 bytes that no two chips share."""

    ic_fabricator: bytes
    ic_type: bytes
    os_id: bytes
    os_release_date: bytes
    os_release_level: bytes
    ic_fabrication_date: bytes
    ic_serial_number: bytes
    ic_batch_identifier: bytes
    ic_module_fabricator: bytes
    ic_module_packaging_date: bytes
    icc_manufacturer: bytes
    ic_embedding_date: bytes
    ic_pre_personalizer: bytes
    ic_pre_personalization_date: bytes
    ic_pre_personalization_equipment: bytes
    ic_personalizer: bytes
    ic_personalization_date: bytes
    ic_personalization_equipment: bytes

    @property
    def chip_id(self) -> bytes:
        """Ten bytes that name the chip: fabricator, type, batch, serial number."""
        return self.ic_fabricator + self.ic_type + self.ic_batch_identifier + self.ic_serial_number

    def encode(self) -> bytes:
        """The data object 9F7F."""
        return tlv.encode(TAG_CPLC, b"".join(getattr(self, name) for name, _ in _CPLC_FIELDS))


def parse_cplc(data: bytes) -> Cplc:
    """Read the CPLC: the data object 9F7F, or the bare 42 bytes that some cards send."""
    value = data if len(data) == CPLC_SIZE else tlv.single(data, TAG_CPLC)
    if len(value) < CPLC_SIZE:
        raise UnexpectedAnswer(f"the CPLC has {len(value)} bytes instead of 42; the chip cannot be named")
    offset = 0
    fields: list[bytes] = []
    for _, size in _CPLC_FIELDS:
        fields.append(value[offset : offset + size])
        offset += size
    return Cplc(*fields)


@dataclass(frozen=True, slots=True)
class KeyInformation:
    """One key on the card: identifier, version, and (type, length in bytes) of each component."""

    key_id: int
    kvn: int
    components: tuple[tuple[int, int], ...]


def parse_key_information(data: bytes) -> list[KeyInformation]:
    """Read the key information template E0, basic or extended structure (tables 11-28, 11-29).

    Templates that name the same key twice, or that come as several E0 objects, are read as they stand.
    """
    keys: list[KeyInformation] = []
    for template in tlv.parse(data):
        if template.tag != TAG_KEY_INFORMATION:
            raise UnexpectedAnswer(f"object {template.tag:X} stands where key information was asked for")
        keys += [_key_information(item.value) for item in template.children() if item.tag == 0xC0]
    return keys


def _key_information(value: bytes) -> KeyInformation:
    if len(value) < 4:
        raise UnexpectedAnswer("a key information object is too short; read it again")
    extended = value[2] == 0xFF
    step = 4 if extended else 2
    components: list[tuple[int, int]] = []
    offset = 2
    while offset + step <= len(value) and (not extended or value[offset] == 0xFF):
        part = value[offset : offset + step]
        kind = part[1] if extended else part[0]
        components.append((kind, int.from_bytes(part[step // 2 :], "big")))
        offset += step
    if not extended and offset != len(value):
        raise UnexpectedAnswer("a key information object is cut short; read it again")
    return KeyInformation(value[0], value[1], tuple(components))


@dataclass(frozen=True, slots=True)
class CardData:
    """Card recognition data (H.2): specification version, and each secure channel protocol with its option "i"."""

    version: str | None
    protocols: tuple[tuple[int, int], ...]
    details: tuple[tuple[int, bytes], ...]


def parse_card_data(data: bytes) -> CardData:
    """Read data object 66 (card data) or 73 alone, as it stands in the FCI; both formats of annex H.2."""
    outer, _ = tlv.read_one(data)
    template = tlv.require(outer.value, 0x73) if outer.tag == TAG_CARD_DATA else tlv.single(data, 0x73)
    version: str | None = None
    protocols: list[tuple[int, int]] = []
    details: list[tuple[int, bytes]] = []
    for item in tlv.iterate(template):
        if item.tag == 0x60:
            version = _version(_oids(item.value))
        elif item.tag == 0x64:
            protocols += _protocols(_oids(item.value))
        elif item.tag != 0x06:
            details.append((item.tag, item.value))
    return CardData(version, tuple(protocols), tuple(details))


def _oids(value: bytes) -> list[bytes]:
    return [item.value for item in tlv.iterate(value) if item.tag == 0x06]


def _version(oids: Iterable[bytes]) -> str | None:
    for oid in oids:
        if oid.startswith(_GP_OID + b"\x02"):
            return ".".join(str(part) for part in oid[len(_GP_OID) + 1 :])
    return None


def _protocols(oids: Iterable[bytes]) -> list[tuple[int, int]]:
    """Each OID ends with protocol and option; an option from 80 up takes two base-128 bytes."""
    prefix = _GP_OID + b"\x04"
    found: list[tuple[int, int]] = []
    for oid in oids:
        tail = oid[len(prefix) :]
        if not oid.startswith(prefix) or len(tail) < 2:
            continue
        option = 0
        for byte in tail[1:]:
            option = option << 7 | byte & 0x7F
        found.append((tail[0], option))
    return found
