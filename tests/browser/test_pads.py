"""A hand-over at a reader with keys as the operator sees it: the choice, live words, a slip, and the card is issued."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from card_io.virtual.pinpad import Ended, PadConnection, Prompt
from issuance.production.drivers import run_local
from issuance.production.relay import OpenedSlot
from tests.browser.conftest import WAIT_MS
from tests.browser.pages import enter
from tests.browser.site import Site
from uec.domain.lifecycle import OperationState
from uec.services import operations
from uec.services.card_sessions import do_operation
from uec.services.views import OperationView
from uec.store.tables import Station

PINS = {"pin1": "730264", "pin2": "5829104"}
KEYS = "Pin Pad 00"


@pytest.fixture
def operator(browser: Browser, site: Site) -> Iterator[Page]:
    """The operator at a window whose second reader has keys."""
    with site.office.sessions() as session:
        station = session.scalars(select(Station).order_by(Station.id)).one()
        before = station.readers
        station.readers = [*before, {"name": KEYS, "card": True, "pad": ["verify", "modify"]}]
        session.commit()
    context = browser.new_context(base_url=site.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    yield enter(context, "operator2")
    context.close()
    with site.office.sessions() as session:
        session.scalars(select(Station).order_by(Station.id)).one().readers = before
        session.commit()


class Holder:
    """Types when told to; the first thing he does is to wait too long."""

    def __init__(self, site: Site) -> None:
        self.site, self.may = site, [Event(), Event(), Event()]
        self.asked, self.ended = 0, list[OperationView]()

    def typed(self, prompt: Prompt) -> str | Ended:
        with self.site.office.sessions() as session:
            pin = str(operations.operation(session, self.operation.id).progress["pin"])
        if prompt is Prompt.NEW:
            self.asked += 1
            assert self.may[self.asked - 1].wait(120)
        return Ended.TIMEOUT if self.asked == 1 else PINS[pin]

    def work(self) -> None:
        """Do the one operation that was asked for."""
        office = self.site.office
        with office.sessions() as session:
            claimed = operations.claim_operation(session, station_ids=None, now=office.clock())
        assert claimed is not None
        self.operation = claimed
        slot = OpenedSlot(lambda: PadConnection(office.chips[claimed.card_id or 0], self.typed))
        self.ended.append(do_operation(office.desk, claimed, lambda start, desk: run_local(start(), slot, desk)))


@contextmanager
def at_the_reader(site: Site) -> Iterator[Holder]:
    """The holder's work at the reader, in a thread of its own."""
    holder = Holder(site)
    thread = Thread(target=holder.work, daemon=True)
    thread.start()
    try:
        yield holder
    finally:
        for event in holder.may:
            event.set()
        thread.join(120)


@pytest.mark.slow
def test_a_card_is_handed_over_with_pins_from_the_readers_keys(site: Site, operator: Page) -> None:
    (card_id,) = site.office.make_cards(211)
    operator.goto(f"/window/cards/{card_id}/hand-over")
    expect(operator.locator("#pin1")).to_be_hidden()
    operator.get_by_label("На клавиатуре этого компьютера").check()
    expect(operator.locator("#pin1")).to_be_visible()
    operator.get_by_label("На клавишах считывателя").check()
    expect(operator.locator("#pin1")).to_be_hidden()
    operator.locator("#reader").select_option(label="Окно 1 — Generic Reader 00 (с картой)")
    operator.locator("#holder_checked").check()
    operator.get_by_role("button", name="Выдать карту").click()
    expect(operator.get_by_role("alert")).to_contain_text("нет своих клавиш")
    operator.locator("#reader").select_option(label=f"Окно 1 — {KEYS} (с картой, с клавишами)")
    operator.locator("#holder_checked").check()
    operator.get_by_role("button", name="Выдать карту").click()
    part = operator.locator("#operation")
    with at_the_reader(site) as holder:
        expect(part).to_contain_text("Держатель вводит ПИН1")
        expect(part).to_contain_text("Новый ПИН1 (от 4 до 8 цифр)")
        expect(part).to_contain_text("Тот же ПИН1 ещё раз")
        holder.may[0].set()
        expect(part).to_contain_text("слишком долго ждал")
        holder.may[1].set()
        expect(part).to_contain_text("Держатель вводит ПИН2")
        expect(part).not_to_contain_text("слишком долго ждал")
        holder.may[2].set()
        expect(part).to_contain_text("Карта выдана")
    assert [one.state for one in holder.ended] == [OperationState.DONE]
    expect(part).to_contain_text("Письмо для держателя")
    operator.goto(f"/office/cards/{card_id}")
    expect(operator.get_by_text("ПИН выбран на считывателе")).to_have_count(2)
