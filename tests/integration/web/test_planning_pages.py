"""The plan's pages: what a planner sees before and after, with two people where it takes two, figures beside."""

# ruff: noqa: F811 - the fixture is imported

import re
from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.integration.services.test_plan_office import applicants
from tests.integration.web.test_office import colleague, press  # noqa: F401 - a fixture
from tests.support.desk import CardOffice
from uec.domain.lifecycle import Route
from uec.services import numbering, plan_events, plan_facts, plan_region
from uec.store.tables import Batch, EmissionPlan, Message, PlanningFacts, PromiseMove, ScheduledRun

FACTS = "/office/plan/facts"
OTHER = {"ascending": "descending", "descending": "ascending"}
HEAD = "Массовая эмиссия"


def count(office: CardOffice, table: type) -> int:
    with office.sessions() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture(scope="module")
def planned(office: CardOffice) -> CardOffice:
    """An office with 800 people who wait."""
    with office.sessions() as session:
        applicants(session, office.staff, 800, route=Route.MASS, seed=3)
    return office


def test_before_there_is_a_plan_the_pages_say_so(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    for address in ("/office/plan", "/office/plan/points", "/office/plan/late"):
        page = planner.get(address)
        assert page.status_code == 200 and "Плана ещё нет" in page.text
    assert "Никто не ведёт учёт чипов" in planner.get(FACTS).text
    assert "Сценариев пока нет" in planner.get("/office/plan/scenarios").text
    assert "ничья обещанная дата не сдвинулась" in planner.get("/office/plan/moved").text
    assert planner.get("/office/plan/lines?first=never&days=5000").status_code == 200


def test_a_plan_is_made_and_shown_with_pictures_and_their_figures(colleague, planned: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    assert press(planner, "/office/batches/plan", "/office/plan").status_code == 200
    page = planner.get("/office/plan").text
    assert page.count('role="img"') >= 2
    weeks = re.findall(r'<rect class="uec-chart__column', page)
    assert len(weeks) >= 3
    with planned.sessions() as session:
        facts = session.scalars(select(EmissionPlan).order_by(EmissionPlan.id.desc())).first()
        assert facts is not None and facts.people == 800
    assert ">800<" in page
    lines = planner.get("/office/plan/lines").text
    assert "data-cards=" in lines and "data-free=" in lines and "Центр" in lines
    assert "МФЦ" in planner.get("/office/plan/points").text
    number = "2026-0000400"
    assert press(planner, "/office/batches/plan?way=anew", "/office/plan").status_code == 200
    found = planner.get(f"/office/plan/person?number={number}")
    assert found.status_code in (200, 404)
    assert planner.get("/office/plan/person?number=no").status_code == 404


@pytest.mark.parametrize(
    ("asked", "sorted_by", "order"),
    [
        ("", "waiting", "descending"),
        ("?sort=waiting&order=ascending", "waiting", "ascending"),
        ("?sort=cohort", "cohort", "descending"),
        ("?sort=name", "name", "ascending"),
        ("?sort=last&order=descending", "last", "descending"),
        ("?sort=peak&order=sideways", "peak", "descending"),
        ("?sort=__class__&order=%00", None, None),
    ],
)
def test_points_stand_in_the_order_asked_for(  # type: ignore[no-untyped-def]
    colleague, planned: CardOffice, asked: str, sorted_by: str | None, order: str | None
) -> None:
    planner = colleague("planner")
    answer = planner.get(f"/office/plan/points{asked}")
    if sorted_by is None:
        assert answer.status_code == 400
        return
    heads = re.findall(
        r'<th scope="col"[^>]*aria-sort="(\w+)"><a[^>]*href="[^"]*sort=(\w+)&amp;order=(\w+)"', answer.text
    )
    assert [head for head in heads if head[0] != "none"] == [(order, sorted_by, OTHER[order])]
    names = re.findall(r'role="rowheader"[^>]*>([^<]+)<', answer.text)
    queues = [int(one) for one in re.findall(r'<meter class="uec-meter"[^>]*value="(\d+)"', answer.text)]
    assert len(names) == len(queues) == len(planned.staff.points)
    if sorted_by == "waiting":
        assert queues == sorted(queues, reverse=order == "descending")
    if sorted_by == "name":
        assert names == sorted(names)
    assert f'data-label="{HEAD}"' in answer.text


def test_an_event_shows_what_follows_and_only_then_is_saved(colleague, planned: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner, releaser = colleague("planner"), colleague("releaser")
    before = count(planned, PlanningFacts)
    fields = {"kind": "stop", "line": "centre", "first": "2026-03-09", "last": "2026-03-10"}
    page = press(planner, "/office/plan/event", FACTS, **fields).text
    assert "Ничего ещё не сохранено" in page
    later = re.search(r'uec-figures__number">([\d\s]+)<', page)
    assert later and int(re.sub(r"\D", "", later.group(1))) > 0
    assert count(planned, PlanningFacts) == before
    assert press(releaser, "/office/plan/event", "/office/batches", **fields).status_code == 403
    wrong = press(planner, "/office/plan/event", FACTS, **fields | {"line": "L9"})
    assert wrong.status_code == 400
    assert press(planner, "/office/plan/event/save", FACTS, **fields, reason="").status_code == 400
    done = press(planner, "/office/plan/event/save", FACTS, **fields, reason="поломка пресса")
    assert "Сохранено" in done.text and "поломка пресса" in done.text and "09.03.2026" in done.text
    assert count(planned, PlanningFacts) == before + 1
    with planned.sessions() as session:
        assert session.scalars(select(ScheduledRun.job)).all() == ["plan"]
    assert press(planner, "/office/batches/plan", "/office/plan").status_code == 200
    moved = planner.get("/office/plan/moved").text
    assert "Сообщить всем" in moved
    told = press(planner, "/office/plan/moved/tell", "/office/plan/moved").text
    assert "ничья обещанная дата не сдвинулась" in told
    assert count(planned, Message) == count(planned, PromiseMove) > 0


def test_a_batch_is_moved_with_a_form_that_shows_what_follows(colleague, planned: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner, releaser = colleague("planner"), colleague("releaser")
    with planned.sessions() as session:
        batch = session.scalars(select(Batch).order_by(Batch.planned_for, Batch.id)).first()
        assert batch is not None
        batch_id, day = batch.id, batch.planned_for
    address = f"/office/batches/{batch_id}/move"
    assert address in planner.get(f"/office/batches/{batch_id}").text
    assert "Что из этого следует" not in planner.get(address).text
    seen = planner.get(f"{address}?day=2026-03-12&line=centre").text
    assert "Что из этого следует" in seen and "получат позже" in seen
    assert "выберите рабочий день" in planner.get(f"{address}?day=2026-03-14&line=centre").text
    assert releaser.get(address).status_code == 403
    with planned.sessions() as session:
        assert session.get_one(Batch, batch_id).planned_for == day
    for beyond in ("9999-12-31", "2200-01-01"):
        asked = planner.get(f"{address}?day={beyond}&line=centre")
        assert asked.status_code == 200 and "выберите рабочий день" in asked.text
        assert press(planner, address, address, day=beyond, line="centre").status_code == 400
        assert planner.get(f"/office/batches?day={beyond}").status_code == 200
    assert planner.get(f"{address}?day=2199-12-31&line=centre").status_code == 200
    (was,) = re.findall(r'name="from_day" value="([\d-]+)"', seen)
    fields = {"day": "2026-03-12", "line": "centre", "from_day": was, "from_line": "centre"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbering, "held", lambda _session, _series: False)
        busy = press(planner, address, address, **fields)
    assert busy.status_code == 409 and "попробуйте ещё раз через минуту" in busy.text
    assert 'name="from_day"' in busy.text, "the move stands there to be sent again"
    moved = press(planner, address, f"{address}?day=2026-03-12&line=centre", **fields)
    assert "перенесена" in moved.text
    late = press(planner, address, address, **fields | {"day": "2026-03-11"})
    assert late.status_code == 409 and "Коллега" in late.text, "another planner looked at the day it had before"
    with planned.sessions() as session:
        assert session.get_one(Batch, batch_id).planned_for == date(2026, 3, 12)
    assert press(planner, address, address, day="", line="centre").status_code == 400


def test_the_pages_speak_english_too(colleague, planned: CardOffice, client: FlaskClient) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    planner.get("/language/en")
    for address, words in (
        ("/office/plan", "Cards made by week"),
        ("/office/plan/lines", "Lines by day"),
        ("/office/plan/points", "Safe at its fullest"),
        (FACTS, "What has happened?"),
        ("/office/plan/scenarios", "What if?"),
        ("/office/plan/moved", "Moved promises"),
    ):
        page = planner.get(address)
        assert page.status_code == 200 and words in page.text


def test_who_is_late_is_opened_from_the_overview(colleague, office: CardOffice) -> None:  # type: ignore[no-untyped-def]
    """Two points, one without courier and one whose safe is full: why, what it takes, and everybody by number."""
    planner = colleague("planner")
    with office.sessions() as session:
        actor = office.staff.planner
        before = plan_facts.table(session)
        codes = [one.code for one in plan_region.office_points(session).values()]
        table = before | {"points": {code: {"weekdays": []} for code in codes}}
        table["chips"] = {"deliveries": [{"count": 700}]}
        plan_facts.store(session, table, reason="no courier", actor=actor, now=office.clock())
        session.commit()
    try:
        assert press(planner, "/office/batches/plan?way=anew", "/office/plan").status_code == 200
        page = planner.get("/office/plan").text
        assert "не ездит ни один курьер" in page and "Проверьте исходные данные" in page and "без дня поставки" in page
        (link,) = set(re.findall(r'href="(/office/plan/late\?reason=no_courier&amp;kind=2)"', page))
        late = planner.get(link.replace("&amp;", "&")).text
        numbers = re.findall(r"/office/plan/person\?number=([\d-]+)", late)
        assert len(numbers) == len(set(numbers)) == 25 and "к пункту не ездит курьер" in late
        assert "offset=25" in late
        assert planner.get(f"/office/plan/person?number={numbers[0]}").text.count("не ездит") >= 1
        assert "день не назван" in planner.get(FACTS).text
        nobody = planner.get("/office/plan/late?reason=no_windows").text
        assert "по этой причине никто не опаздывает" in nobody
        assert planner.get("/office/plan/late?reason=weather&kind=9&point=Z&offset=x").status_code == 200
    finally:
        with office.sessions() as session:
            plan_facts.store(session, before, reason="as before", actor=office.staff.planner, now=office.clock())
            session.commit()


def test_the_page_takes_every_field_of_every_event_and_shows_what_was_told(
    colleague,
    planned: CardOffice,  # type: ignore[no-untyped-def]
) -> None:
    """What `uec plan event` takes, the page takes too; bureaux have their form where there is one."""
    planner = colleague("planner")
    told = {"kind": "delivery", "day": "2026-05-04", "count": "700", "variant": "uec"}
    assert press(planner, "/office/plan/event/save", FACTS, **told, reason="чипы").status_code == 200
    round_ = {"kind": "courier", "weekdays": "1, 3", "cost": "287,50"}
    assert press(planner, "/office/plan/event/save", FACTS, **round_, reason="курьер").status_code == 200
    point = {"kind": "point", "point": "P1", "minutes": "480 480 480 480 480 240 0", "stops": "0"}
    page = press(planner, "/office/plan/event/save", FACTS, **point, reason="суббота").text
    assert "287,5" in page and "480 480 480 480 480 240 0" in page and "никогда" in page
    forms = {}
    for form in re.findall(r'<form method="post" action="/office/plan/event">(.*?)</form>', page, re.DOTALL):
        names = re.findall(r'name="([^"]+)"', form)
        forms[re.findall(r'name="kind" value="([^"]+)"', form)[0]] = set(names) - {"csrf_token", "kind"}
    expected = {kind: set(one.fields) for kind, one in plan_events.EVENTS.items() if kind != "bureau"}
    assert forms == expected
