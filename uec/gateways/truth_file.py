"""Hides how the stand-in reads an export of the register (CSV, UTF-8, `;` or `,`): only rows with all columns."""

import csv
from collections.abc import Iterator
from pathlib import Path

from uec.domain.errors import InvalidFile
from uec.domain.register_row import COLUMNS


def rows_of(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a file in the order of `COLUMNS`; raise `InvalidFile` when it is no export."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline().strip()
            delimiter = ";" if header.count(";") >= header.count(",") else ","
            names = header.split(delimiter)
            missing = [column for column in COLUMNS if column not in names]
            if missing:
                raise InvalidFile(f"The file {path} lacks the columns {', '.join(missing)}.", path=path, line=1)
            order = [names.index(column) for column in COLUMNS]
            for line in file:
                try:
                    fields = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, strict=True), [])
                except csv.Error:
                    continue
                if len(fields) == len(names):
                    yield [fields[place] for place in order]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFile(f"The file {path} cannot be read: {error}.", path=path, line=None) from error
