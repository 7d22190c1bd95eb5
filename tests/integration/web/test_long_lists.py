"""The links of a long list lead through all of it and back, each row once."""

import re
from html import unescape
from itertools import chain

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_plan_office import applicants
from tests.integration.web.conftest import SignIn
from tests.support.desk import CardOffice
from uec.domain.lifecycle import Route
from uec.store.tables import Application

MANY = 80


@pytest.fixture(scope="module")
def listed(office: CardOffice, sessions: sessionmaker[Session]) -> int:
    with sessions() as session:
        applicants(session, office.staff, MANY, route=Route.WEB)
        return session.scalar(select(func.count()).select_from(Application)) or 0


def link(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return unescape(found[1]) if found else None


def numbers(page: str) -> list[str]:
    return re.findall(r'href="/office/applications/\d+">(\d{4}-\d+)</a>', page)


def test_links_lead_to_the_end_and_back(sign_in: SignIn, listed: int) -> None:
    client: FlaskClient = sign_in("officer")
    pages = [client.get("/office/applications").text]
    while onward := link(pages[-1], "next"):
        assert "after=" in onward
        pages.append(client.get(onward).text)
    seen = [numbers(page) for page in pages]
    everybody = list(chain.from_iterable(seen))
    assert len(everybody) == len(set(everybody)) == listed
    back, shown = pages[-1], []
    while away := link(back, "prev"):
        back = client.get(away).text
        shown.append(numbers(back))
    assert shown == seen[-2::-1]


@pytest.mark.parametrize("way", ["after=0", "after=99999999", "before=1", "after=x", "after=1&before=2", "before=-1"])
def test_a_row_nobody_has_is_no_error(sign_in: SignIn, listed: int, way: str) -> None:
    client = sign_in("officer")
    for address in ("/office/applications", "/office/cards", "/window/"):
        assert client.get(f"{address}?{way}").status_code in {200, 302, 403}
