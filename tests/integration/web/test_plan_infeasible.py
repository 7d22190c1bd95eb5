"""What cannot be done, as a planner meets it: by command and on the pages of one office, in both languages.

The cases are those of the services; nonsense is refused in one sentence, by the command and by the form.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.browser.site import CHEAP, PASSWORD
from tests.integration.services.test_plan_infeasible import CASES, NONSENSE, PEOPLE, YEAR, Case, waiting
from tests.integration.web.conftest import post, token_in
from tests.support.office import NOW, open_office, seeded_random
from uec.cli import plan as commands
from uec.cli import run
from uec.domain.actors import system_actor
from uec.domain.permissions import Role
from uec.services import staff
from uec.settings import load_settings
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import upgrade
from uec.store.tables import PlanningFacts
from uec.web.app import create_app

CONFIG = Path(__file__).parents[3] / "config"
SIGN_IN = ["--login", "plan1", "--password-file", "password"]
EVERY_DAY = "holidays = [" + ", ".join(f'"{month:02}-{day:02}"' for month, day in sorted(YEAR)) + "]\n"


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Databases with thirty people who wait and a planner, by the card variant that a third of them want."""
    folder, made = tmp_path_factory.mktemp("offices"), {}
    for variant in ("", "piv"):
        made[variant] = folder / f"office{variant}.db"
        upgrade(f"sqlite:///{made[variant]}")
        engine = make_engine(f"sqlite:///{made[variant]}")
        with session_factory(engine)() as session:
            office = open_office(session_factory(engine), points=1, daily_capacity=50)
            waiting(session, office, variant)
            staff.create(
                session, login="plan1", display_name="Павел Планов", password=PASSWORD, roles=(Role.PLANNER,),
                actor=system_actor("test"), now=NOW, random=seeded_random(), point_id=None, cost=CHEAP,
            )  # fmt: skip
            session.commit()
        engine.dispose()
    return made


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the settings of an office, whose day is that of the cases."""
    shutil.copytree(CONFIG / "profiles", tmp_path / "profiles")
    shutil.copytree(CONFIG / "calendar", tmp_path / "calendar")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "uec.toml").write_text(
        f'profile_dir = "{tmp_path / "profiles"}"\ndatabase_url = "sqlite:///{tmp_path / "uec.db"}"\n'
        f'secret_key_file = "{tmp_path / "web.key"}"\nstate_dir = "{tmp_path}"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    monkeypatch.setattr(commands, "now", lambda: NOW)
    return tmp_path


@pytest.fixture
def planner(office: Path, offices: dict[str, Path]) -> Iterator[FlaskClient]:
    """The planner on the pages of the office with usual cards."""
    shutil.copy(offices[""], office / "uec.db")
    return signed_in()


def signed_in() -> FlaskClient:
    client = create_app(load_settings("uec.toml"), clock=lambda: NOW).test_client()
    assert post(client, "/sign-in", login="plan1", password=PASSWORD).status_code == 302
    return client


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_plan_comes_by_command_and_the_pages_say_what_the_command_says(
    case: Case, office: Path, offices: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(offices[case.variant], office / "uec.db")
    if case.calendar.holidays:
        (office / "calendar" / "russia.toml").write_text(EVERY_DAY)
    (office / "facts.json").write_text(json.dumps(case.facts))
    assert run(["plan", "facts", "set", "facts.json", "--reason", case.name, *SIGN_IN]) == 0
    capsys.readouterr()
    assert run(["plan", "make", *SIGN_IN]) == 0
    told = capsys.readouterr().out
    assert f"people                 {PEOPLE}" in told
    assert case.said in told and case.doubt in told and case.relief in told
    late = int(re.findall(r"late or without a day  (\d+)", told)[0])
    assert 0 < late <= PEOPLE and (late == PEOPLE) is case.everybody
    assert run(["plan", "late", *SIGN_IN]) == 0
    listed = capsys.readouterr().out
    assert f"{late} of {late} who are late" in listed
    assert all(reason.value.replace("_", " ") in listed for reason in case.reasons)
    number = re.findall(r"^\d{4}-\d{7}", listed, re.MULTILINE)[0]
    assert run(["plan", "explain", number, *SIGN_IN]) == 0
    told_of_one = capsys.readouterr().out.splitlines()[-1]
    see_the_pages(case, number, told_of_one)


def see_the_pages(case: Case, number: str, told_of_one: str) -> None:
    """Overview, who is late, one person and the facts, in English and in Russian, each reason in words."""
    client = signed_in()
    russian = client.get("/office/plan").text
    assert "Опаздыва" in russian
    client.get("/language/en")
    page = client.get("/office/plan").text
    for words in (case.said, case.doubt, case.relief):
        assert words in page.replace("&#39;", "'")
    assert not re.search(r"no_[a-z]+\b(?=[^\"=&]*<)", re.sub(r"<[^>]*>", " ", page)), "a code instead of words"
    late = client.get("/office/plan/late").text
    assert f"/office/plan/person?number={number}" in late
    person = client.get(f"/office/plan/person?number={number}").text
    assert told_of_one[:40] in person
    for address in ("/office/plan/lines", "/office/plan/points", "/office/plan/facts", "/office/calendar"):
        assert client.get(address).status_code == 200


@pytest.mark.parametrize(("facts", "wrong"), NONSENSE)
def test_nonsense_is_one_sentence_by_command(
    facts: dict[str, object],
    wrong: str,
    office: Path,
    offices: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(offices[""], office / "uec.db")
    (office / "facts.json").write_text(json.dumps(facts))
    assert run(["plan", "facts", "set", "facts.json", "--reason", "x", *SIGN_IN]) != 0
    error = capsys.readouterr().err
    assert wrong in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"kind": "stop", "line": "centre", "first": "2026-03-09", "last": "2026-03-02"}, "last"),
        ({"kind": "stop", "line": "gone", "first": "2026-03-02", "last": "2026-03-09"}, "line"),
        ({"kind": "stop", "line": "centre", "first": "x", "last": "2026-03-09"}, "first"),
        ({"kind": "shift", "line": "centre", "more": "-9"}, "more"),
        ({"kind": "line", "line": ""}, "line"),
        ({"kind": "line", "line": "L9", "machines": "1e9", "cards_per_hour": "1", "shift_hours": "1"}, "machines"),
        ({"kind": "delivery", "count": "0"}, "count"),
        ({"kind": "delivery", "count": "5", "day": "30.02.2026"}, "day"),
        ({"kind": "late", "delivery": "7", "day": "2026-03-30"}, "delivery"),
        ({"kind": "point", "point": "P9", "storage": "5"}, "point"),
        ({"kind": "point", "point": "P1", "weekdays": "8"}, "weekdays"),
        ({"kind": "intake", "factor": "nan"}, "factor"),
        ({"kind": "windows", "factor": "-1"}, "factor"),
        ({"kind": "bureau", "bureau": ""}, "bureau"),
        ({"kind": "weather"}, "kind"),
        ({}, "kind"),
    ],
)
def test_nonsense_in_an_event_is_refused_in_words_and_nothing_is_kept(
    fields: dict[str, str], wrong: str, planner: FlaskClient
) -> None:
    facts = planner.get("/office/plan/facts").text
    for address in ("/office/plan/event", "/office/plan/event/save"):
        sent = {"csrf_token": token_in(facts), "reason": "x", **fields}
        answer = planner.post(address, data=sent, follow_redirects=True)
        assert answer.status_code == 400, address
        assert 'class="govuk-error-summary' in answer.text, address
        assert f'href="#{fields.get("kind", "")}-{wrong}"' in answer.text
        kept = [value for value in fields.values() if f'value="{value}"' in answer.text]
        # Without deliveries there is no form to move one.
        formless = fields.get("kind", "late") in {"late", "weather"}
        assert len(kept) >= len(fields) - 1 or formless, "what was typed stands in the form"
    engine = make_engine(load_settings("uec.toml").database_url)
    with session_factory(engine)() as session:
        assert session.scalar(select(func.count()).select_from(PlanningFacts)) == 0
    engine.dispose()
