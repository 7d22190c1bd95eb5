"""From the hand-over to a PIN set anew, on pages: the letter comes once, as a file, and its code opens the card."""

import re
from collections.abc import Iterator
from io import BytesIO

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from pypdf import PdfReader

from tests.browser.conftest import WAIT_MS
from tests.browser.pages import enter
from tests.browser.site import Site, working


@pytest.fixture
def operator(browser: Browser, site: Site) -> Iterator[Page]:
    """The operator at the window."""
    context = browser.new_context(base_url=site.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    yield enter(context, "operator2")
    context.close()


def deliver(route: Route, sheets: list[bytes]) -> None:
    """Let the answer through, and keep what it held."""
    answer = route.fetch()
    sheets.append(answer.body())
    route.fulfill(response=answer)


@pytest.mark.slow
def test_a_card_is_handed_over_with_its_letter_and_a_pin_set_anew_by_it(site: Site, operator: Page) -> None:
    (card_id,) = site.office.make_cards(210)
    with working(site.office):
        operator.goto(f"/window/cards/{card_id}/hand-over")
        operator.locator("#holder_checked").check()
        for name, pin in (("pin1", "2846"), ("pin1_again", "2846"), ("pin2", "193752"), ("pin2_again", "193752")):
            operator.locator(f"#{name}").fill(pin)
        operator.get_by_role("button", name="Выдать карту").click()
        expect(operator.locator("#operation")).to_contain_text("Письмо для держателя")
        sheets: list[bytes] = []
        operator.context.route("**/letter", lambda route: deliver(route, sheets))
        with operator.expect_popup() as viewer:
            operator.get_by_role("button", name="Напечатать письмо").click()
        viewer.value.close()
        (sheet,) = sheets
        printed = re.search(r"\b(\d{4})\s(\d{4})\b", PdfReader(BytesIO(sheet)).pages[0].extract_text())
        assert printed is not None
        operator.reload()
        expect(operator.get_by_role("button", name="Напечатать письмо")).to_have_count(0)
        expect(operator.locator("#operation")).to_contain_text("Второго не бывает")

        operator.goto(f"/office/cards/{card_id}")
        operator.get_by_role("button", name="Задать ПИН заново").click()
        operator.locator("#holder_checked").check()
        operator.get_by_label("ПИН1: для идентификации").check()
        operator.locator("#code").fill(printed.group())
        for name in ("new", "new_again"):
            operator.locator(f"#{name}").fill("730264")
        operator.get_by_role("button", name="Задать ПИН", exact=True).click()
        expect(operator.locator("#operation")).to_contain_text("ПИН, который выбрал держатель")
