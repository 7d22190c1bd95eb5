"""The applet's file system: one MF, directories, transparent files, a rule for reading and one for updating.

ISO/IEC 7816-4:2020: 7.2 (structures), 7.4.3 (file control information), 9.3.3 (access rules in compact form, tag 8C).
"""

from dataclasses import dataclass, replace
from typing import Final

from card_io import tlv
from card_io.applets.uec.layout import CIA_AID, Fid, Rule
from card_io.virtual.memory import Area, integers
from card_io.virtual.refusal import NO_MEMORY, NOT_FOUND, WRONG_DATA, Refused

DESCRIPTOR_DF: Final = 0x38
DESCRIPTOR_EF: Final = 0x01
MEMORY_BYTES: Final = 0x11000
FILE_MAX: Final = 0x7FFF
"""Greatest size that the 15-bit offset of READ BINARY reaches."""

_CONDITION: Final = {Rule.ALWAYS: 0x00, Rule.PIN1: 0x90, Rule.PIN2: 0x92, Rule.NEVER: 0xFF}


@dataclass(frozen=True)
class File:
    """One file as the directory knows it."""

    fid: int
    parent: int
    descriptor: int
    size: int
    read: int
    update: int
    name: bytes = b""

    @property
    def directory(self) -> bool:
        """True for a DF."""
        return self.descriptor == DESCRIPTOR_DF

    def control_parameters(self, life_cycle: int) -> bytes:
        """The data objects of the FCP template."""
        items = [
            (0x82, bytes([self.descriptor])),
            (0x83, self.fid.to_bytes(2, "big")),
            (0x8A, bytes([life_cycle])),
        ]
        if self.directory:
            items += [(0x84, self.name)] if self.name else []
            items += [(0x86, bytes.fromhex("FFFFFFFFFFFFFFFF"))]
        else:
            read, update = _CONDITION[Rule(self.read)], _CONDITION[Rule(self.update)]
            items += [(0x80, self.size.to_bytes(2, "big")), (0x8C, bytes([0x03, update, read]))]
            items += [(0x86, bytes([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, update, update, read]))]
        return b"".join(tlv.encode(tag, value) for tag, value in sorted(items))


class FileSystem:
    """Files in the instance's area."""

    def __init__(self, area: Area) -> None:
        self._area = area

    def format(self, name: bytes) -> None:
        """Only the MF, which carries the applet's name."""
        self._put(File(Fid.MF, 0, DESCRIPTOR_DF, 0, Rule.ALWAYS, Rule.NEVER, name))

    def get(self, fid: int) -> File | None:
        """A file by its identifier."""
        row = self._area.row(f"file/{fid:04x}")
        if row is None:
            return None
        parent, descriptor, size, read, update = integers(row)
        name = row[5]
        return File(fid, parent, descriptor, size, read, update, name if isinstance(name, bytes) else b"")

    def by_name(self, name: bytes) -> File | None:
        """A directory by its AID."""
        found = (self.get(int(item.removeprefix("file/"), 16)) for item in self._area.names("file/"))
        return next((item for item in found if item is not None and item.name == name and name), None)

    def rules(self) -> set[int]:
        """What must hold somewhere for a file to be read or updated."""
        found = (self.get(int(name.removeprefix("file/"), 16)) for name in self._area.names("file/"))
        return {rule for file in found if file is not None for rule in (file.read, file.update)}

    def create(self, file: File) -> None:
        """Create a file or create it anew, filled with zeros; DF.CIA has the name that ISO/IEC 7816-15 gives it."""
        if file.fid == Fid.CIA and not file.name:
            file = replace(file, name=CIA_AID)
        if file.descriptor not in {DESCRIPTOR_DF, DESCRIPTOR_EF} or file.fid in {Fid.MF, 0x3FFF, 0xFFFF}:
            raise Refused(WRONG_DATA)
        if {file.read, file.update} - set(_CONDITION) or (file.directory and file.size) or file.size > FILE_MAX:
            raise Refused(WRONG_DATA)
        if file.name and (not file.directory or not 5 <= len(file.name) <= 16):
            raise Refused(WRONG_DATA)
        parent = self.get(file.parent)
        if parent is None or not parent.directory or file.parent == file.fid:
            raise Refused(NOT_FOUND)
        old = self.get(file.fid)
        if self._used() - (old.size if old else 0) + file.size > MEMORY_BYTES:
            raise Refused(NO_MEMORY)
        self._put(file)
        if not file.directory:
            self._area.put(f"content/{file.fid:04x}", bytes(file.size))

    def _put(self, file: File) -> None:
        row = (file.parent, file.descriptor, file.size, file.read, file.update, file.name)
        self._area.put(f"file/{file.fid:04x}", row)

    def _used(self) -> int:
        return sum(len(self._area.octets(name) or b"") for name in self._area.names("content/"))

    def content(self, fid: int) -> bytes:
        """The bytes of a transparent file."""
        return self._area.octets(f"content/{fid:04x}") or b""

    def write(self, fid: int, offset: int, data: bytes) -> None:
        """Overwrite part of a transparent file."""
        file = self.get(fid)
        if file is None or file.directory:
            raise Refused(NOT_FOUND)
        if offset + len(data) > file.size:
            raise Refused(NO_MEMORY)
        content = self.content(fid)
        self._area.put(f"content/{fid:04x}", content[:offset] + data + content[offset + len(data) :])
