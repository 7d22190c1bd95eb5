"""Pages, hub, station agent and card together, each as in service: the web process reaches no reader by itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import WAIT_MS
from tests.browser.pages import enter
from tests.browser.site import Site, employ, serve, wait_until
from tests.integration.station.conftest import Network, open_network
from uec.domain.lifecycle import CardState
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Card, IssuancePoint, Station

READER = "Считыватель 1"
NAME = "window-1"


@pytest.fixture
def network(sqlite_url: str, tmp_path: Path) -> Iterator[Network]:
    """An office with its hub running, and staff who can sign in."""
    engine = make_engine(sqlite_url)
    with open_network(session_factory(engine), sqlite_url, tmp_path) as opened:
        employ(opened.office)
        yield opened
    engine.dispose()


@pytest.fixture
def site(network: Network, tmp_path: Path) -> Iterator[Site]:
    """The pages of that office."""
    settings = replace(network.settings, secret_key_file=tmp_path / "web.key")
    with serve(settings, network.office) as opened:
        yield opened


def colleague(browser: Browser, site: Site, login: str) -> Page:
    context = browser.new_context(base_url=site.url, locale="ru-RU")
    context.set_default_timeout(WAIT_MS)
    return enter(context, login)


def place(network: Network) -> None:
    """Enrol a station at the first point, where the operators of the tests sit."""
    with ThreadPoolExecutor(1) as aside:  # the browser's own event loop runs in this thread
        station_id = aside.submit(network.enrol, NAME).result()
    with network.office.sessions() as session:
        point = session.query(IssuancePoint.id).order_by(IssuancePoint.id).first()
        assert point is not None
        session.get_one(Station, station_id).point_id = point[0]
        session.commit()


def test_card_is_written_and_handed_over_at_a_real_station(browser: Browser, site: Site, network: Network) -> None:
    place(network)
    network.start_station(NAME)
    card_id = network.prepared_card(901)
    network.insert(NAME, READER, 901)

    producer = colleague(browser, site, "producer")
    with network.office.sessions() as session:
        batch_id = session.get_one(Card, card_id).batch_id
    producer.goto(f"/office/batches/{batch_id}")
    wait_until(lambda: producer.reload() and producer.locator("#station").count() == 1)
    producer.get_by_role("button", name="Начать запись").click()
    expect(producer.get_by_text("Ждёт выдачи")).to_be_visible()
    expect(producer.get_by_text("Изготовлено карт: 1 из 1")).to_be_visible()
    assert network.office.card(card_id).state is CardState.PERSONALISED

    operator = colleague(browser, site, "operator")
    operator.goto(f"/window/cards/{card_id}/hand-over")
    expect(operator.locator("#reader")).to_contain_text(f"{READER} (с картой)")
    operator.locator("#holder_checked").check()
    for name, pin in (("pin1", "2846"), ("pin1_again", "2846"), ("pin2", "193752"), ("pin2_again", "193752")):
        operator.locator(f"#{name}").fill(pin)
    operator.get_by_role("button", name="Выдать карту").click()
    expect(operator.locator("#operation")).to_contain_text("Карту получил(а)")
    assert network.office.card(card_id).state is CardState.ACTIVE
    network.check()


def test_a_wrong_card_is_refused_in_words_a_clerk_understands(browser: Browser, site: Site, network: Network) -> None:
    place(network)
    (ready, other) = network.office.make_cards(911, 912)
    network.insert(NAME, READER, network.office.chips[other])
    network.start_station(NAME)
    operator = colleague(browser, site, "operator")
    operator.goto(f"/window/cards/{ready}/hand-over")
    wait_until(lambda: operator.reload() and operator.locator("#reader").count() == 1)
    operator.locator("#holder_checked").check()
    for name, pin in (("pin1", "2846"), ("pin1_again", "2846"), ("pin2", "193752"), ("pin2_again", "193752")):
        operator.locator(f"#{name}").fill(pin)
    operator.get_by_role("button", name="Выдать карту").click()
    expect(operator.locator("#operation")).to_contain_text("В считывателе другая карта.")
    expect(operator.get_by_role("button", name="Попробовать снова")).to_be_visible()
    assert network.office.card(ready).state is CardState.PERSONALISED
