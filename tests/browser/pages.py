"""What tests do on pages, in the words of the people who use them."""

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import watched
from tests.browser.site import PASSWORD
from tests.support.office import person


def enter(context: BrowserContext, login: str) -> Page:
    """Sign a member of staff in; each has a context of their own."""
    page = watched(context)
    page.goto("/sign-in")
    page.get_by_label("Логин").fill(login)
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Войти").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Здравствуйте")
    return page


def fill_person(page: Page, number: int) -> None:
    """Answer the questions about the person."""
    facts = person(number)
    for name in ("surname", "name", "patronymic", "birth_place"):
        page.locator(f"#{name}").fill(facts[name])
    fill_day(page, "birth_date", facts["birth_date"])
    page.get_by_label("Мужской").check()


def fill_document(page: Page, number: int) -> None:
    """Answer the questions about the document."""
    facts = person(number)
    for name in ("doc_series", "doc_number", "doc_issuer", "snils", "oms"):
        page.locator(f"#{name}").fill(facts[name])
    fill_day(page, "doc_date", facts["doc_date"])


def fill_contact(page: Page, number: int) -> None:
    """Answer the questions about address and contact."""
    facts = person(number)
    page.locator("#address").fill(facts["address"])
    page.locator("#phone").fill(facts["phone"])


def fill_day(page: Page, name: str, day) -> None:  # type: ignore[no-untyped-def]
    """Type a date into its three boxes."""
    page.locator(f"#{name}-day").fill(str(day.day))
    page.locator(f"#{name}-month").fill(str(day.month))
    page.locator(f"#{name}-year").fill(str(day.year))


def proceed(page: Page) -> None:
    """Go to the next step."""
    page.get_by_role("button", name="Продолжить").click()


def apply_on_the_web(page: Page, number: int) -> tuple[str, str]:
    """Go through the application as a citizen; number and secret of the receipt."""
    page.goto("/")
    page.get_by_role("button", name="Подать заявление").click()
    fill_person(page, number)
    proceed(page)
    fill_document(page, number)
    proceed(page)
    fill_contact(page, number)
    proceed(page)
    page.get_by_label("МФЦ на Республике").check()
    page.locator("#bank").select_option("Банк Озёрный")
    proceed(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Проверьте и отправьте")
    page.locator("#consent").check()
    page.get_by_role("button", name="Отправить заявление").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Заявление принято")
    return page.locator(".uec-receipt__number").inner_text(), page.locator(".uec-receipt__secret").inner_text()


def ask_status(page: Page, number: str, secret: str) -> str:
    """The headline of the status page."""
    page.goto("/status")
    page.locator("#number").fill(number)
    page.locator("#secret").fill(secret)
    with page.expect_navigation():
        page.get_by_role("button", name="Показать статус").click()
    return page.get_by_role("heading", level=1).inner_text()
