"""The main way on pages: a citizen applies, the office decides, plans, releases, writes, hands over."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import WAIT_MS
from tests.browser.pages import apply_on_the_web, ask_status, enter, fill_contact, fill_document, fill_person
from tests.browser.site import Site, wait_until, working
from tests.support.office import POLICY
from uec.domain.lifecycle import CheckOutcome
from uec.services import checks, operations

Colleague = Callable[[str], Page]


class Agreeing:
    """A gateway whose registers all agree, without a network."""

    def check_many(self, questions: Sequence[object]) -> list[checks.Answer]:
        return [Agreement() for _question in questions]


class Agreement:
    """A match."""

    outcome = CheckOutcome.MATCH
    detail = ""


@pytest.fixture
def colleague(browser: Browser, site: Site) -> Iterator[Colleague]:
    """Members of staff, each at their own computer."""
    opened: list[BrowserContext] = []

    def sit_down(login: str) -> Page:
        context = browser.new_context(base_url=site.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
        context.set_default_timeout(WAIT_MS)
        opened.append(context)
        return enter(context, login)

    yield sit_down
    for context in opened:
        context.close()


def run_checks(site: Site) -> None:
    with site.office.sessions() as session:
        checks.start_checks(session, now=site.office.clock())
        checks.run_checks(session, Agreeing(), policy=POLICY, now=site.office.clock())


def test_application_becomes_a_card_in_the_holders_hand(site: Site, page: Page, colleague: Colleague) -> None:
    number, secret = apply_on_the_web(page, 101)
    assert ask_status(page, number, secret) == "Ваше заявление у нас"
    run_checks(site)
    assert ask_status(page, number, secret) == "Сотрудник принимает решение"

    officer = colleague("officer")
    officer.get_by_role("link", name="заявление ждёт решения").click()
    officer.get_by_role("link", name=number).click()
    expect(officer.get_by_text("Совпадает")).to_have_count(4)
    officer.get_by_role("button", name="Одобрить").click()
    expect(officer.get_by_role("alert")).to_contain_text("Напишите причину решения")
    officer.get_by_label("Причина").fill("Все реестры подтвердили данные")
    officer.get_by_role("button", name="Одобрить").click()
    expect(officer.get_by_text("Решение сохранено.")).to_be_visible()

    planner = colleague("planner")
    planner.get_by_role("link", name="Партии").click()
    planner.get_by_role("button", name="Запланировать одобренные заявления").click()
    expect(planner.get_by_text("Запланирована 1 карта в 1 партии.")).to_be_visible()

    releaser = colleague("releaser")
    releaser.get_by_role("link", name="Календарь").click()
    releaser.locator(".uec-calendar__batch--planned").first.click()
    releaser.get_by_role("button", name="Допустить партию").click()
    expect(releaser.get_by_text("Партия допущена.")).to_be_visible()

    with working(site.office) as hub:
        producer = colleague("producer")
        producer.get_by_role("link", name="Партии").first.click()
        producer.get_by_role("link", name="B-").first.click()
        expect(producer.get_by_text("Данные готовы")).to_be_visible()
        producer.get_by_role("button", name="Начать запись").click()
        expect(producer.get_by_text("1 карта отправлена на станцию.")).to_be_visible()
        wait_until(hub.idle)
        producer.reload()
        expect(producer.get_by_text("Изготовлено карт: 1 из 1")).to_be_visible()
        assert ask_status(page, number, secret) == "Ваша карта ждёт вас"

        operator = colleague("operator")
        operator.get_by_role("link", name="Окно").click()
        operator.get_by_role("link", name="Выдать").click()
        operator.locator("#holder_checked").check()
        for name, pin in (("pin1", "2846"), ("pin1_again", "2846"), ("pin2", "193752"), ("pin2_again", "193752")):
            operator.locator(f"#{name}").fill(pin)
        operator.get_by_role("button", name="Выдать карту").click()
        expect(operator.locator("#operation")).to_contain_text("Карта выдана")
        expect(operator.get_by_role("button", name="Напечатать расписку")).to_be_visible()

    assert ask_status(page, number, secret) == "Карта выдана"


def test_pins_are_checked_before_anything_is_stored(site: Site, colleague: Colleague) -> None:
    (card_id,) = site.office.make_cards(150)
    operator = colleague("operator2")
    operator.goto(f"/window/cards/{card_id}/hand-over")
    for name, pin in (("pin1", "1111"), ("pin1_again", "1111"), ("pin2", "12"), ("pin2_again", "12")):
        operator.locator(f"#{name}").fill(pin)
    operator.get_by_role("button", name="Выдать карту").click()
    summary = operator.get_by_role("alert")
    expect(summary).to_contain_text("Этот ПИН легко угадать")
    expect(summary).to_contain_text("Сверьте человека с документом")
    assert operator.locator("#pin1").input_value() == "", "a PIN never comes back in a page"


def test_the_one_who_took_the_application_does_not_hand_over(site: Site, colleague: Colleague) -> None:
    operator = colleague("operator2")
    operator.goto("/window/application")
    fill_person(operator, 170)
    fill_document(operator, 170)
    fill_contact(operator, 170)
    operator.locator("#papers_seen").check()
    operator.get_by_role("button", name="Зарегистрировать заявление").click()
    expect(operator.get_by_role("heading", level=1)).to_have_text("Заявление принято")
    run_checks(site)
    officer = colleague("officer")
    officer.goto("/office/applications?query=" + operator.locator(".uec-receipt__number").inner_text())
    officer.locator("tbody a").first.click()
    officer.get_by_label("Причина").fill("видел")
    officer.get_by_role("button", name="Одобрить").click()
    expect(officer.get_by_text("Решение сохранено.")).to_be_visible()
    for batch_id in site.office.plan():
        site.office.release(batch_id)
        with site.office.sessions() as session:
            producer = site.office.staff.producer
            operations.request_batch(session, batch_id, station_id=None, actor=producer, now=site.office.clock())
        (made,) = site.office.work()
    operator.goto(f"/window/cards/{made.card_id}/hand-over")
    operator.locator("#holder_checked").check()
    for name, pin in (("pin1", "2846"), ("pin1_again", "2846"), ("pin2", "193752"), ("pin2_again", "193752")):
        operator.locator(f"#{name}").fill(pin)
    operator.get_by_role("button", name="Выдать карту").click()
    expect(operator.get_by_text("Вы приняли заявление, поэтому следующий шаг делает коллега")).to_be_visible()


def test_a_lost_card_is_blocked_and_replaced(site: Site, colleague: Colleague) -> None:
    (card_id,) = site.office.make_cards(180)
    site.office.hand_over(card_id)
    operator = colleague("operator2")
    operator.goto(f"/office/cards/{card_id}")
    operator.get_by_label("Утрачена").check()
    operator.get_by_label("Причина").fill("Держатель сообщил о краже")
    operator.get_by_role("button", name="Выполнить").click()
    expect(operator.locator("h1 + .govuk-tag")).to_have_text("Утрачена")
    expect(operator.get_by_text("Отозван", exact=True)).to_have_count(4)
    operator.get_by_label("Заменить").check()
    operator.get_by_label("Причина").fill("Дубликат после кражи")
    operator.get_by_role("button", name="Выполнить").click()
    expect(operator.get_by_role("heading", level=1)).to_have_text("Заявление принято")
