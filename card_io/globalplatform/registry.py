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


class Listing(IntEnum):
    """How the entries are told, bit 2 of P2: templates E3, or bare lines as before GlobalPlatform 2.2."""

    TEMPLATES = 0x02
    LINES = 0x00


def get_status(
    subset: Subset,
    aid: bytes = b"",
    *,
    occurrence: Occurrence = Occurrence.FIRST,
    tags: tuple[int, ...] = (),
    listing: Listing = Listing.TEMPLATES,
) -> CommandAPDU:
    """GET STATUS; `aid` (up to 16 bytes, may be the start of one) narrows the list.

    `tags` asks for data objects (tag list 5C); cards that know no tag lists ignore it.
    """
    if len(aid) > 16:
        check_aid(aid)
    data = tlv.encode(0x4F, aid)
    if tags:
        data += tlv.encode(0x5C, b"".join(tlv.tag_bytes(tag) for tag in tags))
    return CommandAPDU(0x80, 0xF2, subset, listing | occurrence, data, 256)


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


def parse_lines(data: bytes, subset: Subset) -> list[RegistryEntry]:
    """Read bare lines (Card Specification 2.1.1, tables 9-22 and 9-23): AID with its length, state, privileges.

    In a list of modules each line ends with their count and their AIDs.
    """
    entries: list[RegistryEntry] = []
    rest = data
    while rest:
        aid, rest = _with_length(rest)
        if len(rest) < 2:
            raise _cut_short()
        state, privileges, rest = rest[0], rest[1:2], rest[2:]
        modules: list[bytes] = []
        if subset is Subset.LOAD_FILES_AND_MODULES:
            if not rest:
                raise _cut_short()
            count, rest = rest[0], rest[1:]
            for _ in range(count):
                module, rest = _with_length(rest)
                modules.append(module)
        entries.append(RegistryEntry(aid, state, decode_privileges(privileges), modules=tuple(modules)))
    return entries


def _with_length(data: bytes) -> tuple[bytes, bytes]:
    """An AID behind its length, and the rest."""
    end = 1 + data[0] if data else 1
    if not data or end > len(data):
        raise _cut_short()
    return data[1:end], data[end:]


def _cut_short() -> UnexpectedAnswer:
    return UnexpectedAnswer("a line of the registry is cut short; read the registry again")


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
