"""The web application over a fresh database, without a server: requests go straight to it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete
from sqlalchemy.orm import Session, sessionmaker

from tests.browser.site import PASSWORD, furnish, settings_in
from tests.support.desk import CardOffice, open_card_office
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import upgrade
from uec.store.tables import AttemptWindow
from uec.web import letters
from uec.web.app import create_app
from uec.web.context import load_key

SignIn = Callable[[str], FlaskClient]
Headers = dict[str, str]
Token = Callable[..., Headers]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of an office with its own folder."""
    made = settings_in(tmp_path_factory.mktemp("office"))
    upgrade(made.database_url)
    return made


@pytest.fixture(scope="module")
def sessions(settings: Settings) -> Iterator[sessionmaker[Session]]:
    """Sessions of that office's database."""
    engine = make_engine(settings.database_url)
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture(scope="module")
def office(settings: Settings, sessions: sessionmaker[Session]) -> Iterator[CardOffice]:
    """The office itself: staff with passwords, points, vault and authority."""
    opened = open_card_office(sessions, Path(settings.state_dir))
    furnish(opened)
    opened.letters = letters.box_of(load_key(settings.secret_key_file), opened.desk.bench.random)
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def client(settings: Settings, office: CardOffice) -> FlaskClient:
    """A visitor without cookies, before an application of its own; counts of attempts start anew."""
    with office.sessions() as session:
        session.execute(delete(AttemptWindow))
        session.commit()
    return create_app(settings, clock=office.clock).test_client()


@pytest.fixture
def sign_in(client: FlaskClient) -> SignIn:
    """Sign somebody in on the page."""

    def enter(login: str) -> FlaskClient:
        answer = post(client, "/sign-in", login=login, password=PASSWORD)
        assert answer.status_code == 302, answer.text
        return client

    return enter


@pytest.fixture
def token(client: FlaskClient) -> Token:
    """Headers of a program that acts for somebody through the API; `scopes` narrow what it may do."""

    def made(login: str, **scopes: object) -> Headers:
        opened = client.post("/api/session", json={"login": login, "password": PASSWORD, **scopes})
        assert opened.status_code == 200, opened.text
        return {"Authorization": f"Bearer {opened.json['token']}"}

    return made


def token_in(page: str) -> str:
    """The CSRF token of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, "no form on the page"
    return found.group(1)


def post(client: FlaskClient, address: str, *, of: str | None = None, **fields: object):  # type: ignore[no-untyped-def]
    """Send a form with the token of its page (`of`, when the form stands elsewhere)."""
    token = token_in(client.get(of or address).text)
    return client.post(address, data={"csrf_token": token, **fields})
