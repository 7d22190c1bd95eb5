"""Signs and lengths that people and programs send: refused in words or stored, on both databases, never a crash."""

from dataclasses import fields, replace
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, POLICY, Office, form, open_office, seeded_random
from uec.domain.actors import CITIZEN
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.lifecycle import ApplicationState, Route
from uec.domain.names import PRINT_WIDTH, printed_name
from uec.services import applications, card_lists, checks, decision, intake, refusals
from uec.services.forms import ApplicationForm, InvalidForm
from uec.store.tables import Application

TEXTS = [item.name for item in fields(ApplicationForm) if item.type in (str, str | None)]
FREE = ("birth_place", "doc_issuer", "address", "bank", "representative_name")


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions)


def submit(sessions: sessionmaker[Session], filled: ApplicationForm) -> None:
    with sessions() as session:
        intake.submit_application(
            session, form=filled, route=Route.WEB, actor=CITIZEN, policy=POLICY, now=NOW, random=seeded_random()
        )


@pytest.mark.parametrize("sign", ["\x00", "\ud800", "\x1b[2J", "\u202e"])
@pytest.mark.parametrize("field", TEXTS)
def test_no_field_takes_a_sign_nobody_types(
    sessions: sessionmaker[Session], office: Office, field: str, sign: str
) -> None:
    changes: dict[str, Any] = {field: f"{getattr(form(1, point_id=1), field) or 'x'}{sign}"}
    filled = replace(form(1, point_id=office.points[0]), **changes)
    try:
        submit(sessions, filled)
    except InvalidForm as error:
        assert list(error.errors) == [field]
    with sessions() as session:
        stored = session.scalars(select(Application)).all()
        assert not any(sign in str(getattr(one, field)) for one in stored)


@pytest.mark.parametrize("field", FREE)
@pytest.mark.parametrize("letters", [1, 100, 120, 121, 255, 256, 300, 301, 400, 401, 100_000])
def test_what_a_form_takes_a_database_holds(
    sessions: sessionmaker[Session], office: Office, field: str, letters: int
) -> None:
    changes: dict[str, Any] = {field: "ж" * letters}
    try:
        submit(sessions, replace(form(1, point_id=office.points[0]), **changes))
    except InvalidForm as error:
        assert error.errors == {field: "form.too_long"}
        return
    with sessions() as session:
        assert session.scalars(select(getattr(Application, field))).one() == "ж" * letters


@pytest.mark.parametrize("sign", ["\x00", "\ud800", "%_'\"\\;--"])
def test_what_is_searched_for_may_be_anything(sessions: sessionmaker[Session], office: Office, sign: str) -> None:
    submit(sessions, form(1, point_id=office.points[0]))
    with sessions() as session:
        with pytest.raises(NotFound):
            intake.application_status(session, number=f"2026-0000001{sign}", secret="x", now=NOW)
        with pytest.raises(NotFound):
            intake.application_status(session, number="2026-0000001", secret=sign, now=NOW)
        assert applications.find(session, query=f"Ю{sign}", actor=office.officer, now=NOW).total == 0
        assert card_lists.find(session, query=f"Ю{sign}", actor=office.officer, now=NOW).total == 0
        with pytest.raises(InvalidInput):
            refusals.file(session, snils=sign, channel="web", actor=office.operator, now=NOW)


def test_a_reason_is_kept_without_signs_nobody_types(sessions: sessionmaker[Session], office: Office) -> None:
    submit(sessions, form(1, point_id=office.points[0]))
    with sessions() as session:
        checks.start_checks(session, now=NOW)
        session.get_one(Application, 1).state = ApplicationState.CHECKED
        session.commit()
        decision.reject(session, 1, actor=office.officer, reason="no\x00 \ud800\nsorry\u202e", now=NOW)
        assert session.get_one(Application, 1).decision_reason == "no   \nsorry"


@pytest.mark.parametrize(
    ("birth", "day", "alone"),
    [
        (date(2012, 3, 2), date(2026, 3, 2), True),
        (date(2012, 3, 3), date(2026, 3, 2), False),
        (date(2012, 2, 29), date(2026, 2, 28), False),
        (date(2012, 2, 29), date(2026, 3, 1), True),
        (date(2010, 3, 1), date(2024, 2, 29), False),
        (date(2010, 2, 28), date(2024, 2, 29), True),
    ],
)
def test_a_child_needs_somebody_until_the_fourteenth_birthday(birth: date, day: date, alone: bool) -> None:
    filled = form(1, point_id=1, birth_date=birth, doc_date=birth)
    if not alone:
        with pytest.raises(InvalidForm) as refused:
            filled.validate(today=day, policy=POLICY)
        assert refused.value.errors == {"representative_name": "form.representative_required"}
        filled = replace(filled, representative_name="Иванова Анна")
    assert filled.validate(today=day, policy=POLICY).birth_date == birth


@pytest.mark.parametrize(
    ("surname", "name", "printed"),
    [
        ("Римский-Корсаков", "Николай", "RIMSKII-KORSAKOV NIKOLAI"),
        ("Щ" * 100, "Я", "SHCHSHCHSHCHSHCHSHCHSHCH I"),
        ("О", "Ё", "O E"),
        ("Мамед оглы", "Гейдар", "MAMED OGLY GEIDAR"),
        ("Салтыкова-Щедрина", "Анна-Мария", "SALTYKOVA-SHCHEDRINA ANNA M"[:26]),
    ],
)
def test_every_name_fits_the_card(surname: str, name: str, printed: str) -> None:
    got = printed_name(surname, name)
    assert len(got) <= PRINT_WIDTH and got.split()[0] == printed.split(maxsplit=1)[0][:PRINT_WIDTH]


def test_a_name_in_other_letters_is_refused_and_no_patronymic_is_none() -> None:
    for wrong in ("Smith", "Ivаnов", "Әминә", "王"):
        with pytest.raises(InvalidForm) as refused:
            form(1, point_id=1, surname=wrong).validate(today=NOW.date(), policy=POLICY)
        assert refused.value.errors == {"surname": "form.surname"}
    assert form(1, point_id=1, patronymic="").validate(today=NOW.date(), policy=POLICY).patronymic == ""
