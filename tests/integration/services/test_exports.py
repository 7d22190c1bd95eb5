"""Lists taken out: who may, the rows of each by its filter, a record of who took them, memory that does not grow."""

import tracemalloc
from datetime import timedelta, timezone
from typing import Any

import pytest
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
from uec.services import cohort, export_files, export_sheets, exports, refusals
from uec.services.export_lists import EXPORTS, may_take
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


def test_a_list_is_taken_out_whole_by_its_filter_and_the_audit_knows(session: Session, office: Office) -> None:
    applied(session, office, 1, 2, 3)
    ways: dict[str, Any] = {"actor": office.officer, "filters": {"state": "SUBMITTED", "query": "", "evil": "1"}}
    columns = exports.take(session, "applications", form="csv", now=NOW, **ways)
    assert columns is not None
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


@pytest.mark.parametrize("name", EXPORTS)
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
    of_plan = ["late", "points", "moved", "orders"]
    assert may_take(office.officer) == ["applications", "cards", "batches", "refusals", *of_plan, "twins", "missing"]
    assert may_take(office.planner) == ["batches", "cohort", *of_plan]
    assert may_take(office.auditor) == ["batches", "stock", "audit", *of_plan, "consignments", "movements"]
    assert may_take(office.operator) == []


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


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(session: Session, office: Office) -> None:
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
        total = sum(len(part) for part in export_files.csv_parts(("a",), rows, zone=ZONE))
        rows = exports.rows(session, "refusals", actor=office.officer, filters={})
        written = sum(len(part) for part in export_sheets.workbook(("a",), rows, title="x", zone=ZONE))
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total > 100 * count and written > 5 * count
        return most

    few, many = peak(6_000), peak(30_000)
    assert many < few * 1.3 + 500_000, (few, many)
    assert session.scalars(select(Application.id)).all() == []


@pytest.mark.parametrize("name", [name for name, one in EXPORTS.items() if one.query is not None and name != "cohort"])
def test_every_list_has_a_value_for_each_column(session: Session, office: Office, name: str) -> None:
    """And runs by each of its filters; what a filter does not know is refused in a sentence."""
    one = EXPORTS[name]
    assert one.query is not None
    given = {"state": "", "id": "", "day": "2026-03-02", "what": "", "line": "L1", "route": "WEB"}
    asked = one.asked({wanted: given.get(wanted, "x") for wanted in one.filters})
    found = one.query(session, asked)
    assert len(found.selected_columns) == len(one.columns)
    assert session.execute(found).all() == []
    if "state" in one.filters:
        with pytest.raises(InvalidInput, match="no state"):
            one.query(session, {"state": "FLYING"})


def test_a_day_that_is_none_and_a_box_that_is_not_there(session: Session, office: Office) -> None:
    with pytest.raises(InvalidInput, match="no day"):
        list(exports.rows(session, "batches", actor=office.planner, filters={"day": "morgen"}))
    for filters in ({"what": "box", "key": "7"}, {"what": "nonsense", "key": "1"}):
        with pytest.raises(NotFound):
            list(exports.rows(session, "movements", actor=office.auditor, filters=filters))
