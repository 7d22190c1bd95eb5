"""Hides how rows become a file as a stream of bytes: CSV (RFC 4180, UTF-8 with a mark, semicolons), or a workbook.

Spreadsheets take a text that begins with = + - @ for a formula, also in a CSV: such texts get an apostrophe in front
there (OWASP, CSV Injection); in a workbook a text is written as text.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from io import StringIO
from itertools import islice
from typing import Protocol

from uec.services.export_sheets import Value, workbook

MARK = "\ufeff"
FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
PORTION = 500


class Writer(Protocol):
    """Makes a file of a head and rows, in parts."""

    def __call__(
        self, head: Sequence[str], rows: Iterable[Sequence[Value]], *, title: str, zone: tzinfo
    ) -> Iterator[bytes]:
        """The file's bytes; moments in the zone."""


@dataclass(frozen=True)
class Form:
    """A form of files: its content type, and how it is written."""

    content_type: str
    written: Writer


def csv_parts(
    head: Sequence[str], rows: Iterable[Sequence[Value]], *, zone: tzinfo, title: str = ""
) -> Iterator[bytes]:
    """The file in portions of a few hundred lines; moments in the zone, days as ISO 8601. A CSV has no title."""
    out, left = StringIO(newline=""), iter(rows)
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    out.write(MARK)
    writer.writerow(head)
    while portion := list(islice(left, PORTION)):
        writer.writerows([_plain(value, zone) for value in row] for row in portion)
        yield _emptied(out)
    yield _emptied(out)


def _emptied(out: StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8")


def _plain(value: Value, zone: tzinfo) -> str | int | float:
    if isinstance(value, str):  # most are
        return f"'{value}" if value[:1] in FORMULA else value
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(" ", "seconds")[:19]
    if isinstance(value, date):
        return value.isoformat()
    return value


FORMS: Mapping[str, Form] = {
    "csv": Form("text/csv; charset=utf-8", csv_parts),
    "xlsx": Form("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", workbook),
}
