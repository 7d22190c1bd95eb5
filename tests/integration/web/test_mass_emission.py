"""The pages of mass emission: rules and notices by two people, twins before a clerk, who is in and why."""

# ruff: noqa: F811 - the fixture is imported

import re
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import select

from tests.integration.web.test_office import colleague, compute_lists, press  # noqa: F401 - a fixture
from tests.support.desk import CardOffice
from tests.support.office import NOW, add_resident, form, publish_notice
from uec.domain.phases import ChangeState
from uec.domain.twins import TwinState
from uec.services import twins
from uec.store.tables import PolicyChange, PublicNotice, TwinCase

DAY = {"valid_from-day": "2", "valid_from-month": "3", "valid_from-year": "2026"}


def read(office: CardOffice, what: object) -> object:
    with office.sessions() as session:
        return session.scalars(select(what)).one()  # type: ignore[call-overload]


def test_a_rule_changes_by_two_people_who_see_what_it_moves(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner, releaser = colleague("planner"), colleague("releaser")
    wrong = press(planner, "/office/phases", "/office/phases", **DAY, rule="production_days", value="many", act="Указ")
    assert wrong.status_code == 400 and "Такое значение для правила невозможно" in wrong.text
    assert press(planner, "/office/phases", "/office/phases", rule="production_days").status_code == 400
    done = press(planner, "/office/phases", "/office/phases", **DAY, rule="production_days", value="20", act="Указ № 7")
    assert "Изменение предложено." in done.text and "Ждёт подтверждения" in done.text
    assert "обещанных дат сдвигаются на -10 дн." in done.text
    shown = re.search(r'name="shown" value="([^"]*)"', releaser.get("/office/phases").text)
    assert shown
    moves = shown.group(1).replace("&#34;", '"')
    address = "/office/phases/1/confirm"
    stale = press(releaser, address, "/office/phases", shown='{"people": 1}')
    assert "Изменение сдвигает уже другое" in stale.text
    assert read(office, PolicyChange.state) is ChangeState.PROPOSED
    assert press(planner, address, "/office/phases", shown=moves).status_code == 403
    assert "Изменение подтверждено" in press(releaser, address, "/office/phases", shown=moves).text
    page = planner.get("/office/phases").text
    assert "Указ № 7" in page and "Подтверждено" in page
    press(planner, "/office/phases", "/office/phases", **DAY, rule="storage_days", value="90", act="Указ № 8")
    assert "Изменение отозвано" in press(planner, "/office/phases/2/withdraw", "/office/phases").text


def test_a_notice_is_proposed_and_confirmed(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner, releaser = colleague("planner"), colleague("releaser")
    day = {"published_on-day": "2", "published_on-month": "3", "published_on-year": "2026"}
    texts = {"text": "Каждый получит карту", "places": "Газета\nПортал", "banks": "Банк А\nБанк Б"}
    assert press(planner, "/office/notices", "/office/notices", **day, text="x").status_code == 400
    assert "Извещение предложено" in press(planner, "/office/notices", "/office/notices", **day, **texts).text
    assert press(planner, "/office/notices/1/confirm", "/office/notices").status_code == 403
    page = press(releaser, "/office/notices/1/confirm", "/office/notices").text
    assert "Извещение подтверждено" in page and "Газета; Портал" in page and "Банк А; Банк Б" in page
    notice = read(office, PublicNotice)
    assert isinstance(notice, PublicNotice)
    assert (notice.state, notice.refusal_until) == (ChangeState.CONFIRMED, NOW.date() + timedelta(days=60))
    press(planner, "/office/notices", "/office/notices", **day, **texts)
    assert "Извещение отозвано" in press(planner, "/office/notices/2/withdraw", "/office/notices").text


def test_twins_lie_before_an_officer(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    with office.sessions() as session:
        add_resident(session, 2001)
        add_resident(session, 2002, snils=form(2001, point_id=1).snils)
        twins.search(session, actor=office.staff.officer, now=NOW)
        session.commit()
    officer = colleague("officer")
    page = officer.get("/office/twins").text
    assert "1 случай ждёт решения." in page and "Один СНИЛС у двоих" in page
    case = read(office, TwinCase.id)
    one = officer.get(f"/office/twins/{case}").text
    assert "R00002001" in one and "R00002002" in one and "Различия выделены жирным" in one
    address = f"/office/twins/{case}"
    assert press(officer, address, address).status_code == 400
    assert press(officer, address, address, verdict="same", reason="x").status_code in {200, 400}
    assert read(office, TwinCase.state) is TwinState.OPEN, "which one stands?"
    with office.sessions() as session:
        (first, _second) = twins.look(session, int(str(case)), actor=office.staff.officer, now=NOW).records
    done = press(officer, address, address, verdict="different", wrong=str(first.resident_id), reason="ответ ПФР")
    assert "Случай решён." in done.text
    assert read(office, TwinCase.state) is TwinState.DECIDED
    assert "ответ ПФР" in officer.get(address).text and "Номер неверный" in officer.get(address).text
    assert "0 случаев ждут решения." in officer.get("/office/twins").text
    assert f"/office/twins/{case}" in officer.get("/office/twins?state=all").text
    assert f"/office/twins/{case}" not in officer.get("/office/twins").text
    assert colleague("planner").get("/office/twins").status_code == 403
    assert officer.get("/office/twins/999").status_code == 404


def test_one_sees_why_somebody_is_in_or_out(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    with office.sessions() as session:
        for number in range(3001, 3031):
            add_resident(session, number, oktmo="71701000" if number % 2 else "71601000")
        session.commit()
        publish_notice(session, office.staff)
    planner = colleague("planner")
    first = planner.get("/office/cohorts/explore").text
    assert first.count("/office/cohorts/explore/") >= 25 and "after=" in first
    onward = re.search(r'href="([^"]*after=\d+[^"]*)"', first)
    assert onward
    second = planner.get(onward.group(1).replace("&amp;", "&")).text
    assert not set(re.findall(r"R0000\d{4}", first)) & set(re.findall(r"R0000\d{4}", second))
    village = planner.get("/office/cohorts/explore?oktmo=71601000").text
    assert "R00003002" in village and "R00003001" not in village
    assert "R00003007" in planner.get(f"/office/cohorts/explore?query={form(3007, point_id=1).snils}").text
    assert "Никто не найден" in planner.get("/office/cohorts/explore?query=nobody").text
    link = re.search(r'href="(/office/cohorts/explore/\d+[^"]*)"', village)
    assert link
    why = planner.get(link.group(1).replace("&amp;", "&")).text
    assert "Живёт в муниципалитете региона" in why and "Не отказался" in why
    young = planner.get(link.group(1).split("?")[0] + "?as_of=1990-01-01").text
    assert "Моложе нужного возраста" in young
    day = {"as_of-day": "2", "as_of-month": "3", "as_of-year": "2026"}
    press(planner, "/office/cohorts", "/office/cohorts", **day)
    made = compute_lists(office)
    page = planner.get(f"/office/cohorts/{made.id}").text
    assert made.digest in page and "Скачать CSV" in page and "право сохраняется" in page
    only = planner.get(f"/office/cohorts/{made.id}?oktmo=71601000").text
    assert "R00003002" in only and "R00003001" not in only
    assert "Таких в списке нет" in planner.get(f"/office/cohorts/{made.id}?oktmo=00000000").text
    table = planner.get(f"/office/cohorts/{made.id}/breakdown.csv").get_data(as_text=True)
    assert sum(int(line.split(";")[-1]) for line in table.splitlines()[1:]) == made.count
    assert planner.get("/office/cohorts/999").status_code == 404


def test_the_pages_speak_english_too(colleague, office: CardOffice, client: FlaskClient) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    planner.get("/language/en")
    for address, words in (
        ("phases", "Phases and rules"),
        ("notices", "Public notices"),
        ("cohorts/explore", "Who is entitled"),
    ):
        assert words in planner.get(f"/office/{address}").text
