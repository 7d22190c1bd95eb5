"""The plan in Chromium, over a region of some hundred people: pictures, the month, a batch dragged to another day."""

import re
from datetime import date, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy import func, select

from tests.browser.pages import enter
from tests.browser.site import Site
from tests.integration.services.test_plan_office import applicants
from uec.domain.lifecycle import Route
from uec.services import batches
from uec.services.rules import batch_rules
from uec.store.tables import Batch, Card, PromiseMove

PHONE = {"width": 390, "height": 844}
TABLET = {"width": 820, "height": 1180}


@pytest.fixture(scope="module")
def planned(site: Site) -> Site:
    """The site after a plan over 900 people of a list and 60 who applied."""
    office = site.office
    with office.sessions() as session:
        applicants(session, office.staff, 900, route=Route.MASS, seed=4)
        applicants(session, office.staff, 60, route=Route.WINDOW, seed=5)
        today = site.settings.policy.day(office.clock())
        rules = batch_rules(site.settings, today=today, transport="in-process")
        batches.plan(session, actor=office.staff.planner, rules=rules, now=office.clock())
    return site


def fits(page: Page) -> bool:
    """Whether nothing but regions of their own is wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_the_month_shows_the_batches_of_the_plan(browser: Browser, planned: Site) -> None:
    with planned.office.sessions() as session:
        days = dict(session.execute(select(Batch.planned_for, func.count(Batch.id)).group_by(Batch.planned_for)).all())
        first = min(days)
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    page = enter(context, "planner")
    page.goto(f"/office/calendar?month={first:%Y-%m}")
    expect(page.locator(".uec-calendar__batch[href]")).to_have_count(
        sum(count for day, count in days.items() if day.month == first.month)
    )
    page.goto("/office/plan")
    expect(page.get_by_role("img", name="Изготовление по неделям и мощность линий")).to_be_visible()
    expect(page.get_by_text("960", exact=True).first).to_be_visible()
    columns = page.locator(".uec-chart--columns .uec-chart__column")
    assert columns.count() >= 2
    assert columns.nth(1).bounding_box(), "a column is drawn"
    context.close()


def last_batch(site: Site) -> Batch:
    """The batch that is made last, so that there is room behind it."""
    with site.office.sessions() as session:
        batch = session.scalars(select(Batch).order_by(Batch.planned_for.desc(), Batch.id.desc())).first()
        assert batch is not None
        return batch


def cell_of(page: Page, day: date) -> Locator:
    """The place of a day on the first line of the Gantt."""
    heads = page.locator(".uec-gantt thead th")
    column = heads.evaluate_all("(all, day) => all.findIndex((one) => one.dataset.day === day)", day.isoformat())
    assert column > 0
    return page.locator(f".uec-gantt tbody tr:first-child > :nth-child({column + 1})")


def bar_of(page: Page, batch: Batch) -> Locator:
    """A batch as it stands in a table."""
    return page.locator("[data-cards]", has_text=re.compile(rf"^{batch.number}"))


def middle(place: Locator) -> tuple[float, float]:
    """Where a mouse or a finger meets it."""
    box = place.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def next_open_day(page: Page, batch: Batch) -> date:
    """The first day behind a batch's own on which the first line works."""
    days = page.locator(".uec-gantt tbody tr:first-child td[data-free]").evaluate_all(
        "(cells) => cells.map((one) => one.closest('table').tHead.rows[0].cells[one.cellIndex].dataset.day)"
    )
    return min(day for day in map(date.fromisoformat, days) if day > batch.planned_for)


class Finger:
    """A finger on the glass; the page's clock stands still, so that nothing depends on how fast it is."""

    def __init__(self, page: Page) -> None:
        """Over the glass."""
        self.page, self.channel, self.at = page, page.context.new_cdp_session(page), (0.0, 0.0)

    def put(self, kind: str, at: tuple[float, float] | None) -> None:
        """Touch, move or leave.

        A browser learns with its next picture which parts of a page listen to fingers, so one is taken first.
        """
        if kind == "touchStart":
            self.page.screenshot()
        points = [{"x": at[0], "y": at[1]}] if at else []
        self.channel.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        self.at = at or self.at

    def slide(self, to: tuple[float, float], steps: int = 8) -> None:
        """Move in steps, as fingers do."""
        (x, y), (to_x, to_y) = self.at, to
        for step in range(1, steps + 1):
            self.put("touchMove", (x + (to_x - x) * step / steps, y + (to_y - y) * step / steps))


def test_a_batch_is_dragged_and_saved_only_after_its_consequences_are_seen(browser: Browser, planned: Site) -> None:
    batch = last_batch(planned)
    number, key, day = batch.number, batch.id, batch.planned_for
    target = day + timedelta(days=7)
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    page = enter(context, "planner")
    page.goto(f"/office/plan/lines?first={day - timedelta(days=3):%Y-%m-%d}")
    page.mouse.move(*middle(bar_of(page, batch)))
    page.mouse.down()
    page.mouse.move(*middle(cell_of(page, target)), steps=5)
    expect(page.get_by_role("status")).to_contain_text(f"{number} · ")
    expect(page.get_by_role("status")).to_contain_text("Свободно:")
    expect(cell_of(page, target)).to_have_class(re.compile("uec-drag__target"))
    page.mouse.up()
    expect(page).to_have_url(re.compile(rf"/batches/{key}/move\?day={target:%Y-%m-%d}&line=centre"))
    expect(page.get_by_role("heading", name="Что из этого следует")).to_be_visible()
    with planned.office.sessions() as session:
        assert session.get_one(Batch, key).planned_for == day, "nothing is saved yet"
    page.get_by_role("button", name="Перенести партию").click()
    expect(page.get_by_text("Партия перенесена.")).to_be_visible()
    with planned.office.sessions() as session:
        assert session.get_one(Batch, key).planned_for == target
        people = session.scalar(select(func.count()).where(Card.batch_id == key))
        assert session.scalar(select(func.count()).select_from(PromiseMove)) == people
    page.goto("/office/plan/moved")
    expect(page.get_by_role("button", name="Сообщить всем")).to_be_visible()
    context.close()


def test_a_finger_scrolls_and_drags_only_after_it_has_rested(browser: Browser, planned: Site) -> None:
    batch = last_batch(planned)
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport=TABLET, has_touch=True, is_mobile=True)
    page = enter(context, "planner")
    page.clock.install()
    page.goto(f"/office/plan/lines?first={batch.planned_for:%Y-%m-%d}&days=31")
    lines, lifted, finger = page.url, page.locator(".uec-drag--on"), Finger(page)
    bar_of(page, batch).scroll_into_view_if_needed()
    finger.put("touchStart", middle(bar_of(page, batch)))
    page.clock.run_for(1000)
    expect(lifted).to_have_count(1)
    scrolled = page.evaluate("[scrollY, document.querySelector('.uec-scroll').scrollLeft]")
    target = next_open_day(page, batch)
    finger.slide(middle(cell_of(page, target)))
    expect(cell_of(page, target)).to_have_class(re.compile("uec-drag__target"))
    assert page.evaluate("[scrollY, document.querySelector('.uec-scroll').scrollLeft]") == scrolled
    finger.put("touchEnd", None)
    expect(page).to_have_url(re.compile(rf"/batches/{batch.id}/move\?day={target:%Y-%m-%d}&line=centre"))
    page.goto(lines)
    bar_of(page, batch).scroll_into_view_if_needed()
    x, y = middle(bar_of(page, batch))
    finger.put("touchStart", (x, y))
    finger.slide((x - 60, y))
    assert lifted.count() == 0
    finger.put("touchEnd", None)
    page.wait_for_function("document.querySelector('.uec-scroll').scrollLeft > 0")
    assert page.url == lines
    context.close()


def test_keys_lift_a_batch_choose_its_place_and_put_it_back(browser: Browser, planned: Site) -> None:
    batch = last_batch(planned)
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    page = enter(context, "planner")
    page.goto(f"/office/plan/lines?first={batch.planned_for:%Y-%m-%d}")
    bar, lifted, target = bar_of(page, batch), page.locator(".uec-drag--on"), page.locator(".uec-drag__target")
    bar.focus()
    page.keyboard.press("Space")
    expect(lifted).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(target).to_have_count(1)
    page.keyboard.press("Escape")
    expect(lifted).to_have_count(0)
    expect(target).to_have_count(0)
    expect(page.get_by_role("status")).to_have_text("")
    for key in ("Space", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    expect(target).to_have_count(1)
    column = target.evaluate("(cell) => cell.cellIndex")
    day = page.locator(".uec-gantt thead th").nth(column).get_attribute("data-day")
    assert day is not None and day > batch.planned_for.isoformat()
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile(rf"/batches/{batch.id}/move\?day={day}&line=centre"))
    context.close()


# What became of clicks, in the order they were made; none of them goes anywhere meanwhile.
NOTE_CLICKS = """
window.clicks = [];
document.addEventListener("click", (event) => {
  window.clicks.push(event.defaultPrevented ? "swallowed" : "opens");
  event.preventDefault();
});
"""


def test_a_drag_called_off_by_escape_opens_nothing_when_the_mouse_is_let_go(browser: Browser, planned: Site) -> None:
    batch = last_batch(planned)
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    page = enter(context, "planner")
    page.goto(f"/office/plan/lines?first={batch.planned_for:%Y-%m-%d}")
    bar, lifted = bar_of(page, batch), page.locator(".uec-drag--on")
    page.evaluate(NOTE_CLICKS)
    x, y = middle(bar)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 8, y, steps=2)
    expect(lifted).to_have_count(1)
    page.keyboard.press("Escape")
    expect(lifted).to_have_count(0)
    page.mouse.move(x, y)
    assert lifted.count() == 0, "the mouse drags no more"
    page.mouse.up()
    assert page.evaluate("clicks") == ["swallowed"]
    bar.click()
    assert page.evaluate("clicks") == ["swallowed", "opens"], "the next click is a click"
    context.close()


def test_a_key_that_is_held_down_says_it_once(browser: Browser, planned: Site) -> None:
    batch = last_batch(planned)
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    page = enter(context, "planner")
    page.goto(f"/office/plan/lines?first={batch.planned_for:%Y-%m-%d}")
    lifted, target = page.locator(".uec-drag--on"), page.locator(".uec-drag__target")
    page.evaluate(NOTE_CLICKS)
    bar_of(page, batch).focus()
    for _ in range(3):
        page.keyboard.down("Space")
        assert lifted.count() == 1
    page.keyboard.up("Space")
    columns = []
    for _ in range(2):
        page.keyboard.down("ArrowRight")
        columns.append(target.evaluate("(cell) => cell.cellIndex"))
    page.keyboard.up("ArrowRight")
    assert columns[0] < columns[1], "an arrow goes on"
    page.keyboard.press("Escape")
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.down("Enter")
        assert lifted.count() == 0, "let go where it was"
    page.keyboard.up("Enter")
    assert page.evaluate("clicks") == [], "and opened by no key"
    context.close()


def test_a_batch_is_dragged_to_another_day_of_the_month(browser: Browser, planned: Site) -> None:
    batch = last_batch(planned)
    context = browser.new_context(base_url=planned.url, locale="en-GB", viewport={"width": 1280, "height": 1600})
    page = enter(context, "planner")
    page.goto(f"/office/calendar?month={batch.planned_for:%Y-%m}")
    target = page.locator(f'td[data-free]:not([data-day="{batch.planned_for:%Y-%m-%d}"])').last
    day = target.get_attribute("data-day")
    page.mouse.move(*middle(bar_of(page, batch)))
    page.mouse.down()
    page.mouse.move(*middle(target), steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile(rf"/batches/{batch.id}/move\?day={day}$"))
    page.go_back()
    bar_of(page, batch).click()
    expect(page).to_have_url(re.compile(rf"/batches/{batch.id}$"))
    context.close()


def test_without_a_mouse_the_same_is_a_form(browser: Browser, planned: Site) -> None:
    with planned.office.sessions() as session:
        key = session.scalars(select(Batch.id).order_by(Batch.planned_for, Batch.id)).first()
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport=PHONE, java_script_enabled=False)
    page = enter(context, "planner")
    page.goto(f"/office/batches/{key}")
    page.get_by_role("link", name="Перенести на другой день или линию").click()
    day = page.locator("#day").input_value()
    page.locator("#day").fill(f"{int(day[:4])}-12-30")
    page.get_by_role("button", name="Посмотреть последствия").click()
    expect(page.get_by_text("получат позже")).to_be_visible()
    assert fits(page)
    context.close()


def test_an_event_is_tried_on_a_phone(browser: Browser, planned: Site) -> None:
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport=PHONE)
    page = enter(context, "planner")
    page.goto("/office/plan/facts")
    page.get_by_text("Линия стоит").click()
    page.get_by_role("button", name="Посмотреть последствия").first.click()
    expect(page.get_by_text("Ничего ещё не сохранено")).to_be_visible()
    for address in ("/office/plan", "/office/plan/lines", "/office/plan/points", "/office/plan/scenarios"):
        page.goto(address)
        assert fits(page), address
    context.close()
