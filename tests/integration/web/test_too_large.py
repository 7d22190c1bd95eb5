"""Who brings too much is told by the form that it came from; what stands in quotes has its own of the second level."""

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import SignIn, post, token_in
from tests.support.bureau_office import open_bureau_office
from tests.support.desk import CardOffice
from tests.support.web_forms import multipart
from uec.settings import Settings
from uec.web import filters
from uec.web.app import create_app

LARGE = bytes(6 << 20)
TEMPLATES = Path(filters.__file__).parent / "templates"
WITH_FILES = {"citizen/check.html", "window/application.html", "office/bureau.html", "office/bureaux.html"}


def test_no_form_with_a_file_is_forgotten() -> None:
    """A new one gets its words in `uec.web.partner_files.too_large`, and a test below."""
    found = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html") if "multipart" in path.read_text()}
    assert found == WITH_FILES


def told(client: FlaskClient, address: str, token: str, field: str = "file") -> str:
    answer = client.post(address, **multipart(token, LARGE, "large", field))
    assert answer.status_code == 413 and "Файл слишком большой" in answer.text
    return str(answer.text)


@pytest.mark.parametrize(("login", "address"), [("", "/apply/check"), ("operator", "/window/application")])
def test_a_photo(client: FlaskClient, office: CardOffice, login: str, address: str) -> None:
    if login:
        assert post(client, "/sign-in", login=login, password=PASSWORD).status_code == 302
    assert "фотографию не больше 2 МБ" in told(client, address, token_in(client.get("/status").text), "photo")


def test_a_certificate_and_a_file_of_a_bureau(
    sign_in: SignIn, office: CardOffice, settings: Settings, tmp_path: Path
) -> None:
    bureau = open_bureau_office(office.sessions, tmp_path, office=office)
    security = sign_in("security")
    here = f"/office/bureaux/{bureau.bureau_id}"
    said = told(security, f"{here}/certificate", token_in(security.get(here).text))
    assert "несколько килобайт" in said and "фотографию" not in said
    few = create_app(replace(settings, bureau_file_mb=5), clock=office.clock).test_client()
    assert post(few, "/sign-in", login="producer", password=PASSWORD).status_code == 302
    said = told(few, "/office/bureaux/files", token_in(few.get("/office/bureaux").text))
    assert "файлы до 5 МБ" in said and "uec bureau take" in said and "фотографию" not in said


def test_any_other_form(client: FlaskClient) -> None:
    answer = client.post("/status", data={"number": "x" * 5_000_000})
    assert answer.status_code == 413 and "не больше 4 МБ" in answer.text and "фотографию" not in answer.text


def test_a_name_with_quotes_of_its_own_in_quotes(sign_in: SignIn) -> None:
    client = sign_in("operator")
    asked = {"query": "МФЦ «Заречный»"}
    assert "«МФЦ „Заречный“»" in client.get("/window/", query_string=asked).text
    client.get("/language/en")
    page = client.get("/window/", query_string={"query": "“Zarechny” centre"}).text
    assert "“‘Zarechny’ centre”" in page


@given(text=st.text(st.sampled_from("аб «»“”„‘’"), max_size=20))
def test_no_quotes_of_the_first_level_within_quotes(pages: Flask, text: str) -> None:
    with pages.test_request_context():
        said = filters.quoted(text)
    assert (said[0], said[-1], len(said)) == ("«", "»", len(text) + 2)
    assert not set(said[1:-1]) & set("«»")


@pytest.fixture(scope="module")
def pages(settings: Settings, office: CardOffice) -> Flask:
    return create_app(settings, clock=office.clock)
