"""`uec plan simulate, compare, propose, approve`: what somebody types, right and wrong, and Ctrl-C in the middle."""

# ruff: noqa: F811 - the fixture is imported

import json
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.integration.cli.test_plan_commands import PASSWORD, office  # noqa: F401 - a fixture
from tests.support.office import NOW, seeded_random
from uec.cli import run
from uec.domain.permissions import Role
from uec.services import scenario_years
from uec.services.passwords import hash_password
from uec.store.engine import make_engine, session_factory
from uec.store.tables import PlanningFacts, PlanScenario, Staff, StaffRole

SHORT = ["--runs", "1", "--days", "20"]


def kept(url: str) -> list[PlanScenario]:
    engine = make_engine(url)
    with session_factory(engine)() as session:
        rows = list(session.scalars(select(PlanScenario).order_by(PlanScenario.id)))
        session.expunge_all()
    engine.dispose()
    return rows


def colleague(url: str, role: Role) -> list[str]:
    """The sign-in of somebody with a role."""
    engine = make_engine(url)
    with session_factory(engine)() as session:
        who: Any = session.scalars(select(Staff).join(StaffRole).where(StaffRole.role == role)).first()
        hashed = hash_password(PASSWORD, random=seeded_random())
        session.execute(update(Staff).where(Staff.id == who.id).values(password_hash=hashed))
        session.commit()
        login = who.login
    engine.dispose()
    return ["--login", login, "--password-file", "password"]


@pytest.mark.slow
def test_scenarios_stand_side_by_side_and_one_becomes_the_plan(
    office: list[str], sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", "simulate", "as it is", *SHORT, *office]) == 0
    shift = ["--changes", '{"shifts": {"centre": 1}}', "--chances", '{"no_show": 0.5}']
    assert run(["plan", "simulate", "twice", *shift, *SHORT, *office]) == 0
    capsys.readouterr()
    assert run(["plan", "compare", *office]) == 0
    rows = [row.split("\t") for row in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["scenario", "as it is", "twice"]
    assert len({len(row) for row in rows}) == 1
    assert run(["plan", "compare", "twice", "--json", *office]) == 0
    told = json.loads(capsys.readouterr().out)["twice"]
    assert told["changes"] == {"shifts": {"centre": 1}} and told["chances"] == {"no_show": 0.5}
    assert len(told["by_week"]["queue"][0]) == len(told["weeks"])
    releaser = colleague(sqlite_url, Role.RELEASER)
    assert run(["plan", "approve", "twice", *releaser]) == 1
    assert "put this scenario forward" in capsys.readouterr().err
    assert run(["plan", "propose", "twice", *office]) == 0
    assert run(["plan", "approve", "twice", *office]) == 1
    assert run(["plan", "approve", "twice", *releaser]) == 0
    assert "in force as facts 1" in capsys.readouterr().out
    assert run(["plan", "propose", "as it is", *office]) == 1
    assert "changed since" in capsys.readouterr().err
    engine = make_engine(sqlite_url)
    with session_factory(engine)() as session:
        (facts,) = session.scalars(select(PlanningFacts.facts))
        assert facts["lines"][0]["shifts"] == [2, 2, 2, 2, 2, 0, 0]
    engine.dispose()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--changes", "[1]"], "JSON object"),
        (["--changes", "{"], "no JSON"),
        (["--changes", "[" * 100_000], "no JSON"),
        (["--changes", '{"wishes": 3}'], "wishes"),
        (["--changes", '{"intake": "two"}'], "intake"),
        (["--changes", '{"intake": NaN}'], "intake"),
        (["--changes", '{"shifts": {"L9": 1}}'], "L9"),
        (["--changes", '{"shifts": 2}'], "Shifts"),
        (["--changes", '{"stopped": "centre"}'], "Stopped"),
        (["--changes", '{"chips": 1e400}'], "chips"),
        (["--chances", '{"luck": 1}'], "luck"),
        (["--chances", '{"no_show": 2}'], "no_show"),
        (["--chances", '{"strike_days": 1.5}'], "strike_days"),
        (["--runs", "0"], "runs"),
        (["--runs", "1001"], "runs"),
        (["--seed", "-1"], "seed"),
        (["--days", "0"], "days"),
        (["--processes", "0"], "processes"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_kept(
    office: list[str], sqlite_url: str, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    assert run(["plan", "simulate", "x", *arguments, *office]) == 2
    error = capsys.readouterr().err
    assert word in error and error.count("\n") == 1 and "Traceback" not in error
    assert kept(sqlite_url) == []


def test_names_that_are_wrong(office: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for name in (" ", "x" * 61, "a\nb"):
        assert run(["plan", "simulate", name, *SHORT, *office]) == 2
        assert "name" in capsys.readouterr().err
    for command in ("compare", "propose", "approve"):
        assert run(["plan", command, "nothing", *office]) == 1
        assert "nothing" in capsys.readouterr().err


def test_ctrl_c_keeps_the_years_that_are_over(
    office: list[str], sqlite_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third year is cut off: two are shown and saved, and the command says it was stopped."""
    real = scenario_years.years

    def cut(*arguments: Any, **more: Any) -> Any:
        for number, one in enumerate(real(*arguments, **more)):
            if number == 2:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(scenario_years, "years", cut)
    assert run(["plan", "simulate", "долгий", "--runs", "5", "--days", "20", *office]) == 130
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].startswith("долгий\t2\t")
    assert "2 of 5 years" in shown.err and "Traceback" not in shown.err
    (row,) = kept(sqlite_url)
    assert (row.outcome["runs"], row.outcome["asked"]) == (2, 5)


def test_scenarios_under_way_and_failed_ones_are_listed_too(
    office: list[str], sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = make_engine(sqlite_url)
    with session_factory(engine)() as session:
        for name, outcome in (("a", {"failed": "There is no line."}), ("b", {"done": 3})):
            row = PlanScenario(name=name, made_at=NOW, changes={}, outcome={"runs": 9, "seed": 1, **outcome})
            session.add(row)
        session.commit()
    engine.dispose()
    assert run(["plan", "compare", *office]) == 0
    _, a, b = capsys.readouterr().out.splitlines()
    assert a.startswith("a\t9\tThere is no line.") and b.startswith("b\t9\tunder way: 3 done")
