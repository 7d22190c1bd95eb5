"""The plan in Chromium, over a region of some hundred people: pictures, the month, a batch dragged to another day."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import func, select

from tests.browser.pages import enter
from tests.browser.site import Site
from tests.integration.services.test_plan_office import applicants
from uec.domain.lifecycle import Route
from uec.services import batches
from uec.services.rules import batch_rules
from uec.store.tables import Batch, Card, PromiseMove

PHONE = {"width": 390, "height": 844}


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


def test_a_batch_is_dragged_and_saved_only_after_its_consequences_are_seen(browser: Browser, planned: Site) -> None:
    with planned.office.sessions() as session:
        batch = session.scalars(select(Batch).order_by(Batch.planned_for.desc(), Batch.id.desc())).first()
        assert batch is not None
        number, key, day = batch.number, batch.id, batch.planned_for
    target = day + timedelta(days=7)
    context = browser.new_context(base_url=planned.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    page = enter(context, "planner")
    page.goto(f"/office/plan/lines?first={day - timedelta(days=3):%Y-%m-%d}")
    bar = page.locator("a[draggable]", has_text=re.compile(rf"^{number}"))
    bar.drag_to(page.locator(f'td[data-day="{target:%Y-%m-%d}"]').first)
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
    expect(page.get_by_text("Кому выдадут позже")).to_be_visible()
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
