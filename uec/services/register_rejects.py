"""Hides the reject file: line, field, reason, then the row as it stood; a corrected one can be imported as it is."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from uec.domain.errors import InvalidFile
from uec.services.register_file import RegisterFile
from uec.services.whole_file import WholeFile
from uec.store.staging import Reject

REJECT_COLUMNS = ("line", "field", "reason")


class Rejects:
    """Gathers refused rows of a part of the file, as lines of the reject file."""

    def __init__(self, source: RegisterFile) -> None:
        """Take the file whose separator and columns the reject file has too."""
        self._delimiter = source.delimiter
        self.rows: list[Reject] = []

    def add(self, line: int, faults: Iterable[tuple[str, str]], fields: Sequence[str]) -> None:
        """Keep one refused row; several faults stand beside each other, in the same order."""
        columns, reasons = zip(*faults, strict=True)
        values = (line, " | ".join(columns), " | ".join(reasons), *(_cleaned(text) for text in fields))
        self.rows.append((line, csv_line(values, self._delimiter)))

    def taken(self) -> list[Reject]:
        """Return what was gathered and forget it."""
        rows, self.rows = self.rows, []
        return rows


class _Line:
    """What the csv module writes to."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def csv_line(values: Sequence[object], delimiter: str) -> str:
    """One line of CSV, ended by LF."""
    line = _Line()
    csv.writer(line, delimiter=delimiter, lineterminator="\n").writerow(values)
    return line.text


def require_place(path: Path, source: RegisterFile) -> None:
    """Raise `InvalidFile` or `DiskFull` when no reject file could be written there."""
    if path.resolve() == source.path.resolve():
        raise InvalidFile("The reject file must be another file than the register; name another one.", path=path)
    WholeFile(path).discard()


def sealed_file(path: Path, source: RegisterFile, lines: Iterable[str]) -> WholeFile:
    """The reject file, durable but still out of sight; raise `DiskFull`, then nothing of it stays."""
    file = WholeFile(path)
    try:
        file.write(csv_line((*REJECT_COLUMNS, *source.header), source.delimiter))
        for line in lines:
            file.write(line)
        file.seal()
    except BaseException:
        file.discard()
        raise
    return file


def _cleaned(text: str) -> str:
    # A reject file must open everywhere: what no program shows is written as its name.
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
