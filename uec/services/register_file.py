"""Hides how an export of the register lies in a file: encoding, separator, header, quotes, and lines that are broken.

RFC 4180 with `;` or `,`, UTF-8 with or without BOM, one row a line. The file is read in blocks, so memory stays
constant whatever stands in it: a field of ten megabytes is one refused row.
"""

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from uec.domain.errors import InvalidFile
from uec.domain.register_row import COLUMNS, JOINT

BLOCK_BYTES = 1 << 20
LINE_LIMIT_BYTES = 1 << 18
_SHOWN = 1000


@dataclass
class Block:
    """Some lines of the file. `overlong` holds the places in `lines` whose end was thrown away.

    `bytes_done` is where reading can go on after them, with `prefix_digest` over all before; inside of an endless line
    there is no such place, and the digest is empty.
    """

    first_line: int
    lines: list[str]
    bytes_done: int
    overlong: set[int] = field(default_factory=set)
    prefix_digest: str = ""


class BrokenLine(Exception):
    """A line that cannot be split into fields; the reason is what the clerk reads."""


class RegisterFile:
    """An export on disk. Iterate `blocks`, split each line by `split`, bring fields in order by `arrange`."""

    def __init__(self, path: Path, columns: Sequence[str] = COLUMNS) -> None:
        """Open the file far enough to know its header; raise `InvalidFile` when it is no such export."""
        self.path = path
        self._digest = hashlib.sha256()
        if path.exists() and not path.is_file():
            # A pipe can be read once only, and the file is read twice.
            raise InvalidFile(f"{path} is a folder, pipe or device; save it as a file first.", path=path, line=None)
        try:
            self.size_bytes = path.stat().st_size
            first = next(self._raw_blocks(), None)
        except OSError as error:
            raise InvalidFile(f"The file {path} cannot be read: {error.strerror}.", path=path, line=None) from error
        if first is None:
            raise InvalidFile(f"The file {path} is empty; export the register again.", path=path, line=1)
        header = first.lines[0]
        if "\0" in header:
            raise InvalidFile(
                f"The header of {path} has NUL bytes: it is UTF-16 or no text; save it as UTF-8 and run it again.",
                path=path,
                line=1,
            )
        self.delimiter = ";" if header.count(";") >= header.count(",") else ","
        try:
            self.header = tuple(name.strip().lower() for name in self.split(header))
        except BrokenLine as error:
            raise InvalidFile(f"The header of {path} cannot be read: {error}.", path=path, line=1) from error
        self.arrange = self._arrangement(columns)
        # Gives a line without quotes as canonical text (values in order, joined by JOINT), or None: split it.
        self.join = self._joiner(columns)

    def _joiner(self, columns: Sequence[str]) -> Callable[[str], str | None]:
        delimiter, arrange, width = self.delimiter, self.arrange, len(self.header)
        if self.header == tuple(columns):
            # One replacement instead of twenty pieces; the check of the row counts the joints.
            return lambda line: None if '"' in line or JOINT in line else line.replace(delimiter, JOINT)

        def join(line: str) -> str | None:
            fields = line.split(delimiter)
            plain = len(fields) == width and '"' not in line and JOINT not in line
            return JOINT.join(arrange(fields)) if plain else None

        return join

    def _arrangement(self, columns: Sequence[str]) -> Callable[[Sequence[str]], Sequence[str]]:
        missing = [column for column in columns if column not in self.header]
        twice = sorted({column for column in columns if self.header.count(column) > 1})
        if missing or twice:
            raise InvalidFile(
                f"The header of {self.path} {self._fault(missing, twice)}; it needs {';'.join(columns)}.",
                path=self.path,
                line=1,
            )
        if self.header == tuple(columns):
            return lambda fields: fields
        return itemgetter(*(self.header.index(column) for column in columns))

    def _fault(self, missing: Sequence[str], twice: Sequence[str]) -> str:
        """What is wrong with the header, by its likeliest cause."""
        if any("\r" in name for name in self.header):
            return "does not end: end the lines with LF or CR LF"
        if len(self.header) == 1 and "\t" in self.header[0]:
            return "is separated by tabs: save the file with `;` or `,` between its fields"
        if twice:
            return f"has columns twice: {', '.join(twice)}"
        return f"lacks the columns {', '.join(missing)}"

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, hex; whole once `blocks` has been read to the end."""
        return self._digest.hexdigest()

    def split(self, line: str) -> list[str]:
        """Split a line into fields; raise `BrokenLine` when quotes or lengths are wrong."""
        if '"' not in line:
            return line.split(self.delimiter)
        try:
            return next(csv.reader([line], delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            if "limit" in str(error):
                raise BrokenLine("a field is far too long") from None
            raise BrokenLine("a quote is not closed on its line, or stands inside a field") from None

    def blocks(self, start: int = 0, next_line: int = 1) -> Iterator[Block]:
        """Read the rows in blocks, without the header; raise `InvalidFile` at the first byte that is not UTF-8.

        With `start` and `next_line` of an earlier reading (`starts_with` tells that it still holds) go on there.
        """
        for block in self._raw_blocks(start, next_line):
            if block.first_line == 1:
                # The header, overlong or not, is no row.
                overlong = {place - 1 for place in block.overlong if place}
                yield Block(2, block.lines[1:], block.bytes_done, overlong, block.prefix_digest)
            else:
                yield block

    def starts_with(self, size_bytes: int, prefix_digest: str) -> bool:
        """Tell whether the first bytes of the file are those whose SHA-256 (hex) was kept."""
        self._digest = hashlib.sha256()
        with self.path.open("rb") as file:
            left = size_bytes
            while left and (read := file.read(min(left, BLOCK_BYTES))):
                self._digest.update(read)
                left -= len(read)
        return not left and self._digest.hexdigest() == prefix_digest

    def _raw_blocks(self, start: int = 0, next_line: int = 1) -> Iterator[Block]:
        if not start:
            self._digest = hashlib.sha256()
        with self.path.open("rb") as file:
            file.seek(start)
            line_number, done = next_line, start
            for data, overlong, size in _whole_lines(file, self._digest.update):
                raw = data.removeprefix(b"\xef\xbb\xbf") if line_number == 1 else data
                if line_number == 1 and raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
                    raise InvalidFile(
                        f"The file {self.path} is UTF-16; save it as UTF-8 and run it again.", path=self.path, line=1
                    )
                lines = self._decoded(raw, line_number).replace("\r\n", "\n").split("\n")
                if not lines[-1]:
                    lines.pop()
                done += size
                # In an endless line no reading can begin anew.
                whole = "" if overlong else self._digest.copy().hexdigest()
                yield Block(line_number, lines, done, overlong, whole)
                line_number += len(lines)

    def _decoded(self, data: bytes, line_number: int) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = line_number + data.count(b"\n", 0, error.start)
            raise InvalidFile(
                f"The file {self.path} is not UTF-8: line {line} has the byte {data[error.start]:#04x}. Save it as "
                "UTF-8 (from Windows-1251: iconv -f cp1251 -t utf-8) and run it again.",
                path=self.path,
                line=line,
            ) from None


def _whole_lines(file: BinaryIO, update: Callable[[bytes], None]) -> Iterator[tuple[bytes, set[int], int]]:
    """Yield runs of whole lines and the bytes they took; of an endless line only the beginning, and its place.

    `update` sees every byte once, before the run that it belongs to goes out.
    """
    carry = b""
    skipped, skipping = 0, False
    while read := file.read(BLOCK_BYTES):
        start = 0
        if skipping:
            # The rest of the endless line: its beginning went out before.
            start = read.find(b"\n") + 1
            skipping = not start
            update(read[:start] if start else read)
            skipped += start or len(read)
            if skipping:
                continue
        data = carry + read[start:]
        cut = data.rfind(b"\n") + 1
        carry = data[cut:]
        if cut:
            update(data[:cut])
            yield data[:cut], set(), cut + skipped
            skipped = 0
        if len(carry) > LINE_LIMIT_BYTES:
            update(carry)
            yield _beginning(carry) + b"\n", {0}, len(carry)
            carry, skipping = b"", True
    if carry:
        update(carry)
        yield carry, set(), len(carry) + skipped


def _beginning(line: bytes) -> bytes:
    return line[:_SHOWN].decode(errors="ignore").encode()
