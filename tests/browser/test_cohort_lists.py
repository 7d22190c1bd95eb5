"""A list in Chromium: the page asks, workers do it, and what came of it appears without a reload."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.pages import enter
from tests.browser.site import Site
from tests.support.office import add_resident, publish_notice
from uec.domain.actors import system_actor
from uec.services import cohort

WORKER = system_actor("scheduler")


@pytest.mark.slow
def test_count_and_root_and_then_the_applications_appear_by_themselves(context: BrowserContext, site: Site) -> None:
    office, book = site.office, site.settings.policy
    with office.sessions() as session:
        for number in range(4001, 4006):
            add_resident(session, number)
        session.commit()
        publish_notice(session, office.staff)
    page = enter(context, "planner")
    page.goto("/office/cohorts")
    page.get_by_role("button", name="Составить").click()
    expect(page.get_by_text("Список составляется")).to_be_visible()
    expect(page.get_by_role("button", name="Предложить")).to_have_count(0)
    with office.sessions() as session:
        (made,) = cohort.compute_asked(session, actor=WORKER, book=book, now=office.clock())
    expect(page.get_by_text(made.digest)).to_be_visible()
    expect(page.locator("[hx-get]")).to_have_count(0)
    page.get_by_role("button", name="Посмотреть и предложить").click()
    page.get_by_role("button", name="Предложить").click()
    with office.sessions() as session:
        cohort.approve(session, made.id, actor=office.staff.releaser, digest=made.digest, now=office.clock())
    page.goto("/office/cohorts")
    page.get_by_role("link", name=made.number).click()
    page.get_by_role("button", name="Открыть заявления").click()
    expect(page.get_by_text("Заявления по списку открываются")).to_be_visible()
    with office.sessions() as session:
        list(cohort.open_asked(session, actor=WORKER, book=book, now=office.clock()))
    expect(page.get_by_text("Открыто заявлений")).to_be_visible()
    expect(page.locator(".govuk-summary-list__row", has_text="Открыто заявлений")).to_contain_text(str(made.count))
