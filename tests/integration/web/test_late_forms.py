"""Forms that are pressed twice, sent too late, or mixed up between two windows: nothing is lost, nothing is doubled."""

import html
import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import SignIn, post, token_in
from tests.support.desk import CardOffice
from tests.support.office import person
from uec.store.tables import Application

HERE = {"Sec-Fetch-Site": "same-origin"}
STEPS = {
    "person": ("surname", "name", "patronymic", "birth_place", "sex"),
    "document": ("doc_type", "doc_series", "doc_number", "doc_issuer", "snils", "oms"),
    "contact": ("address", "phone", "email"),
    "choice": (),
}


def typed(number: int, step: str, office: CardOffice) -> dict[str, str]:
    """What an applicant types at a step."""
    facts = person(number)
    fields = {name: str(facts[name]) for name in STEPS[step]}
    for name in {"person": ("birth_date",), "document": ("doc_date",)}.get(step, ()):
        fields |= {f"{name}-{part}": str(getattr(facts[name], part)) for part in ("day", "month", "year")}
    return fields | ({"point_id": str(office.staff.points[0]), "bank": ""} if step == "choice" else {})


def hidden(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"{name} is not on the page"
    return html.unescape(found.group(1))


def send(client: FlaskClient, address: str, page: str, /, **fields: str) -> TestResponse:
    """Send the form of a page that was opened before, with its own hidden fields."""
    mark = re.search(r'name="mark" value="([^"]*)"', page)
    own = {"csrf_token": token_in(page)} | ({"mark": mark.group(1)} if mark else {})
    return client.post(address, data=own | fields)


def fill(client: FlaskClient, number: int, office: CardOffice) -> str:
    """Answer all steps; the last page, ready to be sent."""
    for step in STEPS:
        address = f"/apply/{step}"
        answer = send(client, address, client.get(address).text, **typed(number, step, office))
        assert answer.status_code == 302, answer.text
    return str(client.get("/apply/check").text)


def receipt_on(page: str) -> tuple[str, str]:
    """Number and secret shown on a page."""
    number = re.search(r'uec-receipt__number">([^<]+)<', page)
    secret = re.search(r'uec-receipt__secret">([^<]+)<', page)
    assert number and secret
    return number.group(1), secret.group(1)


def applications(office: CardOffice, number: int) -> int:
    """How many applications a person has."""
    with office.sessions() as session:
        return session.query(Application).filter_by(snils=person(number)["snils"]).count()


def test_the_button_pressed_twice_sends_one_application_and_keeps_its_receipt(
    client: FlaskClient, office: CardOffice
) -> None:
    last = fill(client, 801, office)
    draft = client.get_cookie("uec_draft", path="/apply")
    assert draft is not None
    first = send(client, "/apply/check", last, consent="y")
    assert first.status_code == 302 and first.location == "/apply/receipt"
    shown = receipt_on(client.get("/apply/receipt").text)
    client.set_cookie("uec_draft", draft.value, path="/apply")  # the second press left before the first answer came
    second = send(client, "/apply/check", last, consent="y")
    assert second.status_code == 302
    assert receipt_on(client.get("/apply/receipt").text) == shown
    assert applications(office, 801) == 1
    status = post(client, "/status", number=shown[0], secret=shown[1])
    assert status.status_code == 200 and "Ваше заявление у нас" in status.text


def test_receipt_survives_a_reload_and_going_back_until_finished(client: FlaskClient, office: CardOffice) -> None:
    send(client, "/apply/check", fill(client, 802, office), consent="y")
    page = client.get("/apply/receipt").text
    assert receipt_on(page) == receipt_on(client.get("/apply/receipt").text)
    assert client.get("/apply/check").location == "/apply/receipt"
    cookie = client.get_cookie("uec_receipt", path="/apply")
    assert cookie is not None and receipt_on(page)[1] not in cookie.value
    assert post(client, "/apply/finish", of="/apply/receipt").location == "/"
    assert client.get("/apply/receipt").location == "/status"


def test_a_receipt_does_not_stay_for_the_next_visitor(client: FlaskClient, office: CardOffice) -> None:
    send(client, "/apply/check", fill(client, 803, office), consent="y")
    office.clock.advance(minutes=31)
    assert client.get("/apply/receipt").location == "/status"


def test_another_draft_of_the_same_person_gets_no_receipt(client: FlaskClient, office: CardOffice) -> None:
    send(client, "/apply/check", fill(client, 804, office), consent="y")
    post(client, "/apply/finish", of="/apply/receipt")
    refused = send(client, "/apply/check", fill(client, 804, office), consent="y")
    assert refused.status_code == 409 and "2026-" not in refused.text.split("<main")[1]
    assert applications(office, 804) == 1


def test_two_windows_do_not_mix_two_people(client: FlaskClient, office: CardOffice) -> None:
    send(client, "/apply/person", client.get("/apply/person").text, **typed(805, "person", office))
    first_window = client.get("/apply/document").text
    send(client, "/apply/person", client.get("/apply/person").text, **typed(806, "person", office))
    mixed = send(client, "/apply/document", first_window, **typed(805, "document", office))
    assert mixed.status_code == 409 and "Ответы изменились" in mixed.text
    last = fill(client, 806, office)
    send(client, "/apply/contact", client.get("/apply/contact").text, address="г. Другой", phone="+79123456780")
    unseen = send(client, "/apply/check", last, consent="y")
    assert unseen.status_code == 409, "what is sent is what was shown"
    assert applications(office, 806) == 0


def test_a_window_form_sent_twice_gives_the_same_receipt(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("operator")
    page = client.get("/window/application").text
    fields = {name: text for step in STEPS for name, text in typed(807, step, office).items()}
    fields |= {"papers_seen": "y", "form_name": hidden(page, "form_name")}
    first = send(client, "/window/application", page, **fields)
    second = send(client, "/window/application", page, **fields)
    assert receipt_on(first.text) == receipt_on(second.text)
    assert applications(office, 807) == 1
    other = send(client, "/window/application", page, **{**fields, "form_name": "another"})
    assert other.status_code == 409, "another form is another application"


def test_an_operator_whose_sign_in_ended_loses_nothing(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("operator")
    page = client.get("/window/application").text
    fields = {name: text for step in STEPS for name, text in typed(808, step, office).items()}
    fields |= {"papers_seen": "y", "form_name": hidden(page, "form_name"), "csrf_token": token_in(page)}
    office.clock.advance(minutes=45)
    asked = client.post("/window/application", data=fields, headers=HERE)
    assert asked.status_code == 401 and "введённое сохранено" in asked.text
    assert person(808)["snils"] not in asked.text, "sealed, so that nobody reads it on a screen left alone"
    kept = {"csrf_token": token_in(asked.text), "kept": hidden(asked.text, "kept")}
    wrong = client.post("/sign-in", data={**kept, "login": "operator", "password": "falsch"})
    assert hidden(wrong.text, "kept") == kept["kept"]
    back = client.post("/sign-in", data={**kept, "login": "operator", "password": PASSWORD})
    assert back.status_code == 200 and "Ничего не пропало" in back.text
    names = re.findall(r'<input type="hidden" name="([^"]+)"', back.text.split("<main")[1])
    assert "papers_seen" not in names and "surname" in names
    again = {name: hidden(back.text.split("<main")[1], name) for name in names}
    form = client.post("/window/application", data=again)
    assert form.status_code == 400 and f'value="{person(808)["address"]}"' in form.text
    done = client.post("/window/application", data={**again, "papers_seen": "y"})
    assert done.status_code == 200 and receipt_on(done.text)


def test_a_colleague_does_not_get_what_was_typed(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("operator")
    token = token_in(client.get("/window/refusal").text)
    office.clock.advance(minutes=45)
    asked = client.post("/window/refusal", data={"csrf_token": token, "snils": "112-233-445 95"}, headers=HERE)
    kept = {"csrf_token": token_in(asked.text), "kept": hidden(asked.text, "kept")}
    answer = client.post("/sign-in", data={**kept, "login": "operator2", "password": PASSWORD})
    assert answer.status_code == 302 and answer.location == "/office/"


def test_pins_are_never_kept(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("operator2")
    token = token_in(client.get("/window/refusal").text)
    fields = {"csrf_token": token, "pin1": "2846", "pin1_again": "2846", "pin2": "193752", "reader": "1:x"}
    client.get("/")
    late = client.post("/window/cards/1/hand-over", data={**fields, "csrf_token": "old"}, headers=HERE)
    assert late.status_code == 400 and "2846" not in late.text and "193752" not in late.text
    assert 'name="reader"' in late.text


def test_a_form_whose_token_is_old_comes_back_with_its_answers(client: FlaskClient, office: CardOffice) -> None:
    client.get("/apply/person")
    fields = typed(809, "person", office)
    late = client.post("/apply/person", data={**fields, "csrf_token": "old"}, headers=HERE)
    assert late.status_code == 400 and f'value="{fields["surname"]}"' in late.text
    again = client.post("/apply/person", data={**fields, "csrf_token": token_in(late.text)})
    assert again.status_code == 302 and again.location == "/apply/document"


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_a_foreign_site_gains_no_button(client: FlaskClient, sign_in: SignIn, headers: dict[str, str]) -> None:
    sign_in("security")
    answer = client.post("/office/stations", data={"name": "Чужая"}, headers=headers)
    assert answer.status_code == 400 and "Чужая" not in answer.text and "Отправить ещё раз" not in answer.text


def test_an_adult_is_not_asked_for_a_parent_and_a_child_is(client: FlaskClient, office: CardOffice) -> None:
    send(client, "/apply/person", client.get("/apply/person").text, **typed(810, "person", office))
    assert "representative_name" not in client.get("/apply/document").text
    child = typed(810, "person", office) | {"birth_date-year": "2019"}
    send(client, "/apply/person", client.get("/apply/person").text, **child)
    page = client.get("/apply/document").text
    assert "representative_name" in page and re.search(r'value="birth_certificate"\s+checked', page)


def test_after_one_receipt_another_person_may_apply(client: FlaskClient, office: CardOffice) -> None:
    send(client, "/apply/check", fill(client, 811, office), consent="y")
    first = receipt_on(client.get("/apply/receipt").text)
    assert client.get("/apply/document").location == "/apply/receipt", "the way back leads to the receipt"
    send(client, "/apply/check", fill(client, 812, office), consent="y")
    assert receipt_on(client.get("/apply/receipt").text) != first
    assert applications(office, 811) == applications(office, 812) == 1
