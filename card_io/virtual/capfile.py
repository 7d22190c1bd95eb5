"""The structure of a load file: GlobalPlatform's data blocks around the components of a Java Card CAP file.

GlobalPlatform 2.3.1, 11.6.2.3 (C4 load file data block, E2 DAP block); Java Card 3.0.4 Virtual Machine Specification,
chapter 6 (component: tag 1, size 2; 6.3 header, 6.4 directory, 6.5 applet). Only the structure is checked: the code is
not run."""

import hashlib
from dataclasses import dataclass
from typing import Final

from card_io import tlv
from card_io.errors import InvalidTlv
from card_io.virtual.refusal import WRONG_DATA, Refused

MAGIC: Final = bytes.fromhex("DECAFFED")
HEADER, DIRECTORY, APPLET = 1, 2, 3
_LAST_COMPONENT: Final = 14
_REQUIRED: Final = {HEADER, DIRECTORY, 4, 5, 7, 8, 9}
_HASHES: Final = {20: hashlib.sha1, 32: hashlib.sha256, 48: hashlib.sha384, 64: hashlib.sha512}


@dataclass(frozen=True)
class CapFile:
    """What the registry wants to know of a load file."""

    package: bytes
    version: bytes
    applets: tuple[bytes, ...]


def check_hash(block: bytes, expected: bytes) -> None:
    """Compare the load file data block hash of INSTALL [for load]; its length tells the algorithm."""
    algorithm = _HASHES.get(len(expected))
    if algorithm is None or algorithm(block).digest() != expected:
        raise Refused(WRONG_DATA)


def parse_load_file(load_file: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """DAP blocks (security domain, signature) in their order, and the load file data block behind them."""
    try:
        objects = tlv.parse(load_file)
        if not objects or objects[-1].tag != 0xC4 or any(item.tag != 0xE2 for item in objects[:-1]):
            raise Refused(WRONG_DATA)
        daps = [(tlv.require(item.value, 0x4F), tlv.require(item.value, 0xC3)) for item in objects[:-1]]
    except InvalidTlv as error:
        raise Refused(WRONG_DATA) from error
    return daps, objects[-1].value


def read(block: bytes) -> CapFile:
    """Read the components; `Refused` 6A80 when they are not those of a CAP file."""
    components = _components(block)
    if _REQUIRED - components.keys() or block[0] != HEADER:
        raise Refused(WRONG_DATA)
    _check_directory(components)
    version, package = _header(components[HEADER])
    return CapFile(package, version, _applets(components.get(APPLET)))


def _components(block: bytes) -> dict[int, bytes]:
    components: dict[int, bytes] = {}
    offset = 0
    while offset < len(block):
        tag = block[offset]
        size = int.from_bytes(block[offset + 1 : offset + 3], "big")
        end = offset + 3 + size
        if not 1 <= tag <= _LAST_COMPONENT or tag in components or end > len(block) or offset + 3 > len(block):
            raise Refused(WRONG_DATA)
        components[tag] = block[offset + 3 : end]
        offset = end
    return components


def _check_directory(components: dict[int, bytes]) -> None:
    """The directory's sizes (2 bytes each, tag 1 first) are those of the components."""
    directory = components[DIRECTORY]
    for tag in range(1, 12):
        size = int.from_bytes(directory[2 * tag - 2 : 2 * tag], "big")
        if size != len(components.get(tag, b"")) and tag in components:
            raise Refused(WRONG_DATA)


def _header(component: bytes) -> tuple[bytes, bytes]:
    """Package version (major, minor) and AID: after magic 4, format version 2, flags 1, package version 2, length 1."""
    if component[:4] != MAGIC or len(component) < 10:
        raise Refused(WRONG_DATA)
    size = component[9]
    package = component[10 : 10 + size]
    if len(package) != size or not 5 <= size <= 16:
        raise Refused(WRONG_DATA)
    return bytes([component[8], component[7]]), package


def _applets(component: bytes | None) -> tuple[bytes, ...]:
    """AIDs of the applets: count 1, then length 1, AID, offset of the install method 2."""
    if not component:
        return ()
    found: list[bytes] = []
    offset = 1
    for _ in range(component[0]):
        size = component[offset] if offset < len(component) else 0
        aid = component[offset + 1 : offset + 1 + size]
        offset += 3 + size
        if not 5 <= size <= 16 or offset > len(component):
            raise Refused(WRONG_DATA)
        found.append(aid)
    return tuple(found)
