"""Lists, notices and papers of mass emission as people see them: reasons, what waits for what, both languages."""

# ruff: noqa: F811 - the fixture is imported

import re
from datetime import timedelta
from urllib.parse import unquote

from flask.testing import FlaskClient

from tests.integration.web.test_office import colleague, compute_lists, press  # noqa: F401 - a fixture
from tests.support.desk import SETTINGS, CardOffice
from tests.support.office import NOW, add_resident, form
from uec.domain.lifecycle import CohortState
from uec.services import cohort, notices, phases
from uec.store.tables import BankChoice, Cohort, Refusal

DAY = {"as_of-day": "2", "as_of-month": "3", "as_of-year": "2026"}


def publish(office: CardOffice, *, days_ago: int, text_en: str = "") -> None:
    with office.sessions() as session:
        policy = SETTINGS.policy.at(NOW)
        made = notices.propose(
            session,
            text="Каждый получит карту.",
            text_en=text_en,
            places=["Газета"],
            banks=["Банк А", "Банк Б"],
            published_on=policy.day(NOW) - timedelta(days=days_ago),
            actor=office.staff.planner,
            policy=policy,
            now=NOW,
        )
        notices.confirm(session, made.id, actor=office.staff.releaser, now=NOW)


def test_a_list_is_looked_at_before_it_is_signed_and_says_what_it_waits_for(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    with office.sessions() as session:
        for number in (5001, 5002, 5003):
            add_resident(session, number)
        session.commit()
    planner, releaser = colleague("planner"), colleague("releaser")
    early = press(planner, "/office/cohorts", "/office/cohorts", **(DAY | {"as_of-year": "2013"}))
    assert early.status_code == 400 and "Массовая эмиссия начинается 01.01.2014" in early.text
    never = press(planner, "/office/cohorts", "/office/cohorts", **(DAY | {"as_of-year": "9999"}))
    assert never.status_code == 400 and "Укажите день с 1900 по 2199 год" in never.text
    press(planner, "/office/cohorts", "/office/cohorts", **DAY)
    made = compute_lists(office)
    page = f"/office/cohorts/{made.id}"
    member = re.search(r'href="(/office/cohorts/explore/\d+\?[^"]*list=\d+[^"]*)"', planner.get(page).text)
    assert member
    why = member.group(1).replace("&amp;", "&")
    assert "Исключить из списка" in planner.get(why).text and "Исключить" not in releaser.get(why).text
    register_id = re.search(r'name="register_id" value="([^"]+)"', planner.get(why).text)
    assert register_id
    off = press(planner, f"{page}/take-off", page, register_id=register_id.group(1))
    assert "Человек исключён из списка." in off.text
    assert press(planner, f"{page}/take-off", page, register_id=register_id.group(1)).status_code == 404
    press(planner, f"{page}/propose", page)
    with office.sessions() as session:
        root = session.get_one(Cohort, made.id).digest
    assert root != made.digest
    press(releaser, f"{page}/approve", page, digest=root)
    assert "Извещение ещё не опубликовано" in press(planner, f"{page}/open", page).text
    publish(office, days_ago=10)
    assert "До 21.04.2026 жители могут отказаться" in press(planner, f"{page}/open", page).text
    assert "Напишите, почему список отменяется" in press(releaser, f"{page}/discard", page, reason=" ").text
    gone = press(releaser, f"{page}/discard", page, reason="не тот день").text
    assert "Список отменён." in gone and "Отменить список" not in gone
    with office.sessions() as session:
        assert cohort.show(session, made.id, actor=office.staff.planner).state is CohortState.VOID
    assert press(releaser, f"{page}/approve", page, digest=root).status_code == 409


def test_the_page_of_a_person_says_by_what_they_are_out(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    with office.sessions() as session:
        person = add_resident(session, 5011)
        session.commit()
        person_id = person.id
    operator, planner = colleague("operator"), colleague("planner")
    new = "/office/refusals/new"
    filed = press(operator, new, new, snils=form(5011, point_id=1).snils, channel="phone", note="")
    number = re.search(r"R-\d{6}", filed.text)
    assert number and "По телефону" in filed.text
    address = f"/office/cohorts/explore/{person_id}"
    assert f"отказ {number[0]} от 02.03.2026" in planner.get(address).text
    assert "на более ранний день списка нет" in planner.get(f"{address}?as_of=2013-01-01").text
    for odd in ("0001-01-01", "9999-12-31", "x"):
        assert planner.get(f"{address}?as_of={odd}").status_code == 200


def test_a_notice_is_read_in_both_languages_and_the_bank_of_the_tender_is_that_of_the_rule(
    colleague,  # type: ignore[no-untyped-def]
    client: FlaskClient,
    office: CardOffice,
) -> None:
    planner = colleague("planner")
    publish(office, days_ago=3, text_en="Everybody gets a card.")
    assert "Каждый получит карту." in client.get("/notice").text
    assert "получает банк конкурса: Банк А" in client.get("/bank").text
    with office.sessions() as session:
        base = SETTINGS.policy
        change = phases.propose(
            session, rules={"default_bank": "Банк Б"}, valid_from=base.day(NOW), act="Протокол",
            actor=office.staff.planner, base=base, now=NOW,
        )  # fmt: skip
        phases.confirm(session, change.id, shown=change.effects, actor=office.staff.releaser, base=base, now=NOW)
    assert "получает банк конкурса: Банк Б" in client.get("/bank").text
    client.get("/language/en?next=/")
    english = client.get("/notice").text
    assert "Everybody gets a card." in english and "Каждый получит карту." not in english
    day = {"published_on-day": "20", "published_on-month": "2", "published_on-year": "2026"}
    texts = {"text": "Текст", "places": "Газета", "banks": "Банк"}
    assert "10 дней назад" in press(planner, "/office/notices", "/office/notices", **day, **texts).text
    wrong = press(planner, "/office/notices", "/office/notices", **(day | {"published_on-year": "9999"}), **texts)
    assert wrong.status_code == 400 and "Укажите день с 1900 по 2199 год" in wrong.text


def test_a_paper_shows_when_it_was_filed_first(client: FlaskClient, office: CardOffice) -> None:
    publish(office, days_ago=3)
    snils = form(5021, point_id=1).snils
    for address, fields, table in (
        ("/refuse", {"snils": snils}, Refusal),
        ("/bank", {"snils": snils, "bank": "Банк Б"}, BankChoice),
    ):
        first = press(client, address, address, **fields).text
        moved = NOW - timedelta(days=1, hours=1)
        with office.sessions() as session:
            session.query(table).filter_by(snils=snils).update({"filed_at": moved})
            session.commit()
        again = press(client, address, address, **fields).text
        number = re.search(r"[RB]-\d{6}", first)
        assert number and number[0] in again
        assert "02.03.2026" in first and "01.03.2026" in again, unquote(address)
