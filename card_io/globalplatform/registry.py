"""The registry of a card: life cycles, privileges, GET STATUS and SET STATUS.

GlobalPlatform Card Specification 2.3.1 §11.1.1, §11.1.2, §11.4, §11.10. Builders and parsers only.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.errors import UnexpectedAnswer
from card_io.globalplatform.aid import check_aid

MORE_DATA = 0x6310
"""Status word of GET STATUS: ask again with `Occurrence.NEXT`."""


class CardLifeCycle(IntEnum):
    """States of the card, which the issuer security domain inherits (table 11-6)."""

    OP_READY = 0x01
    INITIALIZED = 0x07
    SECURED = 0x0F
    CARD_LOCKED = 0x7F
    TERMINATED = 0xFF


class AppletLifeCycle(IntEnum):
    """States of applets and further security domains that GlobalPlatform itself knows (tables 11-4, 11-5)."""

    INSTALLED = 0x03
    SELECTABLE = 0x07
    PERSONALIZED = 0x0F
    LOCKED = 0x83


class Privilege(IntFlag):
    """Privileges as the three bytes of tables 11-7 to 11-9, read as one number."""

    SECURITY_DOMAIN = 0x800000
    DAP_VERIFICATION = 0xC00000
    DELEGATED_MANAGEMENT = 0xA00000
    CARD_LOCK = 0x100000
    CARD_TERMINATE = 0x080000
    CARD_RESET = 0x040000
    CVM_MANAGEMENT = 0x020000
    MANDATED_DAP_VERIFICATION = 0xC10000
    TRUSTED_PATH = 0x008000
    AUTHORIZED_MANAGEMENT = 0x004000
    TOKEN_MANAGEMENT = 0x002000
    GLOBAL_DELETE = 0x001000
    GLOBAL_LOCK = 0x000800
    GLOBAL_REGISTRY = 0x000400
    FINAL_APPLICATION = 0x000200
    GLOBAL_SERVICE = 0x000100
    RECEIPT_GENERATION = 0x000080
    CIPHERED_LOAD_FILE_DATA_BLOCK = 0x000040
    CONTACTLESS_ACTIVATION = 0x000020
    CONTACTLESS_SELF_ACTIVATION = 0x000010


NO_PRIVILEGE = Privilege(0)


def encode_privileges(privileges: Privilege) -> bytes:
    """One byte where it is enough (older cards know no other), three for security domains and newer privileges."""
    raw = int(privileges).to_bytes(3, "big")
    return raw if raw[1:] != b"\x00\x00" or privileges & Privilege.SECURITY_DOMAIN else raw[:1]


def decode_privileges(raw: bytes) -> Privilege:
    """Read one, two or three bytes of privileges."""
    if not 1 <= len(raw) <= 3:
        raise UnexpectedAnswer(f"privileges of {len(raw)} bytes; there are one to three")
    return Privilege(int.from_bytes(raw.ljust(3, b"\x00"), "big"))


class Subset(IntEnum):
    """What GET STATUS lists: P1 (table 11-33)."""

    ISSUER_SECURITY_DOMAIN = 0x80
    APPLETS = 0x40
    LOAD_FILES = 0x20
    LOAD_FILES_AND_MODULES = 0x10


class Occurrence(IntEnum):
    """Which part of the list GET STATUS returns: bit 1 of P2."""

    FIRST = 0x00
    NEXT = 0x01


def get_status(
    subset: Subset, aid: bytes = b"", *, occurrence: Occurrence = Occurrence.FIRST, tags: tuple[int, ...] = ()
) -> CommandAPDU:
    """GET STATUS in the TLV form; `aid` (up to 16 bytes, may be the start of one) narrows the list.

    `tags` asks for data objects (tag list 5C); cards that know no tag lists ignore it.
    """
    if len(aid) > 16:
        check_aid(aid)
    data = tlv.encode(0x4F, aid)
    if tags:
        data += tlv.encode(0x5C, b"".join(tlv.tag_bytes(tag) for tag in tags))
    return CommandAPDU(0x80, 0xF2, subset, 0x02 | occurrence, data, 256)


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """One line of the registry (tables 11-36, 11-37); absent data objects are None or empty."""

    aid: bytes
    life_cycle: int
    privileges: Privilege = NO_PRIVILEGE
    load_file: bytes | None = None
    version: bytes | None = None
    modules: tuple[bytes, ...] = ()
    security_domain: bytes | None = None
    implicit_selection: tuple[int, ...] = ()


def parse_registry(data: bytes) -> list[RegistryEntry]:
    """Read the templates E3 of a GET STATUS answer."""
    entries: list[RegistryEntry] = []
    for template in tlv.iterate(data):
        if template.tag != 0xE3:
            raise UnexpectedAnswer(f"object {template.tag:X} stands where a registry entry was asked for")
        entries.append(_entry(template.value))
    return entries


def _entry(value: bytes) -> RegistryEntry:
    items = tlv.parse(value)
    first = {item.tag: item.value for item in reversed(items)}
    state = first.get(0x9F70, b"")
    if 0x4F not in first or not state:
        raise UnexpectedAnswer("a registry entry has no AID or no life cycle state; read the registry again")
    return RegistryEntry(
        aid=first[0x4F],
        life_cycle=state[0],
        privileges=decode_privileges(first[0xC5]) if 0xC5 in first else NO_PRIVILEGE,
        load_file=first.get(0xC4),
        version=first.get(0xCE),
        modules=tuple(item.value for item in items if item.tag == 0x84),
        security_domain=first.get(0xCC),
        implicit_selection=tuple(item.value[0] for item in items if item.tag == 0xCF and item.value),
    )


class StatusOf(Enum):
    """Whose life cycle SET STATUS changes: P1 (table 11-86)."""

    CARD = 0x80
    APPLET = 0x40
    SECURITY_DOMAIN_AND_APPLETS = 0x60


def set_status(of: StatusOf, state: int, aid: bytes) -> CommandAPDU:
    """SET STATUS: move `aid` to `state`. The card refuses moves that its life cycle does not have."""
    return CommandAPDU(0x80, 0xF0, of.value, state, check_aid(aid))


def set_card_status(state: CardLifeCycle, isd_aid: bytes) -> CommandAPDU:
    """SET STATUS of the whole card. SECURED, and even more TERMINATED, cannot be undone."""
    return set_status(StatusOf.CARD, state, isd_aid)


def lock(aid: bytes) -> CommandAPDU:
    """SET STATUS: lock an applet or a further security domain."""
    return set_status(StatusOf.APPLET, 0x80, aid)


def unlock(aid: bytes) -> CommandAPDU:
    """SET STATUS: bring a locked applet or security domain back to the state it had."""
    return set_status(StatusOf.APPLET, 0x00, aid)
