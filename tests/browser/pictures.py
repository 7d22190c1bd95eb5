"""The pictures of the README: an office in the middle of its day, looked at by everyone who works with it."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS
from tests.browser.pages import enter
from tests.browser.site import Site, open_site
from tests.support.office import POLICY, person
from uec.domain.actors import CITIZEN
from uec.domain.lifecycle import ApplicationState, CheckOutcome, CheckRegister, Route
from uec.services import checks
from uec.services.forms import ApplicationForm
from uec.services.intake import submit_application
from uec.store.tables import Application, Batch

LARGEST_BYTES = 200_000
MARCH = [date(2026, 3, day) for day in (3, 4, 5, 6, 10, 11, 12, 13, 16, 17)]


class Registers:
    """Registers that agree, but for one person's address."""

    def check_many(self, questions: Sequence[tuple[CheckRegister, checks.Person]]) -> list[checks.Answer]:
        """Answer in the order of the questions."""
        return [self._answer(register, asked) for register, asked in questions]

    def _answer(self, register: CheckRegister, asked: checks.Person) -> checks.Answer:
        moved = register is CheckRegister.RESIDENCE and asked.snils == person(305)["snils"]
        return Moved() if moved else Agreed()


class Agreed:
    """A match."""

    outcome, detail = CheckOutcome.MATCH, ""


class Moved:
    """A mismatch."""

    outcome, detail = CheckOutcome.MISMATCH, "по реестру: г. Озёрск, ул. Садовая, д. 3"


def fill(site: Site) -> dict[str, int]:
    """Give the office a day's work; ids of what is worth looking at."""
    office = site.office
    cards = office.make_cards(*range(1, 7))
    handed = office.hand_over(cards[0])
    for first, day in zip(range(20, 200, 18), MARCH, strict=True):
        office.approve_applicants(*range(first, first + 3 + day.day % 7), point=day.day % 2)
        with office.sessions() as session:
            for batch_id in office.plan():
                session.get_one(Batch, batch_id).planned_for = day
            session.commit()
    with office.sessions() as session:
        for number in range(300, 318):
            form = ApplicationForm(**person(number), point_id=office.staff.points[number % 2])
            submit_application(
                session, form=form, route=Route.WEB, actor=CITIZEN, policy=POLICY, now=office.clock(),
                random=office.desk.bench.random,
            )  # fmt: skip
        checks.start_checks(session, now=office.clock())
        checks.run_checks(session, Registers(), policy=POLICY, now=office.clock(), limit=1000)
        failed = session.query(Application).filter_by(state=ApplicationState.CHECK_FAILED).one().id
    return {"ready": cards[1], "operation": handed.id, "application": failed}


PICTURES = (
    ("citizen", None, "/"),
    ("citizen-apply", None, "/apply/person"),
    ("window", "operator2", "/window/cards/{ready}/hand-over"),
    ("window-receipt", "operator2", "/window/operations/{operation}"),
    ("office-application", "officer", "/office/applications/{application}"),
    ("office", "planner", "/office/calendar"),
)


def take(folder: Path, out: Path) -> Iterator[Path]:
    """Take every picture into `out`, each below 200 KB; yields their paths."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with open_site(folder, daily_capacity=12) as site, sync_playwright() as playwright:
        things = fill(site)
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        for name, login, address in PICTURES:
            context = browser.new_context(
                base_url=site.url, locale="ru-RU", viewport={"width": 1200, "height": 760}, device_scale_factor=0.8
            )
            page: Page = enter(context, login) if login else context.new_page()
            page.goto(address.format(**things))
            page.wait_for_load_state("networkidle")
            picture = out / f"{name}.png"
            page.screenshot(path=picture, full_page=login is not None)
            if picture.stat().st_size > LARGEST_BYTES:
                raise ValueError(f"{picture} is larger than {LARGEST_BYTES} bytes; make the page shorter")
            context.close()
            yield picture
        browser.close()
