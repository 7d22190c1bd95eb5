"""The pages of printing: previews as pictures, the sheet as a PDF, the number of the plastic typed or scanned."""

import io

import pytest
from flask.testing import FlaskClient
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import update

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import post
from tests.support.desk import CardOffice
from uec.services import print_orders
from uec.settings import Settings
from uec.store.tables import Application, Card
from uec.web.app import create_app
from uec.web.wording import field_error

TOO_LONG = "Абвгдежзийклмнопрстуфхцчшщъыьэюяабвгдежзийклмнопрстуфхцчш"


@pytest.fixture(scope="module")
def batch(office: CardOffice) -> tuple[int, list[Card]]:
    """A released and prepared batch of two, and its cards."""
    ids = office.approve_applicants(901, 902)
    batch_id = office.plan()[-1]
    office.release(batch_id)
    with office.sessions() as session:
        cards = session.query(Card).filter(Card.application_id.in_(ids)).order_by(Card.number).all()
    return cards[0].batch_id, cards


@pytest.fixture
def enter(settings: Settings, office: CardOffice):  # type: ignore[no-untyped-def]
    def signed_in(login: str) -> FlaskClient:
        client = create_app(settings, clock=office.clock).test_client()
        assert post(client, "/sign-in", login=login, password=PASSWORD).status_code == 302
        return client

    return signed_in


def test_faces_are_pictures_for_those_who_see_the_person(enter, batch: tuple[int, list[Card]]) -> None:  # type: ignore[no-untyped-def]
    card = batch[1][0]
    officer = enter("officer")
    for address in (f"/office/cards/{card.id}", f"/office/applications/{card.application_id}"):
        assert f"{address}/face.png" in officer.get(address).text
        answer = officer.get(f"{address}/face.png")
        assert answer.mimetype == "image/png" and answer.cache_control.no_store
        with Image.open(io.BytesIO(answer.data)) as picture:
            assert picture.size == (1011, 638)
        assert enter("producer").get(f"{address}/face.png").status_code == 403
    for address in ("/office/cards/99999/face.png", "/office/applications/99999/face.png"):
        assert officer.get(address).status_code == 404


def test_a_batch_is_printed_and_compared_card_by_card(enter, office: CardOffice, batch: tuple[int, list[Card]]) -> None:  # type: ignore[no-untyped-def]
    batch_id, cards = batch
    producer, address = enter("producer"), f"/office/batches/{batch[0]}/printing"
    assert address in producer.get(f"/office/batches/{batch_id}").text
    sheet = post(producer, f"/office/batches/{batch_id}/sheet.pdf", of=address)
    assert sheet.mimetype == "application/pdf" and len(PdfReader(io.BytesIO(sheet.data)).pages) == 2
    assert producer.get(address).text.count("Напечатана, не сверена") == 2
    wrong = post(producer, address, number=cards[0].number[:-1] + str((int(cards[0].number[-1]) + 1) % 10))
    assert wrong.status_code == 400 and "одна из цифр неверна" in wrong.text
    foreign = post(producer, address, number="9643 6000 0099 9999")
    assert foreign.status_code == 400
    assert post(producer, address, number="").status_code == 400
    done = post(producer, address, number=cards[0].number)
    assert done.status_code == 302
    page = producer.get(address).text
    assert f"Пластик и чип совпадают: {cards[0].number}." in page and page.count("Совпадает с чипом") == 1
    given_up = post(producer, f"/office/cards/{cards[1].id}/print/spoil", of=address, reason="смазано")
    assert given_up.status_code == 302 and given_up.location.endswith(address)
    with office.sessions() as session:
        rows = print_orders.of_batch(session, batch_id, actor=office.staff.producer)
    assert [row.state for row in rows] == ["MATCHED", None]


def test_what_cannot_be_printed_is_said_by_number(enter, office: CardOffice, batch: tuple[int, list[Card]]) -> None:  # type: ignore[no-untyped-def]
    batch_id, cards = batch
    with office.sessions() as session:
        session.execute(update(Application).where(Application.id == cards[1].application_id).values(surname="Ш" * 60))
        session.commit()
    producer, address = enter("producer"), f"/office/batches/{batch_id}/printing"
    assert post(producer, f"/office/batches/{batch_id}/sheet.pdf", of=address).location.endswith(address)
    assert f"напечатать нельзя: {cards[1].number}" in producer.get(address).text
    assert enter("officer").get(f"/office/cards/{cards[1].id}/face.png").status_code == 404


def test_a_name_without_room_is_told_at_its_field_with_both_counts(client: FlaskClient) -> None:
    first = client.get("/apply", follow_redirects=True)
    assert first.status_code == 200
    with client.application.test_request_context():
        said = field_error("form.no_room:57:30")
        assert "57" in said and "30" in said and "согласуйте" in said


def test_the_api_refuses_a_name_without_room(client: FlaskClient, office: CardOffice) -> None:
    body = {
        "surname": TOO_LONG, "name": "Анна", "birth_date": "1980-02-01", "birth_place": "г. Тюмень", "sex": "F",
        "snils": "112-233-445 95", "doc_type": "passport", "doc_series": "7110", "doc_number": "000950",
        "doc_date": "2010-05-05", "doc_issuer": "УФМС", "address": "ул. Ленина, 1", "phone": "+79123456789",
        "point_id": office.staff.points[0],
    }  # fmt: skip
    answer = client.post("/api/applications", json=body)
    assert answer.status_code in {400, 422} and "surname" in answer.text and "no_room" in answer.text
