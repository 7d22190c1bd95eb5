"""The office's pages over a register of full size: residents, lists, twins, applications, somebody's place."""

from __future__ import annotations

import re
import secrets
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from flask.testing import FlaskClient

from scripts.benchmarks import cohort
from scripts.benchmarks.figure import Figure, seconds
from tests.support.desk import SETTINGS
from uec.domain.actors import system_actor
from uec.domain.permissions import Role
from uec.services import cohort_members, staff
from uec.services.register import import_municipalities, import_register
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Cohort, Resident
from uec.synthetic.register import AS_OF
from uec.web.app import create_app
from uec.web.context import EXTENSION

RUNS, GOAL_MS = 9, 300.0
PASSWORD = secrets.token_urlsafe(16)


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """A register of its own, then its pages."""
    with cohort.register_file(cohort.QUICK_RESIDENTS if quick else cohort.RESIDENTS) as (url, file):
        engine, actor, now = make_engine(url), system_actor("bench"), datetime.now(UTC)
        with session_factory(engine)() as session:
            import_municipalities(session, path=file.with_name("municipalities.csv"), actor=actor, now=now)
            import_register(session, path=file, rejects_path=file.with_name("rejects.csv"), actor=actor, now=now)
        engine.dispose()
        yield from page_figures(url)


def page_figures(url: str) -> Iterator[Figure | str]:
    """Milliseconds of the median request of each page, the first one left out."""
    cohort_id, town = _list(url)
    with tempfile.TemporaryDirectory() as folder:
        client = _client(url, Path(folder))
        for name, address in _addresses(url, cohort_id, town):
            yield _page(f"emission.page.{name}", client, address)


def _list(url: str) -> tuple[int, str]:
    """A list of everybody entitled, and its largest municipality; needs no applications to be in the way."""
    engine = make_engine(url)
    with session_factory(engine)() as session:
        row = Cohort(number="bench-pages", as_of=AS_OF, count=0, digest="", created_at=datetime.now(UTC))
        session.add(row)
        session.flush()
        everybody = [Resident.death_date.is_(None)]
        session.execute(cohort_members.chosen(session, row.id, AS_OF, everybody))
        shares = cohort_members.breakdown(session, row.id)
        row.count = sum(share.count for share in shares)
        found = row.id, max(shares, key=lambda share: share.count).oktmo
        session.commit()
    engine.dispose()
    return found


def _addresses(url: str, cohort_id: int, town: str) -> Iterator[tuple[str, str]]:
    """Each page with its slowest ways in: the first, the last, the largest town, somebody by number."""
    with psycopg.connect(url) as connection:
        last, snils = connection.execute("SELECT id, snils FROM resident ORDER BY id DESC LIMIT 1").fetchone() or (
            0,
            "",
        )
        case = connection.execute("SELECT max(id) FROM twin_case").fetchone()
        number = connection.execute("SELECT number FROM application ORDER BY id DESC LIMIT 1").fetchone()
        kind = connection.execute(
            "SELECT oktmo, band, sex FROM cohort_part WHERE cohort_id = %s ORDER BY count DESC LIMIT 1", (cohort_id,)
        ).fetchone()
    assert case is not None and kind is not None
    yield "home", "/office/"
    yield "explore", "/office/cohorts/explore"
    yield "explore.end", f"/office/cohorts/explore?after={last - 60}"
    yield "explore.town", f"/office/cohorts/explore?oktmo={town}&after={last // 2}"
    yield "explore.snils", f"/office/cohorts/explore?query={snils}"
    yield "explore.nobody", "/office/cohorts/explore?query=nobody"
    yield "why", f"/office/cohorts/explore/{last}?list={cohort_id}"
    yield "lists", "/office/cohorts"
    yield "list", f"/office/cohorts/{cohort_id}"
    yield "list.town", f"/office/cohorts/{cohort_id}?oktmo={town}"
    yield "list.inside", f"/office/cohorts/{cohort_id}?after={kind[0]}.{kind[1]}.{kind[2]}.{last // 2}"
    yield "list.women", f"/office/cohorts/{cohort_id}?sex=F&band=60%2B"
    yield "twins", "/office/twins"
    if case[0]:
        yield "twin", f"/office/twins/{case[0]}"
    if number:
        yield "applications", "/office/applications"
        yield "applications.found", f"/office/applications?query={number[0]}"
        yield "place", f"/office/plan/person?number={number[0]}"


def _client(url: str, folder: Path) -> FlaskClient:
    """Somebody with every permission that the pages need, signed in."""
    settings = replace(SETTINGS, database_url=url, state_dir=folder, secret_key_file=folder / "web.key")
    app = create_app(settings)
    with app.extensions[EXTENSION].sessions() as session:
        staff.create(
            session,
            login="bench",
            display_name="Bench",
            password=PASSWORD,
            roles=(Role.PLANNER, Role.OFFICER, Role.RELEASER),
            actor=system_actor("bench"),
            now=datetime.now(UTC),
            random=secrets.token_bytes,
        )
        session.commit()
    client = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
    assert token is not None
    entered = client.post("/sign-in", data={"csrf_token": token[1], "login": "bench", "password": PASSWORD})
    if entered.status_code != 302:
        raise LookupError("nobody could sign in")
    return client


def _page(name: str, client: FlaskClient, address: str) -> Figure:
    def ask() -> None:
        answer = client.get(address)
        if answer.status_code != 200:
            raise LookupError(f"{address} answered {answer.status_code}")

    ask()
    return Figure(name, "ms", 1000 * statistics.median(seconds(ask) for _ in range(RUNS)), goal=GOAL_MS, at_most=True)
