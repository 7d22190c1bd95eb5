"""Hides how millions of rows become an XLSX workbook in constant memory, as a stream (ECMA-376, parts 1 and 2).

XlsxWriter makes the workbook: its parts, styles, heads and filters. The rows, which are all the work, are written here:
inline strings (18.3.1.53), so that nothing is remembered from row to row. A sheet holds 2^20 rows and, without ZIP64,
which not every reader knows, 2^31 bytes; further rows go to a further sheet.
"""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from io import BytesIO
from itertools import islice

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

Value = str | int | float | bool | date | datetime | None

SHEET_ROWS = 1_048_576
SHEET_BYTES = 1_900_000_000
CELL_LIMIT = 32_767
WIDTH, NARROWEST = 18, 10
TITLE_LIMIT = 25
PORTION = 500
# The calendar of a spreadsheet counts from 1900 on, and knows a 29 February of that year.
FIRST_DAY, LEAP_MISTAKE, DAY_ZERO = date(1900, 1, 1), date(1900, 3, 1), date(1899, 12, 30).toordinal()
DAY_S = 86_400

_FIRST_SHEET = "xl/worksheets/sheet{}.xml"
_HEAD = re.compile(rb"^(.*?)<dimension [^>]*/>(.*?</row>)", re.DOTALL)
_SAMPLE = re.compile(rb'<c r="[AB]2" s="(\d+)"')
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_CODED = re.compile("_(?=x[0-9A-Fa-f]{4}_)")


class Outgoing:
    """What a ZIP archive is written into: taken out again in parts, so that none of it stays."""

    def __init__(self) -> None:
        """Begin empty."""
        self._parts: list[bytes] = []

    def write(self, content: bytes) -> int:
        """Keep the bytes until they are taken out."""
        self._parts.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        content = b"".join(self._parts)
        self._parts.clear()
        return content


@dataclass
class Book:
    """A workbook on its way: its title and head, how many rows its sheets have, and the styles of days and moments."""

    title: str
    head: Sequence[str]
    zone: tzinfo
    rows: list[int] = field(default_factory=list)
    day: str = ""
    moment: str = ""

    def shell(self) -> Mapping[str, bytes]:
        """The parts of the workbook by name as XlsxWriter makes them for sheets of so many rows, without the rows."""
        content = BytesIO()
        with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
            bold = book.add_format({"bold": True, "bottom": 1})
            samples = (
                book.add_format({"num_format": "dd.mm.yyyy"}),
                book.add_format({"num_format": "dd.mm.yyyy hh:mm:ss"}),
            )
            for number, rows in enumerate(self.rows, 1):
                sheet = book.add_worksheet(self.title if number == 1 else f"{self.title} {number}")
                for column, text in enumerate(self.head):
                    sheet.set_column(column, column, max(NARROWEST, min(WIDTH, len(text) + 4)))
                    sheet.write_string(0, column, text, bold)
                sheet.freeze_panes(1, 0)
                sheet.autofilter(0, 0, rows, max(len(self.head) - 1, 0))
                for column, style in enumerate(samples):
                    sheet.write_blank(1, column, None, style)
        with zipfile.ZipFile(content) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def begin(self) -> bytes:
        """Begin a further sheet; returns its part up to the head."""
        self.rows.append(0)
        shell = self.shell()[_FIRST_SHEET.format(len(self.rows))]
        self.day, self.moment = (style.decode() for style in _SAMPLE.findall(shell))
        found = _HEAD.match(shell)
        assert found is not None, "a sheet has a dimension and a head"
        return found[1] + found[2]

    def end(self, rows: int) -> bytes:
        """End the sheet that has so many rows; returns its part from the last row on."""
        self.rows[-1] = rows
        shell = self.shell()[_FIRST_SHEET.format(len(self.rows))]
        return shell[shell.index(b"</sheetData>") :]


def workbook(
    head: Sequence[str], rows: Iterable[Sequence[Value]], *, title: str, zone: tzinfo, sheet_rows: int = SHEET_ROWS
) -> Iterator[bytes]:
    """A workbook in parts, with as many sheets as the rows need; days as days, moments in the zone, texts as texts."""
    book, out, left = Book(sheet_name(title), head, zone), Outgoing(), iter(rows)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        more = True
        while more:
            opening = book.begin()
            with archive.open(_FIRST_SHEET.format(len(book.rows)), "w") as sheet:
                written, count = sheet.write(opening), 0
                for portion in _portions(left, sheet_rows - 1):
                    content = _rows_xml(portion, count + 2, book).encode()
                    written += sheet.write(content)
                    count += len(portion)
                    if part := out.taken():
                        yield part
                    if written > SHEET_BYTES:
                        break
                sheet.write(book.end(count))
            ahead = list(islice(left, 1))
            more, left = bool(ahead), _before(ahead, left)
        for name, content in book.shell().items():
            if not name.startswith("xl/worksheets/sheet"):
                archive.writestr(name, content)
    yield out.taken()


def _before(first: list[Sequence[Value]], rest: Iterator[Sequence[Value]]) -> Iterator[Sequence[Value]]:
    yield from first
    yield from rest


def _portions(rows: Iterator[Sequence[Value]], most: int) -> Iterator[list[Sequence[Value]]]:
    """The next rows, a few hundred at a time, `most` in all."""
    while most > 0 and (portion := list(islice(rows, min(PORTION, most)))):
        most -= len(portion)
        yield portion


def sheet_name(title: str) -> str:
    """A name of a sheet has at most 31 letters, of which five are for its number, and none of []:*?/\\ or '."""
    return "".join(letter for letter in title if letter not in "[]:*?/\\'")[:TITLE_LIMIT].strip() or "list"


def _rows_xml(rows: Sequence[Sequence[Value]], first: int, book: Book) -> str:
    names = [xl_col_to_name(column) for column in range(max(map(len, rows), default=0))]
    cells: list[str] = []
    for place, row in enumerate(rows, first):
        cells.append(f'<row r="{place}">')
        for name, value in zip(names, row, strict=False):
            if type(value) is str:  # most are
                if not value:
                    continue
                cells.append(f'<c r="{name}{place}" t="inlineStr"><is>{_text(value)}</is></c>')
            elif value is not None:
                cells.append(_cell(f'<c r="{name}{place}"', value, book))
        cells.append("</row>")
    return "".join(cells)


def _cell(begun: str, value: Value, book: Book) -> str:
    if isinstance(value, str):
        return f'{begun} t="inlineStr"><is>{_text(value)}</is></c>'
    if isinstance(value, bool):
        return f'{begun} t="b"><v>{value:d}</v></c>'
    if isinstance(value, datetime):
        local = value.astimezone(book.zone)
        second = (local.hour * 60 + local.minute) * 60 + local.second
        return f'{begun} s="{book.moment}"><v>{_day(local.date()) + second / DAY_S!r}</v></c>'
    if isinstance(value, date):
        if value < FIRST_DAY:
            return f'{begun} t="inlineStr"><is><t>{value.isoformat()}</t></is></c>'
        return f'{begun} s="{book.day}"><v>{_day(value)}</v></c>'
    return f"{begun}><v>{value!r}</v></c>"


def _day(value: date) -> int:
    return value.toordinal() - DAY_ZERO - (value < LEAP_MISTAKE)


def _text(value: str) -> str:
    """A text with its signs escaped (22.4.2.4, ST_Xstring): what XML does not hold as _xHHHH_."""
    if (  # of most texts nothing is to be changed, and this tells in a tenth of the time of a pattern
        value.isprintable()
        and "&" not in value
        and "<" not in value
        and ">" not in value
        and "_x" not in value
        and value[0] != " " != value[-1]
        and len(value) <= CELL_LIMIT
    ):
        return f"<t>{value}</t>"
    plain = _CODED.sub("_x005F_", value[:CELL_LIMIT])
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = _CONTROL.sub(lambda found: f"_x{ord(found[0]):04X}_", plain)
    return f'<t xml:space="preserve">{plain}</t>'
