"""What strangers and colleagues type is shown as text everywhere it comes up later, and nothing tells who exists."""

import re
from collections.abc import Iterator
from datetime import date

import pytest
from flask.testing import FlaskClient

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import post, token_in
from tests.support.desk import CardOffice
from tests.support.office import person
from uec.services import intake
from uec.settings import Settings
from uec.store.tables import Application
from uec.web.app import create_app

SCRIPT = "<script>alert(1)</script>"
BREAKOUT = "\"'><img src=x onerror=alert(1)>"


def entered(settings: Settings, office: CardOffice, login: str) -> FlaskClient:
    """Somebody signed in, with a client of their own."""
    client = create_app(settings, clock=office.clock).test_client()
    assert post(client, "/sign-in", login=login, password=PASSWORD).status_code == 302
    return client


def harmless(page: str) -> bool:
    """Whether nothing typed became markup."""
    return SCRIPT not in page and "<img src=x" not in page


@pytest.fixture
def hostile(client: FlaskClient, office: CardOffice) -> Iterator[tuple[int, str, str]]:
    """An application with markup in every field that takes free text: id, number, secret."""
    facts = {name: value.isoformat() if isinstance(value, date) else value for name, value in person(950).items()}
    facts |= dict.fromkeys(("birth_place", "doc_issuer", "address"), SCRIPT + BREAKOUT)
    facts |= {"point_id": office.staff.points[0], "representative_name": SCRIPT, "bank": BREAKOUT}
    answer = client.post("/api/applications", json=facts)
    if answer.status_code == 400 and "bank" in answer.json["errors"]:
        answer = client.post("/api/applications", json={**facts, "bank": ""})
    assert answer.status_code == 201, answer.text
    with office.sessions() as session:
        application = session.query(Application).filter_by(number=answer.json["number"]).one()
        row = application.id
    yield row, answer.json["number"], answer.json["secret"]
    with office.sessions() as session:
        session.get_one(Application, row).snils = "0" * 11  # makes room for the next test's application
        session.commit()


def test_an_applicants_markup_is_text_on_every_page(
    settings: Settings, office: CardOffice, hostile: tuple[int, str, str]
) -> None:
    row, number, _secret = hostile
    officer = entered(settings, office, "officer")
    shown = officer.get(f"/office/applications/{row}").text
    assert harmless(shown) and "&lt;script&gt;" in shown
    for address in ("/office/", "/office/applications", f"/office/applications?query={number}", "/office/cards"):
        assert harmless(officer.get(address).text)
    auditor = entered(settings, office, "auditor")
    assert harmless(auditor.get(f"/office/audit?kind=application&subject={row}").text)


def test_an_officers_markup_is_text_for_the_applicant(
    settings: Settings, office: CardOffice, hostile: tuple[int, str, str]
) -> None:
    row, number, secret = hostile
    with office.sessions() as session:
        application = session.get_one(Application, row)
        for state in ("CHECKING", "CHECKED"):
            application.state = type(application.state)(state)
            session.flush()
        session.commit()
    officer = entered(settings, office, "officer")
    page = f"/office/applications/{row}"
    sent = {"csrf_token": token_in(officer.get(page).text), "reason": SCRIPT + BREAKOUT, "decision": "reject"}
    assert officer.post(page, data=sent).status_code == 302
    visitor = create_app(settings, clock=office.clock).test_client()
    status = post(visitor, "/status", number=number, secret=secret)
    assert status.status_code == 200 and harmless(status.text) and "&lt;script&gt;" in status.text


def test_markup_in_names_of_staff_and_stations_is_text(settings: Settings, office: CardOffice) -> None:
    admin = entered(settings, office, "admin")
    fields = {"login": "marked", "display_name": SCRIPT, "password": PASSWORD, "point_id": "", "roles": "SECURITY"}
    assert post(admin, "/office/staff", **fields).status_code == 302
    assert harmless(admin.get("/office/staff").text)
    marked = entered(settings, office, "marked")
    home = marked.get("/office/").text
    assert harmless(home) and "&lt;script&gt;" in home
    named = post(marked, "/office/stations", name=BREAKOUT, point_id="")
    assert named.status_code == 200 and harmless(named.text)


def test_wrong_number_and_wrong_secret_read_alike_and_cost_alike(
    client: FlaskClient, hostile: tuple[int, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _row, number, _secret = hostile
    hashed: list[str] = []
    real = intake.matches

    def counted(known: str, secret: str, stored: str) -> bool:
        hashed.append(secret)
        return real(known, secret, stored)

    monkeypatch.setattr(intake, "matches", counted)
    answers = [
        post(client, "/status", number=asked, secret="AAAA-AAAA-AAAA").text for asked in (number, "2026-9999999")
    ]
    bare = {re.sub(r'value="[^"]*"', "", answer) for answer in answers}
    assert len(bare) == 1 and len(hashed) == 2, "the slow hash is computed for a number nobody has, too"
