"""What all pages share: headers, languages, errors, and no trace for a visitor."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask.testing import FlaskClient

from tests.integration.web.conftest import SignIn, post
from tests.support.desk import CardOffice
from uec.domain import errors
from uec.domain.lifecycle import (
    ApplicationState,
    BatchState,
    CardState,
    CertificateState,
    CheckOutcome,
    CohortState,
    OperationState,
)
from uec.domain.permissions import Role
from uec.settings import Settings
from uec.web import assets, failures, wording
from uec.web.access import public
from uec.web.app import create_app

WEB = Path(assets.__file__).parent
PUBLIC_PAGES = ("/", "/apply/person", "/status", "/refuse", "/sign-in", "/pki/")


@pytest.mark.parametrize("address", [*PUBLIC_PAGES, "/no-such-page", "/api/points"])
def test_headers_keep_the_page_to_itself(client: FlaskClient, address: str) -> None:
    headers = client.get(address).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    if not address.startswith("/pki"):
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("address", PUBLIC_PAGES)
def test_nothing_inline_and_nothing_from_elsewhere(client: FlaskClient, address: str) -> None:
    page = client.get(address).text
    assert not re.search(r"<script(?![^>]*\bsrc=)", page) and "<style" not in page
    assert not re.search(r'\s(style|on\w+)="', page)
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_assets_are_kept_by_their_digest(client: FlaskClient) -> None:
    page = client.get("/").text
    style = re.search(r'href="(/static/dist/uec\.css\?v=[0-9a-f]+)"', page)
    assert style
    with client.get(style.group(1)) as kept, client.get("/static/dist/uec.css") as asked_again:
        assert "immutable" in kept.headers["Cache-Control"]
        assert "immutable" not in asked_again.headers["Cache-Control"]


def test_missing_assets_are_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(assets.AssetsMissing, match="scripts/build_assets"):
        assets.load_manifest(tmp_path)


def test_russian_by_default_english_by_the_switch(client: FlaskClient) -> None:
    page = client.get("/apply/person")
    assert 'lang="ru"' in page.text and "Фамилия" in page.text
    answer = client.get("/language/en?next=/apply/person")
    assert answer.location == "/apply/person"
    page = client.get("/apply/person")
    assert 'lang="en"' in page.text and "Surname" in page.text and "Фамилия" not in page.text
    assert client.get("/language/en?next=//evil.example").location == "/"
    assert client.get("/language/xx").status_code == 404


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503])
def test_every_error_page_speaks_both_languages(settings: Settings, office: CardOffice, status: int) -> None:
    app = create_app(settings, clock=office.clock)
    for code, letters in (("ru", "[А-Яа-я]{4}"), ("en", "[A-Za-z]{4}")):
        with app.test_request_context(headers={"Cookie": f"uec_language={code}"}):
            heading, advice = failures.page_texts(status)
        assert re.search(letters, heading) and re.search(letters, advice)


def test_a_defect_shows_a_sentence_and_no_trace(settings: Settings, office: CardOffice) -> None:
    app = create_app(settings, clock=office.clock)

    def broken() -> str:
        raise RuntimeError("secret detail")

    app.add_url_rule("/broken", "broken", public(broken))
    answer = app.test_client().get("/broken")
    assert answer.status_code == 500 and "Что-то пошло не так" in answer.text
    assert "secret detail" not in answer.text and "Traceback" not in answer.text


def test_a_locked_database_is_told_as_such(settings: Settings, office: CardOffice) -> None:
    app = create_app(settings, clock=office.clock)

    def busy() -> str:
        raise errors.StoreUnavailable("The database is locked.")

    app.add_url_rule("/busy", "busy", public(busy))
    answer = app.test_client().get("/busy")
    assert answer.status_code == 503 and "База данных" in answer.text


def test_a_request_that_is_too_large_is_refused(client: FlaskClient) -> None:
    answer = client.post("/status", data={"number": "x" * 5_000_000})
    assert answer.status_code == 413 and "Файл слишком большой" in answer.text


def russian() -> Catalog:
    with (WEB / "translations/ru/LC_MESSAGES/messages.po").open("rb") as file:
        return read_po(file)


def test_every_text_has_its_russian() -> None:
    catalog = russian()
    wanted = Catalog()
    keywords = {"_": None, "_l": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}
    methods = [("views/**.py", "python"), ("**.py", "python"), ("templates/**.html", "jinja2")]
    options = {"templates/**.html": {"trimmed": "true"}}
    found = extract_from_dir(
        WEB,
        method_map=methods,
        options_map=options,
        keywords=keywords,
        directory_filter=lambda path: not Path(path).name.startswith(("node_modules", "static", ".", "_")),
    )
    for _file, _line, text, _comments, _context in found:
        wanted.add(text)
    texts = [message.id for message in wanted if message.id]
    assert len(texts) > 400
    missing = []
    for text in texts:
        message = catalog.get(text)
        strings = [] if message is None else [message.string] if isinstance(message.string, str) else message.string
        if not strings or not all(strings) or (message is not None and message.fuzzy):
            missing.append(text)
    assert missing == [], "scripts/extract_texts collects them; then translate"


def test_placeholders_survive_translation() -> None:
    catalog = russian()
    for message in catalog:
        if not message.id:
            continue
        source = message.id if isinstance(message.id, str) else message.id[-1]
        for text in [message.string] if isinstance(message.string, str) else message.string:
            assert sorted(re.findall(r"%\(\w+\)s|%\(\w+\)d", source)) == sorted(
                re.findall(r"%\(\w+\)s|%\(\w+\)d", text)
            ), source


def test_every_state_has_words_and_a_colour_of_its_own_kind(client: FlaskClient) -> None:
    kinds = (ApplicationState, CardState, BatchState, OperationState, CohortState, CertificateState, CheckOutcome)
    with client.application.test_request_context():
        for kind in kinds:
            for state in kind:
                text, colour = wording.tag_of(state)
                assert text and colour
        assert wording.tag_of(ApplicationState.PLANNED) != wording.tag_of(BatchState.PLANNED)
        assert all(wording.word(role) for role in Role)


def test_status_look_ups_are_limited(client: FlaskClient) -> None:
    answers = [post(client, "/status", number="2026-0000001", secret=f"{number}").status_code for number in range(21)]
    assert answers[:20] == [404] * 20 and answers[20] == 429


def test_staff_pages_in_english(sign_in: SignIn) -> None:
    client = sign_in("security")
    client.get("/language/en")
    for address in ("/office/", "/office/cards", "/office/stations"):
        body = client.get(address).text.split("<main", 1)[1].split("</main>")[0]
        text = re.sub(r"<[^>]+>", " ", body)
        foreign = set(re.findall(r"[А-Яа-яЁё]{3,}", text)) - {"Софья", "Замятина", "Окно"}
        assert foreign <= {"МФЦ", "Республике", "Заречный"}, foreign
