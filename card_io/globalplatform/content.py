"""Card content: INSTALL in all its forms, DELETE, STORE DATA, and the chaining of long commands.

GlobalPlatform Card Specification 2.3.1 §11.1.5 (lengths, chaining), §11.2, §11.5, §11.11. Builders only.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum

from card_io import tlv
from card_io.apdu import SHORT_DATA_MAX, CommandAPDU
from card_io.errors import InvalidApdu
from card_io.globalplatform.aid import check_aid
from card_io.globalplatform.registry import NO_PRIVILEGE, Privilege, encode_privileges

_FOR_LOAD, _FOR_INSTALL, _FOR_MAKE_SELECTABLE = 0x02, 0x04, 0x08
_FOR_EXTRADITION, _FOR_PERSONALIZATION, _FOR_REGISTRY_UPDATE = 0x10, 0x20, 0x40
_BLOCKS_MAX = 256


class Combined(IntEnum):
    """P2 of INSTALL: part of the combined load, install and make selectable process, or not."""

    NOT = 0x00
    BEGIN = 0x01
    END = 0x03


def _lv(value: bytes) -> bytes:
    return tlv.length_bytes(len(value)) + value


def _optional_aid(aid: bytes) -> bytes:
    return _lv(check_aid(aid)) if aid else b"\x00"


def _install(p1: int, data: bytes, p2: int = 0x00) -> CommandAPDU:
    return CommandAPDU(0x80, 0xE6, p1, p2, data, 256)


def install_for_load(
    load_file: bytes,
    security_domain: bytes = b"",
    *,
    block_hash: bytes = b"",
    parameters: bytes = b"",
    token: bytes = b"",
    combined: Combined = Combined.NOT,
) -> CommandAPDU:
    """INSTALL [for load]; `combined` BEGIN opens the combined process (table 11-42)."""
    p1 = _FOR_LOAD if combined is Combined.NOT else _FOR_LOAD | _FOR_INSTALL | _FOR_MAKE_SELECTABLE
    fields = _lv(check_aid(load_file)) + _optional_aid(security_domain) + _lv(block_hash) + _lv(parameters)
    return _install(p1, fields + _lv(token), combined)


def _application_fields(
    load_file: bytes, module: bytes, instance: bytes, privileges: Privilege, parameters: bytes, token: bytes
) -> bytes:
    head = _optional_aid(load_file) + _optional_aid(module) + _lv(check_aid(instance))
    return head + _lv(encode_privileges(privileges)) + _lv(parameters) + _lv(token)


def install_parameters(applet_data: bytes = b"", system: bytes = b"") -> bytes:
    """The install parameters field: C9 with the applet's own data, EF with system parameters where given."""
    return tlv.encode(0xC9, applet_data) + (tlv.encode(0xEF, system) if system else b"")


def install_for_install(
    load_file: bytes,
    module: bytes,
    instance: bytes,
    *,
    privileges: Privilege = NO_PRIVILEGE,
    parameters: bytes = b"\xc9\x00",
    token: bytes = b"",
) -> CommandAPDU:
    """INSTALL [for install]: the instance exists and is not selectable yet (table 11-43)."""
    fields = _application_fields(load_file, module, instance, privileges, parameters, token)
    return _install(_FOR_INSTALL, fields)


def install_for_install_and_make_selectable(
    load_file: bytes,
    module: bytes,
    instance: bytes,
    *,
    privileges: Privilege = NO_PRIVILEGE,
    parameters: bytes = b"\xc9\x00",
    token: bytes = b"",
    combined: Combined = Combined.NOT,
) -> CommandAPDU:
    """INSTALL [for install and make selectable]; `combined` END closes the combined process."""
    p1 = _FOR_INSTALL | _FOR_MAKE_SELECTABLE | (_FOR_LOAD if combined is Combined.END else 0)
    return _install(p1, _application_fields(load_file, module, instance, privileges, parameters, token), combined)


def install_for_make_selectable(
    instance: bytes, *, privileges: Privilege = NO_PRIVILEGE, parameters: bytes = b"", token: bytes = b""
) -> CommandAPDU:
    """INSTALL [for make selectable] (table 11-44)."""
    return _install(_FOR_MAKE_SELECTABLE, _application_fields(b"", b"", instance, privileges, parameters, token))


def install_for_personalization(instance: bytes) -> CommandAPDU:
    """INSTALL [for personalization]: the STORE DATA that follow go to this applet (table 11-47)."""
    return _install(_FOR_PERSONALIZATION, b"\x00\x00" + _lv(check_aid(instance)) + b"\x00\x00\x00")


def install_for_extradition(
    instance: bytes, security_domain: bytes, *, parameters: bytes = b"", token: bytes = b""
) -> CommandAPDU:
    """INSTALL [for extradition]: hand an applet or load file to another security domain (table 11-45)."""
    fields = _lv(check_aid(security_domain)) + b"\x00" + _lv(check_aid(instance)) + b"\x00"
    return _install(_FOR_EXTRADITION, fields + _lv(parameters) + _lv(token))


def install_for_registry_update(
    instance: bytes = b"",
    *,
    security_domain: bytes = b"",
    privileges: Privilege | None = None,
    parameters: bytes = b"",
    token: bytes = b"",
) -> CommandAPDU:
    """INSTALL [for registry update]; without an instance it speaks to the OPEN itself (table 11-46)."""
    raw = b"" if privileges is None else encode_privileges(privileges)
    fields = _optional_aid(security_domain) + b"\x00" + _optional_aid(instance) + _lv(raw)
    return _install(_FOR_REGISTRY_UPDATE, fields + _lv(parameters) + _lv(token))


def delete(aid: bytes, *, token: bytes = b"") -> CommandAPDU:
    """DELETE one applet or load file; the card refuses a load file that others still need."""
    data = tlv.encode(0x4F, check_aid(aid)) + (tlv.encode(0x9E, token) if token else b"")
    return CommandAPDU(0x80, 0xE4, 0x00, 0x00, data, 256)


def delete_with_related(load_file: bytes, *, token: bytes = b"") -> CommandAPDU:
    """DELETE a load file and every applet made from it."""
    data = tlv.encode(0x4F, check_aid(load_file)) + (tlv.encode(0x9E, token) if token else b"")
    return CommandAPDU(0x80, 0xE4, 0x00, 0x80, data, 256)


class Structure(IntEnum):
    """How the data of STORE DATA are structured: bits 5 and 4 of P1."""

    NONE = 0x00
    DGI = 0x08
    BER_TLV = 0x10


class Encryption(IntEnum):
    """What P1 of STORE DATA says about the encryption of the values: bits 7 and 6."""

    NONE = 0x00
    APPLET_DEPENDENT = 0x20
    ENCRYPTED = 0x60


class Answering(IntEnum):
    """Whether STORE DATA may return data: bit 1 of P1 (ISO case 3 or 4)."""

    NO_DATA = 0x00
    DATA = 0x01


def store_data(
    blocks: Sequence[bytes],
    *,
    structure: Structure = Structure.DGI,
    encryption: Encryption = Encryption.NONE,
    answering: Answering = Answering.NO_DATA,
) -> list[CommandAPDU]:
    """STORE DATA, one command a block, numbered from 0; the last one says so.

    Blocks have 1 to 255 bytes (less under a secure channel: see its `data_max`), at most 256 of them.
    """
    if not 1 <= len(blocks) <= _BLOCKS_MAX:
        raise InvalidApdu(f"{len(blocks)} blocks; STORE DATA numbers 1 to 256, so close the sequence and open another")
    base = structure | encryption | answering
    le = 256 if answering is Answering.DATA else None
    commands: list[CommandAPDU] = []
    for number, block in enumerate(blocks):
        if not 1 <= len(block) <= SHORT_DATA_MAX:
            raise InvalidApdu(f"a block of {len(block)} bytes; STORE DATA carries 1 to 255")
        last = 0x80 if number == len(blocks) - 1 else 0x00
        commands.append(CommandAPDU(0x80, 0xE2, base | last, number, block, le))
    return commands


def split(data: bytes, block: int = SHORT_DATA_MAX) -> list[bytes]:
    """Data cut into blocks, for structures that go on in the next STORE DATA (§11.11.2.3)."""
    if not 1 <= block <= SHORT_DATA_MAX:
        raise InvalidApdu(f"blocks of {block} bytes; use 1 to 255")
    return [data[offset : offset + block] for offset in range(0, len(data), block)]


def segment(raw: bytes) -> Iterator[bytes]:
    """A long DELETE, INSTALL or PUT KEY, wrapped already, as short commands with bit 8 of P1 on all but the last.

    GlobalPlatform secures such a command as a whole and cuts it afterwards (§11.1.5.1); short ones pass as they are.
    """
    command = CommandAPDU.decode(raw)
    if not command.extended:
        yield raw
        return
    parts = split(command.data)
    for part in parts[:-1]:
        yield CommandAPDU(command.cla, command.ins, command.p1 | 0x80, command.p2, part).encode()
    le = None if command.le is None else 256
    yield CommandAPDU(command.cla, command.ins, command.p1, command.p2, parts[-1], le).encode()
