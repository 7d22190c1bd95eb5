"""Signing in and out: lock-out, limits of attempts, sessions that end, tokens of forms."""

import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import SignIn, post, token_in
from tests.support.desk import CardOffice
from uec.services import staff
from uec.settings import Settings
from uec.web.app import create_app
from uec.web.polling import LAST_ANSWER


def test_good_password_opens_the_office_and_sign_out_closes_it(sign_in: SignIn) -> None:
    client = sign_in("officer")
    assert client.get("/office/").status_code == 200
    assert post(client, "/sign-out", of="/office/").status_code == 302
    assert client.get("/office/").status_code == 302


def test_wrong_password_says_nothing_about_the_login(client: FlaskClient) -> None:
    known = post(client, "/sign-in", login="planner", password="falsch")
    unknown = post(client, "/sign-in", login="nobody", password="falsch")
    assert known.status_code == unknown.status_code == 401
    text = "Логин и пароль не подходят"
    assert text in known.text and text in unknown.text


def test_five_wrong_passwords_lock_the_account(client: FlaskClient) -> None:
    for _number in range(5):
        post(client, "/sign-in", login="auditor", password="falsch")
    answer = post(client, "/sign-in", login="auditor", password=PASSWORD)
    assert answer.status_code == 401
    # The right password of a locked account and a wrong one of nobody's read alike, for programs too.
    unknown = post(client, "/sign-in", login="nobody.at.all", password=PASSWORD)
    texts = {re.sub(r'value="[^"]*"', "", page.text) for page in (answer, unknown)}
    assert len(texts) == 1 and "вход закрывается на 15 минут" in texts.pop()
    for login in ("auditor", "nobody.at.all"):
        refused = client.post("/api/session", json={"login": login, "password": PASSWORD})
        assert refused.status_code == 401 and refused.json["code"] == "uec.sign_in_refused"


def test_too_many_attempts_from_one_address_are_stopped(client: FlaskClient) -> None:
    answers = [post(client, "/sign-in", login=f"guess{number}", password="x").status_code for number in range(21)]
    assert answers[:20] == [401] * 20 and answers[20] == 429
    last = post(client, "/sign-in", login="guess", password="x")
    assert int(last.headers["Retry-After"]) > 0 and "Слишком много попыток" in last.text


def test_a_form_without_its_token_is_refused(client: FlaskClient) -> None:
    answer = client.post("/sign-in", data={"login": "officer", "password": PASSWORD})
    assert answer.status_code == 400 and "слишком долго" in answer.text


def test_nobody_is_sent_to_another_site(client: FlaskClient) -> None:
    for target in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
        answer = post(client, "/sign-in", of="/sign-in", login="officer", password=PASSWORD, next=target)
        assert answer.location == "/office/"
        post(client, "/sign-out", of="/office/")
    assert (
        post(client, "/sign-in", login="officer", password=PASSWORD, next="/office/cards").location == "/office/cards"
    )


def test_a_session_ends_when_nobody_uses_it(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("security")
    office.clock.advance(minutes=29)
    assert client.get("/office/").status_code == 200
    office.clock.advance(minutes=31)
    assert client.get("/office/").status_code == 302


def test_a_page_that_follows_by_itself_does_not_keep_the_session(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("security")
    for _number in range(4):
        office.clock.advance(minutes=10)
        last = client.get("/office/", headers={"HX-Request": "true"}).status_code
    assert last == LAST_ANSWER


@pytest.mark.parametrize(
    ("shown", "back"),
    [
        ("http://localhost/office/jobs/plan?before=1", "/office/jobs/plan?before=1"),
        ("http://evil.example//evil.example/", "/office/"),
        ("", "/office/"),
    ],
)
def test_a_part_that_asks_for_itself_says_that_nobody_is_signed_in(client: FlaskClient, shown: str, back: str) -> None:
    """It says so above what it showed, leads to the sign-in and back, and asks no more."""
    for address in ("/window/operations/1/part", "/office/cohorts", "/office/jobs/plan", "/office/batches/1/part"):
        answer = client.get(address, headers={"HX-Request": "true", "HX-Current-URL": shown})
        assert answer.status_code == LAST_ANSWER, address
        assert (answer.headers["HX-Reswap"], answer.headers["HX-Reselect"]) == ("beforebegin", "#signed-out")
        assert 'id="signed-out"' in answer.text and "<html" not in answer.text
        (link,) = re.findall(r'href="(/sign-in[^"]*)"', answer.text)
        assert parse_qs(urlsplit(link).query) == {"next": [back]}


def test_an_account_that_was_closed_is_out_at_once(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("producer")
    with office.sessions() as session:
        admin = staff.actor_of(session, staff.find(session, "admin").id)
        assert admin is not None
        person = staff.find(session, "producer")
        staff.set_active(session, person.id, active=False, actor=admin, now=office.clock())
        try:
            assert client.get("/office/").status_code == 302
        finally:
            staff.set_active(session, person.id, active=True, actor=admin, now=office.clock())


def test_cookies_are_kept_from_scripts_and_other_sites(
    settings: Settings, office: CardOffice, client: FlaskClient
) -> None:
    answer = post(client, "/sign-in", login="officer", password=PASSWORD)
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    https = create_app(replace(settings, base_url="https://card.example"), clock=office.clock)
    assert https.config["SESSION_COOKIE_SECURE"] and https.config["SESSION_COOKIE_NAME"].startswith("__Host-")
    with https.test_client() as safe:
        page = safe.get("/", base_url="https://card.example")
        assert "max-age" in page.headers["Strict-Transport-Security"]


def test_visitors_behind_a_proxy_are_counted_by_themselves_only_when_it_is_ours(
    settings: Settings, office: CardOffice
) -> None:
    def last(trusted: int) -> int:
        client = create_app(replace(settings, trusted_proxies=trusted), clock=office.clock).test_client()
        token = token_in(client.get("/status").text)
        for number in range(22):
            client.environ_base["HTTP_X_FORWARDED_FOR"] = f"198.51.100.{number}"
            answer = client.post("/status", data={"csrf_token": token, "number": "1", "secret": "x"})
        return answer.status_code

    assert last(trusted=0) == 429, "a header anybody can write changes nothing"
    assert last(trusted=1) == 404


def test_a_whole_centre_signs_in_from_one_address(client: FlaskClient) -> None:
    for _number in range(25):
        assert post(client, "/sign-in", login="officer", password=PASSWORD).status_code == 302
        post(client, "/sign-out", of="/office/")


def test_an_old_session_cannot_be_planted(client: FlaskClient) -> None:
    token = token_in(client.get("/sign-in").text)
    planted = client.get_cookie("uec")
    assert planted is not None
    client.post("/sign-in", data={"csrf_token": token, "login": "officer", "password": PASSWORD})
    own = client.get_cookie("uec")
    assert own is not None and own.value != planted.value
    client.set_cookie("uec", planted.value)
    assert client.get("/office/").status_code == 302, "what a stranger planted before opens nothing"
