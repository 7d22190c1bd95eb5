"""Files of rows: what a spreadsheet reads back is what was written, whatever the texts; nothing in it runs."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum, StrEnum

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from uec.domain.lifecycle import ApplicationState, CardState
from uec.services import export_files, export_sheets
from uec.services.export_sheets import Value
from uec.services.export_wording import Wording, key_of, said

ZONE = timezone(timedelta(hours=5))
MOMENT = datetime(2026, 3, 2, 22, 30, 7, 999_999, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def read_csv(content: Iterator[bytes]) -> list[list[str]]:
    text = b"".join(content).decode("utf-8")
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=";"))


def written(rows: Iterable[Sequence[Value]], *head: str, title: str = "Список", **ways: int) -> bytes:
    return b"".join(export_sheets.workbook(head or ("a", "b", "c"), rows, title=title, zone=ZONE, **ways))


def sheets_of(content: bytes) -> list[Worksheet]:
    return list(openpyxl.load_workbook(io.BytesIO(content)).worksheets)


def values_of(sheet: Worksheet) -> list[tuple[object, ...]]:
    return list(sheet.iter_rows(min_row=2, values_only=True))


@given(st.lists(st.tuples(TEXTS, st.integers(-(2**40), 2**40), st.dates(), st.booleans()), max_size=8))
def test_a_csv_is_read_back_as_it_was_and_no_cell_is_a_formula(rows: list[tuple[str, int, date, bool]]) -> None:
    back = read_csv(export_files.csv_parts(("text", "number", "day", "flag"), rows, zone=ZONE))
    assert back[0] == ["text", "number", "day", "flag"]
    for given_row, read_row in zip(rows, back[1:], strict=True):
        text = read_row[0]
        assert text[:1] not in export_files.FORMULA
        assert text.removeprefix("'") == given_row[0].removeprefix("'") or text == f"'{given_row[0]}"
        assert read_row[1:3] == [str(given_row[1]), given_row[2].isoformat()]


def test_a_csv_says_moments_in_the_zone_and_nothing_for_nothing() -> None:
    (_head, row) = read_csv(export_files.csv_parts(("a", "b"), [(MOMENT, None)], zone=ZONE))
    assert row == ["2026-03-03 03:30:07", ""]


@given(st.lists(st.tuples(TEXTS, st.integers(-(2**40), 2**40), st.dates(), st.booleans()), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_workbook_is_read_back_as_it_was(rows: list[tuple[str, int, date, bool]]) -> None:
    (sheet,) = sheets_of(written(rows, "text", "number", "day", "flag"))
    back = values_of(sheet)
    back += [(None,) * 4] * (len(rows) - len(back))  # a row without anything at the end is none
    for (text, number, day, flag), (read, *rest) in zip(rows, back, strict=True):
        # XML knows one end of a line; openpyxl leaves what XML does not hold as it is coded.
        assert decoded(read or "") == text.replace("\r\n", "\n").replace("\r", "\r")
        assert rest[0] == number and rest[2] is flag
        assert rest[1] == (datetime(day.year, day.month, day.day) if day.year >= 1900 else day.isoformat())


def decoded(text: object) -> str:
    return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), str(text))


FORMULAS = (
    "=1+1",
    "+7",
    "-2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    '=HYPERLINK("http://x")',
    "https://example.ru",
    'Щукин; "я"',
    "<b>&amp;</b> ",
    "_x0041_",
    "00123456789",
)


def test_a_workbook_holds_texts_as_texts_numbers_as_numbers_days_as_days() -> None:
    rows: list[Sequence[Value]] = [(text, 7, date(2026, 3, 2), MOMENT, True, None) for text in FORMULAS]
    rows.append(("old", 1.5, date(1890, 5, 1), MOMENT, False, None))
    (sheet,) = sheets_of(written(rows, "a", "b", "c", "d", "e", "f", title="Заявления [1]"))
    assert sheet.title == "Заявления 1" and sheet.freeze_panes == "A2" and sheet.auto_filter.ref == "A1:F14"
    for text, line in zip(FORMULAS, sheet.iter_rows(min_row=2), strict=False):
        assert line[0].data_type == "s" and decoded(line[0].value) == text and line[0].hyperlink is None
        assert line[1].value == 7 and line[2].value == datetime(2026, 3, 2) and line[4].value is True
        assert line[2].number_format == "dd.mm.yyyy" and line[3].number_format == "dd.mm.yyyy hh:mm:ss"
        assert line[3].value == datetime(2026, 3, 3, 3, 30, 7), "in the office's time"
        assert line[5].value is None
    assert sheet["C14"].value == "1890-05-01", "the calendar of a spreadsheet begins with 1900"


@pytest.mark.parametrize(
    ("day", "number"),
    [(date(1900, 1, 1), 1), (date(1900, 2, 28), 59), (date(1900, 3, 1), 61), (date(2026, 3, 2), 46083)],
)
def test_days_are_the_numbers_a_spreadsheet_has_for_them(day: date, number: int) -> None:
    """It knows a 29 February 1900 that never was (ECMA-376, part 1, 18.17.4.1)."""
    with zipfile.ZipFile(io.BytesIO(written([(day,)], "a"))) as archive:
        assert f"<v>{number}</v>".encode() in archive.read("xl/worksheets/sheet1.xml")


@pytest.mark.parametrize(("rows", "sizes"), [(0, [0]), (9, [9]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_more_rows_than_a_sheet_holds_go_on_in_the_next(rows: int, sizes: list[int]) -> None:
    found = sheets_of(written(((n,) for n in range(rows)), "n", title="n", sheet_rows=11))
    assert [sheet.title for sheet in found] == ["n", "n 2", "n 3"][: len(sizes)]
    assert [len(values_of(sheet)) for sheet in found] == sizes
    assert [row[0] for sheet in found for row in values_of(sheet)] == list(range(rows))
    assert all(sheet["A1"].value == "n" and sheet["A1"].font.b for sheet in found)


def test_a_sheet_that_grows_too_large_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 2 GiB a part of an archive needs ZIP64, which not every spreadsheet reads."""
    monkeypatch.setattr(export_sheets, "SHEET_BYTES", 200_000)
    found = sheets_of(written((("x" * 100,) for _ in range(4000)), "n"))
    assert len(found) > 1 and sum(len(values_of(sheet)) for sheet in found) == 4000


def test_a_workbook_leaves_as_it_is_made() -> None:
    """Nothing is held back but what the packer needs: the first bytes leave long before the last row is asked for."""
    asked = 0

    def rows() -> Iterator[tuple[str, ...]]:
        nonlocal asked
        for asked in range(20_000):
            yield (f"строка {asked * 7919 % 10007}",)

    parts = export_sheets.workbook(("a",), rows(), title="a", zone=ZONE)
    next(parts)
    assert asked < 10_000
    assert sum(map(len, parts)) > 0 and asked == 19_999


class Kind(IntEnum):
    FIRST = 0


class Other(StrEnum):
    ACTIVE = "ACTIVE"


def test_codes_are_said_in_words_and_numbers_of_documents_in_groups() -> None:
    words = {key_of(ApplicationState.APPROVED): "Одобрено", key_of(Kind.FIRST): "первый", key_of(CardState.ACTIVE): "Д"}
    wording = Wording("Список", ("a",), words, "да", "нет")
    assert Wording(**wording.stored()) == wording
    columns = ("state", "kind", "snils", "card", "flag", "details", "other")
    rows: list[tuple[object, ...]] = [
        (ApplicationState.APPROVED, Kind.FIRST, "00123456789", "9643000000000025", True, {"a": "я"}, Other.ACTIVE),
        (CardState.ACTIVE, 7, None, None, False, [1], ApplicationState.REJECTED),
    ]
    first, second = said(rows, columns, wording)
    assert list(first) == ["Одобрено", "первый", "001-234-567 89", "9643 0000 0000 0025", "да", '{"a": "я"}', "ACTIVE"]
    assert list(second) == ["Д", 7, None, None, "нет", "[1]", "REJECTED"]
