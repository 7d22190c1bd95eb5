"""Loading code: reads a CAP file, builds the load file (with DAP blocks) and the LOAD commands.

Java Card Virtual Machine Specification 2.2.2 chapter 6 (CAP file, compact format); GlobalPlatform Card Specification
2.3.1 §11.6 (LOAD, load file structure), annex C.2 (hash). Hides the archive and the component order.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from card_io import tlv
from card_io.apdu import SHORT_DATA_MAX, CommandAPDU
from card_io.errors import CardError, InvalidApdu
from card_io.globalplatform.content import split
from card_io.globalplatform.dap import DapBlock

_MAGIC = bytes.fromhex("DECAFFED")
_HEADER, _DIRECTORY, _APPLET, _IMPORT = "Header", "Directory", "Applet", "Import"
_TAGS: Mapping[str, int] = {
    "Header": 1,
    "Directory": 2,
    "Import": 4,
    "Applet": 3,
    "Class": 6,
    "Method": 7,
    "StaticField": 8,
    "Export": 10,
    "ConstantPool": 5,
    "RefLocation": 9,
}
"""Components a card needs, in the order in which they are loaded (§6.2), with their tags.

Descriptor and Debug serve verifiers off the card and stay here.
"""
_OPTIONAL = ("Applet", "Export")
_COMPONENT_MAX = 1 << 17
_HASHES = ("sha1", "sha256", "sha384", "sha512")


class InvalidCap(CardError, ValueError):
    """A CAP file that cannot be loaded."""

    code = "card.cap"

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is no complete CAP file: {reason}; convert the applet again")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CapFile:
    """A Java Card package: its AID and version, its applets, what it imports, and its load file data block."""

    package: bytes
    version: tuple[int, int]
    applets: tuple[bytes, ...]
    imports: tuple[tuple[bytes, tuple[int, int]], ...]
    data_block: bytes

    def block_hash(self, algorithm: str = "sha256") -> bytes:
        """The load file data block hash, for INSTALL [for load] and for signing a DAP (C.2)."""
        if algorithm not in _HASHES:
            raise InvalidApdu(f"{algorithm} is no load file hash; use one of {', '.join(_HASHES)}")
        return hashlib.new(algorithm, self.data_block).digest()


def parse_cap(archive: bytes) -> CapFile:
    """Read a CAP file (a JAR archive); `InvalidCap` says what is missing or cut off."""
    components = _components(archive)
    for name in _TAGS:
        if name not in components and name not in _OPTIONAL:
            raise InvalidCap(f"component {name} is missing")
    for name, content in components.items():
        _check_component(name, content)
    _check_directory(components)
    version, package = _header(components[_HEADER])
    return CapFile(
        package=package,
        version=version,
        applets=_applets(components.get(_APPLET)),
        imports=_imports(components[_IMPORT]),
        data_block=b"".join(components[name] for name in _TAGS if name in components),
    )


def _components(archive: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as jar:
            for entry in jar.infolist():
                path = PurePosixPath(entry.filename)
                if path.suffix != ".cap" or path.parent.name != "javacard" or path.stem not in _TAGS:
                    continue
                if path.stem in found:
                    raise InvalidCap(f"component {path.stem} is there twice")
                if entry.file_size > _COMPONENT_MAX:
                    raise InvalidCap(f"component {path.stem} has {entry.file_size} bytes")
                found[path.stem] = jar.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidCap(f"the archive cannot be read ({error})") from error
    return found


def _check_component(name: str, content: bytes) -> None:
    if len(content) < 3 or content[0] != _TAGS[name]:
        raise InvalidCap(f"component {name} does not start with its tag and size")
    size = int.from_bytes(content[1:3], "big")
    if size != len(content) - 3:
        raise InvalidCap(f"component {name} promises {size} bytes and has {len(content) - 3}")


def _check_directory(components: Mapping[str, bytes]) -> None:
    """Every size that the directory lists must be the size of that component (0 for an absent one)."""
    sizes = components[_DIRECTORY][3:]
    for name, tag in _TAGS.items():
        listed = sizes[2 * (tag - 1) : 2 * tag]
        if len(listed) != 2:
            raise InvalidCap("the directory is cut short")
        actual = len(components[name]) - 3 if name in components else 0
        if int.from_bytes(listed, "big") != actual:
            raise InvalidCap(f"the directory lists another size for component {name}")


def _header(content: bytes) -> tuple[tuple[int, int], bytes]:
    if content[3:7] != _MAGIC:
        raise InvalidCap("the header has no DECAFFED")
    aid = _counted(content, 12, _HEADER)
    return (content[11], content[10]), _aid(aid, _HEADER)


def _counted(content: bytes, offset: int, name: str) -> bytes:
    """The bytes behind a length byte at `offset`."""
    if offset >= len(content) or offset + 1 + content[offset] > len(content):
        raise InvalidCap(f"component {name} is cut short")
    return content[offset + 1 : offset + 1 + content[offset]]


def _aid(value: bytes, name: str) -> bytes:
    if not 5 <= len(value) <= 16:
        raise InvalidCap(f"component {name} has an AID of {len(value)} bytes")
    return value


def _count(content: bytes, name: str) -> int:
    if len(content) < 4:
        raise InvalidCap(f"component {name} is cut short")
    return content[3]


def _applets(content: bytes | None) -> tuple[bytes, ...]:
    if content is None:
        return ()
    found: list[bytes] = []
    offset = 4
    for _ in range(_count(content, _APPLET)):
        found.append(_aid(_counted(content, offset, _APPLET), _APPLET))
        offset += 1 + len(found[-1]) + 2
    return tuple(found)


def _imports(content: bytes) -> tuple[tuple[bytes, tuple[int, int]], ...]:
    found: list[tuple[bytes, tuple[int, int]]] = []
    offset = 4
    for _ in range(_count(content, _IMPORT)):
        aid = _aid(_counted(content, offset + 2, _IMPORT), _IMPORT)
        found.append((aid, (content[offset + 1], content[offset])))
        offset += 3 + len(aid)
    return tuple(found)


def load_file(data_block: bytes, daps: Sequence[DapBlock] = ()) -> bytes:
    """The load file: DAP blocks, then the data block in C4 (table 11-58)."""
    return b"".join(dap.encode() for dap in daps) + tlv.encode(0xC4, data_block)


def load(file: bytes, block: int = SHORT_DATA_MAX) -> list[CommandAPDU]:
    """LOAD commands for a load file in blocks (take the channel's `data_max`); block numbers go from 00 to FF."""
    parts = split(file, block)
    if not 1 <= len(parts) <= 256:
        raise InvalidApdu(f"a load file in {len(parts)} blocks; LOAD numbers 1 to 256, so use larger blocks")
    last = len(parts) - 1
    return [
        CommandAPDU(0x80, 0xE8, 0x80 if number == last else 0x00, number, part, 256)
        for number, part in enumerate(parts)
    ]
