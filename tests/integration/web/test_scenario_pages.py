"""The scenarios' pages: tried, followed, paged, side by side as pictures, made the plan by another person."""

# ruff: noqa: F811 - the fixture is imported

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select

from tests.integration.services.test_plan_office import CALENDAR, TODAY, applicants
from tests.integration.web.test_office import colleague, press  # noqa: F401 - a fixture
from tests.support.desk import CardOffice
from tests.support.office import NOW
from uec.domain.lifecycle import Route
from uec.services import plan_facts, plan_scenarios, scenario_years
from uec.services.plan_scenarios import Trial
from uec.services.scenario_facts import Ground
from uec.services.scenario_years import Watch
from uec.store.tables import PlanningFacts, PlanProposal, PlanScenario, Staff

PAGE = "/office/plan/scenarios"
GROUND = Ground(CALENDAR, "uec", TODAY)


@pytest.fixture(scope="module")
def waiting(office: CardOffice) -> CardOffice:
    """An office with 200 people who wait."""
    with office.sessions() as session:
        applicants(session, office.staff, 200, route=Route.MASS, seed=3)
    return office


@pytest.fixture(autouse=True)
def _nothing_left(office: CardOffice) -> Iterator[None]:
    yield
    with office.sessions() as session:
        for table in (PlanProposal, PlanningFacts, PlanScenario):
            session.execute(delete(table))
        session.commit()


def count(office: CardOffice, table: type) -> int:
    with office.sessions() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def lived(office: CardOffice, name: str, **trial: object) -> int:
    """A scenario of twenty days that is lived through."""
    with office.sessions() as session:
        one = Trial(**{"runs": 2, "days": 20, **trial})  # type: ignore[arg-type]
        watch = Watch(lambda: NOW)
        return scenario_years.run(session, name, one, ground=GROUND, actor=office.staff.planner, watch=watch).id


def beside(*ids: int) -> str:
    return f"{PAGE}/compare?" + "&".join(f"scenario={one}" for one in ids)


def test_a_scenario_is_tried_put_forward_and_approved(colleague, waiting: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner, releaser = colleague("planner"), colleague("releaser")
    fields = {"name": "вторая смена", "shift_line": "centre", "shifts": "1", "windows": "1,5", "runs": "1"}
    fields |= {"no_show": "20", "strike": "0,4"}
    assert "проживается" in press(planner, PAGE, PAGE, **fields).text
    assert press(planner, PAGE, PAGE, **fields).status_code == 400, "the name is taken"
    with waiting.sessions() as session:
        (row,) = plan_scenarios.waiting(session, now=NOW)
        assert row.changes == {"windows": 1.5, "shifts": {"centre": 1}}
        assert row.outcome["chances"] == {"no_show": 0.2}, "a strike of 0.4 % is as usual"
        scenario_years.live(session, row, ground=GROUND, watch=Watch(lambda: NOW))
        scenario_id = row.id
    listed = planner.get(PAGE).text
    assert "окна × 1.5" in listed and "Не приходят" in listed
    page = beside(scenario_id)
    shown = planner.get(page).text
    assert "Обещания сдержаны" in shown and shown.count('role="img"') >= 1 and "P90" in shown
    assert press(releaser, f"{PAGE}/{scenario_id}/approve", "/office/batches").status_code == 404
    assert "Сделать планом" not in planner.get(page).text
    assert press(planner, f"{PAGE}/{scenario_id}/propose", page).status_code == 200
    twice = press(planner, f"{PAGE}/{scenario_id}/propose", page)
    assert twice.status_code == 409 and "уже предложен" in twice.text
    assert press(planner, f"{PAGE}/{scenario_id}/approve", page).status_code == 403
    assert "Сценарий действует" in press(releaser, f"{PAGE}/{scenario_id}/approve", page).text
    assert "Действует" in planner.get(PAGE).text
    again = press(releaser, f"{PAGE}/{scenario_id}/approve", page)
    assert again.status_code == 409 and "уже стал планом" in again.text
    with waiting.sessions() as session:
        assert session.scalars(select(PlanningFacts.scenario_id)).all() == [scenario_id]
        plan_facts.store(session, {}, reason="все как было", actor=waiting.staff.planner, now=NOW)
        session.commit()
    assert "больше не план" in planner.get(page).text and "Действовал" in planner.get(PAGE).text


def test_who_made_it_is_told_that_a_colleague_makes_it_the_plan(colleague, waiting: CardOffice) -> None:  # type: ignore[no-untyped-def]
    """Somebody who may do both: the page offers no button, and the request by hand says why."""
    planner, releaser = colleague("planner"), colleague("releaser")
    scenario_id = lived(waiting, "своими руками")
    with waiting.sessions() as session:
        releasing = session.scalars(select(Staff.id).where(Staff.login == "releaser")).one()
        session.get_one(PlanScenario, scenario_id).made_by = releasing
        session.commit()
    press(planner, f"{PAGE}/{scenario_id}/propose", beside(scenario_id))
    assert "/approve" not in releaser.get(beside(scenario_id)).text
    refused = press(releaser, f"{PAGE}/{scenario_id}/approve", "/office/batches")
    assert refused.status_code == 403 and "Вы составили сценарий" in refused.text


def test_a_scenario_whose_facts_have_changed_is_lived_through_again(colleague, waiting: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner, releaser = colleague("planner"), colleague("releaser")
    scenario_id, other = lived(waiting, "устарел", changes={"windows": 2}), lived(waiting, "рядом")
    page = beside(other, scenario_id)
    press(planner, f"{PAGE}/{scenario_id}/propose", page)
    with waiting.sessions() as session:
        plan_facts.store(session, {"intake": {"factor": 1}}, reason="ждём людей", actor=waiting.staff.planner, now=NOW)
        session.commit()
    assert "Устарел" in planner.get(PAGE).text
    shown = releaser.get(page).text
    assert "изменились" in shown and "/approve" not in shown
    late = press(releaser, f"{PAGE}/{scenario_id}/approve", "/office/batches")
    assert late.status_code == 409 and "изменились" in late.text
    with waiting.sessions() as session:
        assert "windows" not in plan_facts.table(session)
    answer = press(planner, f"{PAGE}/{scenario_id}/again", page, beside=[str(other), str(scenario_id)])
    assert "проживается" in answer.text and "рядом" in answer.text, "those that stood beside it still do"
    with waiting.sessions() as session:
        (row,) = plan_scenarios.waiting(session, now=NOW)
        assert row.id == scenario_id
    assert count(waiting, PlanProposal) == 0


def test_a_scenario_under_way_says_how_far_it_is(colleague, waiting: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    press(planner, PAGE, PAGE, name="долгий", runs="4")
    assert "проживается: 4" in planner.get(PAGE).text
    moments = iter(NOW + timedelta(seconds=40 * step) for step in range(9))
    seen: list[str] = []
    with waiting.sessions() as session:
        (row,) = plan_scenarios.waiting(session, now=NOW)
        # What is told to a bar is told before it is saved: the page is one year behind.
        watch = Watch(lambda: next(moments), lambda _done: seen.append(planner.get(PAGE).text))
        scenario_years.live(session, row, ground=GROUND, watch=watch)
    assert "1 из 4; осталось: 2 минуты" in seen[1]
    assert 'value="2"' in seen[2] and "2 из 4; осталось: 1 минута" in seen[2]
    assert "3 из 4; осталось: 40 секунд" in seen[3]
    assert all('hx-trigger="every 3s"' in page for page in seen)
    done = planner.get(PAGE).text
    assert "<progress" not in done and "hx-trigger" not in done and "3 минуты" in done


def test_scenarios_lie_over_one_another_by_week(colleague, waiting: CardOffice) -> None:  # type: ignore[no-untyped-def]
    """Up to four: a line each for P50 and P90, the same as figures, and the points with the longest queues."""
    planner = colleague("planner")
    ids = [lived(waiting, f"окна {times}", changes={"windows": times}) for times in (0.2, 0.5, 1, 2, 4)]
    page = planner.get(beside(*ids)).text
    queue = page[page.index('id="queue-title"') : page.index("</svg>", page.index('id="queue-title"'))]
    assert {int(n) for n in re.findall(r"uec-lines__half uec-lines--(\d)", queue)} == {1, 2, 3, 4}
    assert {int(n) for n in re.findall(r"uec-lines__nine uec-lines--(\d)", queue)} == {1, 2, 3, 4}
    assert "окна 2<" in page and "окна 4<" not in page, "four at most"
    with waiting.sessions() as session:
        weeks = session.get_one(PlanScenario, ids[0]).outcome["weeks"]
    assert page.count('<th scope="row" class="govuk-table__header uec-nowrap">') == len(weeks) * page.count("Неделя с")
    assert "Пункты с самыми длинными очередями" in page
    assert "разные дни" not in page
    short = lived(waiting, "короче", days=10)
    assert "разные дни" in planner.get(beside(ids[0], short)).text


def test_what_is_asked_for_and_is_not_there_is_told(colleague, waiting: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    for asked in ("", "?scenario=", "?scenario=99999", "?scenario=x&scenario=-1", "?scenario=99999999999999999999"):
        answer = planner.get(f"{PAGE}/compare{asked}", follow_redirects=True)
        assert answer.status_code == 200 and "Отметьте" in answer.text
    assert planner.get(f"{PAGE}?offset=-5").status_code == planner.get(f"{PAGE}?offset=9999").status_code == 200
    for action in ("propose", "again"):
        assert press(planner, f"{PAGE}/99999/{action}", PAGE).status_code == 404


def test_a_scenario_that_could_not_be_lived_through_says_why(colleague, waiting: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    scenario_id = lived(waiting, "не вышло")
    with waiting.sessions() as session:
        row = session.get_one(PlanScenario, scenario_id)
        row.outcome = plan_scenarios.trial_of(row).asked | {"failed": "There is no line."}
        session.commit()
    page = planner.get(beside(scenario_id)).text
    assert "There is no line." in page and "/again" in page and "/propose" not in page
    assert press(planner, f"{PAGE}/{scenario_id}/propose", beside(scenario_id)).status_code == 409


def test_the_list_is_paged(colleague, waiting: CardOffice) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    with waiting.sessions() as session:
        session.add_all(
            PlanScenario(name=f"сценарий {n}", made_at=NOW, changes={}, outcome={"runs": 1, "seed": 1, "failed": "x"})
            for n in range(60)
        )
        session.commit()
    pages = [planner.get(f"{PAGE}?offset={offset}").text for offset in (0, 25, 50)]
    names = [re.findall(r">(сценарий \d+)</label>", page) for page in pages]
    assert [len(one) for one in names] == [25, 25, 10]
    assert names[0][0] == "сценарий 59" and len({name for one in names for name in one}) == 60


@pytest.mark.parametrize(
    ("fields", "words", "field"),
    [
        ({"name": "x" * 61}, "от 1 до 60 знаков", "name"),
        ({"name": " "}, "от 1 до 60 знаков", "name"),
        ({"name": "много окон", "windows": "many"}, "число от 0 до 100", "windows"),
        ({"name": "тьма окон", "windows": "101"}, "число от 0 до 100", "windows"),
        ({"name": "не число", "intake": "nan"}, "число от 0 до 100", "intake"),
        ({"name": "без конца", "intake": "inf"}, "число от 0 до 100", "intake"),
        ({"name": "мало чипов", "chips": "-5"}, "целое число", "chips"),
        ({"name": "полчипа", "chips": "0.5"}, "целое число", "chips"),
        ({"name": "сто веков", "runs": "10000"}, "от 1 до 1000", "runs"),
        ({"name": "ни одного года", "runs": "0"}, "от 1 до 1000", "runs"),
        ({"name": "вполовину", "runs": "1.5"}, "от 1 до 1000", "runs"),
        ({"name": "смены", "shift_line": "centre", "shifts": "-1"}, "от 0 до 10", "shifts"),
        ({"name": "смены", "shift_line": "centre", "shifts": "1.5"}, "от 0 до 10", "shifts"),
        ({"name": "смены", "shift_line": "centre", "shifts": ""}, "от 0 до 10", "shifts"),
        ({"name": "смены", "shift_line": "L77", "shifts": "1"}, "от 0 до 10", "shifts"),
        ({"name": "стоит", "stopped": "L77"}, "линию из списка", "stopped"),
        ({"name": "никто", "no_show": "101"}, "от 0 до 100 процентов", "no_show"),
        ({"name": "никто", "no_show": "many"}, "от 0 до 100 процентов", "no_show"),
        ({"name": "шатко", "intake_spread": "-1"}, "от 0 до 300 процентов", "intake_spread"),
    ],
)
def test_a_scenario_that_is_wrong_stands_in_its_form_with_what_is_wrong(  # type: ignore[no-untyped-def]
    colleague, waiting: CardOffice, fields: dict[str, str], words: str, field: str
) -> None:
    planner = colleague("planner")
    answer = press(planner, PAGE, PAGE, **fields)
    assert answer.status_code == 400 and words in answer.text
    assert f'href="#{field}"' in answer.text and f'id="{field}"' in answer.text
    typed = {name: value for name, value in fields.items() if name not in {"shift_line", "stopped"}}
    assert all(f'value="{value}"' in answer.text for value in typed.values())
    assert count(waiting, PlanScenario) == 0
    if "no_show" in fields:
        assert re.search(r"<details[^>]* open", answer.text), "the field that is wrong is in sight"


def test_the_pages_speak_english_too(colleague, waiting: CardOffice, client: FlaskClient) -> None:  # type: ignore[no-untyped-def]
    planner = colleague("planner")
    planner.get("/language/en")
    scenario_id = lived(waiting, "two weeks")
    assert "What if?" in planner.get(PAGE).text
    page = planner.get(beside(scenario_id)).text
    assert "Share of promises kept, by week" in page and "Points with the longest queues" in page
    assert "A scenario is lived through 1 to 1000 times." in press(planner, PAGE, PAGE, name="y", runs="5000").text
    assert "from 0 to 100 percent" in press(planner, PAGE, PAGE, name="y", strike="400").text
