"""The page on which quality looks at a line's cards: the list, a scanned number, a defect, what is refused."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import post
from tests.support.desk import CardOffice
from uec.domain.lifecycle import CardState
from uec.domain.numbers import make_card_number
from uec.domain.sampling import LookState, SamplingPlan
from uec.domain.stock import StoreKind
from uec.services import card_looks
from uec.settings import Settings
from uec.store.tables import CardLook, CardOperation, OperationPlace, Station, StockStore
from uec.web.app import create_app


@pytest.fixture(scope="module")
def drawn(office: CardOffice) -> tuple[int, list[int]]:
    """A batch of three that a line has made, of which two are drawn; its id and theirs."""
    made = office.make_cards(911, 912, 913)
    with office.sessions() as session:
        line = Station(name="Линия", readers=[])
        session.add(line)
        session.flush()
        session.add(StockStore(code="L", name="Склад линии", kind=StoreKind.LINE, station_id=line.id, enforced=False))
        for operation in session.scalars(select(CardOperation.id).where(CardOperation.card_id.in_(made))):
            session.merge(OperationPlace(operation_id=operation, station_id=line.id, reader="левый"))
        plan = SamplingPlan(limit=0.34)
        card_looks.draw_due(session, plan=plan, now=office.clock(), random=office.desk.bench.random)
        session.commit()
        chosen = list(session.scalars(select(CardLook.card_id).order_by(CardLook.card_id)))
    return office.card(made[0]).batch_id, chosen


@pytest.fixture
def enter(settings: Settings, office: CardOffice):  # type: ignore[no-untyped-def]
    def signed_in(login: str) -> FlaskClient:
        client = create_app(settings, clock=office.clock).test_client()
        assert post(client, "/sign-in", login=login, password=PASSWORD).status_code == 302
        return client

    return signed_in


def test_quality_looks_at_the_drawn_cards(enter, office: CardOffice, drawn: tuple[int, list[int]]) -> None:  # type: ignore[no-untyped-def]
    batch_id, (good, bad) = drawn
    quality, here = enter("quality"), f"/office/batches/{batch_id}/looks"
    assert here in quality.get("/office/quality").text
    assert "Осмотреть" in quality.get(here).text
    stranger = make_card_number("9643", 999_999)
    for number, seen, told in (
        ("12", "GOOD", "цифр неверна"),
        (stranger, "GOOD", "не отобрана"),
        (office.card(good).number, "", "Укажите, что вы видите"),
    ):
        answer = post(quality, here, number=number, seen=seen)
        assert answer.status_code == 400 and told in answer.text, answer.text
    answer = post(quality, here, number=office.card(good).number, seen="GOOD")
    assert answer.status_code == 302 and "Осталось осмотреть 1 карту" in quality.get(here).text
    answer = post(quality, here, number=office.card(bad).number, seen="PHOTO", note="чужое лицо")
    assert answer.status_code == 302
    page = quality.get(here).text
    assert "Фото: другой человек" in page and "чужое лицо" in page and "Осталось осмотреть 1 карту" in page
    assert office.card(bad).state is CardState.SPOILED
    with office.sessions() as session:
        (third,) = session.scalars(select(CardLook.card_id).where(CardLook.state == LookState.WANTED))
    window = enter("operator2").get(f"/window/cards/{third}/hand-over").text
    assert "ждут осмотра" in window and "pin1" not in window, "no holder chooses PINs in vain"
    post(quality, here, number=office.card(third).number, seen="GOOD")
    assert "можно выдавать" in quality.get(here).text
    assert "ждут осмотра" not in enter("operator2").get(f"/window/cards/{third}/hand-over").text
    assert "Карт для осмотра нет" in quality.get("/office/quality").text


def test_others_see_it_or_do_not(enter, drawn: tuple[int, list[int]]) -> None:  # type: ignore[no-untyped-def]
    here = f"/office/batches/{drawn[0]}/looks"
    assert enter("keeper").get(here).status_code == 200
    assert post(enter("keeper"), here, number="1", seen="GOOD").status_code == 403
    assert enter("operator").get(here).status_code == 403
    assert enter("quality").get("/office/batches/99999/looks").status_code == 404
