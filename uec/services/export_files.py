"""Hides how rows become a file: CSV line by line (RFC 4180, UTF-8 with a mark, semicolons), XLSX on the disk.

Spreadsheets take a text that begins with = + - @ for a formula, also in a CSV: such texts get an apostrophe in front
there (OWASP, CSV Injection); in XLSX a text is written as text. XlsxWriter keeps one row in memory; a sheet holds 2^20
rows (ECMA-376), further rows go to a further sheet.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, tzinfo
from io import StringIO
from pathlib import Path

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

MARK = "\ufeff"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
PORTION = 500
SHEET_ROWS = 1_048_576
CELL_LIMIT = 32_767
WIDTH = 18
Value = str | int | float | bool | date | datetime | None


def csv_lines(head: Sequence[str], rows: Iterable[Sequence[Value]], *, zone: tzinfo) -> Iterator[bytes]:
    """The file in portions of a few hundred lines; moments in the zone, days as ISO 8601."""
    out = StringIO(newline="")
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    out.write(MARK)
    writer.writerow(head)
    for number, row in enumerate(rows, 1):
        writer.writerow([_plain(value, zone) for value in row])
        if number % PORTION == 0:
            yield _emptied(out)
    yield _emptied(out)


def _emptied(out: StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8")


def _plain(value: Value, zone: tzinfo) -> str | int | float:
    if isinstance(value, str):  # most are
        return f"'{value}" if value.startswith(FORMULA) else value
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    return value


def write_xlsx(path: Path, head: Sequence[str], rows: Iterable[Sequence[Value]], *, title: str, zone: tzinfo) -> int:
    """Write a workbook with as many sheets as the rows need; returns how many rows."""
    options = {"constant_memory": True, "default_date_format": "dd.mm.yyyy"}
    count = 0
    with xlsxwriter.Workbook(str(path), options) as book:
        bold = book.add_format({"bold": True, "bottom": 1})
        moments = book.add_format({"num_format": "dd.mm.yyyy hh:mm:ss"})
        sheet = _sheet(book, title, 1, head, bold)
        for count, row in enumerate(rows, 1):
            place = (count - 1) % (SHEET_ROWS - 1) + 1
            if count > 1 and place == 1:
                sheet = _sheet(book, title, count // (SHEET_ROWS - 1) + 1, head, bold)
            for column, value in enumerate(row):
                _cell(sheet, place, column, value, moments, zone)
    return count


def _sheet(book: xlsxwriter.Workbook, title: str, number: int, head: Sequence[str], bold: Format) -> Worksheet:
    # A name of a sheet has at most 31 letters and none of []:*?/\.
    name = "".join(letter for letter in title if letter not in "[]:*?/\\'")[:25].strip() or "list"
    sheet: Worksheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
    sheet.set_column(0, max(len(head) - 1, 0), WIDTH)
    sheet.freeze_panes(1, 0)
    for column, text in enumerate(head):
        sheet.write_string(0, column, text, bold)
    return sheet


def _cell(sheet: Worksheet, row: int, column: int, value: Value, moments: Format, zone: tzinfo) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, column, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value.astimezone(zone).replace(tzinfo=None, microsecond=0), moments)
    elif isinstance(value, date):
        # The calendar of a spreadsheet begins with 1900.
        if value.year >= 1900:
            sheet.write_datetime(row, column, value)
        else:
            sheet.write_string(row, column, value.isoformat())
    else:
        sheet.write_string(row, column, value[:CELL_LIMIT])


def portions(path: Path, *, size_bytes: int = 1 << 16) -> Iterator[bytes]:
    """A file's bytes, a few at a time."""
    with path.open("rb") as file:
        while part := file.read(size_bytes):
            yield part
