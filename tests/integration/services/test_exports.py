"""Lists as files: typed rows, nothing that a spreadsheet runs, a record of who took them, memory that does not grow."""

import csv
import io
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import (
    NOW,
    POLICY,
    Office,
    add_resident,
    add_staff,
    form,
    open_office,
    person,
    publish_notice,
    seeded_random,
)
from uec.domain.actors import CITIZEN
from uec.domain.errors import InvalidInput, NotAllowed, NotFound
from uec.domain.lifecycle import ApplicationState, Route
from uec.domain.permissions import Role
from uec.services import cohort, export_files, exports, refusals
from uec.services.intake import submit_application
from uec.store.tables import Application, AuditEntry, Refusal

ZONE = timezone(timedelta(hours=5))


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions)


def applied(session: Session, office: Office, *numbers: int) -> None:
    for number in numbers:
        submit_application(
            session,
            form=form(number, point_id=office.points[0]),
            route=Route.WEB,
            actor=CITIZEN,
            policy=POLICY,
            now=NOW,
            random=seeded_random(number),
        )


def read_csv(content: Iterator[bytes]) -> list[list[str]]:
    text = b"".join(content).decode("utf-8")
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=";"))


def test_a_list_is_taken_out_whole_by_its_filter_and_the_audit_knows(session: Session, office: Office) -> None:
    applied(session, office, 1, 2, 3)
    ways: dict[str, Any] = {"actor": office.officer, "filters": {"state": "SUBMITTED", "query": "", "evil": "1"}}
    columns = exports.take(session, "applications", form="csv", now=NOW, **ways)
    rows = list(exports.rows(session, "applications", **ways))
    assert len(rows) == 3 and {len(row) for row in rows} == {len(columns)}
    first = dict(zip(columns, rows[0], strict=True))
    wanted = person(1)
    assert first["surname"] == wanted["surname"] and first["snils"] == wanted["snils"]
    assert first["state"] is ApplicationState.SUBMITTED and first["birth_date"] == wanted["birth_date"]
    assert not list(exports.rows(session, "applications", actor=office.officer, filters={"state": "APPROVED"}))
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "export.take")).one()
    assert (entry.actor, entry.subject_id) == (office.officer.reference, "applications")
    assert entry.details == {"form": "csv", "rows": 3, "state": "SUBMITTED"}


@pytest.mark.parametrize("name", exports.EXPORTS)
def test_every_list_needs_both_permissions_and_says_no_before_anything_is_kept(
    session: Session, office: Office, name: str
) -> None:
    operator = office.operator  # sees people, takes nothing out
    admin = add_staff(session, "admin", Role.ADMIN)
    session.commit()
    for actor in (operator, admin):
        with pytest.raises(NotAllowed):
            exports.take(session, name, actor=actor, filters={"id": "1"}, form="csv", now=NOW)
        with pytest.raises(NotAllowed):
            list(exports.rows(session, name, actor=actor, filters={"id": "1"}))
    assert session.scalars(select(AuditEntry).where(AuditEntry.action == "export.take")).all() == []


def test_what_a_role_may_take_follows_from_its_permissions(office: Office) -> None:
    assert exports.may_take(office.officer) == ["applications", "cards", "batches", "refusals"]
    assert exports.may_take(office.planner) == ["batches", "cohort"]
    assert exports.may_take(office.auditor) == ["batches", "stock", "audit"]
    assert exports.may_take(office.operator) == []


def test_nonsense_is_refused_in_a_sentence(session: Session, office: Office) -> None:
    ways: dict[str, Any] = {"form": "csv", "now": NOW}
    with pytest.raises(NotFound, match="choose one of applications"):
        exports.take(session, "passwords", actor=office.officer, filters={}, **ways)
    with pytest.raises(InvalidInput, match="no state"):
        exports.take(session, "cards", actor=office.officer, filters={"state": "FLYING"}, **ways)
    for wrong in ("", "x", "9" * 20, "²"):
        with pytest.raises(InvalidInput, match="number of the list"):
            exports.take(session, "cohort", actor=office.planner, filters={"id": wrong}, **ways)
    with pytest.raises(NotFound):
        exports.take(session, "cohort", actor=office.planner, filters={"id": "7"}, **ways)


def test_a_list_of_residents_and_the_refusals_and_the_audit(session: Session, office: Office) -> None:
    for number in (1, 2):
        add_resident(session, number)
    session.commit()
    publish_notice(session, office)
    refusals.file(session, snils=person(2)["snils"], channel="post", actor=office.operator, now=NOW, note="=1+1")
    made = cohort.compute(session, as_of=POLICY.day(NOW), actor=office.planner, policy=POLICY, now=NOW)
    (one,) = exports.rows(session, "cohort", actor=office.planner, filters={"id": str(made.id)})
    assert one[1] == person(1)["surname"] and one[6] == person(1)["snils"]
    (refusal,) = exports.rows(session, "refusals", actor=office.officer, filters={})
    assert refusal[2:] == ("post", refusal[3], True, "=1+1", None)
    kinds = {row[4] for row in exports.rows(session, "audit", actor=office.auditor, filters={"kind": "refusal"})}
    assert kinds == {"refusal.file"}


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(st.lists(st.tuples(TEXTS, st.integers(-(2**40), 2**40), st.dates(), st.booleans()), max_size=8))
def test_a_csv_is_read_back_as_it_was_and_no_cell_is_a_formula(rows: list[tuple[str, int, date, bool]]) -> None:
    back = read_csv(export_files.csv_lines(("text", "number", "day", "flag"), rows, zone=ZONE))
    assert back[0] == ["text", "number", "day", "flag"]
    for given_row, read_row in zip(rows, back[1:], strict=True):
        text = read_row[0]
        assert not text.startswith(export_files.FORMULA)
        assert text.removeprefix("'") == given_row[0].removeprefix("'") or text == f"'{given_row[0]}"
        assert read_row[1:3] == [str(given_row[1]), given_row[2].isoformat()]


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
)


def test_a_workbook_holds_texts_as_texts_numbers_as_numbers_days_as_days(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)
    rows = [(text, 7, date(2026, 3, 2), moment, True, None) for text in FORMULAS] + [
        ("old", 1.5, date(1890, 5, 1), moment, False, None)
    ]
    path = tmp_path / "list.xlsx"
    assert export_files.write_xlsx(path, ("a", "b", "c", "d", "e", "f"), rows, title="Заявления [1]", zone=ZONE) == 10
    book = openpyxl.load_workbook(path)
    (sheet,) = book.worksheets
    assert sheet.title == "Заявления 1" and sheet.freeze_panes == "A2"
    for text, line in zip(FORMULAS, sheet.iter_rows(min_row=2), strict=False):
        assert line[0].data_type == "s" and line[0].value.replace("_x000D_", "\r") == text and line[0].hyperlink is None
        assert line[1].value == 7 and line[2].value == datetime(2026, 3, 2) and line[4].value is True
        assert line[3].value == datetime(2026, 3, 3, 3, 30), "in the office's time"
        assert line[5].value is None
    assert sheet["C11"].value == "1890-05-01", "the calendar of a spreadsheet begins with 1900"
    book.close()


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "SHEET_ROWS", 11)
    path = tmp_path / "list.xlsx"
    assert export_files.write_xlsx(path, ("n",), ((n,) for n in range(25)), title="n", zone=ZONE) == 25
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["n", "n 2", "n 3"]
    found = [row[0] for sheet in book.worksheets for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert found == list(range(25)) and all(sheet["A1"].value == "n" for sheet in book.worksheets)
    book.close()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(session: Session, office: Office, tmp_path: Path) -> None:
    def peak(count: int) -> int:
        have = len(session.scalars(select(Refusal.id)).all())
        session.execute(
            insert(Refusal),
            [
                {
                    "number": f"R-{number:07}",
                    "snils": f"{number:011}",
                    "channel": "post",
                    "filed_at": NOW,
                    "note": "x" * 80,
                }
                for number in range(have, count)
            ],
        )
        session.commit()
        session.expunge_all()
        tracemalloc.start()
        rows = exports.rows(session, "refusals", actor=office.officer, filters={})
        total = sum(len(part) for part in export_files.csv_lines(("a",), rows, zone=ZONE))
        rows = exports.rows(session, "refusals", actor=office.officer, filters={})
        written = export_files.write_xlsx(tmp_path / "x.xlsx", ("a",), rows, title="x", zone=ZONE)
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total > 100 * count and written == count
        return most

    few, many = peak(6_000), peak(30_000)
    assert many < few * 1.3 + 500_000, (few, many)
    assert session.scalars(select(Application.id)).all() == []
