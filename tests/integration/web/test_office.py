"""The buttons of the back office and the window: each does its one thing, says so, and refuses in words."""

import io
import re
import zlib

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import post, token_in
from tests.support.desk import SETTINGS, CardOffice
from tests.support.office import POLICY, add_resident, form, person, publish_notice
from uec.domain.actors import CITIZEN, system_actor
from uec.domain.lifecycle import (
    ApplicationState,
    BatchState,
    CardState,
    CheckOutcome,
    CohortState,
    OperationKind,
    Route,
)
from uec.services import checks, cohort
from uec.services.intake import submit_application
from uec.services.views import CohortView
from uec.settings import Settings
from uec.store.tables import Application, Batch, Card, Cohort, Refusal, Staff, Station
from uec.web.app import create_app
from uec.web.uploads import is_damaged


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


# One grey point.
PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    (
        _chunk(b"IHDR", bytes((0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0))),
        _chunk(b"IDAT", zlib.compress(b"\0\x80")),
        _chunk(b"IEND", b""),
    )
)
JPEG = bytes.fromhex("ffd8 ffe0 0004 4a46 ffc0 0008 08 0001 0001 01 ffda 0003 01 00 ffd9")


@pytest.fixture
def colleague(settings: Settings, office: CardOffice):  # type: ignore[no-untyped-def]
    """Sign several people in, each with a client of their own."""

    def enter(login: str) -> FlaskClient:
        client = create_app(settings, clock=office.clock).test_client()
        assert post(client, "/sign-in", login=login, password=PASSWORD).status_code == 302
        return client

    return enter


def press(client: FlaskClient, address: str, of: str, **fields: object) -> TestResponse:
    """Press a button that stands on page `of`, and follow to where it leads."""
    return client.post(address, data={"csrf_token": token_in(client.get(of).text), **fields}, follow_redirects=True)


def compute_lists(office: CardOffice) -> CohortView:
    """What the job `cohorts` does for the one list that the page asked for."""
    with office.sessions() as session:
        (made,) = cohort.compute_asked(
            session, actor=system_actor("scheduler"), book=SETTINGS.policy, now=office.clock()
        )
    return made


def applied(office: CardOffice, number: int, outcome: CheckOutcome = CheckOutcome.MATCH) -> int:
    """An application on the web whose checks are answered; its id."""

    class Registers:
        def check_many(self, questions):  # type: ignore[no-untyped-def]
            return [type("Said", (), {"outcome": outcome, "detail": "так сказал реестр"})() for _question in questions]

    with office.sessions() as session:
        receipt = submit_application(
            session,
            form=form(number, point_id=office.staff.points[0]),
            route=Route.WEB,
            actor=CITIZEN,
            policy=POLICY,
            now=office.clock(),
            random=office.desk.bench.random,
        )
        checks.start_checks(session, now=office.clock())
        checks.run_checks(session, Registers(), policy=POLICY, now=office.clock())
        return session.query(Application.id).filter_by(number=receipt.number).one()[0]


def state(office: CardOffice, kind: type, row_id: int) -> object:
    with office.sessions() as session:
        return session.get_one(kind, row_id).state


def test_decision_needs_a_reason_and_is_shown(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    officer, application = colleague("officer"), applied(office, 1001)
    page = f"/office/applications/{application}"
    empty = press(officer, page, page, reason="", decision="approve")
    assert empty.status_code == 400 and "Напишите причину решения" in empty.text
    rejected = press(officer, page, page, reason="Адрес не подтверждён", decision="reject")
    assert "Решение сохранено." in rejected.text and "Адрес не подтверждён" in rejected.text
    assert state(office, Application, application) is ApplicationState.REJECTED
    again = officer.post(
        page, data={"csrf_token": token_in(officer.get("/office/").text), "reason": "x", "decision": "approve"}
    )
    assert again.status_code == 409 and "Этот шаг сейчас невозможен" in again.text


def test_mismatch_is_shown_and_asked_again(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    officer, application = colleague("officer"), applied(office, 1002, CheckOutcome.MISMATCH)
    page = f"/office/applications/{application}"
    text = officer.get(page).text
    assert "Расхождение" in text and "так сказал реестр" in text
    assert "Реестры будут опрошены ещё раз." in press(officer, f"{page}/ask-again", page).text
    assert state(office, Application, application) is ApplicationState.CHECKING


def test_plan_release_cancel(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    office.approve_applicants(1010, 1011)
    planner, releaser = colleague("planner"), colleague("releaser")
    planned = press(planner, "/office/batches/plan", "/office/batches")
    assert "Запланировано 2 карты в 1 партии." in planned.text
    assert "На ближайшие дни планировать нечего." in press(planner, "/office/batches/plan", "/office/batches").text
    with office.sessions() as session:
        batch = session.query(Batch.id).order_by(Batch.id.desc()).first()[0]
    page = f"/office/batches/{batch}"
    assert planner.post(f"{page}/cancel", data={}).status_code == 400, "no token, no change"
    assert "Партия допущена." in press(releaser, f"{page}/release", page).text
    assert state(office, Batch, batch) is BatchState.RELEASED
    assert press(planner, f"{page}/cancel", page, reason="").status_code == 400
    assert "Партия отменена" in press(planner, f"{page}/cancel", page, reason="Линия стоит").text
    assert state(office, Batch, batch) is BatchState.CANCELLED


def test_writing_waits_until_the_data_are_ready(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    office.approve_applicants(1020)
    (batch,) = office.plan()
    producer, releaser = colleague("producer"), colleague("releaser")
    page = f"/office/batches/{batch}"
    press(releaser, f"{page}/release", page)
    assert "Ни одна карта партии ещё не готова" in press(producer, f"{page}/produce", page, station="").text


@pytest.mark.parametrize("month", ["2026-03", "2026-12", "nonsense", "2026-13"])
def test_calendar_of_any_month(colleague, month: str) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    answer = planner.get(f"/office/calendar?month={month}&point=1")
    assert answer.status_code == 200
    assert ("Декабрь 2026" if month == "2026-12" else "Март 2026") in answer.text


def test_cards_life_on_its_page(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    (card,) = office.make_cards(1030)
    office.hand_over(card)
    security = colleague("security")
    page = f"/office/cards/{card}"
    assert press(security, page, page, event="SUSPEND", reason="").status_code == 400
    assert "Приостановлена" in press(security, page, page, event="SUSPEND", reason="просьба держателя").text
    assert "Действует" in press(security, page, page, event="RESUME", reason="держатель нашёл карту").text
    assert press(security, page, page, event="RESUME", reason="ещё раз").status_code == 400, "not offered now"
    press(security, page, page, event="ANNUL", reason="отказ от использования")
    assert state(office, Card, card) is CardState.ANNULLED
    assert security.get("/office/cards/99999").status_code == 404


def test_mass_emission_by_two_people(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    with office.sessions() as session:
        for number in (1040, 1041):
            add_resident(session, number)
        session.commit()
        publish_notice(session, office.staff)
    planner, releaser = colleague("planner"), colleague("releaser")
    day = {"as_of-day": "2", "as_of-month": "3", "as_of-year": "2026"}
    assert press(planner, "/office/cohorts", "/office/cohorts", **day, limit="x").status_code == 400
    waiting = press(planner, "/office/cohorts", "/office/cohorts", **day, limit="2").text
    assert "Список составляется" in waiting and "Предложить" not in waiting
    assert 'hx-get="/office/cohorts"' in waiting and "htmx.min.js" in waiting, "the page asks again by itself"
    with office.sessions() as session:
        page = f"/office/cohorts/{session.query(Cohort).one().id}"
    alone = planner.get(page).text
    assert "Список составляется" in alone and "Скачать CSV" not in alone
    assert f'hx-get="{page}"' in alone and "htmx.min.js" in alone
    for login, step in ((planner, "propose"), (releaser, "approve")):
        early = press(login, f"{page}/{step}", "/office/cohorts")
        assert early.status_code == 409 and "Список ещё в работе" in early.text
    made = compute_lists(office)
    ready = planner.get("/office/cohorts").text
    assert made.digest in ready and "Список составляется" not in ready and "htmx.min.js" not in ready
    assert made.count == 2 and "Посмотреть и предложить" in ready and "hx-get" not in planner.get(page).text
    assert "Список предложен." in press(planner, f"{page}/propose", page).text
    assert planner.post(f"{page}/approve", data={}).status_code in {400, 403}
    shown = re.search(r'name="digest" value="([0-9a-f]+)"', releaser.get(page).text)
    assert "Посмотреть и утвердить" in releaser.get("/office/cohorts").text
    assert shown and shown.group(1) == made.digest
    assert "Список утверждён." in press(releaser, f"{page}/approve", page, digest=made.digest).text
    assert state(office, Cohort, made.id) is CohortState.APPROVED
    waiting = press(planner, f"{page}/open", page).text
    assert "Заявления по списку открываются" in waiting and f'hx-get="{page}"' in waiting
    assert press(planner, f"{page}/open", "/office/cohorts").status_code == 409
    with office.sessions() as session:
        ways = {"book": SETTINGS.policy, "now": office.clock()}
        (opened,) = cohort.open_asked(session, actor=system_actor("scheduler"), **ways)  # type: ignore[arg-type]
    assert isinstance(opened, CohortView) and opened.opened == 2
    for address in ("/office/cohorts", page):
        ready = planner.get(address).text
        assert re.search(r"Открыто заявлений</dt><dd[^>]*>2<", ready) and "hx-get" not in ready


def test_station_gets_its_code_once_and_is_revoked(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    security = colleague("security")
    point = office.staff.points[0]
    made = press(security, "/office/stations", "/office/stations", name="Окно 9", point_id=point)
    code = re.search(r"uec station enrol --hub wss?://\S+ --code ([A-Z0-9-]+)", made.text)
    waiting = security.get("/office/stations").text
    assert code and code.group(1) not in waiting and "Ждёт кода" in waiting
    with office.sessions() as session:
        station = session.query(Station).filter_by(name="Окно 9").one()
        assert code.group(1) not in (station.enrolment_code_hash or "")
    assert press(security, "/office/stations", "/office/stations", name="", point_id="").status_code == 400
    taken = press(security, "/office/stations", "/office/stations", name="Окно 9", point_id=point)
    assert taken.status_code == 400 and "Станция с таким именем уже есть" in taken.text
    wrong = press(security, "/office/stations", "/office/stations", name="Окно\u200b9", point_id=point)
    assert wrong.status_code == 400 and "Дайте станции имя" in wrong.text
    another = press(security, f"/office/stations/{station.id}/code", "/office/stations")
    renewed = re.search(r"--code ([A-Z0-9-]+)", another.text)
    assert renewed and renewed.group(1) != code.group(1)
    assert security.get(f"/office/stations/{station.id}/code").location == "/office/stations", "reloaded: no other code"
    assert "Станция отозвана" in press(security, f"/office/stations/{station.id}/revoke", "/office/stations").text
    late = press(security, f"/office/stations/{station.id}/code", "/office/stations")
    assert "Заведите новую" in late.text
    again = press(security, "/office/stations", "/office/stations", name="Окно 9", point_id=point)
    assert "--code" in again.text, "the new machine of a window is called as the old one was"
    producer = colleague("producer")
    assert press(producer, "/office/stations", "/office/", name="x").status_code == 403


def test_staff_are_added_and_switched_off(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    admin = colleague("admin")
    fields = {"login": "newcomer", "display_name": "Нина Новикова", "point_id": "", "roles": "OPERATOR"}
    weak = press(admin, "/office/staff", "/office/staff", **fields, password="short")
    assert weak.status_code == 400 and "не короче 12 знаков" in weak.text
    added = press(admin, "/office/staff", "/office/staff", **fields, password=PASSWORD)
    assert "Сотрудник добавлен." in added.text and "Нина Новикова" in added.text
    with office.sessions() as session:
        person_id = session.query(Staff.id).filter_by(login="newcomer").one()[0]
    taken = press(admin, "/office/staff", "/office/staff", **fields, password=PASSWORD)
    assert taken.status_code == 400 and "Выберите свободный логин" in taken.text and "Нина Новикова" in taken.text
    page = f"/office/staff/{person_id}"
    assert "отключена" in press(admin, f"{page}/active", page, active="no").text
    with office.sessions() as session:
        assert session.get_one(Staff, person_id).active is False
    assert "Вход снова открыт" in press(admin, f"{page}/active", page, active="yes").text


def test_roles_and_password_of_a_person_are_changed(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    admin = colleague("admin")
    fields = {"login": "mover", "display_name": "Мира Переводова", "point_id": "", "roles": "OPERATOR"}
    press(admin, "/office/staff", "/office/staff", **fields, password=PASSWORD)
    with office.sessions() as session:
        page = f"/office/staff/{session.query(Staff.id).filter_by(login='mover').one()[0]}"
    mover = colleague("mover")
    assert mover.get("/window/").status_code == 200 and mover.get("/office/audit").status_code == 403
    none = press(admin, f"{page}/roles", page)
    assert none.status_code == 400 and "Роли не изменены" in none.text
    assert "Роли изменены" in press(admin, f"{page}/roles", page, roles=["AUDITOR"]).text
    assert mover.get("/window/").status_code == 403 and mover.get("/office/audit").status_code == 200
    weak = press(admin, f"{page}/password", page, password="mover-mover-1")
    assert weak.status_code == 400 and "Пароль не изменён" in weak.text
    assert "Новый пароль уже действует" in press(admin, f"{page}/password", page, password="тихая-пристань-7").text
    stranger = create_app(admin.application.extensions["uec"].settings, clock=office.clock).test_client()
    assert post(stranger, "/sign-in", login="mover", password=PASSWORD).status_code == 401
    assert post(stranger, "/sign-in", login="mover", password="тихая-пристань-7").status_code == 302
    assert mover.get(page).status_code == 403 and admin.get("/office/staff/99999").status_code == 404


def test_nobody_changes_their_own_roles(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    admin = colleague("admin")
    with office.sessions() as session:
        page = f"/office/staff/{session.query(Staff.id).filter_by(login='admin').one()[0]}"
    assert "Изменить роли" not in admin.get(page).text
    assert press(admin, f"{page}/roles", page, roles=["AUDITOR"]).status_code == 403
    assert press(admin, f"{page}/active", page, active="no").status_code == 403


def test_work_that_no_station_began_is_called_off(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    card = office.make_cards(1090)[0]
    operation = office.request(OperationKind.INSPECT, card)
    producer, page = colleague("producer"), f"/window/operations/{operation}"
    shown = producer.get(page).text
    assert "Отменить работу" in shown and "hx-get" in shown
    ended = press(producer, f"{page}/cancel", page)
    assert "С картой ничего не сделано." in ended.text and "Отменить работу" not in ended.text
    assert "hx-get" not in ended.text, "the page asks no more"
    assert press(producer, f"{page}/cancel", "/office/").status_code == 409


def test_receipt_of_a_card_names_its_holder(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    card = office.make_cards(1091)[0]
    done = office.hand_over(card)
    shown = colleague("operator2").get(f"/window/operations/{done.id}").text
    with office.sessions() as session:
        holder = session.get_one(Application, session.get_one(Card, card).application_id)
    assert f"{holder.surname} {holder.name}" in shown and "Вернуться к окну" in shown
    assert f"{holder.surname} {holder.name}" not in colleague("producer").get(f"/window/operations/{done.id}").text


def test_the_audit_speaks_to_people(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    officer = colleague("officer")
    officer.get(f"/office/applications/{applied(office, 1092)}")
    auditor = colleague("auditor")
    page = auditor.get("/office/audit?who=officer&kind=application").text.split("<table")[1]
    assert "Просмотр заявления" in page and "Фёдор Чернов" in page and "application.view" not in page
    assert "Ничего не найдено" in auditor.get("/office/audit?who=officer&kind=station").text


def test_auditor_finds_who_looked(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    application = applied(office, 1050)
    colleague("officer").get(f"/office/applications/{application}")
    auditor = colleague("auditor")
    found = auditor.get(f"/office/audit?kind=application&subject={application}").text
    assert "Просмотр заявления" in found and "Заявление принято" in found
    assert "Ничего не найдено" in auditor.get("/office/audit?who=staff:424242").text
    assert auditor.get("/office/audit?offset=99999999999999").status_code == 200


def test_window_takes_an_application_with_a_photo(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    operator = colleague("operator")
    facts = person(1060)
    answers = {name: value for name, value in facts.items() if isinstance(value, str)}
    for name in ("birth_date", "doc_date"):
        day = facts[name]
        answers |= {f"{name}-day": str(day.day), f"{name}-month": str(day.month), f"{name}-year": str(day.year)}
    answers |= {"point_id": str(office.staff.points[0]), "bank": "", "papers_seen": "y"}
    address = "/window/application"

    def send(photo: bytes) -> TestResponse:
        token = token_in(operator.get(address).text)
        return operator.post(address, data={"csrf_token": token, **answers, "photo": (io.BytesIO(photo), "photo.png")})

    wrong = send(b"GIF89a")
    assert wrong.status_code == 400 and "JPEG или PNG" in wrong.text
    taken = send(PNG)
    assert "Заявление принято" in taken.text
    with office.sessions() as session:
        application = session.query(Application).order_by(Application.id.desc()).first()
        assert application is not None and application.taken_by and application.photo == PNG
    photo = operator.get(f"/office/applications/{application.id}/photo")
    assert photo.mimetype == "image/png" and photo.data == PNG
    assert operator.get("/office/applications/1/photo").status_code in {200, 404}
    again = send(PNG)
    assert again.status_code == 409 and "Заявление уже есть" in again.text


def test_refusals_are_filed_on_the_web_and_at_a_window(colleague, client: FlaskClient, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    bad = post(client, "/refuse", snils="11223344596")
    assert bad.status_code == 400 and "Проверьте СНИЛС" in bad.text
    filed = client.get(post(client, "/refuse", snils="112-233-445 95").location)
    assert "Отказ принят" in filed.text and "R-" in filed.text
    operator = colleague("operator")
    address = "/window/refusal"
    assert "Отказ принят" in press(operator, address, address, snils=person(1070)["snils"], note="по почте").text
    with office.sessions() as session:
        assert {row.channel for row in session.query(Refusal)} == {"web", "window"}


def test_citizen_goes_straight_to_the_check_only_with_all_answers(client: FlaskClient, office: CardOffice) -> None:
    assert client.get("/apply").location == "/apply/person"
    assert client.get("/apply/check").location == "/apply/person"
    assert client.get("/apply/nonsense").status_code == 404


def test_applicant_takes_the_application_back(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    operator, application = colleague("operator"), applied(office, 1080)
    page = f"/office/applications/{application}"
    taken_back = press(operator, f"{page}/withdraw", page, reason="передумал")
    assert "Заявление отозвано." in taken_back.text
    assert state(office, Application, application) is ApplicationState.WITHDRAWN
    assert "Отозвать заявление" not in operator.get(page).text


def test_a_photo_that_was_cut_off_or_altered_is_told_from_a_whole_one() -> None:
    assert not is_damaged(PNG) and not is_damaged(JPEG)
    for cut in range(8, len(PNG)):
        assert is_damaged(PNG[:cut]), cut
    for place in range(16, len(PNG) - 4):
        assert is_damaged(PNG[:place] + bytes([PNG[place] ^ 1]) + PNG[place + 1 :]), place
    for cut in range(3, len(JPEG)):
        assert is_damaged(JPEG[:cut]), cut
    assert is_damaged(JPEG.replace(bytes.fromhex("ffc0"), bytes.fromhex("ffc4"))), "no frame, no picture"


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (PNG[:-20], "Фотография пришла повреждённой"),
        (b"GIF89a" + bytes(50), "Выберите фотографию"),
        (b"", "Выберите фотографию"),
        (PNG + bytes(2_100_000), "Выберите фотографию"),
    ],
    ids=["damaged", "gif", "empty", "large"],
)
def test_a_photo_that_cannot_be_used_is_refused_with_its_form(  # type: ignore[no-untyped-def]
    colleague, office: CardOffice, content: bytes, advice: str
) -> None:
    operator = colleague("operator")
    token = token_in(operator.get("/window/application").text)
    answers = {"csrf_token": token, "surname": "Щукин", "papers_seen": "y", "photo": (io.BytesIO(content), "p.png")}
    refused = operator.post("/window/application", data=answers)
    refused.request.environ["wsgi.input"].close()  # the test client keeps a large body in a temporary file
    assert refused.status_code == 400 and advice in refused.text and 'value="Щукин"' in refused.text
