"""The tray puts virtual cards into the machine's real readers, and tells them by what they say in clear."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from card_io.pcsc import Context, open_reader
from card_io.secret import Secret
from issuance.production.profile import load_profile
from tests.support.line import UEC_PROFILE
from tests.support.pcsc import PcscService, wait_until
from uec.demo.tray import NotOnTray, Tray
from uec.demo.tray_page import TrayServer

MAKER_KEY = Secret(bytes(range(16)))
SELECT_DOMAIN = bytes.fromhex("00A4040008A000000151000000")


@pytest.fixture
def tray(tmp_path: Path) -> Iterator[Tray]:
    tray = Tray(tmp_path / "tray", maker_key=MAKER_KEY, profile=load_profile(UEC_PROFILE))
    yield tray
    tray.close()


@pytest.fixture
def page(tray: Tray) -> Iterator[TrayServer]:
    server = TrayServer(tray, 0, "http://127.0.0.1:8080")
    server.start()
    yield server
    server.shutdown()
    server.server_close()


def address(page: TrayServer) -> str:
    return f"http://127.0.0.1:{page.server_address[1]}/"


def present(reader: str) -> bool:
    with Context() as context:
        return context.slots()[reader].present


def test_a_blank_lies_on_the_tray_without_a_number(tray: Tray) -> None:
    card_id = tray.blank()
    assert [(card.card_id, card.number, card.reader) for card in tray.cards()] == [(card_id, "", None)]


def test_a_card_that_is_not_there_is_named(tray: Tray) -> None:
    with pytest.raises(NotOnTray, match="card 12ab"):
        tray.load("12ab")
    with pytest.raises(NotOnTray, match=r"card \.\./secret"):
        tray.load("../secret")


def test_a_card_goes_in_moves_and_comes_out(tray: Tray, pcsc: PcscService) -> None:
    card_id = tray.blank()
    tray.insert(0, card_id)
    wait_until(lambda: present(pcsc.readers[0]), "the card never showed in the first reader")
    connection = open_reader(pcsc.readers[0])
    assert connection.transmit(SELECT_DOMAIN)[-2:] == b"\x90\x00"
    connection.close()
    tray.insert(1, card_id)
    wait_until(lambda: present(pcsc.readers[1]), "the card never showed in the second reader")
    wait_until(lambda: not present(pcsc.readers[0]), "one card stood in two readers")
    assert tray.cards()[0].reader == 1
    tray.remove(1)
    wait_until(lambda: not present(pcsc.readers[1]), "the card never came out")


def test_the_page_takes_a_blank_and_puts_it_in(tray: Tray, page: TrayServer, pcsc: PcscService) -> None:
    with httpx.Client(base_url=address(page)) as browser:
        html = browser.get("/?lang=en").text
        key = re.search(r'name="key" value="([^"]+)"', html)
        assert key is not None
        assert browser.post("/", data={"action": "new", "key": key[1]}).status_code == 303
        card_id = tray.cards()[0].card_id
        browser.post("/", data={"action": "put", "reader": "0", "card": card_id, "key": key[1]})
        wait_until(lambda: present(pcsc.readers[0]), "the page did not put the card in")
        assert f"Заготовка {card_id}" in browser.get("/").text
        browser.post("/", data={"action": "take", "reader": "0", "key": key[1]})
        wait_until(lambda: not present(pcsc.readers[0]), "the page did not take the card out")


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"action": "new"}, 403),
        ({"action": "new", "key": "guess"}, 403),
        ({"action": "put", "reader": "0", "card": "none", "key": "KEY"}, 409),
        ({"action": "put", "reader": "7", "card": "none", "key": "KEY"}, 409),
        ({"action": "put", "reader": "x", "key": "KEY"}, 409),
    ],
)
def test_the_page_refuses_what_it_did_not_offer(page: TrayServer, form: dict[str, str], status: int) -> None:
    form = {name: value.replace("KEY", page.key) for name, value in form.items()}
    assert httpx.post(address(page), data=form).status_code == status
    assert page.tray.cards() == ()
