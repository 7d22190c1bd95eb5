"""The code that unblocks a card on the pages: the letter once, in both languages, and a PIN set anew at a window."""

import io
import re
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import select

from card_io.applets.uec.layout import PinRef
from card_io.applets.uec.session import UecSession
from card_io.secret import Secret
from card_io.virtual.connection import InProcessConnection
from issuance.production.pin_profile import Keeping
from issuance.production.sealing import open_pins
from tests.integration.web.conftest import SignIn, post
from tests.support.desk import PINS, CardOffice
from uec.domain.lifecycle import OperationKind, OperationState
from uec.services import unblock_letters
from uec.settings import Settings
from uec.store.tables import Card, CardOperation, JournalEntry, Station, UnblockLetter

CHOSEN = {"pin1": "2846", "pin1_again": "2846", "pin2": "193752", "pin2_again": "193752"}
NEW = {"new": "730264", "new_again": "730264"}


@pytest.fixture
def reader(office: CardOffice) -> str:
    """The reader with a card at the window, as forms name it."""
    with office.sessions() as session:
        return f"{session.scalars(select(Station.id).order_by(Station.id)).first()}:Generic Reader 00"


def handed(client: FlaskClient, office: CardOffice, reader: str, person: int) -> tuple[int, str]:
    """A card handed over on the page; its id, and the address of its operation."""
    (card_id,) = office.make_cards(person)
    sent = post(client, f"/window/cards/{card_id}/hand-over", reader=reader, holder_checked="y", **CHOSEN)
    assert sent.status_code == 302, sent.text
    (done,) = office.work()
    assert done.state is OperationState.DONE, done.error_text
    return card_id, sent.location


def text_of(sheet: bytes) -> str:
    pages = PdfReader(io.BytesIO(sheet)).pages
    assert len(pages) == 1
    return " ".join(pages[0].extract_text().split())


def digits_on(sheet: bytes) -> str:
    """The code in groups of four on a line of its own."""
    found = re.search(r"\b(\d{4})\s(\d{4})\b", text_of(sheet))
    assert found is not None
    return found.group(1) + found.group(2)


def test_the_letter_is_printed_once_from_the_page_of_the_hand_over(
    sign_in: SignIn, office: CardOffice, reader: str
) -> None:
    operator = sign_in("operator2")
    card_id, page = handed(operator, office, reader, 1301)
    shown = operator.get(page).text
    assert "Напечатать письмо" in shown and f"/window/cards/{card_id}/letter" in shown
    printed = post(operator, f"/window/cards/{card_id}/letter", of=page)
    assert (printed.status_code, printed.mimetype) == (200, "application/pdf")
    assert printed.headers["Cache-Control"] == "no-store"
    number, text, code = office.card(card_id).number, text_of(printed.data), digits_on(printed.data)
    assert "Код разблокировки вашей карты" in text and "Храните это письмо дома" in text and "(10 раз)" in text
    assert number[-4:] in text and number not in text.replace(" ", "").replace("\xa0", "")
    told = PdfReader(io.BytesIO(printed.data)).metadata
    assert told is not None and code[:4] not in str(dict(told)), "nothing of it in what the file is called"
    assert code not in printed.headers.get("Content-Disposition", "")

    again = post(operator, f"/window/cards/{card_id}/letter", of=page)
    assert again.status_code == 409 and "Второго письма не бывает" in again.text
    after = operator.get(page).text
    assert "Напечатать письмо" not in after and "Письмо для держателя напечатано" in after
    assert "Письмо напечатано" in operator.get(f"/office/cards/{card_id}").text
    session = session_with(office, card_id)
    session.unblock_pin(PinRef.PIN1, Secret(code.encode()), Secret(b"730264"))


def session_with(office: CardOffice, card_id: int) -> UecSession:
    office.chips[card_id].power_on()
    session = UecSession(InProcessConnection(office.chips[card_id]))
    session.select()
    return session


def test_a_letter_that_was_left_is_printed_from_the_cards_page_in_english(
    sign_in: SignIn, office: CardOffice, reader: str
) -> None:
    operator = sign_in("operator2")
    card_id, page = handed(operator, office, reader, 1302)
    operator.get("/language/en?next=/window/")
    shown = operator.get(f"/office/cards/{card_id}").text
    assert "The letter for the holder is not printed yet." in shown
    text = text_of(post(operator, f"/window/cards/{card_id}/letter", of=page).data)
    assert "The code that unblocks your card" in text and "After 10 wrong codes in a row" in text
    assert "not printed yet" not in operator.get(f"/office/cards/{card_id}").text


def test_a_share_is_called_a_share(sign_in: SignIn, office: CardOffice, reader: str) -> None:
    usual, profile = office.desk, office.desk.bench.profile
    pins = tuple(replace(pin, after_hand_over=Keeping.SPLIT) if pin.name == "krp" else pin for pin in profile.pins)
    office.desk = replace(usual, bench=replace(usual.bench, profile=replace(profile, pins=pins)))
    try:
        operator = sign_in("operator2")
        card_id, page = handed(operator, office, reader, 1303)
        sheet = post(operator, f"/window/cards/{card_id}/letter", of=page).data
        assert "Ваша часть кода разблокировки" in text_of(sheet) and "одна половина кода" in text_of(sheet)
        form = operator.get(f"/window/cards/{card_id}/unblock").text
        assert "Часть кода из письма" in form and "офис добавляет свою" in form
        fields = {"reader": reader, "holder_checked": "y", "pin": "pin1", "code": digits_on(sheet)} | NEW
        assert post(operator, f"/window/cards/{card_id}/unblock", **fields).status_code == 302
        (done,) = office.work()
        assert done.state is OperationState.DONE, done.error_text
        session_with(office, card_id).verify_pin(PinRef.PIN1, Secret(b"730264"))
    finally:
        office.desk = usual


def test_a_pin_is_set_anew_at_the_window(sign_in: SignIn, office: CardOffice, reader: str) -> None:
    operator = sign_in("operator2")
    card_id, page = handed(operator, office, reader, 1304)
    code = digits_on(post(operator, f"/window/cards/{card_id}/letter", of=page).data)
    address = f"/window/cards/{card_id}/unblock"
    assert address in operator.get(f"/office/cards/{card_id}").text
    assert address in operator.get(f"/window/?query={office.card(card_id).number}").text
    form = operator.get(address).text
    assert "ПИН1: для идентификации" in form and "ПИН2: для подписи" in form and "Код из письма" in form
    fields = {"reader": reader, "holder_checked": "y", "pin": "pin2", "code": f"{code[:4]} {code[4:]}"} | NEW
    sent, number = post(operator, address, **fields), office.card(card_id).number
    assert sent.status_code == 302
    with office.sessions() as session:
        asked = session.query(CardOperation).filter_by(card_id=card_id, kind=OperationKind.UNBLOCK).one()
        sealed = open_pins(office.desk.sealing_key, asked.sealed_pins or b"", card_number=number)
        assert {name: pin.reveal() for name, pin in sealed.items()} == {"pin2": b"730264", "krp": code.encode()}
    waiting = operator.get(sent.location).text
    assert "Задание нового ПИН" in waiting and "Отменить работу" in waiting
    (done,) = office.work()
    assert done.state is OperationState.DONE
    assert "На карте теперь ПИН, который выбрал держатель" in operator.get(sent.location).text
    session = session_with(office, card_id)
    session.verify_pin(PinRef.PIN2, Secret(b"730264"))
    session.verify_pin(PinRef.PIN1, PINS["pin1"])
    journal = operator.get(f"/office/cards/{card_id}").text
    assert "ПИН задан заново" in journal and code not in journal and "730264" not in journal


def test_a_wrong_code_is_told_with_its_tries_in_the_clerks_language(
    sign_in: SignIn, office: CardOffice, reader: str
) -> None:
    operator = sign_in("operator2")
    card_id, page = handed(operator, office, reader, 1305)
    code = digits_on(post(operator, f"/window/cards/{card_id}/letter", of=page).data)
    wrong = str((int(code[0]) + 1) % 10) + code[1:]
    fields = {"reader": reader, "holder_checked": "y", "pin": "pin1", "code": wrong} | NEW
    for left in range(9, -1, -1):
        sent = post(operator, f"/window/cards/{card_id}/unblock", **fields)
        office.work()
        told = operator.get(sent.location).text
        if left:
            assert f"осталось попыток: {left}." in told and f"/window/cards/{card_id}/unblock" in told
    assert "сам заблокирован" in told and "примите заявление на другую карту" in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"holder_checked": ""}, "Сверьте человека с документом"),
        ({"pin": ""}, "Выберите ПИН"),
        ({"pin": "krp"}, "ПИН"),
        ({"code": "1234567"}, "Наберите цифры из письма: их 8"),
        ({"code": "1234567x"}, "Наберите цифры из письма: их 8"),
        ({"code": ""}, "Наберите цифры из письма: их 8"),
        ({"new": "11111", "new_again": "11111"}, "легко угадать"),
        ({"new": "12"}, "столько цифр"),
        ({"new_again": "730265"}, "наберите оба ещё раз|ещё раз оба|оба"),
        ({"reader": ""}, "считыватель"),
    ],
)
def test_what_is_typed_wrongly_is_told_before_anything_is_stored(
    sign_in: SignIn, office: CardOffice, reader: str, changes: dict[str, str], words: str
) -> None:
    card_id = serving(office)
    operator = sign_in("operator2")
    right = {"reader": reader, "holder_checked": "y", "pin": "pin1", "code": "40718265"} | NEW
    refused = post(operator, f"/window/cards/{card_id}/unblock", **{**right, **changes})
    assert refused.status_code == 400 and re.search(words, refused.text)
    for typed in ("730264", "40718265"):
        assert typed not in refused.text
    with office.sessions() as session:
        assert session.query(CardOperation).filter_by(card_id=card_id, kind=OperationKind.UNBLOCK).count() == 0


def serving(office: CardOffice) -> int:
    """One active card for tests that leave it as it is."""
    with office.sessions() as session:
        found = session.scalar(select(Card.id).join(UnblockLetter).where(Card.printed_name.contains("SERVING")))
    if found is None:
        (found,) = office.make_cards(1310)
        office.hand_over(found)
        with office.sessions() as session:
            session.get_one(Card, found).printed_name = "SERVING"
            session.commit()
    return found


def test_a_card_that_does_not_serve_is_not_unblocked(sign_in: SignIn, office: CardOffice, reader: str) -> None:
    (card_id,) = office.make_cards(1311)
    operator = sign_in("operator2")
    shown = operator.get(f"/window/cards/{card_id}/unblock").text
    assert "только на действующих картах" in shown and 'name="new"' not in shown
    assert f"/window/cards/{card_id}/unblock" not in operator.get(f"/office/cards/{card_id}").text
    assert post(operator, f"/window/cards/{card_id}/letter", of=f"/office/cards/{card_id}").status_code == 404


def test_a_card_without_a_letter_asks_its_holder_for_no_code(sign_in: SignIn, office: CardOffice, reader: str) -> None:
    operator = sign_in("operator2")
    card_id, _page = handed(operator, office, reader, 1312)
    with office.sessions() as session:
        last = session.query(JournalEntry).filter_by(card_id=card_id).order_by(JournalEntry.seq.desc()).first()
        assert last is not None
        facts = {"pins": ["pin1", "pin2"]}
        session.add(JournalEntry(card_id=card_id, seq=last.seq + 1, kind="pin_changed", facts=facts, at=last.at))
        session.commit()
    form = operator.get(f"/window/cards/{card_id}/unblock").text
    assert "выдана без письма" in form and 'name="code"' not in form
    sent = post(operator, f"/window/cards/{card_id}/unblock", reader=reader, holder_checked="y", pin="pin1", **NEW)
    assert sent.status_code == 302
    office.work()


@pytest.mark.parametrize("login", ["officer", "producer", "security", "auditor"])
def test_only_who_hands_cards_over_unblocks_them_and_prints_letters(
    sign_in: SignIn, office: CardOffice, login: str
) -> None:
    card_id = serving(office)
    member = sign_in(login)
    assert member.get(f"/window/cards/{card_id}/unblock").status_code == 403
    shown = member.get(f"/office/cards/{card_id}")
    assert f"/window/cards/{card_id}/letter" not in shown.text
    with office.sessions() as session:
        assert unblock_letters.state_of(session, card_id).waits


def test_a_letter_under_another_key_says_whom_to_call(
    sign_in: SignIn, office: CardOffice, reader: str, settings: Settings
) -> None:
    operator = sign_in("operator2")
    card_id, page = handed(operator, office, reader, 1313)
    with office.sessions() as session:
        session.get_one(UnblockLetter, card_id).sealed = bytes(40)
        session.commit()
    refused = post(operator, f"/window/cards/{card_id}/letter", of=page)
    assert refused.status_code == 409 and "администратор" in refused.text
    assert settings.secret_key_file.exists()
