"""Where in the file system a session stands: SELECT of files and the current DF and EF.

ISO/IEC 7816-4:2020, 11.2.2 (SELECT) and 7.4.3 (FCI, FCP).
"""

from card_io import tlv
from card_io.applets.uec.layout import Fid
from card_io.virtual.refusal import NO_CURRENT_FILE, NOT_FOUND, WRONG_DATA, WRONG_P1P2, Refused
from card_io.virtual.uec.files import File, FileSystem


class Navigation:
    """Current directory and file; lost when the applet is selected anew."""

    def __init__(self, files: FileSystem) -> None:
        self._files = files
        self._directory: int = Fid.MF
        self._file: int | None = None

    def reset(self) -> None:
        """Back to the MF."""
        self._directory, self._file = Fid.MF, None

    def enter(self, name: bytes) -> None:
        """Begin in the directory of that name; the applet's own names, and those that no directory has, mean the MF."""
        found = self._files.by_name(name)
        self._directory, self._file = Fid.MF if found is None else found.fid, None

    def select(self, p1: int, data: bytes) -> None:
        """SELECT of a file by P1 00, 01, 02, 03, 08 or 09; by a directory's name P1 04."""
        match p1:
            case 0x00:
                found = self._anywhere_near(_identifier(data) if data else Fid.MF)
            case 0x01 | 0x02:
                found = self._child(self._directory, _identifier(data))
                if p1 == 0x01 and not found.directory:
                    raise Refused(NOT_FOUND)
            case 0x03:
                found = self._existing(self._existing(self._directory).parent)
            case 0x04:
                found = self._named(data)
            case 0x08 | 0x09:
                found = self._follow(Fid.MF if p1 == 0x08 else self._directory, data)
            case _:
                raise Refused(WRONG_P1P2)
        self._directory = found.fid if found.directory else found.parent
        self._file = None if found.directory else found.fid

    def _existing(self, fid: int) -> File:
        found = self._files.get(fid)
        if found is None:
            raise Refused(NOT_FOUND)
        return found

    def _child(self, parent: int, fid: int) -> File:
        found = self._existing(fid)
        if found.parent != parent:
            raise Refused(NOT_FOUND)
        return found

    def _anywhere_near(self, fid: int) -> File:
        """The MF, the current directory, its parent, or a child of either: what an identifier alone reaches (7.3.1)."""
        found = self._existing(fid)
        here = self._existing(self._directory)
        if fid not in {Fid.MF, here.fid, here.parent} and found.parent not in {here.fid, here.parent}:
            raise Refused(NOT_FOUND)
        return found

    def _named(self, name: bytes) -> File:
        found = self._files.by_name(name)
        if found is None:
            raise Refused(NOT_FOUND)
        return found

    def _follow(self, start: int, path: bytes) -> File:
        if not path or len(path) % 2:
            raise Refused(WRONG_DATA)
        steps = [int.from_bytes(path[at : at + 2], "big") for at in range(0, len(path), 2)]
        if start == Fid.MF and steps[0] == Fid.MF:
            steps = steps[1:]
        found = self._existing(start)
        for step in steps:
            if not found.directory:
                raise Refused(NOT_FOUND)
            found = self._child(found.fid, step)
        return found

    def describe(self, p2: int, file_state: int) -> bytes:
        """The answer of SELECT: FCI for P2 00, FCP for 04, nothing for 0C."""
        if p2 & 0x0C == 0x0C:
            return b""
        if p2 & 0x0C not in {0x00, 0x04}:
            raise Refused(WRONG_P1P2)
        file = self._existing(self._directory if self._file is None else self._file)
        return tlv.encode(0x6F if p2 & 0x0C == 0 else 0x62, file.control_parameters(file_state))

    def current_file(self, p1: int) -> File:
        """The file that a command works on; short identifiers (P1 bit 8) are not given to any file."""
        if p1 & 0x80:
            raise Refused(NOT_FOUND)
        if self._file is None:
            raise Refused(NO_CURRENT_FILE)
        return self._existing(self._file)


def _identifier(data: bytes) -> int:
    if len(data) != 2:
        raise Refused(WRONG_DATA)
    return int.from_bytes(data, "big")
