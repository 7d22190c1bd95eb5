"""The notice for everybody, the choice of a bank in its time, papers to take home, and messages on the status page."""

import io
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import delete, select

from tests.integration.web.conftest import SignIn, post
from tests.support.desk import CardOffice
from tests.support.office import POLICY, person, publish_notice
from tests.support.office import form as form_of
from uec.domain.actors import CITIZEN
from uec.domain.lifecycle import Route
from uec.services import messages
from uec.services.intake import submit_application
from uec.store.tables import Application, BankChoice, PublicNotice, Refusal

Publish = Callable[[int], None]


@pytest.fixture
def publish(office: CardOffice) -> Publish:
    """Publish a notice so many days ago."""

    def made(days_ago: int) -> None:
        with office.sessions() as session:
            session.execute(delete(BankChoice))
            session.execute(delete(PublicNotice))
            session.commit()
            publish_notice(session, office.staff, now=office.clock.now + timedelta(days=100 - days_ago))

    return made


def test_everybody_reads_the_notice(client: FlaskClient, publish: Publish) -> None:
    publish(5)
    page = client.get("/notice").text
    for words in ("Каждый житель получит карту", "Газета области", "Банк региона", "Выбрать банк"):
        assert words in page
    assert "Planner" not in page and "Staff" not in page, "the office's people are not named"


def test_before_the_first_notice_there_is_a_sentence(client: FlaskClient, office: CardOffice) -> None:
    with office.sessions() as session:
        session.execute(delete(BankChoice))
        session.execute(delete(PublicNotice))
        session.commit()
    notice = client.get("/notice").text
    assert "ещё не опубликовано" in notice and 'href="/refuse"' in notice, "who wants no card need not wait for it"
    assert "после извещения" in client.get("/bank").text
    assert client.post("/bank", data={"csrf_token": "x"}).status_code == 400


def test_a_bank_is_chosen_once_however_often_the_form_is_sent(
    client: FlaskClient, office: CardOffice, publish: Publish
) -> None:
    publish(5)
    wrong = post(client, "/bank", snils="11223344596", bank="Банк региона")
    assert wrong.status_code == 400 and "Проверьте СНИЛС" in wrong.text
    assert post(client, "/bank", snils="112-233-445 95", bank="Чужой банк").status_code == 400
    first = post(client, "/bank", snils="112-233-445 95", bank="Другой банк")
    second = post(client, "/bank", snils="112-233-445 95", bank="Другой банк")
    assert first.status_code == second.status_code == 302
    page = client.get(first.location).text
    assert "B-0" in page and "Другой банк" in page and "•••-•••-445 95" in page and "112-233" not in page
    with office.sessions() as session:
        assert [row.bank for row in session.scalars(select(BankChoice))] == ["Другой банк"]
    third = post(client, "/bank", snils="112-233-445 95", bank="Банк региона")
    assert client.get(third.location).status_code == 200
    with office.sessions() as session:
        assert len(session.scalars(select(BankChoice)).all()) == 2, "another choice takes the place of the first"


def test_after_its_time_no_bank_is_chosen(client: FlaskClient, office: CardOffice, publish: Publish) -> None:
    publish(POLICY.bank_choice_days + 1)
    page = client.get("/bank").text
    assert "получает банк конкурса: Банк региона" in page and 'name="snils"' not in page


def test_a_clerk_files_a_choice_at_the_window(sign_in: SignIn, office: CardOffice, publish: Publish) -> None:
    publish(1)
    operator = sign_in("operator")
    answer = post(operator, "/window/bank", snils=person(1200)["snils"], bank="Банк региона")
    assert answer.status_code == 302
    with office.sessions() as session:
        assert session.scalars(select(BankChoice.channel)).one() == "window"


def test_a_refusal_sent_twice_is_one_and_its_paper_is_a_pdf(client: FlaskClient, office: CardOffice) -> None:
    snils = person(1201)["snils"]
    answers = [post(client, "/refuse", snils=snils) for _ in range(2)]
    pages = [client.get(answer.location).text for answer in answers]
    with office.sessions() as session:
        (refusal,) = session.scalars(select(Refusal).where(Refusal.snils == snils))
    assert all(refusal.number in page for page in pages)
    paper = answers[0].location.partition("paper=")[2]
    for language, heading in (("ru", "Подтверждение отказа"), ("en", "Confirmation of a refusal")):
        client.set_cookie("uec_language", language)
        sheet = client.get(f"/confirmation.pdf?paper={paper}")
        assert sheet.mimetype == "application/pdf" and sheet.headers["Cache-Control"] == "no-store"
        (side,) = PdfReader(io.BytesIO(sheet.data)).pages
        text = side.extract_text()
        assert refusal.number in text and heading in text and snils[:6] not in text.replace("-", "")
    client.delete_cookie("uec_language")
    assert client.get("/confirmation?paper=forged").status_code == 404
    office.clock.advance(days=1, seconds=2)
    assert client.get(f"/confirmation?paper={paper}").status_code == 404
    office.clock.advance(days=-1, seconds=-2)


def test_messages_stand_on_the_status_page_in_its_language(client: FlaskClient, office: CardOffice) -> None:
    with office.sessions() as session:
        receipt = submit_application(
            session,
            form=form_of(1202, point_id=office.staff.points[0]),
            route=Route.WEB,
            actor=CITIZEN,
            policy=POLICY,
            now=office.clock(),
            random=office.desk.bench.random,
        )
        application = session.scalars(select(Application.id).where(Application.number == receipt.number)).one()
        moves = [(application, date(2026, 4, 1), date(2026, 4, 8))]
        messages.promise_moved(session, moves, occasion="plan:9", now=office.clock())
        session.commit()
    page = post(client, "/status", number=receipt.number, secret=receipt.secret).text
    assert "Теперь она будет готова к 08.04.2026" in page
    client.set_cookie("uec_language", "en")
    assert (
        "it will be ready by 08.04.2026" in post(client, "/status", number=receipt.number, secret=receipt.secret).text
    )
    client.delete_cookie("uec_language")


def test_two_web_processes_share_the_limit(client: FlaskClient, office: CardOffice, settings) -> None:  # type: ignore[no-untyped-def]
    from uec.web.app import create_app

    clients = [create_app(settings, clock=office.clock).test_client() for _ in range(2)]
    asked = {"number": "1", "secret": "x"}
    answers = [clients[turn % 2].post("/api/applications/status", json=asked).status_code for turn in range(62)]
    assert answers == [404] * 60 + [429] * 2
