"""Every page under the accessibility checker, on a desk and on a phone, by keyboard, in both languages."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from issuance.bureau.standin.faults import Fault
from tests.browser.conftest import watched
from tests.browser.pages import apply_on_the_web, ask_status, enter, fill_contact, fill_document, fill_person, proceed
from tests.browser.site import Site, open_site
from tests.support.bureau_office import open_bureau_office
from uec.domain.lifecycle import OperationKind
from uec.store.tables import Batch, Staff

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}

# Login (None: a visitor) -> pages; {card}, {ready}, {application}, {batch}, {operation} are filled from the office.
PAGES: dict[str | None, tuple[str, ...]] = {
    None: (
        "/", "/apply/person", "/apply/document", "/apply/contact", "/apply/choice", "/status", "/refuse", "/notice",
        "/bank", "/sign-in", "/pki/", "/no-such-page",
    ),
    "officer": (
        "/office/", "/office/applications", "/office/applications?query=никого", "/office/applications/{application}",
    ),
    "planner": (
        "/office/calendar", "/office/batches", "/office/batches/{batch}", "/office/cohorts", "/office/plan",
        "/office/plan/lines", "/office/plan/points", "/office/plan/facts", "/office/plan/scenarios",
        "/office/plan/moved", "/office/batches/{batch}/move", "/office/bureaux",
    ),
    "releaser": ("/office/batches/{batch}",),
    "producer": (
        "/office/batches/{batch}", "/office/stations", "/window/operations/{operation}",
        "/window/operations/{waiting}",
    ),
    "security": ("/office/cards", "/office/cards/{card}", "/office/stations", "/office/bureaux/{bureau}"),
    "operator2": (
        "/window/", "/window/?query=никого", "/window/application", "/window/refusal", "/office/refusals",
        "/office/refusals/new", "/window/cards/{ready}/hand-over", "/window/cards/{card}/unblock",
    ),
    "auditor": ("/office/audit", "/office/shifts", "/office/exports"),
    "keeper": (
        "/office/stock", "/office/stock/delivery", "/office/stock/boxes", "/office/stock/transfers",
        "/office/stock/balance/point", "/office/stock/destruction", "/office/shifts", "/office/bureaux/orders/{order}",
    ),
    "quality": ("/office/quality",),
    "admin": ("/office/staff", "/office/staff/{member}", "/office/jobs", "/office/jobs/plan"),
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An office with something on every page."""
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest.fixture(scope="module")
def things(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Ids that fill the addresses."""
    bureau = open_bureau_office(site.office.sessions, tmp_path_factory.mktemp("bureau"), office=site.office)
    order = bureau.order(91, 92)
    bureau.standin(Fault.WEAK_KEY)
    bureau.take_all()
    card, ready = site.office.make_cards(1, 2)
    handed = site.office.hand_over(card)
    (application, *_rest) = site.office.approve_applicants(3, 4)
    (batch,) = site.office.plan()
    with site.office.sessions() as session:
        member = session.query(Staff.id).filter_by(login="operator2").one()[0]
    waiting = site.office.request(OperationKind.INSPECT, ready)
    return {
        "card": card, "ready": ready, "application": application, "batch": batch, "operation": handed.id,
        "member": member, "waiting": waiting, "order": order, "bureau": bureau.bureau_id,
    }  # fmt: skip


def problems(page: Page, axe: str) -> list[str]:
    """What the accessibility checker finds (WCAG 2.2 A and AA, best practices)."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:120]} {node.get('failureSummary', '')[:160]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def fits(page: Page) -> bool:
    """Whether the page needs no scrolling sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.parametrize("login", PAGES)
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_pages_are_accessible_and_fit(
    browser: Browser, site: Site, things: dict[str, int], axe: str, login: str | None, size: dict[str, int]
) -> None:
    context = browser.new_context(base_url=site.url, locale="ru-RU", viewport=size, bypass_csp=True)
    page = enter(context, login) if login else watched(context)
    found = []
    for address in PAGES[login]:
        page.goto(address.format(**things))
        found += [f"{address}: {problem}" for problem in problems(page, axe)]
        if not fits(page):
            found.append(f"{address}: wider than the screen")
    context.close()
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_what_comes_after_a_form_is_accessible_and_fits(
    browser: Browser, site: Site, axe: str, size: dict[str, int]
) -> None:
    context = browser.new_context(base_url=site.url, locale="ru-RU", viewport=size, bypass_csp=True)
    page, found = watched(context), []

    def look(name: str) -> None:
        found.extend(f"{name}: {problem}" for problem in problems(page, axe))
        if not fits(page):
            found.append(f"{name}: wider than the screen")

    number = 40 + size["width"] % 7
    page.goto("/apply/person")
    fill_person(page, number)
    page.locator("#surname").fill("Константинопольская-Гурзуфская-Вознесенская-Преображенская")
    proceed(page)
    fill_document(page, number)
    page.locator("#doc_issuer").fill(
        "Отделом УФМС России по Ханты-Мансийскому автономному округу — Югре в Нижневартовске"
    )
    proceed(page)
    fill_contact(page, number)
    proceed(page)
    page.get_by_label("МФЦ на Республике").check()
    proceed(page)
    look("check and send")
    page.get_by_role("button", name="Отправить заявление").click()
    look("check and send with an error")
    page.locator("#consent").check()
    page.get_by_role("button", name="Отправить заявление").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Заявление принято")
    expect(page).to_have_url(f"{site.url}/apply/receipt")
    look("receipt")
    given = page.locator(".uec-receipt__number").inner_text(), page.locator(".uec-receipt__secret").inner_text()
    assert ask_status(page, "2026-9999999", "0000-0000-0000") == "Где моя карта?"
    look("status not found")
    assert ask_status(page, *given) == "Ваше заявление у нас"
    expect(page.locator(".moj-timeline")).to_contain_text("Проверка данных по реестрам — сейчас")
    look("status")
    page.goto("/apply/person")
    page.locator('input[name="csrf_token"]').nth(0).evaluate("field => field.value = 'old'")
    page.locator("#surname").fill("Щукин")
    proceed(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Ничего не пропало: ответы сохранены")
    look("kept answers")
    page.get_by_role("button", name="Отправить ещё раз").click()
    assert page.locator("#surname").input_value() == "Щукин"
    expect(page.get_by_role("alert")).to_contain_text("Проверьте ответы")
    context.close()
    assert found == [], "\n".join(found)


def test_the_receipt_on_paper_has_all_and_nothing_else(page: Page) -> None:
    apply_on_the_web(page, 50)
    page.emulate_media(media="print")
    for words in ("Номер заявления", "Секретный код", "Зарегистрировано", "Что будет дальше"):
        expect(page.get_by_text(words).first).to_be_visible()
    for chrome in (".govuk-service-navigation", ".uec-footer", "[data-print]", ".uec-header__side"):
        expect(page.locator(chrome).first).not_to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight") < 1100, "one sheet of A4 at 96 dpi"


def test_a_crowded_day_stays_readable(browser: Browser, site: Site, things: dict[str, int]) -> None:
    with site.office.sessions() as session:
        template = session.get_one(Batch, things["batch"])
        copied = {name: getattr(template, name) for name in ("state", "planned_for", "planned_at", "profile")}
        for number in range(30):
            session.add(
                Batch(number=f"B-9{number:05}", transport=template.transport, point_id=template.point_id, **copied)
            )
        month = f"{template.planned_for:%Y-%m}"
        session.commit()
    context = browser.new_context(base_url=site.url, locale="ru-RU", viewport=PHONE)
    page = enter(context, "planner")
    page.goto(f"/office/calendar?month={month}")
    more = page.locator("summary", has_text=re.compile(r"ещё 29 партий"))
    expect(more).to_be_visible()
    expect(page.get_by_text("B-900029")).not_to_be_visible()
    more.click()
    expect(page.get_by_text("B-900029")).to_be_visible()
    assert fits(page)
    context.close()


def test_form_with_errors_is_accessible_and_says_what_to_do(page: Page, axe: str) -> None:
    page.goto("/apply/person")
    page.locator("#surname").fill("Smith")
    page.locator("#birth_date-day").fill("31")
    page.locator("#birth_date-month").fill("2")
    page.locator("#birth_date-year").fill("1985")
    proceed(page)
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("Проверьте ответы")
    expect(summary).to_contain_text("Проверьте дату: день, месяц и год цифрами")
    expect(summary).to_contain_text("Пишите русскими буквами")
    expect(summary).to_contain_text("Выберите пол")
    summary.get_by_role("link", name="Дата рождения").click()
    expect(page.locator("#birth_date-day")).to_be_focused()
    assert page.locator("#surname").input_value() == "Smith", "what was typed stays"


def test_numbers_are_checked_with_advice(page: Page) -> None:
    page.goto("/apply/person")
    fill_person(page, 5)
    proceed(page)
    fill_document(page, 5)
    page.locator("#snils").fill("112-233-445 96")
    page.locator("#oms").fill("1234567890123456")
    page.locator("#doc_number").fill("12")
    proceed(page)
    summary = page.get_by_role("alert")
    for advice in ("Проверьте СНИЛС: 11 цифр", "Проверьте номер полиса: 16 цифр", "Проверьте номер: 6 цифр"):
        expect(summary).to_contain_text(advice)


def test_answers_survive_going_back_and_are_never_on_the_server(page: Page, site: Site) -> None:
    page.goto("/apply/person")
    fill_person(page, 6)
    proceed(page)
    page.get_by_role("link", name="Назад").click()
    assert page.locator("#surname").input_value() and page.get_by_label("Мужской").is_checked()
    draft = next(cookie for cookie in page.context.cookies() if cookie["name"] == "uec_draft")
    assert draft["httpOnly"] and draft["sameSite"] == "Strict" and draft["path"] == "/apply"
    page.goto("/apply/check")
    expect(page).to_have_url(f"{site.url}/apply/document")


def test_the_application_can_be_sent_by_keyboard_alone(page: Page) -> None:
    page.goto("/apply/person")
    page.keyboard.press("Tab")
    expect(page.locator(".govuk-skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("#surname").focus()
    for text in ("Щукин", "Иван", ""):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    for text in ("5", "3", "1981", "г. Тюмень"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Документ и номера")


def test_a_child_needs_a_representative(page: Page) -> None:
    page.goto("/apply/person")
    fill_person(page, 7)
    page.locator("#birth_date-year").fill("2018")
    proceed(page)
    fill_document(page, 7)
    page.get_by_label("Свидетельство о рождении").check()
    page.locator("#doc_series").fill("II-АБ")
    page.locator("#doc_date-year").fill("2018")
    page.locator("#doc_date-month").fill("12")
    proceed(page)
    expect(page.get_by_role("alert")).to_contain_text("До 14 лет заявление подаёт родитель или опекун")
    page.locator("#representative_name").fill("Щукина Анна Петровна")
    proceed(page)
    fill_contact(page, 7)
    proceed(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Где и как")


def test_the_language_switch_keeps_the_page(page: Page) -> None:
    page.goto("/apply/contact")
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Address and contact")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.get_by_role("link", name="Русский").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Адрес и контакты")


def test_the_menu_opens_on_a_phone(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url, viewport=PHONE)
    page = watched(context)
    page.goto("/")
    link = page.get_by_role("link", name="Статус", exact=True)
    expect(link).not_to_be_visible()
    page.get_by_role("button", name="Меню").click()
    expect(link).to_be_visible()
    context.close()


def test_pages_work_without_scripts(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/apply/person")
    fill_person(page, 8)
    proceed(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Документ и номера")
    context.close()
