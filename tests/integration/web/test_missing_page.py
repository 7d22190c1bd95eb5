"""The page of residents whom a full export lacks: who may see it, and what a clerk does there."""

# ruff: noqa: F811 - the fixture is imported

from sqlalchemy import select

from tests.integration.web.test_office import colleague, press  # noqa: F401 - a fixture
from tests.support.desk import CardOffice
from tests.support.office import NOW, add_resident
from uec.domain.absences import AbsenceState
from uec.store.tables import AuditEntry, RegisterAbsence


def test_a_clerk_decides_about_who_is_missing(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    with office.sessions() as session:
        people = [add_resident(session, number) for number in (1, 2)]
        rows = [RegisterAbsence(resident_id=one.id, import_id=one.import_id, found_at=NOW) for one in people]
        session.add_all(rows)
        session.commit()
        first, second = (row.id for row in rows)
    officer = colleague("officer")
    assert colleague("planner").get("/office/missing").status_code == 403
    assert "Пропали из реестра" in officer.get("/office/twins").text
    page = officer.get("/office/missing").text
    assert "Решения ждут 2 жителя." in page and "R00000001" in page
    empty = press(officer, f"/office/missing/{first}", "/office/missing", verdict="gone", reason=" ")
    assert "Укажите причину" in empty.text
    done = press(officer, f"/office/missing/{first}", "/office/missing", verdict="gone", reason="ответ № 17")
    assert "Решения ждёт 1 житель." in done.text and "R00000001" not in done.text
    press(officer, f"/office/missing/{second}", "/office/missing", verdict="stays", reason="паспорт")
    again = press(officer, f"/office/missing/{second}", "/office/missing", verdict="gone", reason="паспорт")
    assert again.status_code == 409
    everybody = officer.get("/office/missing?state=all").text
    assert "Выбыл" in everybody and "Остаётся" in everybody and "ответ № 17" in everybody
    assert "Здесь никто не ждёт решения." in officer.get("/office/missing").text
    with office.sessions() as session:
        states = session.scalars(select(RegisterAbsence.state).order_by(RegisterAbsence.id)).all()
        assert states == [AbsenceState.GONE, AbsenceState.STAYS]
        told = select(AuditEntry).where(AuditEntry.action == "register.absence")
        assert len(session.scalars(told).all()) == 2
