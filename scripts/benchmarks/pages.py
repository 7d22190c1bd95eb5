"""Every page of office, window and citizen over a region of full size half a year into its mass emission.

The addresses come from the application's own routes, so a new page is measured without a word here; a figure that ends
in a number is the same page by another way in: a filter, a search, the last page of a list. One process, one request
after the other, from the request to the last byte of HTML.
"""

from __future__ import annotations

import re
import secrets
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from scripts.benchmarks import cohort
from scripts.benchmarks.figure import Figure, seconds
from scripts.benchmarks.stage import office
from scripts.benchmarks.stage.addresses import addresses
from tests.support.desk import SETTINGS
from uec.domain.actors import system_actor
from uec.domain.permissions import Role
from uec.services import staff
from uec.services.register import import_municipalities, import_register
from uec.store.engine import make_engine, session_factory
from uec.web.app import create_app
from uec.web.context import EXTENSION

RUNS, GOAL_MS = 5, 300.0
PASSWORD = secrets.token_urlsafe(16)


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """A region of its own, then its pages."""
    with cohort.register_file(cohort.QUICK_RESIDENTS if quick else cohort.RESIDENTS) as (url, file):
        engine, actor, now = make_engine(url), system_actor("bench"), datetime.now(UTC)
        with session_factory(engine)() as session:
            import_municipalities(session, path=file.with_name("municipalities.csv"), actor=actor, now=now)
            import_register(session, path=file, rejects_path=file.with_name("rejects.csv"), actor=actor, now=now)
        engine.dispose()
        office.people(url)
        yield from office.open_office(url)
        yield from page_figures(url)


def page_figures(url: str) -> Iterator[Figure | str]:
    """Milliseconds of the median request of each page, the first one left out; then the slowest of them."""
    with tempfile.TemporaryDirectory() as folder:
        app = app_of(url, Path(folder))
        client = client_of(app, login="bench")
        found = []
        for name, address in addresses(url, app.url_map):
            found.append(_page(f"emission.page.{name}", client, address))
            yield found[-1]
    slowest = max(found, key=lambda one: one.value)
    middle = statistics.median(one.value for one in found)
    yield f"{len(found)} pages: {middle:.0f} ms at the median, the slowest is {slowest.name} with {slowest.value:.0f}"


def app_of(url: str, folder: Path) -> Flask:
    """The web application of the region; its key lies in the folder."""
    settings = replace(SETTINGS, database_url=url, state_dir=folder, secret_key_file=folder / "web.key")
    return create_app(settings)


def client_of(app: Flask, *, login: str) -> FlaskClient:
    """A new colleague with every role, at the largest point, signed in."""
    with app.extensions[EXTENSION].sessions() as session:
        staff.create(
            session,
            login=login,
            display_name="Bench",
            password=PASSWORD,
            roles=tuple(Role),
            point_id=1,
            actor=system_actor("bench"),
            now=datetime.now(UTC),
            random=secrets.token_bytes,
        )
        session.commit()
    client = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
    assert token is not None
    entered = client.post("/sign-in", data={"csrf_token": token[1], "login": login, "password": PASSWORD})
    if entered.status_code != 302:
        raise LookupError("nobody could sign in")
    return client


def _page(name: str, client: FlaskClient, address: str) -> Figure:
    def ask() -> None:
        answer = client.get(address)
        if answer.status_code not in {200, 302}:
            raise LookupError(f"{address} answered {answer.status_code}")

    ask()
    return Figure(name, "ms", 1000 * statistics.median(seconds(ask) for _ in range(RUNS)), goal=GOAL_MS, at_most=True)
