"""What a window asks of a card beside its hand-over: one PIN where there is one, newer keys, the end of its chip."""

import pytest
from sqlalchemy import update

from tests.integration.web.conftest import SignIn, token_in
from tests.support.desk import CardOffice
from uec.domain.lifecycle import OperationKind, OperationState
from uec.services import cards, operations
from uec.store.tables import Card, CardOperation, Staff, Station


@pytest.fixture
def window(office: CardOffice) -> str:
    """A station on line with a card in its reader, as the form names it."""
    with office.sessions() as session:
        station = session.query(Station).filter_by(name="Окно 7").one_or_none() or Station(name="Окно 7")
        station.readers, station.last_seen_at = [{"name": "левый", "card": True}], office.clock()
        station.point_id = session.query(Staff.point_id).filter_by(login="operator2").scalar()
        session.add(station)
        session.commit()
        return f"{station.id}:левый"


def returned(office: CardOffice, person: int) -> int:
    (card_id,) = office.make_cards(person)
    office.hand_over(card_id)
    with office.sessions() as session:
        cards.annul(session, card_id, actor=office.staff.security, reason="вернул", now=office.clock())
    return card_id


@pytest.mark.parametrize(("what", "kind"), [("keys", OperationKind.REKEY), ("end", OperationKind.TERMINATE)])
def test_work_on_a_card_is_asked_for_at_its_reader(
    sign_in: SignIn, office: CardOffice, window: str, what: str, kind: OperationKind
) -> None:
    if what == "end":
        card_id = returned(office, 1204)
    else:
        (card_id,) = office.make_cards(1201)
        office.hand_over(card_id)
    operator = sign_in("operator2")
    shown = operator.get(f"/office/cards/{card_id}").text
    assert f"/window/cards/{card_id}/work/{what}" in shown
    page = f"/window/cards/{card_id}/work/{what}"
    form = operator.get(page).text
    assert "Окно 7" in form and "с картой" in form
    sent = operator.post(page, data={"csrf_token": token_in(form), "reader": window})
    assert sent.status_code == 302
    with office.sessions() as session:
        asked = session.query(CardOperation).filter_by(kind=kind).one()
        assert (asked.card_id, asked.reader, asked.state) == (card_id, "левый", OperationState.REQUESTED)
        view = operations.operation(session, asked.id)
    assert operator.get(f"/window/operations/{view.id}").status_code == 200


def test_a_card_that_serves_is_not_made_mute(sign_in: SignIn, office: CardOffice, window: str) -> None:
    (card_id,) = office.make_cards(1202)
    office.hand_over(card_id)
    operator = sign_in("operator2")
    assert f"/window/cards/{card_id}/work/end" not in operator.get(f"/office/cards/{card_id}").text
    page = f"/window/cards/{card_id}/work/end"
    sent = operator.post(page, data={"csrf_token": token_in(operator.get(page).text), "reader": window})
    assert sent.status_code == 409
    assert operator.get(f"/window/cards/{card_id}/work/nothing").status_code == 404


def test_a_card_with_one_pin_asks_its_holder_for_one(sign_in: SignIn, office: CardOffice, window: str) -> None:
    (card_id,) = office.make_cards(1203)
    operator = sign_in("operator2")
    page = f"/window/cards/{card_id}/hand-over"
    both = operator.get(page).text
    assert 'name="pin1_again"' in both and 'name="pin2"' in both and "выбирает ПИН-коды" in both
    assert "От 4 до 8 цифр" in both
    with office.sessions() as session:
        session.execute(update(Card).where(Card.id == card_id).values(profile="piv"))
        session.commit()
    one = operator.get(page).text
    assert 'name="pin1_again"' in one and "pin2" not in one and "Держатель выбирает ПИН<" in one
    wrong = {"csrf_token": token_in(one), "reader": window, "holder_checked": "y", "pin1": "2846", "pin1_again": "2847"}
    refused = operator.post(page, data=wrong)
    assert refused.status_code == 400 and "2846" not in refused.text
    # Its profile wants six digits: four that its hub would refuse are not taken here.
    assert "От 6 до 8 цифр" in one and "От 4" not in one
    short = operator.post(page, data=wrong | {"pin1_again": "2846"})
    assert short.status_code == 400 and "столько цифр" in short.text
    taken = operator.post(page, data=wrong | {"pin1": "284613", "pin1_again": "284613"})
    assert taken.status_code == 302


def test_the_live_page_of_a_pulled_card_asks_for_it_and_not_to_leave_it(sign_in: SignIn, office: CardOffice) -> None:
    (card_id,) = office.make_cards(1205)
    asked = office.request(OperationKind.INSPECT, card_id)
    producer = sign_in("producer")
    part = f"/window/operations/{asked}/part"
    leave, put_back = "Не вынимайте карту", "верните ту же карту в течение полуминуты"
    for label, told, untold in (("inspect", leave, put_back), ("put_card_back", put_back, leave)):
        with office.sessions() as session:
            operations.claim_operation(session, now=office.clock(), operation_id=asked)
            operations.show_progress(session, asked, {"step": 0, "of": 0, "label": label})
            session.commit()
        shown = producer.get(part).text
        assert told in shown and untold not in shown, label
