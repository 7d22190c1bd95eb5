"""A job's page in Chromium, while it asks for itself again: its buttons stay under the keys and under the mouse."""

from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from tests.browser.pages import enter
from tests.browser.site import Site
from tests.browser.test_plan import middle
from uec.services import schedule
from uec.store.tables import ScheduledRun


def poll(page: Page) -> None:
    """Have the page ask for itself without waiting for its clock, until what came is there."""
    page.evaluate("document.querySelector('#state').dataset.old = 'yes'")
    page.clock.run_for(3000)
    expect(page.locator("#state[data-old]")).to_have_count(0)


def test_a_poll_takes_neither_the_focus_nor_a_press_from_a_button(browser: Browser, site: Site) -> None:
    clock = site.office.clock
    with site.office.sessions() as session:
        assert schedule.trigger(session, "plan", clock(), now=clock())
        assert schedule.claim(session, now=clock(), worker="node2 4711")
    context = browser.new_context(base_url=site.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    page = enter(context, "admin")
    page.clock.install()
    page.goto("/office/jobs/plan")
    run = page.get_by_role("button", name="Выполнить сейчас")
    end = page.get_by_role("button", name="Завершить этот запуск")
    run.focus()
    poll(page)
    expect(run).to_be_focused()
    expect(end).to_have_count(0)
    clock.advance(seconds=61)
    poll(page)
    expect(end).to_be_visible()
    expect(run).to_be_focused()
    end.focus()
    poll(page)
    expect(end).to_be_focused()
    page.mouse.move(*middle(end))
    page.mouse.down()
    poll(page)
    page.mouse.up()
    expect(page.get_by_text("просит завершить запуск")).to_be_visible()
    expect(end).to_have_count(0)
    with site.office.sessions() as session:
        assert session.scalars(select(ScheduledRun.end_asked_by)).one()
    context.close()
