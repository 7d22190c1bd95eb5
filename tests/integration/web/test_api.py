"""The JSON API: applications, states, lists, tokens; errors as objects; its description."""

import re
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import Headers, SignIn, Token
from tests.support.desk import CardOffice
from tests.support.office import person


def application(number: int, office: CardOffice, **changes: Any) -> dict[str, Any]:
    """What a program sends for a person."""
    facts = {name: value.isoformat() if isinstance(value, date) else value for name, value in person(number).items()}
    return {**facts, "point_id": office.staff.points[0], **changes}


@pytest.fixture
def officer(token: Token) -> Headers:
    """The headers of a program that acts for the deciding officer."""
    return token("officer")


def test_the_opened_session_tells_what_its_person_may_do(client: FlaskClient) -> None:
    opened = client.post("/api/session", json={"login": "officer", "password": PASSWORD}).json
    assert opened["permissions"] == ["DECIDE_APPLICATION", "EXPORT_LISTS", "VIEW_BATCHES", "VIEW_PERSON"]


def test_application_and_its_status(client: FlaskClient, office: CardOffice) -> None:
    receipt = client.post("/api/applications", json=application(701, office))
    assert receipt.status_code == 201, receipt.text
    assert set(receipt.json) == {"number", "secret", "submitted_at", "due_on", "profile"}
    asked = {"number": receipt.json["number"], "secret": receipt.json["secret"]}
    status = client.post("/api/applications/status", json=asked)
    assert status.status_code == 200
    assert status.json["state"] == "SUBMITTED" and status.json["card_ready"] is False
    assert "surname" not in status.json and "snils" not in status.json
    wrong = client.post("/api/applications/status", json={**asked, "secret": "0000-0000-0000"})
    assert wrong.status_code == 404 and wrong.json["code"] == "uec.not_found"


def test_wrong_fields_are_named(client: FlaskClient, office: CardOffice) -> None:
    shape = client.post("/api/applications", json=application(702, office, sex="X", unknown=1))
    assert shape.status_code == 422
    assert set(shape.json["errors"]["json"]) == {"sex", "unknown"}
    rule = client.post("/api/applications", json=application(702, office, snils="112-233-445 96"))
    assert rule.status_code == 400
    assert rule.json["code"] == "uec.invalid_form" and rule.json["errors"] == {"snils": "form.snils"}
    assert client.post("/api/applications", data="no json").status_code in {400, 415, 422}


def test_the_same_person_does_not_apply_twice(client: FlaskClient, office: CardOffice) -> None:
    assert client.post("/api/applications", json=application(703, office)).status_code == 201
    again = client.post("/api/applications", json=application(703, office))
    assert again.status_code == 409 and again.json["code"] == "uec.already_served"
    assert "2026-" not in again.json["detail"], "a stranger learns no number"


def test_lists_need_a_token_and_page_on_the_server(client: FlaskClient, office: CardOffice, officer: Headers) -> None:
    for number in range(710, 714):
        client.post("/api/applications", json=application(number, office))
    page = client.get("/api/applications?limit=2&offset=1", headers=officer).json
    assert len(page["rows"]) == 2 and page["total"] >= 4 and page["offset"] == 1
    assert client.get("/api/applications").status_code == 401
    assert client.get("/api/applications?limit=1000", headers=officer).status_code == 422
    assert client.get("/api/applications?state=NONSENSE", headers=officer).status_code == 422


def test_cards_and_batches_with_their_states(client: FlaskClient, office: CardOffice, officer: Headers) -> None:
    (card_id,) = office.make_cards(720)
    number = office.card(card_id).number
    (found,) = client.get(f"/api/cards?query={number}", headers=officer).json["rows"]
    assert found["number"] == number and found["state"] == "PERSONALISED" and "full_name" not in found
    batches = client.get("/api/batches", headers=officer).json["rows"]
    batch = next(row for row in batches if row["cards"].get("PERSONALISED"))
    assert client.get(f"/api/batches/{batch['id']}", headers=officer).json["number"] == batch["number"]
    assert client.get("/api/batches/99999", headers=officer).status_code == 404


def test_reading_is_open_to_the_pages_sign_in_and_changing_is_not(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("officer")
    assert client.get("/api/batches").status_code == 200
    assert client.post("/api/batches").status_code == 405


@pytest.mark.parametrize("forged", ["", "x", "eyJzdGFmZiI6MX0.bad"])
def test_a_forged_token_opens_nothing(client: FlaskClient, office: CardOffice, forged: str) -> None:
    assert client.get("/api/batches", headers={"Authorization": f"Bearer {forged}"}).status_code == 401


def test_a_token_ends(client: FlaskClient, office: CardOffice, officer: Headers) -> None:
    assert client.get("/api/batches", headers=officer).status_code == 200
    office.clock.advance(minutes=31)
    assert client.get("/api/batches", headers=officer).status_code == 401


def test_a_role_without_the_permission_is_refused(client: FlaskClient) -> None:
    opened = client.post("/api/session", json={"login": "admin", "password": PASSWORD}).json
    answer = client.get("/api/batches", headers={"Authorization": f"Bearer {opened['token']}"})
    assert answer.status_code == 403 and answer.json["status"] == 403


def test_guessing_is_slowed_down(client: FlaskClient) -> None:
    statuses = [
        client.post("/api/applications/status", json={"number": "1", "secret": str(number)}).status_code
        for number in range(61)
    ]
    assert statuses[:60] == [404] * 60 and statuses[60] == 429


def test_the_description_names_every_route(client: FlaskClient) -> None:
    described = client.get("/api/openapi.json").json
    assert described["openapi"].startswith("3.1")
    routes = {
        (re.sub(r"<(?:int:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in client.application.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    found = {(path, method) for path, methods in described["paths"].items() for method in methods}
    assert routes == {(path, method) for path, method in found if method != "parameters"}
    assert described["paths"]["/api/batches"]["get"]["security"] == [{"token": []}]
    assert "security" not in described["paths"]["/api/points"]["get"]
    shapes = described["components"]["schemas"]
    assert "secret" in shapes["Receipt" if "Receipt" in shapes else "ReceiptOutput"]["properties"]


def test_what_is_published(client: FlaskClient, office: CardOffice) -> None:
    published = client.get("/api/published").json
    assert published["crl_url"] == "/pki/crl/issuing.crl"
    assert client.get(published["root_certificate_url"]).mimetype == "application/pkix-cert"
    points = client.get("/api/points").json
    assert len(points) == 2 and points[0]["name_en"] == "Centre on Respubliki Street"
