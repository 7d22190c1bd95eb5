"""The page of keys: for the security officer and the auditor, in both languages, with nothing to press."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from issuance.keys.engine import VaultEngine
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from tests.integration.web.conftest import SignIn
from tests.support.desk import CardOffice
from uec.services import key_rotation
from uec.store.tables import KeyVersion, NumberSeries


@pytest.fixture
def told(office: CardOffice) -> None:
    """The vault has told about its keys: two versions of the card master, and two periods that end."""
    vault, now = office.desk.bench.vault, office.clock()
    assert isinstance(vault, VaultEngine)
    if len(vault.describe(KeyPurpose.CARD_MASTER)) == 1:
        office.make_cards(901)
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=now)
        vault.set_period(KeyRef(KeyPurpose.OCSP, 1), now + timedelta(days=30))
        vault.set_period(KeyRef(KeyPurpose.STATION, 1), now - timedelta(days=1))
    with office.sessions() as session:
        key_rotation.refresh(session, vault, now=now)


def page(client: FlaskClient, language: str) -> str:
    """The page in a language."""
    client.get(f"/language/{language}")
    answer = client.get("/office/keys")
    assert answer.status_code == 200
    return " ".join(answer.text.split())


@pytest.mark.parametrize("login", ["security", "auditor"])
def test_it_shows_versions_states_periods_uses_and_cards_left(told: None, sign_in: SignIn, login: str) -> None:
    shown = page(sign_in(login), "ru")
    for words in (
        "Главный ключ карт",
        "Прежний",
        "В работе",
        "Скоро истечёт",
        "Истёк",
        "Осталось карт",
        "истекает",
        "у 0 он уже есть, у 1 пока прежний",
        "504A77",
    ):
        assert words in shown, words


def test_it_speaks_english(told: None, sign_in: SignIn) -> None:
    shown = page(sign_in("security"), "en")
    for words in ("Card master", "Retired", "0 have it, 1 still hold an older one", "protects nothing new"):
        assert words in shown, words


def test_nothing_on_it_changes_anything(told: None, sign_in: SignIn) -> None:
    content = page(sign_in("security"), "en").split("<main", 1)[1].split("</main>", 1)[0]
    assert "<form" not in content and "<button" not in content


@pytest.mark.parametrize("login", ["operator", "officer", "planner", "producer"])
def test_it_is_not_for_others(told: None, sign_in: SignIn, login: str) -> None:
    assert sign_in(login).get("/office/keys").status_code == 403


def test_a_visitor_is_sent_to_sign_in(client: FlaskClient) -> None:
    assert client.get("/office/keys").status_code in (302, 401)


def test_before_the_vault_has_told_the_page_says_what_to_start(office: CardOffice, sign_in: SignIn) -> None:
    with office.sessions() as session:
        session.query(KeyVersion).delete()
        session.commit()
    assert "uec worker" in page(sign_in("security"), "en")


@pytest.mark.parametrize(("language", "words"), [("ru", "восстановлено из старой копии"), ("en", "an older copy")])
def test_it_says_that_vault_and_database_disagree(
    told: None, office: CardOffice, sign_in: SignIn, language: str, words: str
) -> None:
    client = sign_in("security")
    assert words not in page(client, language)
    with office.sessions() as session:
        session.add(NumberSeries(name="vault-doubt:older-office", next=1))
        session.commit()
    assert words in page(client, language)
    with office.sessions() as session:
        session.query(NumberSeries).filter_by(name="vault-doubt:older-office").delete()
        session.commit()
